package sink

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A replay that is killed goes on where it was: each letter arrives, and what is remembered of it is true. Inserts
// whose answer the killed one did not get are looked up.
func TestReplayThatIsKilled(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s := service.New(service.Options{Rows: 12})
	var mu sync.Mutex
	armed := false
	held, goOn := make(chan struct{}), make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		mu.Lock()
		stop := armed && r.Method == http.MethodPost
		armed = armed && !stop
		mu.Unlock()
		if stop { // it is written, and its answer does not come
			close(held)
			<-goOn
		}
	}))
	t.Cleanup(front.Close)
	t.Cleanup(sync.OnceFunc(func() { close(goOn) }))
	address := strings.TrimPrefix(front.URL, "http://")
	broker := e2e.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	back := p.File("back.properties", append(e2e.SinkOf("back", address, "Orders", "OrderCopies"), "errors.tolerance=all",
		e2e.Silent,
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"sap.odata.insert.uncertain=check")...)
	for _, args := range [][]string{{p.File("there.properties", e2e.Source("there", address, "Orders")...)}, {back}} {
		p.MustRun(append([]string{"run", "--once", "--plugins", e2e.Plugins(t, "odata-sink"), "--data", p.Data, worker},
			args...)...)
		s.Set("match", "POST")
		s.Set("status", "400")
		s.Set("status-count", "1000")
	}
	e2e.ReadTopic(t, broker, "refused", 12)
	s.Set("status-count", "0")
	replay := func() *e2e.Command {
		return p.Start("dlq", "replay", "refused", "--plugins", e2e.Plugins(t, "odata-sink"), "--data", p.Data, worker,
			back)
	}
	mu.Lock()
	armed = true
	mu.Unlock()
	killed := replay()
	killed.Eventually("a letter on its way", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	e2e.NoError(t, killed.Process.Process.Kill())
	killed.Wait()
	if r := replay().Wait(); r.Code != 0 {
		t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if diff := cmp.Diff(e2e.Entities(s, "Orders"), e2e.Entities(s, "OrderCopies")); diff != "" {
		t.Errorf("what arrived (-expected +found)\n%s", diff)
	}
	e2e.CreatedOnce(t, s.Ledger(), 12)
	if r := replay().Wait(); r.Code != 0 || r.Stdout != "0 replayed, 0 of them refused again\n" {
		t.Errorf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// A replay of the letters of a source that is killed again and again loses none: with exactly-once each row comes once,
// else a kill repeats at most those that are replayed at a time.
func TestReplayOfASourceThatIsKilled(t *testing.T) {
	t.Parallel()
	const rows, kills, atOnce = 3000, 3, 500
	for name, c := range map[string]struct {
		worker   []string
		repeated int // at most
	}{
		"at least once": {nil, kills * atOnce},
		"exactly once":  {[]string{"group.id=replays", "exactly.once.source.support=enabled"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := e2e.NewPlace(t)
			_, address := e2e.Demo(t, service.Options{Rows: rows, PageSize: 1000})
			servers := p.Broker()
			worker := p.File("worker.properties", append(c.worker, "bootstrap.servers="+servers, "listeners=",
				"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")...)
			connector := func(spec string) string {
				return p.File("orders.properties", append(e2e.Source("orders", address, "Orders"), "transforms=number",
					"transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value",
					"transforms.number.spec="+spec, "errors.tolerance=all", "errors.deadletterqueue.topic.name=refused",
					"errors.deadletterqueue.context.headers.enable=true")...)
			}
			p.MustRun("run", "--once", "--plugins", e2e.Plugins(t, "smt"), "--data", p.Data, worker,
				connector("ShipName:int16"))
			client, err := kgo.NewClient(kgo.SeedBrokers(servers))
			e2e.NoError(t, err)
			defer client.Close()
			admin := kadm.NewClient(client)
			if _, err := admin.CreateTopics(t.Context(), 1, 1, nil, "Orders"); err != nil {
				t.Fatal(err)
			}
			written := func() int64 {
				ends, err := admin.ListEndOffsets(t.Context(), "Orders")
				e2e.NoError(t, err)
				end, _ := ends.Lookup("Orders", 0)
				return end.Offset
			}
			mended := connector("ShipName:string")
			replay := func() *e2e.Command {
				return p.Start("dlq", "replay", "refused", "--plugins", e2e.Plugins(t, "smt"), "--data", p.Data, worker,
					mended)
			}
			killed := 0
			for range kills {
				before := written()
				one := replay()
				one.Eventually("rows", func() bool { return written() > before })
				e2e.NoError(t, one.Process.Process.Kill())
				if one.Wait().Code != 0 {
					killed++
				}
			}
			if killed == 0 {
				t.Error("no replay was killed before its end: this shows nothing")
			}
			if r := replay().Wait(); r.Code != 0 {
				t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			if r := replay().Wait(); r.Code != 0 || r.Stdout != "0 replayed, 0 of them refused again\n" {
				t.Errorf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			found, repeated := ids(t, p, servers, "Orders"), 0
			for _, times := range found {
				repeated += times - 1
			}
			if len(found) != rows || repeated > c.repeated {
				t.Errorf("expected %d rows, at most %d repeated, found %d, %d repeated", rows, c.repeated, len(found),
					repeated)
			}
			t.Logf("%d kills: %d rows, %d repeated", killed, len(found), repeated)
		})
	}
}
