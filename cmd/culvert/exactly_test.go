package main

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// exactRounds is how often a worker with exactly-once is killed: 200 times with CULVERT_SOAK=1.
func exactRounds() int {
	if os.Getenv("CULVERT_SOAK") != "" {
		return 200
	}
	return 6
}

// exactly is a worker with exactly-once that reads a set and is killed or stopped again and again.
type exactly struct {
	t       *testing.T
	p       *place
	s       *service.Service
	held    *holdup
	address string
	servers string
	worker  string
	files   []string
	rows    map[string]int // of Order_Details, by key
	random  *rand.Rand
}

const (
	wholeRows = 1500 // of a page
	exactSeed = 14
)

func newExactly(t *testing.T, servers string, p *place, rounds int, more ...string) *exactly {
	e := &exactly{t: t, p: p, servers: servers, rows: map[string]int{}, random: rand.New(rand.NewPCG(exactSeed, 0))}
	e.s = service.New(service.Options{Rows: min(wholeRows*(rounds+1), 200_000), PageSize: wholeRows})
	e.s.Each("Order_Details", func(_ string, fields map[string]string) {
		e.rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(e.rows)
	})
	e.held = &holdup{inner: e.s, after: -1}
	server := httptest.NewServer(e.held)
	t.Cleanup(server.Close)
	e.address = strings.TrimPrefix(server.URL, "http://")
	e.worker = p.file("worker.properties", append([]string{"bootstrap.servers=" + servers, "listeners=", "group.id=exact",
		"exactly.once.source.support=enabled", "key.converter.schemas.enable=false", "value.converter.schemas.enable=false"}, more...)...)
	e.files = []string{p.file("whole.properties", append(source("whole", e.address, "Order_Details"),
		"exactly.once.support=required")...)}
	return e
}

func (e *exactly) start(once bool) *command {
	args := []string{"run", "--data", e.p.data, "--plugins", plugins(e.t)}
	if once {
		args = append(args, "--once")
	}
	return e.p.start(append(append(args, e.worker), e.files...)...)
}

// records are those of a topic that a consumer sees with read_committed.
func (e *exactly) records(topic string) (lines []string) {
	r := e.p.run("consume", topic, "--bootstrap-servers", e.servers)
	if r.code != 0 {
		return nil // no topic yet
	}
	for line := range strings.Lines(r.stdout) {
		lines = append(lines, line)
	}
	return lines
}

// ends stops a worker at a random moment of a page: by SIGKILL or by SIGTERM.
func (e *exactly) ends(w *command, how syscall.Signal) {
	e.t.Helper()
	select {
	case <-e.held.held:
	case <-time.After(comesAbout):
		e.t.Fatalf("nothing was read; stderr:\n%s", w.stderr.String())
	}
	<-time.After(time.Duration(e.random.IntN(150)) * time.Millisecond)
	w.signal(how)
	if how == syscall.SIGKILL {
		w.wait()
		close(e.held.goOn)
		return
	}
	close(e.held.goOn)
	if r := w.wait(); r.code != 0 {
		e.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
}

// whole looks at the topic of the set that is read whole: every row once, in order.
func (e *exactly) whole() {
	e.t.Helper()
	next, repeated, missing := 0, 0, 0
	for at, line := range e.records("Order_Details") {
		var order, product int
		key := line[max(0, strings.Index(line, `"key":{`)):]
		if _, err := fmt.Sscanf(key, `"key":{"OrderID":%d,"ProductID":%d}`, &order, &product); err != nil {
			e.t.Fatalf("%v in %s", err, line)
		}
		n, ok := e.rows[fmt.Sprintf("%d/%d", order, product)]
		switch {
		case !ok:
			e.t.Errorf("record %d is none of the rows: %s", at, line)
		case n < next:
			repeated++
		case n > next:
			missing += n - next
			next = n + 1
		default:
			next++
		}
	}
	missing += len(e.rows) - next
	if missing > 0 || repeated > 0 {
		e.t.Errorf("%d rows: %d missing, %d repeated", len(e.rows), missing, repeated)
	}
	e.t.Logf("seed %d, %d rows: %d missing, %d repeated", exactSeed, len(e.rows), missing, repeated)
}

// run kills or stops the worker so often, and then has it read to the end.
func (e *exactly) run(rounds int, how syscall.Signal) {
	e.t.Helper()
	for range rounds {
		e.held.arm(100_000 + e.random.IntN(700_000))
		e.ends(e.start(false), how)
	}
	e.held.arm(-1)
	if r := e.start(true).wait(); r.code != 0 {
		e.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	e.whole()
}

// broker starts an embedded broker in a process of its own.
func (p *place) broker() (servers string) {
	p.t.Helper()
	c := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	c.eventually("an address", func() bool { return strings.Contains(c.stdout.String(), "\n") })
	return strings.TrimSpace(c.stdout.String())
}

// Killed again and again, a worker with exactly-once delivers every row once; stopped, too.
func TestSoakExactlyOnceKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	newExactly(t, p.broker(), p, exactRounds()).run(exactRounds(), syscall.SIGKILL)
}

func TestExactlyOnceStopped(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	newExactly(t, p.broker(), p, 3).run(3, syscall.SIGTERM)
}
