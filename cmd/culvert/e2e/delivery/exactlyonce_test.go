package delivery

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// ExactWorker is a worker with exactly-once that is interrupted repeatedly while it reads one set page by page, and the
// changes of another one from an ODP service that keeps one generation of them.
type ExactWorker struct {
	t       *testing.T
	p       *e2etest.Place
	S       *odatatest.Service
	Held    *e2etest.Holdup
	Address string
	Servers string
	worker  string
	Name    string         // of the set's connector and topic; the connector of changes has one more letter
	Rows    map[string]int // the position of each row in the order of the service
	edits   *Edits
	Random  *rand.Rand
	// maxExpired is the number of expired tokens that a fenced worker may request.
	maxExpired int
	Lines      []string // settings of both connectors, which replace settings of the same name
}

const (
	PageRows  = 1500
	exactSeed = 14
)

// A worker with exactly-once that is killed and stopped repeatedly delivers every row once.
func TestSoakExactlyOnceKilled(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	rounds := ExactRounds(3)
	e := NewExactWorker(t, p.StartBroker(), p, "killed", rounds)
	e.Run(rounds, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL)
}

func NewExactWorker(t *testing.T, servers string, p *e2etest.Place, name string, rounds int) *ExactWorker {
	e := &ExactWorker{t: t, p: p, Servers: servers, Name: name, Rows: map[string]int{},
		Random: rand.New(rand.NewPCG(exactSeed, 0))}
	e.S = odatatest.New(odatatest.Options{Rows: min(PageRows*(rounds+1), 200_000), PageSize: PageRows})
	e.S.Each("Order_Details", func(_ string, fields map[string]string) {
		e.Rows[fields["OrderID"]+"/"+fields["ProductID"]] = len(e.Rows)
	})
	e.Held = &e2etest.Holdup{Inner: e.S, After: -1}
	e.Address = e2etest.Serve(t, e.Held)
	e.worker = p.File(name+"-worker.properties", e2etest.PlainWorker(servers, "group.id=exact",
		"exactly.once.source.support=enabled")...)
	return e
}

// Files returns the files of the two connectors, with further settings.
func (e *ExactWorker) Files(more ...string) []string {
	loads, changes := e.settings(more...)
	return []string{e.p.File(e.Name+".properties", loads...), e.p.File(e.changes()+".properties", changes...)}
}

// settings returns the settings of the set's connector and of the connector of changes.
func (e *ExactWorker) settings(more ...string) (loads, changes []string) {
	loads = append(e2etest.Source(e.Name, e.Address), "sap.odata#00.service="+odatatest.NorthwindPath,
		"sap.odata#00.entityset=Order_Details", "sap.odata#00.topic="+e.Name, "exactly.once.support=required",
		e2etest.NoReadTimeout)
	changes = e2etest.DeltaSource(e.changes(), e.Address, odatatest.ODPPath, "FactsOfProducts",
		"exactly.once.support=required", e2etest.NoReadTimeout)
	return e2etest.WithSettings(append(loads, more...), e.Lines...),
		e2etest.WithSettings(append(changes, more...), e.Lines...)
}

// changes returns the name of the connector of changes, which is also its topic.
func (e *ExactWorker) changes() string { return e.Name + "c" }

// Values of Start's argument once.
const (
	runOnce         = true
	runUntilStopped = false
)

// Start starts a worker with the connectors of files.
func (e *ExactWorker) Start(once bool, files ...string) *e2etest.Command {
	args := []string{"run", "--data", e.p.Data, "--plugins", e2etest.Plugins(e.t)}
	if once {
		args = append(args, "--once")
	}
	return e.p.Start(append(append(args, e.worker), files...)...)
}

// Records returns the records of a topic that a consumer sees with read_committed.
func (e *ExactWorker) Records(topic string) (lines []string) {
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
	names  map[int]string // of the products, by number
	rows   []string       // the changes to report
	stop   chan struct{}  // closed to end the changes
	ended  chan struct{}  // closed when the changes have ended
}

// StartEdits lets the connector of changes read all products, then starts to change them.
func (e *ExactWorker) StartEdits() {
	e.t.Helper()
	e.editAfter(func(products func() bool) {
		c := e.Start(runUntilStopped, e.Files()[1])
		c.Eventually("the products", products)
		c.MustStop()
	})
}

// editAfter starts to change all products after read has waited until they were read.
func (e *ExactWorker) editAfter(read func(products func() bool)) {
	e.t.Helper()
	d := &Edits{Writer: e2etest.Writer{S: e.S}, random: rand.New(rand.NewPCG(exactSeed, 1)), names: map[int]string{},
		stop: make(chan struct{}), ended: make(chan struct{})}
	e.S.Each("Products", func(_ string, fields map[string]string) {
		var id int
		fmt.Sscan(fields["ProductID"], &id)
		d.names[id] = fields["ProductName"]
		d.expect(id, "", 0)
	})
	read(func() bool { return len(e.Records(e.changes())) == len(d.rows) })
	e.edits = d
	go d.Run()
}

// counters maps ODP's counter of entities, a decimal, to its JSON.
var counters = map[int]string{-1: "/w==", 0: "AA==", 1: "AQ=="}

// expect records a change that the ODP service must report.
func (e *Edits) expect(id int, mode string, counter int) {
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
				e.expect(id, "C", 1)
			}
		case 1:
			if id := e.randomProduct(); e.Send("DELETE", fmt.Sprintf("Products(%d)", id), nil) {
				delete(e.names, id)
				e.rows = append(e.rows, fmt.Sprint(id, " D  ")) // the key alone
			}
		default:
			if id := e.randomProduct(); e.Send("MERGE", fmt.Sprintf("Products(%d)", id),
				map[string]any{"ProductName": name}) {
				e.expect(id, "U", -1)
				e.names[id] = name
				e.expect(id, "U", 1)
			}
		}
	}
}

// randomProduct returns the number of a random product.
func (e *Edits) randomProduct() int {
	return slices.Sorted(maps.Keys(e.names))[e.random.IntN(len(e.names))]
}

// end ends the changes and waits for the last one. It may be called again.
func (e *Edits) end() {
	select {
	case <-e.stop:
	default:
		close(e.stop)
	}
	<-e.ended
}

// comparison is the result of comparing a topic with the rows of the service in their order.
type comparison struct {
	Rows     int
	Missing  int
	Repeated int
	First    int // position of the first missing row
}

// addMissing counts the rows from a position to another as missing.
func (c *comparison) addMissing(from, to int) {
	if c.Missing == 0 {
		c.First = from
	}
	c.Missing += to - from
}

func (c comparison) String() string {
	return fmt.Sprintf("%d rows, %d missing, %d repeated", c.Rows, c.Missing, c.Repeated)
}

// Count compares a topic with the rows in the order of the service. A late row counts as repeated, and as missing in
// its place.
func (e *ExactWorker) Count(rows map[string]int, keys []string) comparison {
	e.t.Helper()
	c := comparison{Rows: len(rows)}
	next := 0
	for pos, row := range keys {
		n, ok := rows[row]
		switch {
		case !ok:
			e.t.Errorf("record %d: expected one of the rows, found %s", pos, row)
		case n < next:
			c.Repeated++
		default:
			c.addMissing(next, n)
			next = n + 1
		}
	}
	c.addMissing(next, len(rows))
	return c
}

// Row returns the row of the set to which a record's key belongs.
func (e *ExactWorker) Row(key string) string {
	e.t.Helper()
	m := regexp.MustCompile(`^{"OrderID":(\d+),"ProductID":(\d+)}`).FindStringSubmatch(key)
	require.True(e.t, m != nil, "expected a key of order details, found %s", key)
	return m[1] + "/" + m[2]
}

// compareChanges compares the topic of changes with the changes that the service had to report.
func (e *ExactWorker) compareChanges() comparison {
	e.t.Helper()
	var keys []string
	positions := map[string]int{}
	for _, row := range e.edits.rows {
		positions[row] = len(positions)
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
		require.NoError(e.t, json.Unmarshal([]byte(line), &r), "in", line)
		keys = append(keys, fmt.Sprint(r.Key.ProductID, " ", r.Value.ODQ_CHANGEMODE, " ", r.Value.ODQ_ENTITYCNTR, " ",
			r.Value.ProductName))
	}
	return e.Count(positions, keys)
}

// rowsInTopic returns the rows in the topic of the set.
func (e *ExactWorker) rowsInTopic() (rows []string) {
	e.t.Helper()
	for _, line := range e.Records(e.Name) {
		_, key, _ := strings.Cut(line, `"key":`)
		rows = append(rows, e.Row(key))
	}
	return rows
}

// compareTopics compares both topics with the rows and the changes of the service.
func (e *ExactWorker) compareTopics() (loads, changes comparison) {
	e.t.Helper()
	return e.Count(e.Rows, e.rowsInTopic()), e.compareChanges()
}

// check checks both topics and logs the result as a line of a table.
func (e *ExactWorker) check(what string) {
	e.t.Helper()
	loads, changes := e.compareTopics()
	ledger := e.S.Ledger()
	for _, c := range []comparison{loads, changes} {
		assert.True(e.t, c.Missing <= 0 && c.Repeated <= 0 && c.Rows != 0,
			"%s: expected each row once, found %v, the first missing one is row %d", what, c, c.First)
	}
	assert.True(e.t, ledger.Jobs == 1 && ledger.Refused536 <= e.maxExpired,
		"%s: expected 1 first extraction and at most %d expired tokens, found %d and %d", what, e.maxExpired,
		ledger.Jobs, ledger.Refused536)
	e.t.Logf("| %s | %d | whole: %v | changes: %v |", what, exactSeed, loads, changes)
}

// AwaitBlocked waits until the armed response is blocked.
func (e *ExactWorker) AwaitBlocked(w *e2etest.Command) {
	e.t.Helper()
	e.Held.Await(w)
}

// StopAtRandom stops a worker by a signal at a random moment: within a page or shortly after one.
func (e *ExactWorker) StopAtRandom(w *e2etest.Command, signal syscall.Signal) {
	e.t.Helper()
	e.AwaitBlocked(w)
	isWithinPage := e.Random.IntN(2) == 0
	if !isWithinPage {
		close(e.Held.Release)
	}
	<-time.After(time.Duration(e.Random.IntN(150)) * time.Millisecond)
	w.Signal(signal)
	if signal == syscall.SIGKILL {
		w.Wait()
	}
	if isWithinPage {
		close(e.Held.Release)
	}
	r := w.Wait()
	require.True(e.t, signal == syscall.SIGKILL || r.Code == 0, "expected exit 0, found %d\n%s", r.Code, r.Stderr)
}

// Arm blocks a response after some pages.
func (e *ExactWorker) Arm() { e.Held.Arm(100_000 + e.Random.IntN(700_000)) }

// Finish ends the changes, reads the remaining rows without interruption, and checks both topics.
func (e *ExactWorker) Finish(what string) {
	e.t.Helper()
	e.edits.end()
	e.Held.Arm(-1)
	for range 2 { // the first one may end with pages of changes that another worker began to read
		r := e.Start(runOnce, e.Files()...).Wait()
		require.Equal(e.t, 0, r.Code, what, "exit", r.Stderr)
	}
	e.check(what)
}

// Run interrupts the worker that many times, with the signals in turn, and then finishes.
func (e *ExactWorker) Run(rounds int, signals ...syscall.Signal) {
	e.t.Helper()
	e.StartEdits()
	for round := range rounds {
		e.Arm()
		e.StopAtRandom(e.Start(runUntilStopped, e.Files()...), signals[round%len(signals)])
	}
	e.Finish(fmt.Sprintf("%d times %v", rounds, signals))
}

// ExactRounds returns how often a worker with exactly-once is killed: usual times, 200 with CULVERT_SOAK=1, or
// CULVERT_SOAK times if it is higher.
func ExactRounds(usual int) int {
	soak := os.Getenv("CULVERT_SOAK")
	if n, err := strconv.Atoi(soak); err == nil && n > 1 {
		return n
	}
	if soak != "" {
		return 200
	}
	return usual
}
