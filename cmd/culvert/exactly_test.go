package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// exactRounds is how often a worker with exactly-once is killed: 200 times with CULVERT_SOAK=1, and so often as
// CULVERT_SOAK says where that is more than once.
func exactRounds(usual int) int {
	soak := os.Getenv("CULVERT_SOAK")
	if n, err := strconv.Atoi(soak); err == nil && n > 1 {
		return n
	}
	if soak != "" {
		return 200
	}
	return usual
}

// exactly is a worker with exactly-once that something happens to again and again while it reads a set page by page,
// and the changes of another one from an ODP service that keeps one generation of them.
type exactly struct {
	t       *testing.T
	p       *place
	s       *service.Service
	held    *holdup
	address string
	servers string
	worker  string
	name    string // of the set's connector and topic; those of the changes have another letter behind it
	rows    map[string]int
	edits   *edits
	random  *rand.Rand
	old     int // tokens that are too old may be asked for so often: by a worker that others have overtaken

	folder string   // of the plugins; "": one that all tests share
	more   []string // options of the workers
	lines  []string // settings of both connectors, in the place of those of the same name
}

const (
	wholeRows = 1500 // of a page
	exactSeed = 14
)

func newExactly(t *testing.T, servers string, p *place, name string, rounds int, more ...string) *exactly {
	e := &exactly{t: t, p: p, servers: servers, name: name, rows: map[string]int{},
		random: rand.New(rand.NewPCG(exactSeed, 0))}
	e.s = service.New(service.Options{Rows: min(wholeRows*(rounds+1), 200_000), PageSize: wholeRows})
	e.s.Each("Order_Details", func(_ string, fields map[string]string) {
		e.rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(e.rows)
	})
	e.held = &holdup{inner: e.s, after: -1}
	server := httptest.NewServer(e.held)
	t.Cleanup(server.Close)
	e.address = strings.TrimPrefix(server.URL, "http://")
	e.worker = p.file(name+"-worker.properties", append([]string{"bootstrap.servers=" + servers, "listeners=",
		"group.id=exact", "exactly.once.source.support=enabled", "key.converter.schemas.enable=false",
		"value.converter.schemas.enable=false"}, more...)...)
	return e
}

// files are those of the two connectors, with further settings.
func (e *exactly) files(more ...string) []string {
	whole := append(source(e.name, e.address), "sap.odata#00.service="+service.NorthwindPath,
		"sap.odata#00.entityset=Order_Details", "sap.odata#00.topic="+e.name, "exactly.once.support=required", silent)
	changes := tracked(e.changes(), e.address, service.ODPPath, "FactsOfProducts", "exactly.once.support=required",
		silent)
	return []string{e.p.file(e.name+".properties", instead(append(whole, more...), e.lines...)...),
		e.p.file(e.changes()+".properties", instead(append(changes, more...), e.lines...)...)}
}

// changes is the connector of the changes, and its topic.
func (e *exactly) changes() string { return e.name + "c" }

func (e *exactly) start(once bool, files ...string) *command {
	if e.folder == "" {
		e.folder = plugins(e.t)
	}
	args := append([]string{"run", "--data", e.p.data, "--plugins", e.folder}, e.more...)
	if once {
		args = append(args, "--once")
	}
	c := e.p.start(append(append(args, e.worker), files...)...)
	e.t.Cleanup(func() {
		if lines := strings.Split(c.stderr.String(), "\n"); e.t.Failed() {
			e.t.Logf("a worker:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	return c
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

// edits is one who changes Products all the time, and what an ODP service has to tell of it, in order.
type edits struct {
	e      *exactly
	random *rand.Rand
	names  map[int]string
	rows   []string
	stop   chan struct{}
	ended  chan struct{}
}

// edit has the changes' connector read all products, and begins to change them.
func (e *exactly) edit() {
	e.t.Helper()
	d := &edits{e: e, random: rand.New(rand.NewPCG(exactSeed, 1)), names: map[int]string{}, stop: make(chan struct{}),
		ended: make(chan struct{})}
	e.s.Each("Products", func(_ string, fields map[string]string) {
		var id int
		fmt.Sscan(fields["ProductID"], &id)
		d.names[id] = fields["ProductName"]
		d.tell(id, "", 0)
	})
	c := e.start(false, e.files()[1])
	c.eventually("the products", func() bool { return len(e.records(e.changes())) == len(d.rows) })
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		e.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	e.edits = d
	go d.run()
}

// counters are how JSON has ODP's counter of entities, a decimal.
var counters = map[int]string{-1: "/w==", 0: "AA==", 1: "AQ=="}

// tell notes a row of the ODP service.
func (d *edits) tell(id int, mode string, counter int) {
	d.rows = append(d.rows, fmt.Sprint(id, " ", mode, " ", counters[counter], " ", d.names[id]))
}

func (d *edits) run() {
	defer close(d.ended)
	for n := 0; ; n++ {
		select {
		case <-d.stop:
			return
		case <-time.After(5 * time.Millisecond): // about 200 changes in a second
		}
		name := fmt.Sprint("Change ", n)
		switch d.random.IntN(4) {
		case 0:
			id := 1_000_000 + n
			if d.send("POST", "Products", map[string]any{"ProductID": id, "ProductName": name, "Discontinued": false}) {
				d.names[id] = name
				d.tell(id, "C", 1)
			}
		case 1:
			if id := d.any(); d.send("DELETE", fmt.Sprintf("Products(%d)", id), nil) {
				delete(d.names, id)
				d.rows = append(d.rows, fmt.Sprint(id, " D  ")) // the key alone
			}
		default:
			if id := d.any(); d.send("MERGE", fmt.Sprintf("Products(%d)", id), map[string]any{"ProductName": name}) {
				d.tell(id, "U", -1)
				d.names[id] = name
				d.tell(id, "U", 1)
			}
		}
	}
}

// any is one of the products.
func (d *edits) any() int { return slices.Sorted(maps.Keys(d.names))[d.random.IntN(len(d.names))] }

// send has the service do something, past what holds up its answers. A product that order details have is not deleted.
func (d *edits) send(method, path string, body any) bool {
	raw, _ := json.Marshal(body)
	q := httptest.NewRequest(method, service.SAPPath+path, bytes.NewReader(raw))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	answer := httptest.NewRecorder()
	d.e.s.ServeHTTP(answer, q)
	return answer.Code < http.StatusBadRequest
}

// rest ends the changes.
func (d *edits) rest() {
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
	<-d.ended
}

// counted is what was found of the rows that there are: in order, so that rows of a key are, too.
type counted struct {
	rows, missing, repeated int
	first                   int // place of the first that is missing
}

// lacks notes that rows are missing.
func (c *counted) lacks(from, to int) {
	if c.missing == 0 {
		c.first = from
	}
	c.missing += to - from
}

func (c counted) String() string {
	return fmt.Sprintf("%d rows, %d missing, %d repeated", c.rows, c.missing, c.repeated)
}

// count compares what a topic has with the rows by their place. What comes late is repeated, and missing where it was
// due.
func (e *exactly) count(rows map[string]int, found []string) counted {
	e.t.Helper()
	c, next := counted{rows: len(rows)}, 0
	for at, row := range found {
		n, ok := rows[row]
		switch {
		case !ok:
			e.t.Errorf("record %d is none of the rows: %s", at, row)
		case n < next:
			c.repeated++
		default:
			c.lacks(next, n)
			next = n + 1
		}
	}
	c.lacks(next, len(rows))
	return c
}

// row is which row of the set a record's key is of.
func (e *exactly) row(key string) string {
	e.t.Helper()
	rest, ok := strings.CutPrefix(key, `{"OrderID":`)
	order, rest, some := strings.Cut(rest, `,"ProductID":`)
	product, _, ends := strings.Cut(rest, "}")
	_, err1 := strconv.Atoi(order)
	_, err2 := strconv.Atoi(product)
	if err := errors.Join(err1, err2); !ok || !some || !ends || err != nil {
		e.t.Fatalf("expected a key of order details, found %s: %v", key, err)
	}
	return order + "/" + product
}

// check looks at both topics, and says what it found as a line of a table.
func (e *exactly) check(what string) {
	e.t.Helper()
	var found []string
	for _, line := range e.records(e.name) {
		_, key, _ := strings.Cut(line, `"key":`)
		found = append(found, e.row(key))
	}
	whole := e.count(e.rows, found)

	places := map[string]int{}
	for _, row := range e.edits.rows {
		places[row] = len(places)
	}
	found = nil
	for _, line := range e.records(e.changes()) {
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
		found = append(found, fmt.Sprint(r.Key.ProductID, " ", r.Value.ODQ_CHANGEMODE, " ", r.Value.ODQ_ENTITYCNTR, " ",
			r.Value.ProductName))
	}
	changes := e.count(places, found)
	ledger := e.s.Ledger()
	for _, c := range []counted{whole, changes} {
		if c.missing > 0 || c.repeated > 0 || c.rows == 0 {
			e.t.Errorf("%s: %v, the first one that is missing is row %d", what, c, c.first)
		}
	}
	if ledger.Jobs != 1 || ledger.Refused536 > e.old {
		e.t.Errorf("%s: %d first extractions, %d tokens that were too old", what, ledger.Jobs, ledger.Refused536)
	}
	e.t.Logf("| %s | %d | whole: %v | changes: %v |", what, exactSeed, whole, changes)
}

// waits until the answer that is armed is held up.
func (e *exactly) waits(w *command) {
	e.t.Helper()
	select {
	case <-e.held.held:
	case <-time.After(comesAbout):
		e.t.Fatalf("nothing was read; stderr:\n%s", w.stderr.String())
	}
}

// ends stops a worker at a random moment, by SIGKILL or by SIGTERM: within a page, or within what follows one.
func (e *exactly) ends(w *command, how syscall.Signal) {
	e.t.Helper()
	e.waits(w)
	within := e.random.IntN(2) == 0
	if !within {
		close(e.held.goOn)
	}
	<-time.After(time.Duration(e.random.IntN(150)) * time.Millisecond)
	w.signal(how)
	if how == syscall.SIGKILL {
		w.wait()
	}
	if within {
		close(e.held.goOn)
	}
	if r := w.wait(); how != syscall.SIGKILL && r.code != 0 {
		e.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
}

// arm has an answer held up, after some pages.
func (e *exactly) arm() { e.held.arm(100_000 + e.random.IntN(700_000)) }

// finish reads to the end what is left, and counts.
func (e *exactly) finish(what string) {
	e.t.Helper()
	e.edits.rest()
	e.held.arm(-1)
	for range 2 { // the first one may end with pages of changes that another worker began to read
		if r := e.start(true, e.files()...).wait(); r.code != 0 {
			e.t.Fatalf("%s: exit %d\n%s", what, r.code, r.stderr)
		}
	}
	e.check(what)
}

// run kills or stops the worker so often, and then has it read to the end.
func (e *exactly) run(rounds int, how syscall.Signal) {
	e.t.Helper()
	e.edit()
	for range rounds {
		e.arm()
		e.ends(e.start(false, e.files()...), how)
	}
	e.finish(fmt.Sprintf("%d times %v", rounds, how))
}

// reads starts a worker, and has a page of it held up.
func (e *exactly) reads() *command {
	e.t.Helper()
	e.edit()
	e.arm()
	w := e.start(false, e.files()...)
	e.waits(w)
	return w
}

// goesOn lets the page that was held up go on, and has the worker read some more of both.
func (e *exactly) goesOn(w *command) {
	e.t.Helper()
	before := e.s.Ledger()
	close(e.held.goOn)
	w.eventually("further pages", func() bool {
		now := e.s.Ledger()
		return now.Deltas > before.Deltas+1 && now.Pages-now.Deltas > before.Pages-before.Deltas
	})
	w.signal(syscall.SIGTERM)
	if r := w.wait(); r.code != 0 {
		e.t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
}

// zombie pauses a worker within a page, has another one with the same group.id take its connectors over, and then goes
// on with the first: that one commits nothing more, and its tasks say why.
func (e *exactly) zombie() {
	e.t.Helper()
	e.old = 1
	first := e.reads()
	first.signal(syscall.SIGSTOP)
	e.p = newPlace(e.t) // of another machine
	second := e.start(false, e.files()...)
	before := e.s.Ledger()
	second.eventually("pages of the second worker", func() bool {
		now := e.s.Ledger()
		return now.Deltas > before.Deltas+1 && now.Pages-now.Deltas > before.Pages-before.Deltas+1
	})
	first.signal(syscall.SIGCONT)
	e.goesOn(second)
	first.says("another producer uses it")
	first.signal(syscall.SIGKILL)
	first.wait()
	e.finish("worker paused while another one took over")
}

// broker starts an embedded broker in a process of its own.
func (p *place) broker() (servers string) {
	p.t.Helper()
	c := p.startFor(4*time.Hour, "broker", "--data", p.data, "--listen", "127.0.0.1:0")
	c.eventually("an address", func() bool { return strings.Contains(c.stdout.String(), "\n") })
	return strings.TrimSpace(c.stdout.String())
}

// Killed again and again, a worker with exactly-once delivers every row once; stopped, too.
func TestSoakExactlyOnceKilled(t *testing.T) {
	t.Parallel()
	p, rounds := newPlace(t), exactRounds(6)
	newExactly(t, p.broker(), p, "killed", rounds).run(rounds, syscall.SIGKILL)
}

func TestExactlyOnceStopped(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	newExactly(t, p.broker(), p, "stopped", 3).run(3, syscall.SIGTERM)
}

func TestZombieWorkerCommitsNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	newExactly(t, p.broker(), p, "zombie", 4).zombie()
}

// A foreign producer that takes the transactional id of a running task over keeps it: the task fails and names the id,
// and does not take it back by itself. A worker that is started then does, and every row comes once.
func TestForeignProducerInMidRun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	e := newExactly(t, p.broker(), p, "foreign", 4)
	w := e.reads()
	foreign, err := kgo.NewClient(kgo.SeedBrokers(e.servers), kgo.TransactionalID("exact-foreign-0"))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	begin := func() {
		t.Helper()
		if err := foreign.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := foreign.ProduceSync(t.Context(), &kgo.Record{Topic: "theirs",
			Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kadm.NewClient(foreign).CreateTopic(t.Context(), 1, 1, nil, "theirs"); err != nil {
		t.Fatal(err)
	}
	begin()
	close(e.held.goOn)
	w.says(`msg="task FAILED" connector=foreign`)
	w.says("transactional id exact-foreign-0: another producer uses it")
	before := e.s.Ledger()
	w.eventually("changes, by the connector whose id nobody took", func() bool {
		return e.s.Ledger().Deltas > before.Deltas+2
	})
	for range 2 {
		if err := foreign.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Errorf("expected the foreign producer to keep the id, found %v", err)
		}
		begin()
	}
	w.signal(syscall.SIGKILL)
	w.wait()
	e.finish("a foreign producer in the middle of a run")
	if err := foreign.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("expected the foreign producer to be fenced by the worker that was started behind it")
	}
}
