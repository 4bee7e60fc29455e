package sink

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// copying is a sink into a service of its own, each of whose POSTs takes a while, and waits for its turn where there
// are turns.
type copying struct {
	service *odatatest.Service
	posts   atomic.Int32
	turns   chan struct{}
	lines   []string
}

func newCopying(p *e2etest.Place, rows int, settings ...string) *copying {
	p.T.Helper()
	c := &copying{service: odatatest.New(odatatest.Options{Rows: rows, Switches: odatatest.Switches{CSRF: true}})}
	address := e2etest.Serve(p.T, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n := c.posts.Add(1)
			timer := time.NewTimer(time.Millisecond * time.Duration(1+n%7*3))
			defer timer.Stop()
			<-timer.C
			if c.turns != nil {
				select {
				case <-c.turns:
				case <-r.Context().Done():
				}
			}
		}
		c.service.ServeHTTP(w, r)
	}))
	c.lines = e2etest.CopiesOf(address, append([]string{"tasks.max=1", e2etest.Silent}, settings...)...)
	return c
}

// once checks that each of the rows was created one time.
func (c *copying) once(t *testing.T, rows int) {
	t.Helper()
	e2etest.CreatedOnce(t, c.service.Ledger(), rows)
	if found := len(e2etest.Entities(c.service, "OrderCopies")); found != rows {
		t.Errorf("expected %d entities, found %d", rows, found)
	}
}

// skips has an operator leave records out, after which each of the rows was created one time.
func (c *copying) skips(p *e2etest.Place, names []string, worker string, rows int) {
	p.T.Helper()
	lines := append(slices.Clone(c.lines), "errors.uncertain.skip="+strings.Join(names, ","))
	p.MustOnceWith(e2etest.Plugins(p.T, "odata-sink"), worker, p.File("back.properties", lines...))
	c.once(p.T, rows)
}

var skipAdvice = regexp.MustCompile(`errors\.uncertain\.skip=(\S+) to leave`)

// named are the records that a run calls uncertain, each once.
func named(r e2etest.Result) (names []string) {
	for _, advice := range skipAdvice.FindAllStringSubmatch(r.Stderr, -1) {
		for _, name := range strings.Split(advice[1], ",") {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// A loading sink that is killed leaves records of which only its note says that they were on their way. The next run
// names them all at once, and goes on when somebody has looked which of them arrived.
func TestKilledSinkNamesWhatItFinds(t *testing.T) {
	t.Parallel()
	const rows = 200
	p, _, _ := e2etest.Filled(t, rows)
	worker := p.File("killed.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false",
		"consumer.session.timeout.ms=12000", "consumer.heartbeat.interval.ms=500")
	c := newCopying(p, rows)
	args := []string{"--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, p.File("back.properties",
		c.lines...)}
	run := p.Start(append([]string{"run", "--set", "listeners="}, args...)...)
	run.Eventually("POSTs", func() bool { return c.posts.Load() > 40 })
	run.Kill()
	r := p.Run(append([]string{"run", "--once"}, args...)...)
	var send, skip []string
	names := named(r)
	if r.Code != 1 || len(names) == 0 {
		t.Fatalf("expected records to be named, found exit %d: %s", r.Code, r.LastLine())
	}
	there := e2etest.Entities(c.service, "OrderCopies")
	for _, record := range p.Records("Orders") {
		if name := fmt.Sprintf("Orders-%v@%v", record["partition"], record["offset"]); slices.Contains(names, name) {
			if _, written := there[fmt.Sprintf("(%v)", record["key"].(map[string]any)["OrderID"])]; written {
				skip = append(skip, name)
			} else {
				send = append(send, name)
			}
		}
	}
	if len(send)+len(skip) != len(names) {
		t.Fatalf("expected records of the topic to be named, found %q", names)
	}
	p.File("back.properties", append(slices.Clone(c.lines), "errors.uncertain.skip="+strings.Join(skip, ","),
		"errors.uncertain.send="+strings.Join(send, ","))...)
	p.Run(append([]string{"run", "--once"}, args...)...).Exits(0)
	t.Logf("%d records named", len(names))
	c.once(t, rows)
}

// A version that hangs in settle takes over while records flow: what the version before had sent is judged by that one,
// what it sends itself is named, and each row is created once.
func TestVersionThatHangsInSettleTakesOver(t *testing.T) {
	t.Parallel()
	const rows, batch, atATime, first = 60, 20, 4, 10
	p, _, worker := e2etest.Filled(t, rows)
	c := newCopying(p, rows, fmt.Sprintf("sap.odata.flush.trigger.size=%d", batch),
		fmt.Sprintf("sap.odata.max.in.flight=%d", atATime),
		fmt.Sprintf("consumer.override.max.poll.records=%d", batch))
	c.turns = make(chan struct{}, 2*rows)
	t.Cleanup(func() { close(c.turns) }) // before the server ends, which waits for its answers
	dir := e2etest.Folder(t, "odata-sink")
	back := p.File("back.properties", c.lines...)
	run := p.Start("run", "--once", "--set", "plugin.odata-sink.limits.call.ms=300", "--plugins", dir, "--data", p.Data,
		worker, back)
	for range first {
		c.turns <- struct{}{}
	}
	run.Eventually("requests on their way", func() bool { return c.posts.Load() == first+atATime })
	e2etest.Replace(t, dir, "odata-sink.wasm", guesttest.Looping(t, guesttest.Bytes(t, "../../../../plugins/odata-sink",
		"main.version=0.2.0"),
		wit.ExportName(wit.InterfaceSink, "settle")))
	run.Awaits(`msg="plugin loaded" plugin=odata-sink version=0.2.0`)
	for range rows {
		c.turns <- struct{}{}
	}
	run.Awaits("plugin=odata-sink from=0.1.0 to=0.2.0")
	r := run.Wait()
	names := named(r)
	if sent := int(c.posts.Load()); r.Code != 1 || len(names) == 0 || len(names) != sent-batch {
		t.Fatalf("expected exit 1 and the %d records named that came behind the first batch, found %d and %q: %s",
			sent-batch, r.Code, names, r.Stderr)
	}
	c.skips(p, names, worker, rows)
}
