package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
)

// simSeeds groups run simRounds rounds each. With CULVERT_SOAK there are soakSeeds groups.
const (
	simSeeds  = 8
	soakSeeds = 100
	simRounds = 12
	// simMaxGenerations is the maximum number of generations of a group: three times the highest number seen. Members
	// that join again and again while a task ends exceed it.
	simMaxGenerations = 300
)

// simOwned is how long a unit may have no owner: the session of a lost worker, the wait for its tasks, the end of
// tasks, and the retry of a failed start. simSettle is how long a group may take to reach the desired state: a worker
// whose join response was lost tries again after simRebalance.
const (
	simOwned  = simSession + simDelay + 10*time.Second
	simSettle = simOwned + simRebalance
)

// Workers join, leave, are killed, paused and cut off, or continue as zombies without knowing what they lost, while
// connectors are created, changed and deleted on any of them. At no time do two workers with a valid lease run one
// task. A worker never acknowledges a row after another one has taken the task over, and never requests it again. After
// each round everything that should run does, exactly once, the workers agree, and so does the status topic. Workers
// with tasks of an origin divide its limits by their number, and a join or departure moves no more units than
// necessary. A failing seed prints its steps; -run TestSimulatedGroup/SEED runs it again.
func TestSimulatedGroup(t *testing.T) {
	folder := counterFolder(t)
	oldPercent := debug.SetGCPercent(400) // by default collections take a fifth of the time
	t.Cleanup(func() { debug.SetGCPercent(oldPercent) })
	seeds := uint64(simSeeds)
	if os.Getenv("CULVERT_SOAK") != "" {
		seeds = soakSeeds
	}
	var groups, lostLeaders, sharedLimits atomic.Int64
	t.Cleanup(func() { // after the parallel tests
		assert.True(t, groups.Load() != int64(seeds) || (lostLeaders.Load() != 0 && sharedLimits.Load() != 0),
			"expected leaders lost in a transaction, and an origin of several workers, found %d, and %d times",
			lostLeaders.Load(), sharedLimits.Load())
	})
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			size := 3 + int(seed)%(simWorkers-2)
			inSimulation(t, folder, seed, 0, func(si *simulation) {
				si.minWorkers = max(3, size-1)
				flushesOften := seed/2%2 == 0 // a task has stored its offset before it requests the next row
				if flushesOften {
					si.flushInterval = time.Second
				}
				hasSharedOrigin := seed%3 == 0
				if hasSharedOrigin {
					si.requestLimit = 1 + int(seed)/3%3
				}
				for range size {
					si.join()
				}
				for n := range 3 {
					si.settle(fmt.Sprint("before connector ", n))
					si.submitChange("create")
				}
				si.settle("at first")
				for si.round = range simRounds {
					si.play()
				}
				for _, w := range si.reachable() {
					if _, generation := w.worker.group.Load().Member(); generation > simMaxGenerations {
						si.fail("expected %d generations at most, found %d", simMaxGenerations, generation)
					}
				}
				groups.Add(1)
				lostLeaders.Add(int64(si.lostLeaders))
				sharedLimits.Add(int64(si.sharedLimits))
			})
		})
	}
}

// inSimulation runs play with a group of so many workers in a synctest bubble of its own. They load the plugin from the
// folder, see counterFolder.
func inSimulation(t *testing.T, folder string, seed uint64, workers int, play func(*simulation)) {
	service := newCounterService(t)
	synctest.Test(t, func(t *testing.T) {
		si := &simulation{simulatedGroup: newSimulatedGroup(t, service, folder),
			random: rand.New(rand.NewPCG(seed, 26)),
			want:   map[string]string{}, inDoubt: map[string]bool{}}
		defer si.stopAll()
		for range workers {
			si.join()
		}
		play(si)
	})
}

// simulation applies random events to a group. Only its own goroutine uses it.
type simulation struct {
	*simulatedGroup
	random *rand.Rand
	round  int
	steps  []string // the events so far, see logStep

	created      int // connectors created so far
	minWorkers   int // step starts a worker if fewer reach the broker
	lostLeaders  int // leaders killed in a transaction
	sharedLimits int // how often several workers had tasks of simOrigin

	// want contains the expected connectors with their numbers of tasks. inDoubt contains the connectors whose last
	// write was not confirmed: configProblem takes what it finds of them.
	want      map[string]string
	inDoubt   map[string]bool
	cutOff    []*simWorker // workers that disconnect has cut off from the broker
	slowUntil atomic.Int64 // end of the slow writes to topics, in nanoseconds of the bubble's time
}

// stopAll prints the steps of a failed simulation, and ends all workers.
func (si *simulation) stopAll() {
	if si.t.Failed() {
		lines := slices.DeleteFunc(strings.Split(si.journal.String(), "\n"), func(line string) bool {
			return strings.Contains(line, "kafka: a broker is")
		})
		si.t.Logf("steps:\n%s\nthe last of the log:\n%s", strings.Join(si.steps, "\n"),
			strings.Join(lines[max(0, len(lines)-150):], "\n"))
	}
	for _, w := range si.running() {
		w.reconnect()
		w.mend()
		w.remove()
	}
	si.unfinished.Wait()
	time.Sleep(time.Minute) // until abandoned goroutines of workers end, as the bubble requires
	_ = si.plugins.Close()
}

// logStep records an event of the simulation.
func (si *simulation) logStep(format string, args ...any) {
	prefix := fmt.Sprintf("%v round %d: ", time.Since(si.startedAt), si.round)
	si.steps = append(si.steps, prefix+fmt.Sprintf(format, args...))
}

// fail ends the test.
func (si *simulation) fail(format string, args ...any) {
	si.t.Helper()
	si.t.Fatalf(si.t.Name()+" "+time.Since(si.startedAt).String()+": "+format, args...)
}

// running returns the workers, sorted by slot.
func (s *simulatedGroup) running() []*simWorker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.workers), func(a, b *simWorker) int { return a.slot - b.slot })
}

// reachable returns the running workers that reach the broker.
func (si *simulation) reachable() []*simWorker {
	return slices.DeleteFunc(si.running(), func(w *simWorker) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.link.isCutOff
	})
}

// pick returns one of the workers at random, nil if there are none.
func (si *simulation) pick(workers []*simWorker) *simWorker {
	if len(workers) == 0 {
		return nil
	}
	return workers[si.random.IntN(len(workers))]
}

// join starts a worker in the first free slot. It returns nil if all slots are taken.
func (si *simulation) join() *simWorker {
	taken := map[int]bool{}
	for _, w := range si.running() {
		taken[w.slot] = true
	}
	for slot := range simWorkers {
		if !taken[slot] {
			si.logStep("w%d joins", slot)
			return si.start(slot)
		}
	}
	return nil
}

// play runs one round: up to three events, and then all checks.
func (si *simulation) play() {
	events := 1 + max(0, si.random.IntN(5)-2)
	oldOwners := si.owners()
	allConnected := len(si.cutOff) == 0
	event := ""
	var changed *simWorker
	for range events {
		event, changed = si.step()
		si.sleep(time.Duration(si.random.IntN(3000)) * time.Millisecond)
	}
	si.settle(event)
	if events == 1 && allConnected && changed != nil {
		si.checkMoves(event, changed, oldOwners, si.owners())
	}
}

// step triggers a random event. changed is the worker that it started or ended, nil if it did something else or more.
func (si *simulation) step() (event string, changed *simWorker) {
	reachable := si.reachable()
	w := si.pick(reachable)
	switch event = si.choose(); {
	case event == "join" || w == nil || len(reachable) < si.minWorkers:
		if changed = si.join(); changed != nil {
			return "join", changed
		}
		return "nothing", nil
	case event == "leave":
		si.logStep("%s says goodbye", w.name)
		w.shutDown()
		return event, w
	case event == "kill":
		si.logStep("%s is killed", w.name)
		w.kill()
		return event, w
	case event == "restart":
		if si.random.IntN(2) == 0 {
			si.logStep("%s is killed, and started again", w.name)
			w.kill()
		} else {
			si.logStep("%s says goodbye, and is started again", w.name)
			w.shutDown()
		}
		si.sleep(time.Duration(si.random.IntN(8000)) * time.Millisecond)
		si.start(w.slot)
	case event == "pause", event == "zombie", event == "one way", event == "cut":
		si.disconnect(event, w)
	case event == "mend":
		si.reconnectAll()
	case event == "mid-write":
		si.midWrite()
	case event == "slow":
		topic := []string{"rows", "offsets", "statuses", testTopic}[si.random.IntN(4)]
		si.logStep("writes to %s take long for a while", topic)
		si.slowUntil.Store(time.Now().Add(15 * time.Second).UnixNano())
		si.network.Cluster.ControlKey(int16(kmsg.Produce), func(q kmsg.Request) (kmsg.Response, error, bool) {
			if time.Now().UnixNano() > si.slowUntil.Load() {
				return nil, nil, false // without KeepControl this function is not called again
			}
			si.network.Cluster.KeepControl()
			if p := q.(*kmsg.ProduceRequest); len(p.Topics) > 0 && p.Topics[0].Topic == topic {
				si.network.Cluster.SleepControl(func() { time.Sleep(2 * time.Second) })
			}
			return nil, nil, false
		})
	default:
		si.submitChange(event)
	}
	return event, nil
}

// choose returns a random event. More frequent events are listed more often.
func (si *simulation) choose() string {
	events := []string{"join", "join", "join", "leave", "leave", "kill", "kill", "restart", "pause", "pause", "zombie",
		"zombie", "one way", "one way", "cut", "mend", "mend", "mid-write", "mid-write", "slow", "create", "create",
		"change", "change", "pause connector", "resume connector", "stop connector", "resume connector", "delete",
		"restart connector"}
	return events[si.random.IntN(len(events))]
}

// disconnect cuts a worker off from the broker, for a while or until "mend". Connections are cut only while no worker
// joins: kfake would never remove it.
func (si *simulation) disconnect(event string, w *simWorker) {
	if event == "cut" && si.unsettled() != "" {
		event = "pause"
	}
	switch event {
	case "pause":
		w.isolate()
	case "zombie":
		w.makeZombie()
	case "cut":
		w.cut()
	default:
		isToBroker := si.random.IntN(2) == 0
		w.holdBroker(clustertest.Directions{ToBroker: isToBroker, ToWorker: !isToBroker})
		event += map[bool]string{true: " (to the broker)", false: " (to the worker)"}[isToBroker]
	}
	si.cutOff = append(si.cutOff, w)
	d := time.Duration(si.random.IntN(20000)) * time.Millisecond
	if si.random.IntN(2) == 0 {
		si.logStep("%s: %s, until it is mended", w.name, event)
		return
	}
	si.logStep("%s: %s, for %v", w.name, event, d)
	si.sleep(d)
	si.reconnectAll()
}

// reconnectAll ends what disconnect did to workers.
func (si *simulation) reconnectAll() {
	si.logStep("all are mended")
	for _, w := range si.cutOff {
		w.reconnect()
		w.mend()
	}
	si.cutOff = nil
}

// midWrite kills the leader while it writes tasks or a connector: before a transaction ends, or after its end but
// before the confirmation.
func (si *simulation) midWrite() {
	leader := si.leader()
	if leader == nil {
		return
	}
	lastEnd := int32(1 + si.random.IntN(3)) // number of the EndTxn request at which the leader is lost
	isCommitted := si.random.IntN(2) == 0
	si.logStep("%s, which leads, is lost at the end of transaction %d; committed: %v", leader.name, lastEnd,
		isCommitted)
	lost := make(chan struct{})
	isolate := sync.OnceFunc(func() { leader.isolate(); close(lost) })
	var ends atomic.Int32
	si.network.Cluster.ControlKey(int16(kmsg.EndTxn), func(q kmsg.Request) (kmsg.Response, error, bool) {
		isLeaderWrite := strings.HasPrefix(q.(*kmsg.EndTxnRequest).TransactionalID, "connect-cluster-")
		switch n := ends.Load(); {
		case n >= lastEnd:
			return nil, nil, false
		case !isLeaderWrite || ends.Add(1) < lastEnd:
			si.network.Cluster.KeepControl()
			return nil, nil, false
		}
		isolate()
		if isCommitted {
			return nil, nil, false
		}
		return nil, errors.New("the connection is lost"), true
	})
	si.submitChange("create")
	select {
	case <-lost:
		si.lostLeaders++
	case <-time.After(5 * time.Second):
		ends.Store(lastEnd)
	}
	leader.kill()
}

// leader returns the leader, nil if no reachable worker knows that it is.
func (si *simulation) leader() *simWorker {
	for _, w := range si.reachable() {
		if _, isLeader, ok := w.worker.Leader(); isLeader && ok {
			return w
		}
	}
	return nil
}

// submitChange sends a change to a random worker, like the REST API, and updates want and inDoubt.
func (si *simulation) submitChange(change string) {
	w := si.pick(si.reachable())
	if w == nil {
		return
	}
	name := ""
	if names := slices.Sorted(maps.Keys(si.want)); len(names) > 0 {
		name = names[si.random.IntN(len(names))]
	}
	ctx, cancel := context.WithTimeout(si.t.Context(), 10*time.Second)
	defer cancel()
	var err error
	written := "" // number of tasks or target state
	setTarget := func(state string) {
		written = state
		records := []configtopic.Record{configtopic.TargetRecord(name, state)}
		if state == config.TargetStopped {
			records = append(records, configtopic.CommitRecord(name, 0))
		}
		err = w.atLeader(ctx, func(leader *simWorker) error {
			_, err := leader.store.Write(ctx, records...)
			return err
		})
	}
	switch {
	case change == "create" || name == "":
		si.created++
		name = fmt.Sprintf("c%d", si.created)
		fallthrough
	case change == "change":
		written = strconv.Itoa(1 + si.random.IntN(4))
		err = si.put(ctx, w, name, written)
	case change == "delete":
		err = w.atLeader(ctx, func(leader *simWorker) error { return leader.store.Delete(ctx, name) })
	case change == "pause connector":
		setTarget(config.TargetPaused)
	case change == "stop connector":
		setTarget(config.TargetStopped)
	case change == "resume connector":
		setTarget(config.TargetStarted)
	case change == "restart connector":
		written = "again"
		_ = w.herder.Restart(name)
	}
	si.logStep("%s of %s: %s by %s: %v", change, name, written, w.name, err)
	switch {
	case err != nil:
		si.inDoubt[name] = true
	case change == "delete":
		delete(si.want, name)
		delete(si.inDoubt, name)
		return
	case change == "create" || change == "change":
		delete(si.inDoubt, name)
		si.want[name] = written
	}
	if _, ok := si.want[name]; !ok {
		si.want[name] = written
	}
}

// simSettings returns the settings of a connector with this many tasks.
func simSettings(name, tasks string) map[string]string {
	return map[string]string{"name": name, "connector.class": "test.CounterSource", "tasks.max": tasks,
		"counter.tasks": tasks, "counter.scheme": "http", "counter.address": "127.0.0.1", "counter.connector": name}
}

// put writes a connector with this many tasks. Every second connector has a claim, by the last digit of its name.
func (si *simulation) put(ctx context.Context, w *simWorker, name, tasks string) error {
	settings := simSettings(name, tasks)
	if lastDigit := name[len(name)-1]; lastDigit%2 == 0 {
		settings["counter.claim"] = "queue " + name
	}
	c := simConnector(si.t, settings)
	return w.atLeader(ctx, func(leader *simWorker) error {
		return leader.store.Put(ctx, name, config.Stored{Connector: c})
	})
}

// sleep waits, and checks the invariants that hold at all times.
func (si *simulation) sleep(d time.Duration) {
	for end := time.Now().Add(d); ; {
		if errs := si.service.takeErrors(); len(errs) > 0 {
			si.fail("service errors: %q", errs)
		}
		si.checkOwners()
		if !time.Now().Before(end) {
			return
		}
		time.Sleep(min(250*time.Millisecond, time.Until(end)))
	}
}

// checkOwners checks that no task runs on two workers with a valid lease.
func (si *simulation) checkOwners() {
	owners := map[string]string{}
	for _, w := range si.running() {
		if !w.ownsAssignment() {
			continue
		}
		for _, h := range w.herder.Owned() {
			s, err := w.herder.Status(h.Connector)
			if err != nil {
				continue
			}
			for _, task := range s.Tasks {
				unit := fmt.Sprintf("%s-%d", h.Connector, task.ID)
				if other := owners[unit]; task.State == connect.Running && other != "" && other != w.name {
					si.fail("%s runs at %s and at %s", unit, other, w.name)
				}
				if task.State == connect.Running {
					owners[unit] = w.name
				}
			}
		}
	}
}

// limitProblem checks that all workers with tasks of simOrigin divide its limit by their number, which does not exceed
// the limit.
func (si *simulation) limitProblem(reachable []*simWorker) string {
	sharing := slices.DeleteFunc(slices.Clone(reachable), func(w *simWorker) bool { return !w.hasSharedOriginTasks() })
	for _, w := range sharing {
		w.mu.Lock()
		divisor := w.quotas[KeyOf(simOrigin)].Workers
		w.mu.Unlock()
		if divisor != len(sharing) || divisor > si.requestLimit {
			return fmt.Sprintf("%s divides the limit %d by %d, and %d workers have tasks", w.name, si.requestLimit,
				divisor, len(sharing))
		}
	}
	if len(sharing) > 1 {
		si.sharedLimits++
	}
	return ""
}

// settle waits until everything that should run does, exactly once, and all workers report it.
func (si *simulation) settle(after string) {
	si.t.Helper()
	start := time.Now()
	lastOwned := time.Now() // when no unit lacked an owner
	for {
		si.sleep(250 * time.Millisecond)
		synctest.Wait()
		difference := si.unsettled()
		if difference == "" {
			return
		}
		if slowUntil := time.Unix(0, si.slowUntil.Load()); slowUntil.After(start) {
			start = slowUntil
		}
		unowned := si.unowned()
		if unowned == "" { // later moves have their own time limit
			lastOwned = time.Now()
		}
		elapsed := time.Since(start)
		isUnownedTooLong := min(elapsed, time.Since(lastOwned)) > simOwned
		if elapsed > simSettle || isUnownedTooLong {
			si.fail("after %s: expected the desired state within %v: %s; units without a worker: %q", after, elapsed,
				difference, unowned)
		}
	}
}

// unowned returns a unit of a running connector that no worker has, "" if there is none. A unit is a connector itself,
// or a task.
func (si *simulation) unowned() string {
	s, _ := si.reachable()[0].store.Snapshot()
	owners := si.owners()
	for name, taskCount := range si.want {
		tasks, _ := strconv.Atoi(taskCount)
		if t := s.Targets[name]; t == config.TargetStopped || t == config.TargetPaused { // may not be planned yet
			continue
		}
		for number := range tasks {
			if task := fmt.Sprintf("%s-%d", name, number); owners[task] == "" {
				return task
			}
		}
	}
	return ""
}

// unsettled describes the first difference from the desired state. "" means that there is none.
func (si *simulation) unsettled() string {
	reachable := si.reachable()
	if len(reachable) == 0 {
		return ""
	}
	var leader *simWorker
	generation := int32(0)
	for _, w := range reachable {
		w.worker.mu.Lock()
		g := w.worker.generation
		assigned := w.worker.assigned
		leading := w.worker.leading
		mustRejoin := w.worker.assignment.RejoinAfterRevoke
		w.worker.mu.Unlock()
		switch {
		case !assigned:
			return w.name + " is no member"
		case generation != 0 && g != generation:
			return fmt.Sprintf("%s is of generation %d, others of %d", w.name, g, generation)
		case mustRejoin:
			return w.name + " must join again"
		case leading && leader != nil:
			return leader.name + " and " + w.name + " lead"
		case leading:
			leader = w
		}
		generation = g
	}
	if leader == nil {
		return "nobody leads"
	}
	l := leader.worker.leader
	l.mu.Lock()
	next := l.planAt
	changed := l.changes != l.plannedChanges
	members := len(l.members)
	l.mu.Unlock()
	if !next.IsZero() || changed || members != len(reachable) {
		return fmt.Sprintf("%s has to plan again: next %v, changes %v, %d members of %d", leader.name, next, changed,
			members, len(reachable))
	}
	s, _ := leader.store.Snapshot()
	for _, w := range reachable {
		if other, _ := w.store.Snapshot(); !maps.Equal(other.ConfigOffsets, s.ConfigOffsets) ||
			!maps.Equal(other.Targets, s.Targets) || fmt.Sprint(other.Tasks) != fmt.Sprint(s.Tasks) {
			return fmt.Sprintf("the config topic: %s has read %v %v %v, %s %v %v %v", w.name, other.ConfigOffsets,
				other.Targets, other.Tasks, leader.name, s.ConfigOffsets, s.Targets, s.Tasks)
		}
	}
	if problem := cmp.Or(si.configProblem(s), si.limitProblem(reachable)); problem != "" {
		return problem
	}
	return si.unitProblem(reachable, s)
}

// configProblem compares the config topic with what was written.
func (si *simulation) configProblem(s config.Snapshot) string {
	got := map[string]string{}
	for _, c := range s.Connectors {
		got[c.Name] = c.Text("counter.tasks")
	}
	for name := range si.inDoubt { // written or not
		if tasks, ok := got[name]; ok {
			si.want[name] = tasks
		} else {
			delete(si.want, name)
		}
		delete(si.inDoubt, name)
	}
	if !maps.Equal(got, si.want) {
		return fmt.Sprintf("the config topic: expected connectors %v, found %v", si.want, got)
	}
	return ""
}

// unitProblem compares the workers' units and their states with the desired state.
func (si *simulation) unitProblem(reachable []*simWorker, s config.Snapshot) string {
	owners := map[string]string{}
	states := map[string]connect.State{}
	for _, w := range reachable {
		for _, owned := range w.herder.Owned() {
			if _, ok := s.ConfigOffsets[owned.Connector]; !ok {
				return fmt.Sprintf("%s has %+v, which no longer exists", w.name, owned)
			}
			taskSet := s.TaskConfigs(owned.Connector)
			isCurrent := taskSet != nil && taskSet.Version == owned.Version
			if len(owned.Tasks) > 0 && !isCurrent {
				return fmt.Sprintf("%s has %+v of %+v", w.name, owned, taskSet)
			}
			status, err := w.herder.Status(owned.Connector)
			if err != nil {
				return err.Error()
			}
			local := map[string]connect.State{}
			if owned.Plans {
				local[owned.Connector] = status.Connector.State
			}
			for _, number := range owned.Tasks {
				local[fmt.Sprintf("%s-%d", owned.Connector, number)] = "nothing"
				if status.Connector.State == connect.Paused { // the herder shows only tasks that have run there
					local[fmt.Sprintf("%s-%d", owned.Connector, number)] = connect.Paused
				}
			}
			for _, task := range status.Tasks {
				if task.State == connect.Paused &&
					(s.TaskConfigs(owned.Connector) == nil || !slices.Contains(owned.Tasks, task.ID)) {
					continue // from before the configuration change
				}
				local[fmt.Sprintf("%s-%d", owned.Connector, task.ID)] = task.State
			}
			for unit, state := range local {
				if other := owners[unit]; other != "" && other != w.name { // shown next to its running part
					return fmt.Sprintf("%s is at %s and at %s", unit, other, w.name)
				}
				owners[unit] = w.name
				states[unit] = state
			}
		}
	}
	wanted := map[string]connect.State{}
	for _, c := range s.Connectors {
		state := connect.Running
		tasks := 0
		switch s.Targets[c.Name] {
		case config.TargetPaused:
			state = connect.Paused
		case config.TargetStopped:
			state = connect.Stopped
		}
		if taskSet := s.TaskConfigs(c.Name); taskSet != nil {
			tasks = len(taskSet.Settings)
		}
		if n, _ := strconv.Atoi(c.Text("counter.tasks")); tasks != n && state == connect.Running {
			return fmt.Sprintf("%s has %d tasks of %d", c.Name, tasks, n)
		}
		wanted[c.Name] = state
		for n := range tasks {
			wanted[fmt.Sprintf("%s-%d", c.Name, n)] = state
		}
	}
	if !maps.Equal(wanted, states) {
		return fmt.Sprintf("expected %v, found %v", wanted, states)
	}
	return si.statusProblem(reachable, s, owners, states)
}

// statusProblem compares the status topic with the desired state. Tasks that were not planned since the configuration
// changed, as while their connector is paused, still have their old status.
func (si *simulation) statusProblem(reachable []*simWorker, s config.Snapshot, owners map[string]string,
	states map[string]connect.State) string {
	for _, w := range reachable {
		stored := map[string]string{}
		for _, name := range w.status.Connectors() {
			if status, ok := w.status.Connector(name); ok {
				stored[name] = fmt.Sprint(status.State, " at ", status.WorkerID)
			}
			for _, task := range w.status.Tasks(name) {
				if s.TaskConfigs(name) == nil && (task.State == connect.Unassigned || task.State == connect.Paused) {
					continue
				}
				stored[fmt.Sprintf("%s-%d", name, task.Task)] = fmt.Sprint(task.State, " at ", task.WorkerID)
			}
		}
		expected := map[string]string{}
		for unit, state := range states {
			expected[unit] = fmt.Sprint(state, " at ", owners[unit], ":8083")
		}
		for unit := range maps.Keys(expected) {
			if stored[unit] != expected[unit] {
				return fmt.Sprintf("%s is %s, but the status topic has %q for %s", unit, expected[unit],
					stored[unit], w.name)
			}
		}
		for unit, status := range stored {
			if expected[unit] == "" {
				return fmt.Sprintf("the status topic has %s: %s for %s, which does not exist", unit, status, w.name)
			}
		}
	}
	return ""
}

// owners returns the names of the workers by unit.
func (si *simulation) owners() map[string]string {
	owners := map[string]string{}
	for _, w := range si.reachable() {
		for _, h := range w.herder.Owned() {
			if h.Plans {
				owners[h.Connector] = w.name
			}
			for _, number := range h.Tasks {
				owners[fmt.Sprintf("%s-%d", h.Connector, number)] = w.name
			}
		}
	}
	return owners
}

// checkMoves checks what has moved because a worker joined or left. If one worker takes over the tasks of an origin as
// a whole, other tasks may move to less loaded workers.
func (si *simulation) checkMoves(event string, changed *simWorker, oldOwners, newOwners map[string]string) {
	var moved, units [2]int // connectors and tasks
	for unit, oldOwner := range oldOwners {
		kind := 0
		if strings.Contains(unit, "-") {
			kind = 1
		}
		if kind == 1 && si.requestLimit > 0 {
			continue
		}
		units[kind]++
		switch newOwner := newOwners[unit]; {
		case newOwner == oldOwner: // the unit stays
		case event == "join" && newOwner != changed.name:
			si.fail("%s joined, and %s moved from %s to %s", changed.name, unit, oldOwner, newOwner)
		case event != "join" && oldOwner != changed.name:
			si.fail("%s of %s, and %s moved from %s to %s", event, changed.name, unit, oldOwner, newOwner)
		default:
			moved[kind]++
		}
	}
	n := len(si.reachable())
	for kind := range moved {
		if event == "join" && moved[kind] > (units[kind]+n-1)/n {
			si.fail("expected fewer moves: %s joined as the %dth, and %d units of %d moved", changed.name, n,
				moved[kind], units[kind])
		}
	}
}
