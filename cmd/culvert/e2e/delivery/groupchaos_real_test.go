//go:build real

package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/rest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// chaos is a group of three workers that is disturbed while it reads sets repeatedly, reads the changes of another set
// from a service that keeps one generation of them, and writes numbered records to a service that gives each row its
// own number.
type chaos struct {
	*Group
	e       *Exactly
	admin   *kadm.Client
	b       *trio
	o       *origin
	relays  []*relay
	proxies []string
	steps   []string
	version int
	// programs are two versions of the program; one is the version that the workers start.
	programs []string
	one      int
	ahead    [3]int // hours, by worker
	exactly  bool
	began    time.Time
	wrote    atomic.Int64 // records of the topic that is written to the service
	losses   int          // how often a worker may have lost tasks while it could still send
	leaders  []string     // what a leader that was killed had answered, and what was left of its transaction
}

const (
	chaosUnits   = 3 + 5 // connectors, and their tasks
	chaosSession = 6 * time.Second
	chaosLimit   = 4 // sap.odata.max.concurrent.requests, its default
	// chaosLogoff is the time that a worker which was removed from the group needs to stop its tasks and log off.
	chaosLogoff = 10 * time.Second
)

// chaosKinds are the disturbances. loses means that a worker may lose tasks while it can still send.
var chaosKinds = []struct {
	name  string
	does  func(c *chaos, n int)
	loses bool
}{
	{name: "kill", does: (*chaos).kills},
	{name: "stop", does: (*chaos).stops, loses: true},
	{name: "leader", does: (*chaos).leader},
	{name: "mid-write", does: (*chaos).midWrite},
	{name: "brokers", does: (*chaos).brokers, loses: true},
	{name: "deaf", does: (*chaos).deaf, loses: true},
	{name: "mute", does: (*chaos).mute, loses: true},
	{name: "broker", does: (*chaos).broker, loses: true},
	{name: "roll", does: (*chaos).rolls},
	{name: "change", does: (*chaos).changes},
	{name: "pause", does: (*chaos).pauses},
	{name: "drain", does: (*chaos).drains},
	{name: "clock", does: (*chaos).clock},
	{name: "upgrade", does: (*chaos).upgrades},
}

// TestRealChaosOfAGroup kills, stops, disconnects and drains workers of a group, changes their plugins, settings,
// clocks and program versions, and kills and restarts brokers: half of these with exactly-once, the others without,
// exchanged every day. CULVERT_SOAK=1 runs 200 rounds, with stops of 30 seconds. CULVERT_SEED repeats a failed run.
func TestRealChaosOfAGroup(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	seed := uint64(time.Now().Unix() / (24 * 60 * 60))
	rounds := ExactRounds(0)
	if text := os.Getenv("CULVERT_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		e2etest.NoError(t, err)
		seed = n
	} else if rounds > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, name := range []string{"once", "least"} {
		t.Run(name, func(t *testing.T) { chaosOfAGroup(t, c, name, name == "once", seed, rounds/2) })
	}
}

// chaosOfAGroup causes faults in a group in random order, each of them once before any is repeated. A group with
// exactly-once repeats nothing, another one loses nothing. With 0 rounds only half of the faults happen, and the other
// half in the run with the other setting of exactly-once. An even seed and the next one have the same order, with the
// halves exchanged.
func chaosOfAGroup(t *testing.T, b *trio, name string, exactly bool, seed uint64, rounds int) {
	c := startChaos(t, b, name, exactly)
	random := rand.New(rand.NewPCG(seed/2, 0))
	var deck []int
	half := len(chaosKinds) / 2
	if rounds == 0 {
		deck = random.Perm(len(chaosKinds))
		rounds = half
		if exactly == (seed%2 == 0) {
			deck = deck[half:]
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(c.steps, "\n"))
		}
	})
	for range rounds {
		if len(deck) == 0 {
			deck = random.Perm(len(chaosKinds))
		}
		kind := chaosKinds[deck[0]]
		n := random.IntN(3)
		c.e.Random = rand.New(rand.NewPCG(random.Uint64(), 0))
		deck = deck[1:]
		c.step("%s of worker %d", kind.name, n)
		if kind.loses {
			c.losses++
		}
		kind.does(c, n)
		c.settles()
		c.step("settled")
		if t.Failed() {
			return
		}
	}
	c.finish(fmt.Sprintf("%s, seed %d, %d rounds", name, seed, rounds))
}

func startChaos(t *testing.T, b *trio, name string, exactly bool) *chaos {
	t.Helper()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 300, PageSize: 100})
	c := &chaos{b: b, exactly: exactly,
		o: &origin{inner: s, open: [3]map[string]bool{{}, {}, {}}, pages: map[string][]page{}},
		e: &Exactly{t: t, p: p, S: s, Servers: b.Servers, Name: name, Rows: map[string]int{}}, programs: programsOf(t)}
	c.began = time.Now() // two programs were built before
	address := e2etest.Serve(t, c.o)
	topics := []string{"Orders", "Details", "c", "numbers"}
	for n := range topics {
		topics[n] = name + topics[n]
	}
	client := e2etest.Client(t, strings.Split(b.Servers, ",")[0])
	c.admin = kadm.NewClient(client)
	c.make(map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, 1, name+"configs", name+"states",
		name+"offsets")
	c.make(nil, 1, topics[:3]...)
	c.make(nil, 4, topics[3])

	c.Group = &Group{Place: p, servers: b.Servers, lines: []string{"group.id=" + name, "config.storage.topic=" + name +
		"configs", "status.storage.topic=" + name + "states", "offset.storage.topic=" + name + "offsets",
		"exactly.once.source.support=" + map[bool]string{true: "enabled", false: "disabled"}[exactly],
		"config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000"}}
	for n := range 3 {
		r, proxy := newRelay(t)
		c.relays = append(c.relays, r)
		c.proxies = append(c.proxies, proxy)
		c.plugins = append(c.plugins, e2etest.Folder(t, "odata-sink"))
		c.workers, c.ids = append(c.workers, nil), append(c.ids, porttest.Address(t))
		c.File(filepath.Join(filepath.Base(c.Machine(n)), "sap.properties"), fmt.Sprint("pwd=worker", n))
		c.joins(n)
	}
	for _, w := range c.workers {
		w.Changes()
	}
	for n, settings := range c.connectors(address) {
		c.put(n, settings["name"], settings)
	}
	d := &Edits{Writer: e2etest.Writer{S: c.e.S}, random: rand.New(rand.NewPCG(exactSeed, 1)), names: map[int]string{},
		stop: make(chan struct{}), ended: make(chan struct{})}
	s.Each("Products", func(_ string, fields map[string]string) {
		id, _ := strconv.Atoi(fields["ProductID"])
		d.names[id] = fields["ProductName"]
		d.tell(id, "", 0)
	})
	c.e.edits = d
	c.workers[0].Eventually("the products", func() bool { return len(c.e.Records(c.e.changes())) >= len(d.rows) })
	go d.Run()
	ctx, cancel := context.WithCancel(context.Background())
	produced := make(chan struct{})
	t.Cleanup(func() { cancel(); <-produced; d.rest() })
	go func() {
		defer close(produced)
		for {
			select {
			case <-d.stop: // with the edits
				e2etest.NoError(t, client.Flush(ctx))
				return
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
				n := c.wrote.Add(1)
				client.Produce(ctx, &kgo.Record{Topic: topics[3], Key: fmt.Appendf(nil, `{"Topic":"n%d"}`, n),
					Value: fmt.Appendf(nil, `{"Topic":"n%d","Body":"said"}`, n)}, func(r *kgo.Record, err error) {
					if err != nil && ctx.Err() == nil {
						t.Errorf("%s was not written to its topic: %v", r.Key, err)
					}
				})
			}
		}
	}()
	c.settles()
	return c
}

// make creates topics with three replicas.
func (c *chaos) make(settings map[string]*string, partitions int32, names ...string) {
	made, err := c.admin.CreateTopics(context.Background(), partitions, 3, settings, names...)
	e2etest.NoError(c.e.t, err)
	e2etest.NoError(c.e.t, made.Error())
}

// connectors returns the settings of three connectors.
func (c *chaos) connectors(address string) (configs []map[string]string) {
	name := c.e.Name
	sets := e2etest.Source(name, address, "Orders", "Order_Details")
	for n, topic := range []string{"Orders", "Details"} {
		sets = e2etest.Instead(sets, fmt.Sprintf("sap.odata#%02d.topic=%s%s", n, name, topic),
			fmt.Sprintf("sap.odata#%02d.exec-period=1", n))
	}
	for _, lines := range [][]string{append(sets, "tasks.max=2"),
		e2etest.Tracked(c.e.changes(), address, odatatest.ODPPath, "FactsOfProducts"),
		append(e2etest.SinkOf(name+"numbers", address, name+"numbers", "Inbox"), "tasks.max=2",
			"sap.odata.operation.mode=insert", "sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic",
			"sap.odata.flush.interval.ms=200")} {
		configs = append(configs, e2etest.Configuration(e2etest.Instead(lines, "sap.odata.user.name=me",
			"sap.odata.max.retries=3",
			"sap.odata.user.pwd=${file:sap.properties:pwd}")))
	}
	return configs
}

func (c *chaos) step(format string, a ...any) {
	c.steps = append(c.steps, fmt.Sprintf("%8.3f ", time.Since(c.began).Seconds())+fmt.Sprintf(format, a...))
}

// joins starts a worker whose last output is logged if the test fails.
func (c *chaos) joins(n int) {
	c.T.Helper()
	c.Binary = c.programs[c.one]
	c.Join(n, "--set", "kafka.proxy.type=http", "--set", "kafka.proxy.address="+c.proxies[n])
	w := c.workers[n]
	c.T.Cleanup(func() {
		lines := slices.DeleteFunc(strings.Split(w.Stderr.String(), "\n"), func(line string) bool {
			return strings.Contains(line, "rows in ") // of each load, once a second
		})
		if c.T.Failed() {
			c.T.Logf("worker %d:\n%s", n, strings.Join(lines[max(0, len(lines)-80):], "\n"))
		}
	})
}

// members returns the workers of the group as one of them reports, which may ask a leader that does not answer.
func (c *chaos) members(by int) (ids []string) {
	var o rest.Group
	patience := http.Client{Timeout: time.Second}
	if a, err := patience.Get(c.workers[by].Url + "/culvert/cluster"); err == nil {
		_ = json.NewDecoder(a.Body).Decode(&o)
		a.Body.Close()
	}
	for _, m := range o.Members {
		ids = append(ids, m.WorkerID)
	}
	return ids
}

// removed waits until a worker has left the group and everything runs on others, and returns one of these.
func (c *chaos) removed(n int) (by int) {
	c.T.Helper()
	by = (n + 1) % 3
	c.workers[by].Eventually(fmt.Sprintf("worker %d is no member", n), func() bool {
		ids := c.members(by)
		return len(ids) == 2 && !slices.Contains(ids, c.ids[n])
	})
	c.workers[by].Eventually("all runs on two workers", func() bool {
		owners, isComplete := c.owners(by, chaosUnits)
		for _, id := range owners {
			isComplete = isComplete && id != c.ids[n]
		}
		return isComplete
	})
	c.step("worker %d is none of the group's", n)
	return by
}

// settles waits until the group has three members which run everything, and then for more rows of all connectors.
func (c *chaos) settles() {
	c.T.Helper()
	for by, w := range c.workers {
		w.Eventually(fmt.Sprintf("all runs, as worker %d says", by), func() bool {
			_, isComplete := c.owners(by, chaosUnits)
			return isComplete && len(c.members(by)) == 3
		})
	}
	earlier := c.e.S.Ledger()
	written := c.e.S.Count("Inbox")
	c.workers[0].Eventually("more of everything", func() bool {
		later := c.e.S.Ledger()
		return later.Deltas > earlier.Deltas+1 && later.Pages-later.Deltas > earlier.Pages-earlier.Deltas+3 &&
			c.e.S.Count("Inbox") > written
	})
}

// silent fails if a worker has sent requests that acknowledge or write in a period.
func (c *chaos) silent(n int, what string, from, to time.Time) {
	c.T.Helper()
	if requests := c.o.of(n, from, to); len(requests) > 0 {
		c.T.Errorf("worker %d %s: expected no requests in %v that acknowledge or write, found %q", n, what,
			to.Sub(from), requests[:min(len(requests), 5)])
	}
}

// killed kills a worker; its sessions time out.
func (c *chaos) killed(n int) {
	c.workers[n].Kill()
	c.o.forget(n)
}

// kills kills a worker, which returns at once or when others have taken over.
func (c *chaos) kills(n int) {
	c.killed(n)
	if c.e.Random.IntN(2) == 0 {
		c.removed(n)
	}
	c.joins(n)
}

// stops pauses a worker until others have taken over, and resumes it.
func (c *chaos) stops(n int) {
	c.workers[n].Signal(syscall.SIGSTOP)
	c.o.forget(n)
	stopped := time.Now()
	by := c.removed(n)
	still := chaosSession + time.Second // until the consumers of its sinks are members of their groups no more either
	if ExactRounds(0) > 0 {
		still = 30 * time.Second
	}
	<-time.After(time.Until(stopped.Add(still)))
	from := time.Now()
	c.workers[n].Signal(syscall.SIGCONT)
	to := from
	c.workers[by].Eventually("it is a member again", func() bool {
		began := time.Now()
		member := slices.Contains(c.members(by), c.ids[n])
		if !member {
			to = began
		}
		return member
	})
	c.silent(n, "goes on and is no member yet", from, to)
}

// leader kills the leader during the creation of a connector, which may exist afterwards or not.
func (c *chaos) leader(n int) {
	broker := c.leading(n)
	answer := c.extra(broker)
	wait := time.Duration(c.e.Random.IntN(40)) * time.Millisecond
	<-time.After(wait)
	c.leaderless(broker, answer, fmt.Sprint(wait, " after it was asked"))
	c.withoutExtra(broker)
}

// midWrite kills the leader after it wrote a connector, before it ends the transaction: the connector does not exist.
func (c *chaos) midWrite(n int) {
	broker := c.leading(n)
	trap := c.relays[broker].catch()
	defer close(trap.released)
	answer := c.extra(broker)
	select {
	case <-trap.caught:
	case <-time.After(e2etest.ComesAbout):
		c.T.Fatal("the leader has ended no transaction")
	}
	if state := c.leaderless(broker, answer, "in mid-write"); state != "no answer, Ongoing" {
		c.T.Errorf("expected a leader without an answer, and an ongoing transaction, found %s", state)
	}
	if deleted := c.withoutExtra(broker); deleted {
		c.T.Error("expected no connector of a transaction that was not ended, found one")
	}
}

// leading returns the number of the worker that leads, as another one reports.
func (c *chaos) leading(by int) (n int) {
	c.T.Helper()
	o := c.overview(by)
	if n = slices.Index(c.ids, o.Leader); n < 0 {
		c.T.Fatalf("expected a leader, found %+v", o)
	}
	return n
}

// extra requests a worker to create a connector.
func (c *chaos) extra(n int) (answer <-chan string) {
	body := e2etest.AsJSON(c.T, e2etest.Configuration(e2etest.Instead(e2etest.Source("extra", "127.0.0.1:1", "Orders"),
		"tasks.max=1")))
	sent := make(chan string, 1)
	go func() {
		said := "no answer"
		r, err := http.NewRequest("PUT", c.workers[n].Url+"/connectors/extra/config", strings.NewReader(body))
		if err == nil {
			r.Header.Set("Content-Type", "application/json")
			if a, err := http.DefaultClient.Do(r); err == nil {
				a.Body.Close()
				said = strconv.Itoa(a.StatusCode)
			}
		}
		sent <- said
	}()
	return sent
}

// leaderless kills the leader during the creation of a connector, and starts it again, at once or when another one
// leads.
func (c *chaos) leaderless(broker int, answer <-chan string, when string) (state string) {
	c.T.Helper()
	c.killed(broker)
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.ComesAbout)
	defer cancel()
	id := "connect-cluster-" + c.e.Name
	described, err := c.admin.DescribeTransactions(ctx, id)
	for ; err != nil && ctx.Err() == nil; described, err = c.admin.DescribeTransactions(ctx, id) { // of a broker before
		<-time.After(50 * time.Millisecond)
	}
	e2etest.NoError(c.T, err)
	state = <-answer + ", " + described[id].State
	c.step("the leader, worker %d, is killed %s: %s", broker, when, state)
	c.leaders = append(c.leaders, state)
	if c.e.Random.IntN(2) == 0 {
		other := c.workers[(broker+1)%3]
		other.Eventually("another leader", func() bool { return c.overview((broker+1)%3).Leader != c.ids[broker] })
	}
	c.joins(broker)
	return state
}

// withoutExtra deletes the connector of extra if it exists.
func (c *chaos) withoutExtra(by int) (deleted bool) {
	c.T.Helper()
	c.workers[by].Eventually("no connector more than before", func() bool {
		status, _ := c.workers[by].Call("DELETE", "/connectors/extra", "")
		deleted = deleted || status == http.StatusNoContent
		return status == http.StatusNotFound
	})
	return deleted
}

// deaf lets a worker receive nothing from the brokers until others have taken over.
func (c *chaos) deaf(n int) { c.cut(n, 1) }

// mute lets the brokers receive nothing from a worker until others have taken over.
func (c *chaos) mute(n int) { c.cut(n, 0) }

func (c *chaos) cut(n, way int) {
	heal := c.relays[n].cut(way)
	from := time.Now()
	defer heal()
	c.removed(n)
	if remaining := chaosSession + time.Second - time.Since(from); remaining > 0 {
		<-time.After(remaining)
	}
	c.silent(n, "hears of nobody", from.Add(chaosSession), time.Now())
}

// broker kills a broker and starts it again.
func (c *chaos) broker(n int) {
	c.b.restart(c.workers[n].Command, n, syscall.SIGKILL, func() {
		<-time.After(time.Duration(c.e.Random.IntN(3000)) * time.Millisecond)
	})
}

// brokers stops each broker cleanly and starts it again, one after the other.
func (c *chaos) brokers(n int) {
	for at := range 3 {
		c.b.restart(c.workers[n].Command, (n+at)%3, syscall.SIGTERM, func() {})
		c.b.whole()
	}
}

// rolls gives workers another version of a plugin, one after the other, and restarts one of them with it.
func (c *chaos) rolls(n int) {
	c.version++
	version := fmt.Sprintf("0.2.%d", c.version)
	newer := guesttest.Bytes(c.T, filepath.Join(e2etest.Bench.Root, "plugins", "odata-source"), "main.version="+version)
	for worker := range c.workers {
		if worker == n {
			c.workers[worker].MustStop()
			e2etest.Replace(c.T, c.plugins[worker], "odata-source.wasm", newer)
			c.joins(worker)
		} else {
			c.plug(worker, "odata-source", newer)
		}
	}
	c.runs(version, 3)
}

// changes changes the settings of all connectors.
func (c *chaos) changes(n int) {
	for _, name := range []string{c.e.Name, c.e.changes(), c.e.Name + "numbers"} {
		settings := c.workers[n].Shown(name)
		settings["errors.log.enable"] = fmt.Sprint(settings["errors.log.enable"] != "true")
		c.put(c.e.Random.IntN(3), name, settings)
	}
}

// pauses pauses or stops all connectors, and resumes them.
func (c *chaos) pauses(n int) {
	for _, name := range []string{c.e.Name, c.e.changes(), c.e.Name + "numbers"} {
		c.workers[n].Steer(name, []string{"pause", "stop"}[c.e.Random.IntN(2)])
		c.workers[(n+1)%3].Must(202, "PUT", "/connectors/"+name+"/resume", "")
	}
}

// drains drains a worker, and starts it again.
func (c *chaos) drains(n int) {
	c.drain(n).Exits(0)
	c.workers[n].MustStop()
	c.joins(n)
}

// clock sets the wall clock of a worker while it runs, for good: right, an hour ahead or an hour late.
func (c *chaos) clock(n int) {
	c.ahead[n] = (c.ahead[n]+2+c.e.Random.IntN(2))%3 - 1
	c.step("the clock of worker %d is %d hours ahead", n, c.ahead[n])
	e2etest.Replace(c.T, c.Machine(n), "clock", fmt.Append(nil, c.ahead[n]*3600))
	c.workers[n].Eventually("a clock that was set", func() bool {
		a, err := http.Get(c.workers[n].Url + "/")
		if err != nil {
			return false
		}
		a.Body.Close()
		at, err := http.ParseTime(a.Header.Get("Date"))
		return err == nil && time.Since(at.Add(-time.Duration(c.ahead[n])*time.Hour)).Abs() < 5*time.Minute
	})
}

// upgrades restarts each worker with the other version of the program, one after the other.
func (c *chaos) upgrades(n int) {
	c.one = 1 - c.one
	for by := range c.workers {
		at := (n + by) % 3
		c.workers[at].MustStop()
		c.joins(at)
		c.workers[at].Must(200, "GET", "/", "", strings.TrimPrefix(filepath.Base(c.programs[c.one]), "culvert-"))
	}
}

// numbers returns how often each number was created.
func (c *chaos) numbers() map[string]int {
	numbers := map[string]int{}
	c.e.S.Each("Inbox", func(_ string, fields map[string]string) { numbers[fields["Topic"]]++ })
	return numbers
}

// recordsOf returns the records of a number.
func (c *chaos) recordsOf(number string) []string {
	return slices.DeleteFunc(c.e.Records(c.e.Name+"numbers"), func(line string) bool {
		return !strings.Contains(line, `"Topic":"`+number+`","Body"`)
	})
}

// numbered returns the keys of the rows of a set by page, see [page].
func (c *chaos) numbered(topic string) map[int]map[string]bool {
	keys := map[int]map[string]bool{}
	for _, line := range c.e.Records(c.e.Name + topic) {
		var r struct {
			Key   json.RawMessage
			Value struct{ EmployeeID, Quantity int }
		}
		e2etest.NoError(c.T, json.Unmarshal([]byte(line), &r))
		n := r.Value.EmployeeID + r.Value.Quantity
		if keys[n] == nil {
			keys[n] = map[string]bool{}
		}
		keys[n][string(r.Key)] = true
	}
	return keys
}

// loads counts the complete loads in the stored offsets of a set. Each has its own time.
func (c *chaos) loads(set string) int {
	complete := map[string]bool{}
	for _, r := range c.Documents(c.e.Name+"offsets", "--bootstrap-servers", c.e.Servers) {
		value, _ := r["value"].(map[string]any)
		if strings.Contains(fmt.Sprint(r["key"]), "entityset:"+set+" ") && value["done"] == true {
			complete[fmt.Sprint(value["at"])] = true
		}
	}
	return len(complete)
}

// finish ends all writes and changes, waits for the remaining rows, and counts.
func (c *chaos) finish(what string) {
	t := c.T
	t.Helper()
	c.e.edits.rest()
	var absent []string
	defer func() {
		if len(absent) > 0 {
			read, err := c.admin.FetchOffsets(context.Background(), "connect-"+c.e.Name+"numbers")
			t.Errorf("%d numbers were not created, the first one of the records %q; stored: %+v %v", len(absent),
				c.recordsOf(absent[0]), read, err)
		}
	}()
	c.workers[0].Eventually("all numbers", func() bool {
		numbers := c.numbers()
		absent = nil
		for n := int64(1); n <= c.wrote.Load(); n++ {
			if number := fmt.Sprint("n", n); numbers[number] == 0 {
				absent = append(absent, number)
			}
		}
		return absent == nil
	})
	last := c.e.edits.rows[len(c.e.edits.rows)-1]
	id, _, _ := strings.Cut(last, " ")
	c.workers[0].Eventually("the last change", func() bool {
		reported := c.e.Records(c.e.changes())
		return len(reported) > 0 && strings.Contains(reported[len(reported)-1], `{"ProductID":`+id)
	})
	for _, w := range c.workers {
		w.MustStop()
	}
	numbers := c.numbers()
	twice := 0
	for number, times := range numbers {
		if times > 1 {
			twice++
			t.Logf("%s was created %d times, of %d records", number, times, len(c.recordsOf(number)))
		}
	}
	if most := c.losses * chaosLimit; twice > most { // what was on its way when a worker lost its tasks: guides/sink.md
		t.Errorf("expected at most %d rows to be created twice, found %d", most, twice)
	}
	changes := c.e.inChanges()
	if changes.Missing > 0 || (c.exactly && changes.Repeated > 0) {
		t.Errorf("changes: %v, the first one that is missing is row %d", changes, changes.First)
	}
	server := strings.Split(c.b.Servers, ",")[0]
	pages := ""
	for topic, set := range map[string]string{"Orders": "Orders", "Details": "Order_Details"} {
		if c.exactly {
			inOrder(t, server, c.e.Name+topic, c.e.S.Count(set), time.Time{}) // workers' clocks may be slow
		}
		lost, last, complete := c.o.received(set, c.numbered(topic))
		if len(lost) > 0 {
			t.Errorf("%s: rows of %d pages did not come, and those of the page after each of them did: pages %v", topic,
				len(lost), lost[:min(len(lost), 20)])
		}
		done := c.loads(set)
		if done == 0 || done > complete { // those of which the last page was read again may be more
			t.Errorf("%s: %d loads are stored as complete, and the last pages of %d came", topic, done, complete)
		}
		pages += fmt.Sprintf(", %s: %d times read, %d of them came, %d stored", topic, last, complete, done)
	}
	ledger := c.e.S.Ledger()
	if ledger.Jobs != 1 || ledger.Refused536 > 0 {
		t.Errorf("%d first extractions, %d tokens that were too old", ledger.Jobs, ledger.Refused536)
	}
	if c.o.most > chaosLimit {
		t.Errorf("expected at most %d requests at a time, found %d", chaosLimit, c.o.most)
	}
	if c.o.sessions == 0 || c.o.longest > chaosLogoff {
		t.Errorf("expected sessions, and more than %d of them for at most %v, found %d for %v", chaosLimit, chaosLogoff,
			c.o.sessions, c.o.longest)
	}
	t.Logf("%s: %v, changes: %v, %d numbers, %d requests and %d sessions at a time, of these too many for "+
		"%v%s, leaders killed: %q", what, time.Since(c.began), changes, len(numbers), c.o.most, c.o.sessions,
		c.o.longest, pages, c.leaders)
}
