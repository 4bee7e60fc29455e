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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// chaos is a group of three workers that is disturbed while it reads sets repeatedly, reads the changes of another set
// from a service that keeps one generation of them, and writes numbered records to a service that gives each row its
// own number.
type chaos struct {
	*Group
	e       *ExactWorker
	admin   *kadm.Client
	brokers *trio
	origin  *origin
	relays  []*relay // by worker
	proxies []string // addresses of the relays
	log     []string // faults and what was observed, for a failed test

	programs      []string // paths of two versions of the program
	program       int      // index of the version that workers start
	pluginVersion int      // number of the last version that rollPlugin installed
	hoursAhead    [3]int   // clock offsets, by worker

	exactlyOnce bool
	startTime   time.Time
	produced    atomic.Int64 // records of the topic that is written to the service
	losses      int          // faults in which a worker may have lost tasks while it could still send
	// leaderKills has for each killed leader the status of its answer and the state of its transaction.
	leaderKills []string
}

const (
	chaosUnits   = 3 + 5 // three connectors and their five tasks
	chaosSession = 6 * time.Second
	chaosLimit   = 4 // sap.odata.max.concurrent.requests, its default
	// chaosLogoff is the time that a worker which was removed from the group needs to stop its tasks and log off.
	chaosLogoff = 10 * time.Second
)

// faults are the kinds of faults. run causes one on worker n, and mayLoseTasks means that a worker may lose tasks while
// it can still send.
var faults = []struct {
	name         string
	run          func(c *chaos, n int)
	mayLoseTasks bool
}{
	{name: "kill", run: (*chaos).killAndRestart},
	{name: "stop", run: (*chaos).suspendWorker, mayLoseTasks: true},
	{name: "leader", run: (*chaos).killLeader},
	{name: "mid-write", run: (*chaos).killLeaderMidWrite},
	{name: "brokers", run: (*chaos).restartBrokers, mayLoseTasks: true},
	{name: "deaf", run: (*chaos).blockReceiving, mayLoseTasks: true},
	{name: "mute", run: (*chaos).blockSending, mayLoseTasks: true},
	{name: "broker", run: (*chaos).killBroker, mayLoseTasks: true},
	{name: "roll", run: (*chaos).rollPlugin},
	{name: "change", run: (*chaos).changeSettings},
	{name: "pause", run: (*chaos).pauseConnectors},
	{name: "drain", run: (*chaos).drainWorker},
	{name: "clock", run: (*chaos).setClock},
	{name: "upgrade", run: (*chaos).upgradeProgram},
}

// TestRealChaosOfAGroup kills, stops, disconnects and drains workers of a group, changes their plugins, settings,
// clocks and program versions, and kills and restarts brokers: half of these with exactly-once, the others without,
// exchanged every day. CULVERT_SOAK=1 runs 200 rounds, with stops of 30 seconds. CULVERT_SEED repeats a failed run.
func TestRealChaosOfAGroup(t *testing.T) {
	t.Parallel()
	brokers := startTrio(t)
	seed := uint64(time.Now().Unix() / (24 * 60 * 60))
	rounds := ExactRounds(0)
	if text := os.Getenv("CULVERT_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		seed = n
	} else if rounds > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, name := range []string{"once", "least"} {
		t.Run(name, func(t *testing.T) { runChaos(t, brokers, name, name == "once", seed, rounds/2) })
	}
}

// runChaos causes faults in a group in random order, each of them once before any is repeated. A group with
// exactly-once neither repeats nor loses rows, another one may repeat some. With 0 rounds, half of the faults happen,
// and the other half in the run with the other setting of exactly-once. An even seed and the next one have the same
// order, with the halves exchanged.
func runChaos(t *testing.T, brokers *trio, name string, exactlyOnce bool, seed uint64, rounds int) {
	c := startChaos(t, brokers, name, exactlyOnce)
	random := rand.New(rand.NewPCG(seed/2, 0))
	var deck []int // indexes of the next faults
	half := len(faults) / 2
	if rounds == 0 {
		deck = random.Perm(len(faults))
		rounds = half
		isSeedEven := seed%2 == 0
		if exactlyOnce == isSeedEven {
			deck = deck[half:]
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(c.log, "\n"))
		}
	})
	for range rounds {
		if len(deck) == 0 {
			deck = random.Perm(len(faults))
		}
		fault := faults[deck[0]]
		n := random.IntN(3)
		c.e.Random = rand.New(rand.NewPCG(random.Uint64(), 0))
		deck = deck[1:]
		c.logStep("%s of worker %d", fault.name, n)
		if fault.mayLoseTasks {
			c.losses++
		}
		fault.run(c, n)
		c.awaitSettled()
		c.logStep("settled")
		if t.Failed() {
			return
		}
	}
	c.finish(fmt.Sprintf("%s, seed %d, %d rounds", name, seed, rounds))
}

// startChaos starts a group with three connectors, the edits of products, and a producer of numbered records. It
// returns when all of them make progress.
func startChaos(t *testing.T, brokers *trio, name string, exactlyOnce bool) *chaos {
	t.Helper()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 300, PageSize: 100})
	c := &chaos{
		brokers:     brokers,
		exactlyOnce: exactlyOnce,
		origin:      &origin{inner: s, sessions: [3]map[string]bool{{}, {}, {}}, pages: map[string][]page{}},
		e:           &ExactWorker{t: t, p: p, S: s, Servers: brokers.Servers, Name: name, Rows: map[string]int{}},
		programs:    buildPrograms(t),
	}
	c.startTime = time.Now() // after buildPrograms has built the programs
	address := e2etest.Serve(t, c.origin)
	topics := []string{"Orders", "Details", "c", "numbers"}
	for n := range topics {
		topics[n] = name + topics[n]
	}
	client := e2etest.NewClient(t, strings.Split(brokers.Servers, ",")[0])
	c.admin = kadm.NewClient(client)
	c.createTopics(map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, 1, name+"configs", name+"states",
		name+"offsets")
	c.createTopics(nil, 1, topics[:3]...)
	c.createTopics(nil, 4, topics[3])

	// The group
	c.Group = &Group{Place: p, servers: brokers.Servers, lines: []string{"group.id=" + name,
		"config.storage.topic=" + name + "configs", "status.storage.topic=" + name + "states",
		"offset.storage.topic=" + name + "offsets",
		"exactly.once.source.support=" + map[bool]string{true: "enabled", false: "disabled"}[exactlyOnce],
		"config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000"}}
	for n := range 3 {
		r, proxy := newRelay(t)
		c.relays = append(c.relays, r)
		c.proxies = append(c.proxies, proxy)
		c.plugins = append(c.plugins, e2etest.CopyPlugins(t, "odata-sink"))
		c.addWorker()
		c.File(filepath.Join(filepath.Base(c.Machine(n)), "sap.properties"), fmt.Sprint("pwd=worker", n))
		c.startWorker(n)
	}
	for _, w := range c.workers {
		w.AwaitChangeable()
	}
	for n, settings := range c.connectors(address) {
		c.put(n, settings["name"], settings)
	}

	// The edits of products
	edits := &Edits{
		Writer: e2etest.Writer{S: c.e.S},
		random: rand.New(rand.NewPCG(exactSeed, 1)),
		names:  map[int]string{},
		stop:   make(chan struct{}),
		ended:  make(chan struct{}),
	}
	s.Each("Products", func(_ string, fields map[string]string) {
		id, _ := strconv.Atoi(fields["ProductID"])
		edits.names[id] = fields["ProductName"]
		edits.expect(id, "", 0)
	})
	c.e.edits = edits
	c.workers[0].Eventually("the products", func() bool { return len(c.e.Records(c.e.changes())) >= len(edits.rows) })
	go edits.Run()

	// The producer of numbered records
	ctx, cancel := context.WithCancel(context.Background())
	produced := make(chan struct{})
	t.Cleanup(func() { cancel(); <-produced; edits.end() })
	go func() {
		defer close(produced)
		for {
			select {
			case <-edits.stop:
				require.NoError(t, client.Flush(ctx))
				return
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
				n := c.produced.Add(1)
				client.Produce(ctx, &kgo.Record{Topic: topics[3], Key: fmt.Appendf(nil, `{"Topic":"n%d"}`, n),
					Value: fmt.Appendf(nil, `{"Topic":"n%d","Body":"said"}`, n)}, func(r *kgo.Record, err error) {
					if err != nil && ctx.Err() == nil {
						t.Errorf("%s was not written to its topic: %v", r.Key, err)
					}
				})
			}
		}
	}()
	c.awaitSettled()
	return c
}

// createTopics creates topics with three replicas.
func (c *chaos) createTopics(settings map[string]*string, partitions int32, names ...string) {
	responses, err := c.admin.CreateTopics(context.Background(), partitions, 3, settings, names...)
	require.NoError(c.e.t, err)
	require.NoError(c.e.t, responses.Error())
}

// connectors returns the settings of three connectors: one that reads sets, one that reads changes, and a sink.
func (c *chaos) connectors(address string) (configs []map[string]string) {
	name := c.e.Name
	sets := e2etest.Source(name, address, "Orders", "Order_Details")
	for n, topic := range []string{"Orders", "Details"} {
		sets = e2etest.WithSettings(sets, fmt.Sprintf("sap.odata#%02d.topic=%s%s", n, name, topic),
			fmt.Sprintf("sap.odata#%02d.exec-period=1", n))
	}
	for _, lines := range [][]string{append(sets, "tasks.max=2"),
		e2etest.DeltaSource(c.e.changes(), address, odatatest.ODPPath, "FactsOfProducts"),
		append(e2etest.Sink(name+"numbers", address, name+"numbers", "Inbox"), "tasks.max=2",
			"sap.odata.operation.mode=insert", "sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic",
			"sap.odata.flush.interval.ms=200")} {
		configs = append(configs, e2etest.SettingsOf(e2etest.WithSettings(lines, "sap.odata.user.name=me",
			"sap.odata.max.retries=3",
			"sap.odata.user.pwd=${file:sap.properties:pwd}")))
	}
	return configs
}

// logStep appends a line with the elapsed seconds to the log of a failed test.
func (c *chaos) logStep(format string, a ...any) {
	c.log = append(c.log, fmt.Sprintf("%8.3f ", time.Since(c.startTime).Seconds())+fmt.Sprintf(format, a...))
}

// startWorker starts a worker whose last output is logged if the test fails.
func (c *chaos) startWorker(n int) {
	c.T.Helper()
	c.Binary = c.programs[c.program]
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

// members returns the workers of the group as worker by reports them; nil if it does not answer within a second, for
// example because it waits for a leader.
func (c *chaos) members(by int) (ids []string) {
	var group groupview.Group
	client := http.Client{Timeout: time.Second}
	if response, err := client.Get(c.workers[by].URL + "/culvert/cluster"); err == nil {
		_ = json.NewDecoder(response.Body).Decode(&group)
		response.Body.Close()
	}
	for _, m := range group.Members {
		ids = append(ids, m.WorkerID)
	}
	return ids
}

// awaitRemoval waits until a worker has left the group and everything runs on the two others, and returns one of these.
func (c *chaos) awaitRemoval(n int) (by int) {
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
	c.logStep("worker %d is not in the group", n)
	return by
}

// awaitSettled waits until the group has three members that run everything, and then for more rows of all connectors.
func (c *chaos) awaitSettled() {
	c.T.Helper()
	for by, w := range c.workers {
		w.Eventually(fmt.Sprintf("everything runs, as worker %d reports", by), func() bool {
			_, isComplete := c.owners(by, chaosUnits)
			return isComplete && len(c.members(by)) == 3
		})
	}
	initial := c.e.S.Ledger()
	written := c.e.S.Count("Inbox")
	c.workers[0].Eventually("more of everything", func() bool {
		current := c.e.S.Ledger()
		hasChanges := current.Deltas > initial.Deltas+1
		hasPages := current.Pages-current.Deltas > initial.Pages-initial.Deltas+3
		return hasChanges && hasPages && c.e.S.Count("Inbox") > written
	})
}

// checkNoWrites checks that a worker has sent no requests that acknowledge or write, after start and before end.
func (c *chaos) checkNoWrites(n int, what string, start, end time.Time) {
	c.T.Helper()
	if requests := c.origin.writesBetween(n, start, end); len(requests) > 0 {
		c.T.Errorf("worker %d %s: expected no requests in %v that acknowledge or write, found %q", n, what,
			end.Sub(start), requests[:min(len(requests), 5)])
	}
}

// killWorker kills a worker; its sessions time out.
func (c *chaos) killWorker(n int) {
	c.workers[n].Kill()
	c.origin.dropSessions(n)
}

// killAndRestart kills a worker, and starts it again at once or when others have taken over.
func (c *chaos) killAndRestart(n int) {
	c.killWorker(n)
	if c.e.Random.IntN(2) == 0 {
		c.awaitRemoval(n)
	}
	c.startWorker(n)
}

// suspendWorker suspends a worker until others have taken over, and resumes it. It must not write before it is a member
// again.
func (c *chaos) suspendWorker(n int) {
	c.workers[n].Signal(syscall.SIGSTOP)
	c.origin.dropSessions(n)
	suspendTime := time.Now()
	by := c.awaitRemoval(n)
	suspension := chaosSession + time.Second // long enough for the consumers of its sinks to leave their groups, too
	if ExactRounds(0) > 0 {
		suspension = 30 * time.Second
	}
	<-time.After(time.Until(suspendTime.Add(suspension)))
	start := time.Now()
	c.workers[n].Signal(syscall.SIGCONT)
	end := start // the last time at which it was no member
	c.workers[by].Eventually("it is a member again", func() bool {
		requestTime := time.Now()
		isMember := slices.Contains(c.members(by), c.ids[n])
		if !isMember {
			end = requestTime
		}
		return isMember
	})
	c.checkNoWrites(n, "resumed and has not rejoined the group", start, end)
}

// killLeader kills the leader during the creation of a connector, which may exist afterwards or not.
func (c *chaos) killLeader(n int) {
	leader := c.findLeader(n)
	answer := c.createExtra(leader)
	delay := time.Duration(c.e.Random.IntN(40)) * time.Millisecond
	<-time.After(delay)
	c.killLeaderDuringCreation(leader, answer, fmt.Sprint(delay, " after the request"))
	c.deleteExtra(leader)
}

// killLeaderMidWrite kills the leader after it wrote a connector, before it ends the transaction: the connector does
// not exist.
func (c *chaos) killLeaderMidWrite(n int) {
	leader := c.findLeader(n)
	trap := c.relays[leader].setTrap()
	defer close(trap.released)
	answer := c.createExtra(leader)
	select {
	case <-trap.caught:
	case <-time.After(e2etest.WaitLimit):
		c.T.Fatal("the leader has ended no transaction")
	}
	state := c.killLeaderDuringCreation(leader, answer, "in mid-write")
	assert.Equal(c.T, "no answer, Ongoing", state, "a leader without an answer, and an ongoing transaction")
	assert.True(c.T, !c.deleteExtra(leader), "expected no connector of a transaction that was not ended, found one")
}

// findLeader returns the number of the leader, as worker by reports it.
func (c *chaos) findLeader(by int) (n int) {
	c.T.Helper()
	group := c.overview(by)
	n = slices.Index(c.ids, group.Leader)
	require.True(c.T, n >= 0, "expected a leader, found %+v", group)
	return n
}

// createExtra lets a worker create the connector extra. It returns at once; answer receives the HTTP status or
// "no answer".
func (c *chaos) createExtra(n int) (answer <-chan string) {
	body := e2etest.AsJSON(c.T, e2etest.SettingsOf(e2etest.WithSettings(e2etest.Source("extra", "127.0.0.1:1",
		"Orders"), "tasks.max=1")))
	answers := make(chan string, 1)
	go func() {
		status := "no answer"
		request, err := http.NewRequest("PUT", c.workers[n].URL+"/connectors/extra/config", strings.NewReader(body))
		if err == nil {
			request.Header.Set("Content-Type", "application/json")
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
				status = strconv.Itoa(response.StatusCode)
			}
		}
		answers <- status
	}()
	return answers
}

// killLeaderDuringCreation kills the leader during the creation of a connector, and starts it again, at once or when
// another one leads. state has the answer and the state of the leader's transaction.
func (c *chaos) killLeaderDuringCreation(leader int, answer <-chan string, when string) (state string) {
	c.T.Helper()
	c.killWorker(leader)
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.WaitLimit)
	defer cancel()
	id := "connect-cluster-" + c.e.Name
	transactions, err := c.admin.DescribeTransactions(ctx, id)
	for err != nil && ctx.Err() == nil { // an earlier fault may have restarted a broker
		<-time.After(50 * time.Millisecond)
		transactions, err = c.admin.DescribeTransactions(ctx, id)
	}
	require.NoError(c.T, err)
	state = <-answer + ", " + transactions[id].State
	c.logStep("the leader, worker %d, is killed %s: %s", leader, when, state)
	c.leaderKills = append(c.leaderKills, state)
	if c.e.Random.IntN(2) == 0 {
		other := c.workers[(leader+1)%3]
		other.Eventually("another leader", func() bool { return c.overview((leader+1)%3).Leader != c.ids[leader] })
	}
	c.startWorker(leader)
	return state
}

// deleteExtra deletes the connector of createExtra and reports whether it existed.
func (c *chaos) deleteExtra(by int) (deleted bool) {
	c.T.Helper()
	c.workers[by].Eventually("no connector more than before", func() bool {
		status, _ := c.workers[by].Call("DELETE", "/connectors/extra", "")
		deleted = deleted || status == http.StatusNoContent
		return status == http.StatusNotFound
	})
	return deleted
}

// blockReceiving lets a worker receive nothing from the brokers until others have taken over.
func (c *chaos) blockReceiving(n int) { c.blockWorker(n, fromBrokers) }

// blockSending lets the brokers receive nothing from a worker until others have taken over.
func (c *chaos) blockSending(n int) { c.blockWorker(n, fromWorker) }

// blockWorker blocks a direction between a worker and the brokers until others have taken over and its session is over.
// It must not write after the end of its session.
func (c *chaos) blockWorker(n, direction int) {
	unblock := c.relays[n].block(direction)
	start := time.Now()
	defer unblock()
	c.awaitRemoval(n)
	if remaining := chaosSession + time.Second - time.Since(start); remaining > 0 {
		<-time.After(remaining)
	}
	c.checkNoWrites(n, "is cut off from the brokers", start.Add(chaosSession), time.Now())
}

// killBroker kills a broker and starts it again.
func (c *chaos) killBroker(n int) {
	c.brokers.restart(c.workers[n].Command, n, syscall.SIGKILL, func() {
		<-time.After(time.Duration(c.e.Random.IntN(3000)) * time.Millisecond)
	})
}

// restartBrokers stops each broker cleanly and starts it again, one after the other.
func (c *chaos) restartBrokers(n int) {
	for i := range 3 {
		c.brokers.restart(c.workers[n].Command, (n+i)%3, syscall.SIGTERM, func() {})
		c.brokers.awaitInSync()
	}
}

// rollPlugin gives workers another version of a plugin, one after the other, and restarts one of them with it.
func (c *chaos) rollPlugin(n int) {
	c.pluginVersion++
	version := fmt.Sprintf("0.2.%d", c.pluginVersion)
	folder := filepath.Join(e2etest.Bench.Root, "plugins", "odata-source")
	plugin := guesttest.Bytes(c.T, folder, "main.version="+version)
	for worker := range c.workers {
		if worker == n {
			c.workers[worker].MustStop()
			e2etest.ReplaceFile(c.T, c.plugins[worker], "odata-source.wasm", plugin)
			c.startWorker(worker)
		} else {
			c.installPlugin(worker, "odata-source", plugin)
		}
	}
	c.awaitVersion(version, 3)
}

// changeSettings changes the settings of all connectors.
func (c *chaos) changeSettings(n int) {
	for _, name := range []string{c.e.Name, c.e.changes(), c.e.Name + "numbers"} {
		settings := c.workers[n].Config(name)
		settings["errors.log.enable"] = fmt.Sprint(settings["errors.log.enable"] != "true")
		c.put(c.e.Random.IntN(3), name, settings)
	}
}

// pauseConnectors pauses or stops all connectors, and resumes them.
func (c *chaos) pauseConnectors(n int) {
	for _, name := range []string{c.e.Name, c.e.changes(), c.e.Name + "numbers"} {
		c.workers[n].Steer(name, []string{"pause", "stop"}[c.e.Random.IntN(2)])
		c.workers[(n+1)%3].MustCall(202, "PUT", "/connectors/"+name+"/resume", "")
	}
}

// drainWorker drains a worker, and starts it again.
func (c *chaos) drainWorker(n int) {
	c.drain(n).WantCode(0)
	c.workers[n].MustStop()
	c.startWorker(n)
}

// setClock sets the wall clock of a worker while it runs to another offset: right, an hour ahead or an hour late. The
// clock stays like that.
func (c *chaos) setClock(n int) {
	c.hoursAhead[n] = (c.hoursAhead[n]+2+c.e.Random.IntN(2))%3 - 1
	c.logStep("the clock of worker %d is %d hours ahead", n, c.hoursAhead[n])
	e2etest.ReplaceFile(c.T, c.Machine(n), "clock", fmt.Append(nil, c.hoursAhead[n]*3600))
	c.workers[n].Eventually("a clock that was set", func() bool {
		response, err := http.Get(c.workers[n].URL + "/")
		if err != nil {
			return false
		}
		response.Body.Close()
		clock, err := http.ParseTime(response.Header.Get("Date"))
		return err == nil && time.Since(clock.Add(-time.Duration(c.hoursAhead[n])*time.Hour)).Abs() < 5*time.Minute
	})
}

// upgradeProgram restarts each worker with the other version of the program, one after the other.
func (c *chaos) upgradeProgram(n int) {
	c.program = 1 - c.program
	for i := range c.workers {
		worker := (n + i) % 3
		c.workers[worker].MustStop()
		c.startWorker(worker)
		version := strings.TrimPrefix(filepath.Base(c.programs[c.program]), "culvert-")
		c.workers[worker].MustCall(200, "GET", "/", "", version)
	}
}

// countNumbers returns how often each number was created in the service.
func (c *chaos) countNumbers() map[string]int {
	numbers := map[string]int{}
	c.e.S.Each("Inbox", func(_ string, fields map[string]string) { numbers[fields["Topic"]]++ })
	return numbers
}

// recordsOf returns the records of a number in the topic that is written to the service.
func (c *chaos) recordsOf(number string) []string {
	return slices.DeleteFunc(c.e.Records(c.e.Name+"numbers"), func(line string) bool {
		return !strings.Contains(line, `"Topic":"`+number+`","Body"`)
	})
}

// keysByPage returns the keys of the rows in the topic of a set, by page number, see [page].
func (c *chaos) keysByPage(topic string) map[int]map[string]bool {
	keys := map[int]map[string]bool{}
	for _, line := range c.e.Records(c.e.Name + topic) {
		var record struct {
			Key   json.RawMessage
			Value struct{ EmployeeID, Quantity int }
		}
		require.NoError(c.T, json.Unmarshal([]byte(line), &record))
		n := record.Value.EmployeeID + record.Value.Quantity // each set has one of the two fields
		if keys[n] == nil {
			keys[n] = map[string]bool{}
		}
		keys[n][string(record.Key)] = true
	}
	return keys
}

// countLoads counts the complete loads in the stored offsets of a set. Loads differ in their time.
func (c *chaos) countLoads(set string) int {
	complete := map[string]bool{}
	for _, r := range c.Documents(c.e.Name+"offsets", "--bootstrap-servers", c.e.Servers) {
		value, _ := r["value"].(map[string]any)
		if strings.Contains(fmt.Sprint(r["key"]), "entityset:"+set+" ") && value["done"] == true {
			complete[fmt.Sprint(value["at"])] = true
		}
	}
	return len(complete)
}

// finish ends all writes and edits, waits for the remaining rows, stops the workers, and checks what arrived.
func (c *chaos) finish(what string) {
	t := c.T
	t.Helper()
	c.e.edits.end()
	var absent []string
	defer func() {
		if len(absent) > 0 {
			offsets, err := c.admin.FetchOffsets(context.Background(), "connect-"+c.e.Name+"numbers")
			t.Errorf("expected all numbers in the service, found %d missing, the first one of the records %q; stored: "+
				"%+v %v", len(absent), c.recordsOf(absent[0]), offsets, err)
		}
	}()
	c.workers[0].Eventually("all numbers", func() bool {
		numbers := c.countNumbers()
		absent = nil
		for n := int64(1); n <= c.produced.Load(); n++ {
			if number := fmt.Sprint("n", n); numbers[number] == 0 {
				absent = append(absent, number)
			}
		}
		return absent == nil
	})
	var changes comparison
	defer func() {
		assert.True(t, changes.Missing <= 0 && (!c.exactlyOnce || changes.Repeated <= 0),
			"changes: expected each once, found %v, the first missing one is row %d", changes, changes.First)
	}()
	c.workers[0].Eventually("all changes", func() bool {
		changes = c.e.compareChanges()
		return changes.Missing == 0
	})
	for _, w := range c.workers {
		w.MustStop()
	}

	// The sink
	numbers := c.countNumbers()
	twice := 0
	for number, times := range numbers {
		if times > 1 {
			twice++
			t.Logf("%s was created %d times, of %d records", number, times, len(c.recordsOf(number)))
		}
	}
	// Requests in flight when a worker loses its tasks are repeated by another one: guides/sink.md.
	assert.AtMost(t, c.losses*chaosLimit, twice, "rows to be created twice")

	// The sources
	changes = c.e.compareChanges() // again, for records that were written until the workers stopped
	server := strings.Split(c.brokers.Servers, ",")[0]
	pages := ""
	for topic, set := range map[string]string{"Orders": "Orders", "Details": "Order_Details"} {
		if c.exactlyOnce {
			// No start time, because workers' clocks may be slow.
			checkOrder(t, server, c.e.Name+topic, c.e.S.Count(set), time.Time{})
		}
		lost, last, complete := c.origin.lostPages(set, c.keysByPage(topic))
		if len(lost) > 0 {
			t.Errorf("%s: expected no missing page before a page that arrived, found %d: %v", topic, len(lost),
				lost[:min(len(lost), 20)])
		}
		loads := c.countLoads(set)
		// complete may be larger, because a last page may be read again.
		assert.True(t, loads != 0 && loads <= complete,
			"%s: expected 1 to %d complete loads in the stored offsets, found %d", topic, complete, loads)
		pages += fmt.Sprintf(", %s: %d times read, %d of them came, %d stored", topic, last, complete, loads)
	}

	// The load on the service
	ledger := c.e.S.Ledger()
	assert.True(t, ledger.Jobs == 1 && ledger.Refused536 <= 0,
		"expected 1 first extraction and no expired token, found %d and %d", ledger.Jobs, ledger.Refused536)
	assert.AtMost(t, chaosLimit, c.origin.maxInFlight, "requests at a time")
	assert.True(t, c.origin.maxSessions != 0 && c.origin.longestExcess <= chaosLogoff,
		"expected sessions, and more than %d of them for at most %v, found %d for %v", chaosLimit, chaosLogoff,
		c.origin.maxSessions, c.origin.longestExcess)
	t.Logf("%s: %v, changes: %v, %d numbers, %d requests and %d sessions at a time, of these too many for "+
		"%v%s, leaders killed: %q", what, time.Since(c.startTime), changes, len(numbers), c.origin.maxInFlight,
		c.origin.maxSessions, c.origin.longestExcess, pages, c.leaderKills)
}
