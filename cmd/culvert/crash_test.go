package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// rounds is how often a worker is killed: 20 times with CULVERT_SOAK=1.
func rounds() int {
	if os.Getenv("CULVERT_SOAK") != "" {
		return 20
	}
	return 4
}

// holdup is a service whose answers stop in the middle of a feed's body, at a number of bytes since the last stop,
// until it is told to go on: the moment to kill the one who reads.
type holdup struct {
	inner http.Handler

	mu     sync.Mutex
	after  int // bytes until the stop; negative: never
	held   chan struct{}
	goOn   chan struct{}
	passed int
}

func (h *holdup) arm(after int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.after, h.passed, h.held, h.goOn = after, 0, make(chan struct{}), make(chan struct{})
}

func (h *holdup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "$metadata") {
		h.inner.ServeHTTP(w, r)
		return
	}
	h.inner.ServeHTTP(&heldWriter{w, h}, r)
}

type heldWriter struct {
	http.ResponseWriter
	h *holdup
}

func (w *heldWriter) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(4096, len(p)-done)
		w.h.pass(n, func() { w.ResponseWriter.(http.Flusher).Flush() })
		if _, err := w.ResponseWriter.Write(p[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// pass lets n bytes through, or stops before them.
func (h *holdup) pass(n int, flush func()) {
	h.mu.Lock()
	h.passed += n
	stop := h.after >= 0 && h.passed > h.after
	held, goOn := h.held, h.goOn
	if stop {
		h.after = -1
	}
	h.mu.Unlock()
	if stop {
		flush()
		close(held)
		<-goOn
	}
}

// crash reads Order_Details with a worker that is killed in the middle of pages, and returns the records of its topic,
// each as the number of its row, and for each kill how many records there were and how many rows the stored offset
// covered.
type crash struct {
	t       *testing.T
	p       *place
	s       *service.Service
	rows    map[string]int // by key
	kills   []kill
	address string
	broker  *command
}

type kill struct{ records, stored int }

func newCrash(t *testing.T, o service.Options) (*crash, *holdup) {
	c := &crash{t: t, p: newPlace(t), s: service.New(o), rows: map[string]int{}}
	c.s.Each("Order_Details", func(_ string, fields map[string]string) {
		c.rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(c.rows)
	})
	h := &holdup{inner: c.s, after: -1}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c.address = strings.TrimPrefix(server.URL, "http://")
	c.broker = c.p.start("broker", "--data", c.p.data, "--listen", "127.0.0.1:0")
	c.broker.eventually("an address", func() bool { return strings.Contains(c.broker.stdout.String(), "\n") })
	return c, h
}

func (c *crash) run(h *holdup, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	worker := c.p.file("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	file := c.p.file("orders.properties", source("orders", c.address, "Order_Details")...)
	for range rounds() {
		h.arm(200_000 + random.IntN(1_800_000))
		w := c.p.start("run", "--plugins", plugins(c.t), "--data", c.p.data, worker, file)
		select {
		case <-h.held:
		case <-time.After(comesAbout):
			c.t.Fatalf("nothing was read; stderr:\n%s", w.stderr.String())
		}
		// Sometimes before anything of the page is stored, sometimes after.
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		w.signal(syscall.SIGKILL)
		w.wait()
		close(h.goOn)
		c.kills = append(c.kills, kill{len(c.numbers()), c.stored()})
	}
	h.arm(-1)
	if r := c.p.run("run", "--once", "--plugins", plugins(c.t), "--data", c.p.data, worker, file); r.code != 0 {
		c.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
}

// numbers are the rows of the topic's records, -1 for one that was not there at the start.
func (c *crash) numbers() []int {
	var numbers []int
	r := c.p.run("consume", "Order_Details", "--data", c.p.data)
	if r.code != 0 {
		return nil // no topic yet
	}
	for line := range strings.Lines(r.stdout) {
		var order, product int
		at := strings.Index(line, `"key":{`)
		if _, err := fmt.Sscanf(line[at:], `"key":{"OrderID":%d,"ProductID":%d}`, &order, &product); err != nil {
			c.t.Fatalf("%v in %s", err, line)
		}
		n, ok := c.rows[fmt.Sprintf("%d/%d", order, product)]
		if !ok {
			n = -1
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// stored is how many rows the newest stored offset covers.
func (c *crash) stored() int {
	if r := c.p.run("consume", "connect-offsets", "--data", c.p.data); r.code != 0 {
		return 0
	}
	all := c.p.records("connect-offsets")
	if len(all) == 0 {
		return 0
	}
	offset := all[len(all)-1]["value"].(map[string]any)
	seen, _ := offset["seen"].(float64)
	record, _ := offset["record"].(float64)
	return int(seen + record)
}

// 0 rows missing, and repeated only what came after the last stored offset.
func TestSoakKilledInMidPage(t *testing.T) {
	t.Parallel()
	c, h := newCrash(t, service.Options{Rows: 1500 * rounds(), PageSize: 1500})
	c.run(h, 1)
	numbers := c.numbers()
	last, inside := -1, 0
	for at, n := range numbers {
		if n > last+1 {
			t.Fatalf("record %d: row %d follows row %d: rows are missing", at, n, last)
		}
		if n <= last {
			var before kill
			for _, k := range c.kills {
				if k.records <= at {
					before = k
				}
			}
			if n < before.stored {
				t.Errorf("record %d: row %d came again although the stored offset covered %d rows", at, n,
					before.stored)
			}
			inside++
		}
		last = n
	}
	if last != len(c.rows)-1 {
		t.Errorf("expected all of %d rows, the last is %d", len(c.rows), last)
	}
	t.Logf("%d rows, %d records, %d kills, %d of them with rows that came again: %v", len(c.rows), len(numbers),
		len(c.kills), inside, c.kills)
}

// A page that answers otherwise the second time hides no row that was there throughout (P2).
func TestSoakKilledWhilePagesDiffer(t *testing.T) {
	t.Parallel()
	c, h := newCrash(t, service.Options{Rows: 1500 * rounds(), PageSize: 1500,
		Switches: service.Switches{Differ: "all"}})
	c.run(h, 2)
	seen := map[int]bool{}
	for _, n := range c.numbers() {
		seen[n] = true
	}
	gone := map[int]bool{}
	ledger := c.s.Ledger()
	for _, name := range ledger.Gone {
		var order, product int
		if _, err := fmt.Sscanf(name[strings.IndexByte(name, '('):], "(OrderID=%d,ProductID=%d)", &order,
			&product); err != nil {
			t.Fatalf("%v in %s", err, name)
		}
		gone[c.rows[fmt.Sprintf("%d/%d", order, product)]] = true
	}
	missing := 0
	for key, n := range c.rows {
		if !seen[n] && !gone[n] {
			missing++
			t.Errorf("row %d (%s) is missing", n, key)
		}
	}
	if len(ledger.Gone) == 0 {
		t.Error("expected the service to have answered differently")
	}
}

// A stop that cannot end, since the broker is silent and offsets are still to be stored, is ended by a second signal.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	c, h := newCrash(t, service.Options{Rows: 2000, PageSize: 5000})
	h.arm(500_000)
	file := c.p.file("orders.properties", source("orders", c.address, "Order_Details")...)
	worker := c.p.file("worker.properties", "bootstrap.servers=embedded", "listeners=",
		"task.shutdown.graceful.timeout.ms=3600000",
		"offset.flush.interval.ms=3600000", "key.converter.schemas.enable=false")
	w := c.p.start("run", "--plugins", plugins(t), "--data", c.p.data, worker, file)
	<-h.held
	defer close(h.goOn)
	w.eventually("records", func() bool { return len(c.numbers()) > 0 })
	c.broker.signal(syscall.SIGSTOP)
	w.signal(syscall.SIGTERM)
	w.says("once more to stop at once")
	w.signal(syscall.SIGTERM)
	if r := w.wait(); r.code != 130 {
		t.Errorf("expected exit 130, found %d\n%s", r.code, r.stderr)
	}
}
