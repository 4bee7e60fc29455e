package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// orderCounts returns how often a topic has each order, by its number. The row is a record's value, or the payload of a
// value with a schema.
func orderCounts(t *testing.T, p *e2etest.Place, servers, topic string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	r := p.Run("consume", topic, "--bootstrap-servers", servers)
	r.WantCode(0)
	for line := range strings.Lines(r.Stdout) {
		var l struct {
			Value struct {
				OrderID json.Number
				Payload struct{ OrderID json.Number }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &l), "in", line)
		if l.Value.OrderID != "" {
			counts[l.Value.OrderID.String()]++
		} else {
			counts[l.Value.Payload.OrderID.String()]++
		}
	}
	return counts
}

// Some hundreds of 1,000 rows are bad. Without tolerance the task fails at the first one and keeps the offset before
// it. With errors.tolerance=all the good ones are delivered, and the others become dead letters, which several replays
// deliver once each after the cause is fixed.
func TestPoison(t *testing.T) {
	t.Parallel()
	const rows = 1000
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: rows, PageSize: 170})
	servers := p.StartBroker()
	atLeast := p.WritePlainWorker(servers)
	exactly := p.File("exactly.properties", e2etest.PlainWorker(servers, "group.id=poison",
		"exactly.once.source.support=enabled")...)
	const bad, mended = "ShipPostalCode:int16", "ShipPostalCode:string"
	connector := func(name, spec string, more ...string) string {
		lines := append(e2etest.Source(name, address, "Orders"), "transforms=number", "sap.odata#00.topic="+name,
			"transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value", "transforms.number.spec="+spec)
		lines = slices.DeleteFunc(lines, func(l string) bool { return l == "sap.odata#00.topic=Orders" })
		return p.File(name+".properties", append(lines, more...)...)
	}
	run := func(worker, file string) e2etest.Result {
		return p.RunOnceWith(e2etest.Plugins(t, "smt"), worker, file)
	}
	replay := func(worker, file string, more ...string) e2etest.Result {
		return p.Run(append([]string{"dlq", "replay", "refused", "--plugins", e2etest.Plugins(t, "smt"), "--data",
			p.Data, worker, file}, more...)...)
	}
	good, poison, preceding := poisonedOrders(t, s, rows)
	orders := maps.Clone(good)
	maps.Copy(orders, poison)

	run(atLeast, connector("strict", bad)).WantCode(1).WantStderr("task failed", fmt.Sprintf("row %d", preceding))
	consumed := p.Run("consume", "strict", "--bootstrap-servers", servers)
	if n := strings.Count(consumed.Stdout, "\n"); n > preceding {
		t.Errorf("expected at most the %d rows in front of the first bad one, found %d", preceding, n)
	}
	run(atLeast, connector("strict", mended)).WantCode(0)
	assert.Equal(t, orders, orderCounts(t, p, servers, "strict"), "mended, from the offset")

	tolerant := []string{"errors.tolerance=all", "errors.deadletterqueue.topic.name=refused",
		"errors.deadletterqueue.context.headers.enable=true", "errors.log.enable=true"}
	output := run(exactly, connector("tolerant", bad, tolerant...)).WantCode(0).Stderr
	assert.Contains(t, output, `level=ERROR msg="row skipped"`)
	assert.Equal(t, good, orderCounts(t, p, servers, "tolerant"), "delivered")
	assert.Equal(t, poison, orderCounts(t, p, servers, "refused"), "dead letters")
	letters := p.Run("consume", "refused", "--bootstrap-servers", servers).Stdout
	for _, want := range []string{`"__connect.errors.topic","value":"tolerant"`,
		`"__connect.errors.stage","value":"TRANSFORMATION"`,
		`"__connect.errors.class.name","value":"org.apache.kafka.connect.transforms.Cast$Value"`,
		`"__culvert.errors.plugin.name","value":"smt"`, `"__culvert.errors.setting","value":"transforms.number.type"`} {
		assert.Equal(t, len(poison), strings.Count(letters, want), "letters with "+want)
	}
	checkPoisonIsListed(t, p, servers, len(poison), preceding)
	// A replay before the cause is fixed rejects all again, and counts the attempts.
	replay(exactly, connector("tolerant", bad, tolerant...)).WantCode(1).WantStdout(
		fmt.Sprintf("%d sent: 0 delivered, %d refused", len(poison), len(poison)))
	list := p.Run("dlq", "list", "refused", "--bootstrap-servers", servers, "--json")
	assert.Equal(t, len(poison), strings.Count(list.Stdout, `"attempts":2`), "letters that were replayed once")
	assert.Equal(t, good, orderCounts(t, p, servers, "tolerant"), "delivered")
	// Fixed: a filter selects some, a second replay the others, and a third finds none.
	file := connector("tolerant", mended, tolerant...)
	filtered := replay(exactly, file, "--error", "(9").WantCode(0)
	n := 0
	if _, err := fmt.Sscanf(filtered.Stdout, "%d sent", &n); err != nil || n == 0 || n == len(poison) {
		t.Errorf("expected some of %d letters to be sent, found %s", len(poison), filtered.Stdout)
	}
	replay(exactly, file).WantCode(0)
	checkReplayed(t, 0, replay(exactly, file))
	assert.Equal(t, orders, orderCounts(t, p, servers, "tolerant"), "after the replays")
}

// poisonedOrders returns the orders whose postal code is a number of 16 bits, the others, and the number of good orders
// before the first other one.
func poisonedOrders(t *testing.T, s *odatatest.Service, rows int) (good, poison map[string]int, preceding int) {
	t.Helper()
	good = map[string]int{}
	poison = map[string]int{}
	s.Each("Orders", func(_ string, fields map[string]string) {
		if _, err := strconv.ParseInt(fields["ShipPostalCode"], 10, 16); err != nil {
			poison[fields["OrderID"]] = 1
			return
		}
		good[fields["OrderID"]] = 1
		if len(poison) == 0 {
			preceding++
		}
	})
	if len(good) < rows/4 || len(poison) < rows/4 || preceding == 0 {
		t.Fatalf("expected a quarter of good and of bad rows, and a good one first, found %d, %d, and %d before the "+
			"first bad one", len(good), len(poison), preceding)
	}
	return good, poison, preceding
}

// checkPoisonIsListed checks that the dead letters of the connector tolerant are listed and shown. The first one is
// about a row that so many good ones precede.
func checkPoisonIsListed(t *testing.T, p *e2etest.Place, servers string, letters, preceding int) {
	t.Helper()
	list := p.Run("dlq", "list", "refused", "--bootstrap-servers", servers, "--connector", "tolerant", "--error",
		"NUMBER: value")
	lines := strings.Split(strings.TrimSpace(list.Stdout), "\n")
	if list.Code != 0 || len(lines) != letters+1 {
		t.Fatalf("expected %d letters, found exit %d and\n%.2000s%s", letters, list.Code, p.Run("dlq", "list",
			"refused", "--bootstrap-servers", servers).Stdout, list.Stderr)
	}
	oldest, _, _ := strings.Cut(lines[letters], " ")
	r := p.Run("dlq", "list", "refused", "--bootstrap-servers", servers, "--json", "--until", "2020-01-01T00:00:00Z")
	assert.True(t, r.Code == 0 && r.Stdout == "",
		"expected none that is so old, found exit %d and %s%s", r.Code, r.Stdout, r.Stderr)
	shown := p.Run("dlq", "show", "refused", oldest, "--bootstrap-servers", servers)
	for _, want := range []string{"tolerant row " + strconv.Itoa(preceding), "transforms.number.type", "number: Value",
		"ShipPostalCode", "/Orders?"} {
		assert.True(t, strings.Contains(shown.Stdout, want),
			"show %s: expected %q, found exit %d\n%s%s", oldest, want, shown.Code, shown.Stdout, shown.Stderr)
	}
}

// The plugin of a source reads a rejected row again as the document that the service sent.
func TestReplayOfDocuments(t *testing.T) {
	t.Parallel()
	for format, forgery := range map[string]struct{ old, new string }{
		"json": {old: `"Freight":"237.5700"`, new: `"Freight":"237.57009"`},
		"atom": {old: `>237.5700<`, new: `>237.57009<`},
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			s := odatatest.New(odatatest.Options{Rows: 20})
			address := e2etest.Serve(t, e2etest.ForgeOrders(s, forgery.old, forgery.new))
			broker := e2etest.StartEmbeddedBroker(t).Addr()
			worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
			connector := func(more ...string) string {
				return p.File("orders.properties", append(append(e2etest.Source("orders", address, "Orders"),
					"errors.tolerance=all", "sap.odata.format="+format, "errors.deadletterqueue.topic.name=refused",
					"errors.deadletterqueue.context.headers.enable=true", "key.converter.schemas.enable=false",
					"value.converter.schemas.enable=false"), more...)...)
			}
			p.MustRunOnce(worker, connector())
			letter := e2etest.ReadTopic(t, broker, "refused", 1)[0]
			require.True(t, !bytes.Contains(letter.Value, []byte(`"schema"`)),
				"expected the document, found %s", letter.Value)
			replay := func(file string, more ...string) e2etest.Result {
				return p.Run(append([]string{"dlq", "replay", "refused", "--plugins", e2etest.Plugins(t), "--data",
					p.Data, worker, file}, more...)...)
			}
			replay(connector(), "--dry").WantCode(1).WantStdout("0 would pass, 1 would be refused\n0@0: ")
			replay(connector()).WantCode(1).WantStdout("1 sent: 0 delivered, 1 refused")
			second := e2etest.ReadTopic(t, broker, "refused", 2)[1]
			if !bytes.Equal(second.Value, letter.Value) || headersOf(second)["__culvert.errors.replays"] != "1" ||
				headersOf(second)["__connect.errors.offset"] != headersOf(letter)["__connect.errors.offset"] {
				t.Errorf("expected the same document, replayed once, found %s with %v", second.Value, headersOf(second))
			}
			checkReplayed(t, 1, replay(connector("sap.odata.decimal.overflow=round")))
			counts := map[string]int{}
			for _, r := range e2etest.ReadTopic(t, broker, "Orders", 20) {
				counts[string(r.Key)]++
			}
			assert.True(t, len(counts) == 20, "expected each of 20 orders once, found %v", counts)
		})
	}
}

// checkReplayed checks that a replay delivered so many dead letters, and refused no letter.
func checkReplayed(t *testing.T, letters int, r e2etest.Result) {
	t.Helper()
	if want := fmt.Sprintf("%d sent: %[1]d delivered, 0 refused\n", letters); r.Code != 0 || r.Stdout != want {
		t.Errorf("expected exit 0 and %q, found exit %d\n%s%s", want, r.Code, r.Stdout, r.Stderr)
	}
}

func headersOf(r *kgo.Record) map[string]string {
	values := map[string]string{}
	for _, h := range r.Headers {
		values[h.Key] = string(h.Value)
	}
	return values
}

// Records that a service rejected are delivered when it accepts them, in the order of their keys and once each. A
// record that may have been written is reported, and not sent again without a decision.
func TestReplayIntoAService(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 12})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("there.properties",
		e2etest.Source("there", address, "Orders")...))
	back := p.File("back.properties", append(e2etest.Sink("back", address, "Orders", "OrderCopies"),
		"errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true")...)
	e2etest.RefuseWrites(t, s, 1000)
	p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, back)
	e2etest.ReadTopic(t, broker, "refused", 12)
	replay := func() e2etest.Result {
		return p.Run("dlq", "replay", "refused", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
			worker, back)
	}
	s.Set("status-count", "5")
	// The records of a rejected batch are sent one by one, so that some are delivered.
	delivered := 0
	refused := 0
	r := replay()
	_, err := fmt.Sscanf(r.Stdout, "12 sent: %d delivered, %d refused", &delivered, &refused)
	require.True(t, err == nil && r.Code == 1 && refused != 0 && delivered+refused == 12,
		"expected exit 1 and some of 12 refused, found exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	for _, l := range e2etest.ReadTopic(t, broker, "refused", 12+refused)[12:] {
		if h := headersOf(l); h["__culvert.errors.replays"] != "1" || h["__connect.errors.topic"] != "Orders" {
			t.Errorf("expected a letter of Orders that was replayed once, found %v", h)
		}
	}
	// One insert gets no response, so its outcome is unknown until an operator decides.
	s.Set("lose-answer", "1")
	if r = replay(); r.Code != 1 || !strings.Contains(r.Stderr, "errors.uncertain.send") {
		t.Fatalf("expected a letter in doubt, found exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	replay().WantCode(1).WantStderr("errors.uncertain.send")
	_, offset, _ := strings.Cut(r.Stderr, "Orders-0@")
	digits := strings.TrimRight(offset[:min(len(offset), 3)], " ,;:.\"\n)abcdefghijklmnopqrstuvwxyz")
	back = p.File("back.properties", append(e2etest.Sink("back", address, "Orders", "OrderCopies"),
		"errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.uncertain.skip=Orders-0@"+digits)...)
	replay().WantCode(0)
	e2etest.CheckCopies(t, s)
	e2etest.CheckCreatedOnce(t, s.Ledger(), 12)
	checkReplayed(t, 0, replay())
}
