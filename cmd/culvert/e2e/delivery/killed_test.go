package delivery

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// crash reads Order_Details with a worker that is killed in the middle of pages, and returns the records of its topic,
// each as the number of its row, and for each kill how many records there were and how many rows the stored offset
// covered.
type crash struct {
	t       *testing.T
	p       *e2etest.Place
	s       *odatatest.Service
	rows    map[string]int // by key
	kills   []kill
	address string
	broker  *e2etest.Command
}

type kill struct{ records, stored int }

func newCrash(t *testing.T, o odatatest.Options) (*crash, *Holdup) {
	c := &crash{t: t, p: e2etest.NewPlace(t), s: odatatest.New(o), rows: map[string]int{}}
	c.s.Each("Order_Details", func(_ string, fields map[string]string) {
		c.rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(c.rows)
	})
	h := &Holdup{Inner: c.s, After: -1}
	c.address = e2etest.Serve(t, h)
	c.broker = c.p.BrokerAt(c.p.Data, "127.0.0.1:0")
	return c, h
}

func (c *crash) run(h *Holdup, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	worker := c.p.File("worker.properties", "bootstrap.servers=embedded", "listeners=", "offset.flush.interval.ms=20",
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	file := c.p.File("orders.properties", e2etest.Source("orders", c.address, "Order_Details")...)
	for range e2etest.Rounds() {
		h.Arm(200_000 + random.IntN(1_800_000))
		w := c.p.Start("run", "--plugins", e2etest.Plugins(c.t), "--data", c.p.Data, worker, file)
		select {
		case <-h.Held:
		case <-time.After(e2etest.ComesAbout):
			c.t.Fatalf("nothing was read; stderr:\n%s", w.Stderr.String())
		}
		// Sometimes before anything of the page is stored, sometimes after.
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		w.Kill()
		close(h.GoOn)
		c.kills = append(c.kills, kill{len(c.numbers()), c.stored()})
	}
	h.Arm(-1)
	c.p.MustRun("run", "--once", "--plugins", e2etest.Plugins(c.t), "--data", c.p.Data, worker, file)
}

// numbers are the rows of the topic's records, -1 for one that was not there at the start.
func (c *crash) numbers() []int {
	var numbers []int
	r := c.p.Run("consume", "Order_Details", "--data", c.p.Data)
	if r.Code != 0 {
		return nil // no topic yet
	}
	for line := range strings.Lines(r.Stdout) {
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
	if r := c.p.Run("consume", "connect-offsets", "--data", c.p.Data); r.Code != 0 {
		return 0
	}
	all := c.p.Records("connect-offsets")
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
	c, h := newCrash(t, odatatest.Options{Rows: 1500 * e2etest.Rounds(), PageSize: 1500})
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
	c, h := newCrash(t, odatatest.Options{Rows: 1500 * e2etest.Rounds(), PageSize: 1500,
		Switches: odatatest.Switches{Differ: "all"}})
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
	c, h := newCrash(t, odatatest.Options{Rows: 2000, PageSize: 5000})
	h.Arm(500_000)
	file := c.p.File("orders.properties", e2etest.Source("orders", c.address, "Order_Details")...)
	worker := c.p.File("worker.properties", "bootstrap.servers=embedded", "listeners=",
		"task.shutdown.graceful.timeout.ms=3600000",
		"offset.flush.interval.ms=3600000", "key.converter.schemas.enable=false")
	w := c.p.Start("run", "--plugins", e2etest.Plugins(t), "--data", c.p.Data, worker, file)
	<-h.Held
	defer close(h.GoOn)
	w.Eventually("records", func() bool { return len(c.numbers()) > 0 })
	c.broker.Signal(syscall.SIGSTOP)
	w.Signal(syscall.SIGTERM)
	w.Awaits("once more to stop at once")
	w.Stop().Exits(130)
}
