package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A replay that is killed goes on where it was: each letter arrives, and what is remembered of it is true. Inserts
// whose answer the killed one did not get are looked up.
func TestReplayThatIsKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
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
	broker := embedded(t).Addr()
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
	back := p.file("back.properties", append(sinkOf("back", address, "Orders", "OrderCopies"), "errors.tolerance=all",
		silent,
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"sap.odata.insert.uncertain=check")...)
	for _, args := range [][]string{{p.file("there.properties", source("there", address, "Orders")...)}, {back}} {
		if r := p.run(append([]string{"run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker},
			args...)...); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
		s.Set("match", "POST")
		s.Set("status", "400")
		s.Set("status-count", "1000")
	}
	readTopic(t, broker, "refused", 12)
	s.Set("status-count", "0")
	replay := func() *command {
		return p.start("dlq", "replay", "refused", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker,
			back)
	}
	mu.Lock()
	armed = true
	mu.Unlock()
	killed := replay()
	killed.eventually("a letter on its way", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	if err := killed.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.wait()
	if r := replay().wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if diff := cmp.Diff(entities(s, "Orders"), entities(s, "OrderCopies")); diff != "" {
		t.Errorf("what arrived (-expected +found)\n%s", diff)
	}
	createdOnce(t, s.Ledger(), 12)
	if r := replay().wait(); r.code != 0 || r.stdout != "0 replayed, 0 of them refused again\n" {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
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
			p := newPlace(t)
			_, address := demo(t, service.Options{Rows: rows, PageSize: 1000})
			servers := p.broker()
			worker := p.file("worker.properties", append(c.worker, "bootstrap.servers="+servers, "listeners=",
				"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")...)
			connector := func(spec string) string {
				return p.file("orders.properties", append(source("orders", address, "Orders"), "transforms=number",
					"transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value",
					"transforms.number.spec="+spec, "errors.tolerance=all", "errors.deadletterqueue.topic.name=refused",
					"errors.deadletterqueue.context.headers.enable=true")...)
			}
			if r := p.run("run", "--once", "--plugins", plugins(t, "smt"), "--data", p.data, worker,
				connector("ShipName:int16")); r.code != 0 {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			client, err := kgo.NewClient(kgo.SeedBrokers(servers))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			admin := kadm.NewClient(client)
			if _, err := admin.CreateTopics(t.Context(), 1, 1, nil, "Orders"); err != nil {
				t.Fatal(err)
			}
			written := func() int64 {
				ends, err := admin.ListEndOffsets(t.Context(), "Orders")
				if err != nil {
					t.Fatal(err)
				}
				end, _ := ends.Lookup("Orders", 0)
				return end.Offset
			}
			mended := connector("ShipName:string")
			replay := func() *command {
				return p.start("dlq", "replay", "refused", "--plugins", plugins(t, "smt"), "--data", p.data, worker,
					mended)
			}
			killed := 0
			for range kills {
				before := written()
				one := replay()
				one.eventually("rows", func() bool { return written() > before })
				if err := one.process.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				if one.wait().code != 0 {
					killed++
				}
			}
			if killed == 0 {
				t.Error("no replay was killed before its end: this shows nothing")
			}
			if r := replay().wait(); r.code != 0 {
				t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			if r := replay().wait(); r.code != 0 || r.stdout != "0 replayed, 0 of them refused again\n" {
				t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
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
