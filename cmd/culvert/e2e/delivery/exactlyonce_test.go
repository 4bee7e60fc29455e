package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Exactly is a worker with exactly-once that is interrupted repeatedly while it reads one set page by page, and the
// changes of another one from an ODP service that keeps one generation of them.
type Exactly struct {
	t       *testing.T
	p       *e2etest.Place
	S       *odatatest.Service
	Held    *Holdup
	Address string
	Servers string
	worker  string
	Name    string // of the set's connector and topic; those of its changes have one more letter at the end
	Rows    map[string]int
	edits   *Edits
	Random  *rand.Rand
	old     int      // how often a fenced worker may ask for tokens that are too old
	Lines   []string // settings of both connectors; they replace settings of the same name
}

const (
	WholeRows = 1500 // of a page
	exactSeed = 14
)

// A worker with exactly-once that is killed and stopped repeatedly delivers every row once.
func TestSoakExactlyOnceKilled(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	rounds := ExactRounds(6)
	NewExactly(t, p.StartBroker(), p, "killed", rounds).Run(rounds, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL)
}

func NewExactly(t *testing.T, servers string, p *e2etest.Place, name string, rounds int) *Exactly {
	e := &Exactly{t: t, p: p, Servers: servers, Name: name, Rows: map[string]int{},
		Random: rand.New(rand.NewPCG(exactSeed, 0))}
	e.S = odatatest.New(odatatest.Options{Rows: min(WholeRows*(rounds+1), 200_000), PageSize: WholeRows})
	e.S.Each("Order_Details", func(_ string, fields map[string]string) {
		e.Rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(e.Rows)
	})
	e.Held = &Holdup{Inner: e.S, After: -1}
	e.Address = e2etest.Serve(t, e.Held)
	e.worker = p.File(name+"-worker.properties", e2etest.PlainWorker(servers, "group.id=exact",
		"exactly.once.source.support=enabled")...)
	return e
}

// Files returns the files of the two connectors, with further settings.
func (e *Exactly) Files(more ...string) []string {
	loads, changes := e.settings(more...)
	return []string{e.p.File(e.Name+".properties", loads...), e.p.File(e.changes()+".properties", changes...)}
}

// settings returns the settings of the set's connector and of the connector of changes.
func (e *Exactly) settings(more ...string) (loads, changes []string) {
	loads = append(e2etest.Source(e.Name, e.Address), "sap.odata#00.service="+odatatest.NorthwindPath,
		"sap.odata#00.entityset=Order_Details", "sap.odata#00.topic="+e.Name, "exactly.once.support=required",
		e2etest.NoReadTimeout)
	changes = e2etest.DeltaSource(e.changes(), e.Address, odatatest.ODPPath, "FactsOfProducts",
		"exactly.once.support=required",
		e2etest.NoReadTimeout)
	return e2etest.WithSettings(append(loads, more...), e.Lines...), e2etest.WithSettings(append(changes, more...),
		e.Lines...)
}

// changes returns the name of the connector of changes, which is also its topic.
func (e *Exactly) changes() string { return e.Name + "c" }

// Values of Start's argument once.
const (
	runOnce         = true
	runUntilStopped = false
)

// Start starts a worker with the connectors of files.
func (e *Exactly) Start(once bool, files ...string) *e2etest.Command {
	args := []string{"run", "--data", e.p.Data, "--plugins", e2etest.Plugins(e.t)}
	if once {
		args = append(args, "--once")
	}
	return e.p.Start(append(append(args, e.worker), files...)...)
}

// Records returns the records of a topic that a consumer sees with read_committed.
func (e *Exactly) Records(topic string) (lines []string) {
	r := e.p.Run("consume", topic, "--bootstrap-servers", e.Servers)
	if r.Code != 0 {
		return nil // no topic yet
	}
	for line := range strings.Lines(r.Stdout) {
		lines = append(lines, line)
	}
	return lines
}

// Edits changes Products continuously and records, in order, the changes that the ODP service must report.
type Edits struct {
	e2etest.Writer
	random *rand.Rand
	names  map[int]string
	rows   []string
	stop   chan struct{}
	ended  chan struct{}
}

// Edit lets the connector of changes read all products, then starts to change them.
func (e *Exactly) Edit() {
	e.t.Helper()
	e.editAfter(func(products func() bool) {
		c := e.Start(runUntilStopped, e.Files()[1])
		c.Eventually("the products", products)
		c.MustStop()
	})
}

// editAfter starts to change all products after read has waited until they were read.
func (e *Exactly) editAfter(read func(products func() bool)) {
	e.t.Helper()
	d := &Edits{Writer: e2etest.Writer{S: e.S}, random: rand.New(rand.NewPCG(exactSeed, 1)), names: map[int]string{},
		stop: make(chan struct{}), ended: make(chan struct{})}
	e.S.Each("Products", func(_ string, fields map[string]string) {
		var id int
		fmt.Sscan(fields["ProductID"], &id)
		d.names[id] = fields["ProductName"]
		d.tell(id, "", 0)
	})
	read(func() bool { return len(e.Records(e.changes())) == len(d.rows) })
	e.edits = d
	go d.Run()
}

// counters maps ODP's counter of entities, a decimal, to its JSON.
var counters = map[int]string{-1: "/w==", 0: "AA==", 1: "AQ=="}

// tell records a change that the ODP service must report.
func (e *Edits) tell(id int, mode string, counter int) {
	e.rows = append(e.rows, fmt.Sprint(id, " ", mode, " ", counters[counter], " ", e.names[id]))
}

func (e *Edits) Run() {
	defer close(e.ended)
	for n := 0; ; n++ {
		select {
		case <-e.stop:
			return
		case <-time.After(5 * time.Millisecond): // about 200 changes in a second
		}
		name := fmt.Sprint("Change ", n)
		switch e.random.IntN(4) {
		case 0:
			id := 1_000_000 + n
			if e.Send("POST", "Products", map[string]any{"ProductID": id, "ProductName": name, "Discontinued": false}) {
				e.names[id] = name
				e.tell(id, "C", 1)
			}
		case 1:
			if id := e.any(); e.Send("DELETE", fmt.Sprintf("Products(%d)", id), nil) {
				delete(e.names, id)
				e.rows = append(e.rows, fmt.Sprint(id, " D  ")) // the key alone
			}
		default:
			if id := e.any(); e.Send("MERGE", fmt.Sprintf("Products(%d)", id), map[string]any{"ProductName": name}) {
				e.tell(id, "U", -1)
				e.names[id] = name
				e.tell(id, "U", 1)
			}
		}
	}
}

// any returns the number of a random product.
func (e *Edits) any() int { return slices.Sorted(maps.Keys(e.names))[e.random.IntN(len(e.names))] }

// rest ends the changes.
func (e *Edits) rest() {
	select {
	case <-e.stop:
	default:
		close(e.stop)
	}
	<-e.ended
}

// counted is the result of comparing a topic with the rows of the service in their order.
type counted struct {
	Rows     int
	Missing  int
	Repeated int
	First    int // place of the first that is missing
}

// isMissing records missing rows.
func (c *counted) isMissing(from, to int) {
	if c.Missing == 0 {
		c.First = from
	}
	c.Missing += to - from
}

func (c counted) String() string {
	return fmt.Sprintf("%d rows, %d missing, %d repeated", c.Rows, c.Missing, c.Repeated)
}

// Count compares a topic with the rows in the order of the service. A late row counts as repeated, and as missing in
// its place.
func (e *Exactly) Count(rows map[string]int, keys []string) counted {
	e.t.Helper()
	c := counted{Rows: len(rows)}
	next := 0
	for pos, row := range keys {
		n, ok := rows[row]
		switch {
		case !ok:
			e.t.Errorf("record %d is none of the rows: %s", pos, row)
		case n < next:
			c.Repeated++
		default:
			c.isMissing(next, n)
			next = n + 1
		}
	}
	c.isMissing(next, len(rows))
	return c
}

// Row returns the row of the set to which a record's key belongs.
func (e *Exactly) Row(key string) string {
	e.t.Helper()
	number, ok := strings.CutPrefix(key, `{"OrderID":`)
	order, number, some := strings.Cut(number, `,"ProductID":`)
	product, _, ends := strings.Cut(number, "}")
	_, err1 := strconv.Atoi(order)
	_, err2 := strconv.Atoi(product)
	if err := errors.Join(err1, err2); !ok || !some || !ends || err != nil {
		e.t.Fatalf("expected a key of order details, found %s: %v", key, err)
	}
	return order + "/" + product
}

// inChanges compares the topic of changes with the changes that the service had to report.
func (e *Exactly) inChanges() counted {
	e.t.Helper()
	var keys []string
	places := map[string]int{}
	for _, row := range e.edits.rows {
		places[row] = len(places)
	}
	for _, line := range e.Records(e.changes()) {
		var r struct {
			Key   struct{ ProductID int }
			Value struct {
				ProductName    string
				ODQ_CHANGEMODE string
				ODQ_ENTITYCNTR string
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			e.t.Fatalf("%v in %s", err, line)
		}
		keys = append(keys, fmt.Sprint(r.Key.ProductID, " ", r.Value.ODQ_CHANGEMODE, " ", r.Value.ODQ_ENTITYCNTR, " ",
			r.Value.ProductName))
	}
	return e.Count(places, keys)
}

// found returns the rows in the topic of the set.
func (e *Exactly) found() (rows []string) {
	e.t.Helper()
	for _, line := range e.Records(e.Name) {
		_, key, _ := strings.Cut(line, `"key":`)
		rows = append(rows, e.Row(key))
	}
	return rows
}

// counts checks both topics.
func (e *Exactly) counts() (loads, changes counted) {
	e.t.Helper()
	return e.Count(e.Rows, e.found()), e.inChanges()
}

// check checks both topics and logs the result as a line of a table.
func (e *Exactly) check(what string) {
	e.t.Helper()
	loads, changes := e.counts()
	ledger := e.S.Ledger()
	for _, c := range []counted{loads, changes} {
		if c.Missing > 0 || c.Repeated > 0 || c.Rows == 0 {
			e.t.Errorf("%s: %v, the first one that is missing is row %d", what, c, c.First)
		}
	}
	if ledger.Jobs != 1 || ledger.Refused536 > e.old {
		e.t.Errorf("%s: %d first extractions, %d tokens that were too old", what, ledger.Jobs, ledger.Refused536)
	}
	e.t.Logf("| %s | %d | whole: %v | changes: %v |", what, exactSeed, loads, changes)
}

// Waits waits until the armed response is blocked.
func (e *Exactly) Waits(w *e2etest.Command) {
	e.t.Helper()
	select {
	case <-e.Held.Held:
	case <-time.After(e2etest.WaitLimit):
		e.t.Fatalf("nothing was read; stderr:\n%s", w.Stderr.String())
	}
}

// Ends stops a worker by a signal at a random moment: within a page or shortly after one.
func (e *Exactly) Ends(w *e2etest.Command, how syscall.Signal) {
	e.t.Helper()
	e.Waits(w)
	within := e.Random.IntN(2) == 0
	if !within {
		close(e.Held.GoOn)
	}
	<-time.After(time.Duration(e.Random.IntN(150)) * time.Millisecond)
	w.Signal(how)
	if how == syscall.SIGKILL {
		w.Wait()
	}
	if within {
		close(e.Held.GoOn)
	}
	if r := w.Wait(); how != syscall.SIGKILL && r.Code != 0 {
		e.t.Fatalf("exit %d\n%s", r.Code, r.Stderr)
	}
}

// Arm blocks a response after some pages.
func (e *Exactly) Arm() { e.Held.Arm(100_000 + e.Random.IntN(700_000)) }

// Finish reads the rest without interruption and counts.
func (e *Exactly) Finish(what string) {
	e.t.Helper()
	e.edits.rest()
	e.Held.Arm(-1)
	for range 2 { // the first one may end with pages of changes that another worker began to read
		if r := e.Start(runOnce, e.Files()...).Wait(); r.Code != 0 {
			e.t.Fatalf("%s: exit %d\n%s", what, r.Code, r.Stderr)
		}
	}
	e.check(what)
}

// Run interrupts the worker that many times, with the signals in turn, and then finishes.
func (e *Exactly) Run(rounds int, how ...syscall.Signal) {
	e.t.Helper()
	e.Edit()
	for round := range rounds {
		e.Arm()
		e.Ends(e.Start(runUntilStopped, e.Files()...), how[round%len(how)])
	}
	e.Finish(fmt.Sprintf("%d times %v", rounds, how))
}
