package source

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Rows of a source that a transform refuses fail the task, or go as they came to the topic of dead letters, each once
// and in the transaction of their page; the others are delivered.
func TestDeadLettersOfASource(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 300, PageSize: 70})
	servers := p.Broker()
	worker := p.Plain(servers, "group.id=letters", "exactly.once.source.support=enabled")
	run := func(more ...string) e2etest.Result {
		lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata.headers.enable=1", "transforms=number",
			"transforms.number.type=Cast$Value",           // letters tell the whole class
			"transforms.number.spec=ShipPostalCode:int16") // some are larger
		return p.OnceWith(e2etest.Plugins(t, "smt"), worker, p.File("orders.properties", append(lines, more...)...))
	}
	good, bad := map[string]bool{}, map[string]bool{}
	s.Each("Orders", func(_ string, fields map[string]string) {
		if _, err := strconv.ParseInt(fields["ShipPostalCode"], 10, 16); err == nil {
			good[fields["OrderID"]] = true
		} else {
			bad[fields["OrderID"]] = true
		}
	})
	if len(good) < 50 || len(bad) < 50 {
		t.Fatalf("%d rows are good and %d bad: this shows nothing", len(good), len(bad))
	}
	run().Exits(1).Says("task FAILED")
	own := p.File("own.properties", append(e2etest.Source("own", address, "Orders"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=Orders")...)
	if r := p.Run("validate", "--plugins", e2etest.Plugins(t, "smt"), own); r.Code == 0 ||
		!strings.Contains(r.Stdout+r.Stderr, "expected a topic that no rows go to, found that of sap.odata#00.topic") {
		t.Errorf("expected a topic of rows to be refused for dead letters, found exit %d\n%s%s", r.Code, r.Stdout,
			r.Stderr)
	}
	letters := []string{"errors.tolerance=all", "errors.deadletterqueue.topic.name=orders-refused",
		"errors.deadletterqueue.context.headers.enable=true"}
	for round := range 2 { // the second time there is nothing new
		run(letters...).Exits(0)
		ids := func(topic string, payload bool) map[string]bool {
			found := map[string]bool{}
			r := p.Run("consume", topic, "--bootstrap-servers", servers)
			for line := range strings.Lines(r.Stdout) {
				var l struct {
					Value struct {
						OrderID json.Number
						Schema  any
						Payload struct {
							OrderID        json.Number
							ShipPostalCode string
						}
					}
					Headers []json.RawMessage
				}
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				for _, want := range []string{`"sap.odata.entityset","value":"Orders"`,
					`"sap.odata.change","value":"read"`} {
					if !payload && !strings.Contains(line, want) {
						t.Fatalf("expected the header %s in %s", want, line)
					}
				}
				id := l.Value.OrderID.String()
				if payload {
					id = l.Value.Payload.OrderID.String()
					if l.Value.Schema == nil || l.Value.Payload.ShipPostalCode == "" {
						t.Errorf("expected the row with its schema, as it came, found %s", line)
					}
					for _, want := range []string{`"__connect.errors.topic","value":"Orders"`,
						`"__connect.errors.stage","value":"TRANSFORMATION"`,
						`"__connect.errors.class.name","value":"org.apache.kafka.connect.transforms.Cast$Value"`,
						`"__culvert.errors.plugin.name","value":"smt"`,
						`"__culvert.errors.setting","value":"transforms.number.type"`} {
						if !strings.Contains(line, want) {
							t.Fatalf("expected %s in %s", want, line)
						}
					}
				}
				if found[id] {
					t.Errorf("round %d: order %s is twice in %s", round, id, topic)
				}
				found[id] = true
			}
			return found
		}
		if diff := cmp.Diff(good, ids("Orders", false)); diff != "" {
			t.Errorf("round %d: delivered (-expected +found)\n%s", round, diff)
		}
		if diff := cmp.Diff(bad, ids("orders-refused", true)); diff != "" {
			t.Errorf("round %d: dead letters (-expected +found)\n%s", round, diff)
		}
	}
}
