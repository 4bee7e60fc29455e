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

	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
)

// simSeeds groups run simRounds rounds each. With CULVERT_SOAK there are soakSeeds groups.
const (
	simSeeds  = 8
	soakSeeds = 100
	simRounds = 12
	// simMost is the maximum number of generations of a group: three times the highest number seen, and fewer than
	// when joins followed each other for as long as a task took to end.
	simMost = 300
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
	code := counterFolder(t)
	before := debug.SetGCPercent(400) // otherwise it takes a fifth of the time
	t.Cleanup(func() { debug.SetGCPercent(before) })
	seeds := uint64(simSeeds)
	if os.Getenv("CULVERT_SOAK") != "" {
		seeds = soakSeeds
	}
	var ended, lost, shared atomic.Int64
	t.Cleanup(func() { // after the parallel tests
		if ended.Load() == int64(seeds) && (lost.Load() == 0 || shared.Load() == 0) {
			t.Errorf("expected leaders lost in a transaction, and an origin of several workers, found %d, and %d times",
				lost.Load(), shared.Load())
		}
	})
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			size := 3 + int(seed)%(simWorkers-2)
			inSimulation(t, code, seed, 0, func(r *simulation) {
				r.least = max(3, size-1)
				if seed/2%2 == 0 { // so often that a task has stored its offset before it requests the next row
					r.flush = time.Second
				}
				if seed%3 == 0 {
					r.limit = 1 + int(seed)/3%3
				}
				for range size {
					r.join()
				}
				for n := range 3 {
					r.settle(fmt.Sprint("before connector ", n))
					r.submitChange("create")
				}
				r.settle("at first")
				for r.round = range simRounds {
					r.play()
				}
				for _, w := range r.up() {
					if _, generation := w.worker.group.Load().Member(); generation > simMost {
						r.fail("expected %d generations at most, found %d", simMost, generation)
					}
				}
				ended.Add(1)
				lost.Add(int64(r.lost))
				shared.Add(int64(r.shared))
			})
		})
	}
}

// inSimulation runs a group of this many workers in a bubble of its own.
func inSimulation(t *testing.T, code string, seed uint64, workers int, play func(*simulation)) {
	service := newCounted(t)
	synctest.Test(t, func(t *testing.T) {
		r := &simulation{simulated: newSimulated(t, service, code), random: rand.New(rand.NewPCG(seed, 26)),
			want: map[string]string{}, inDoubt: map[string]bool{}}
		defer r.end()
		for range workers {
			r.join()
		}
		play(r)
	})
}

// simulation applies random events to a group. Only its own goroutine uses it.
type simulation struct {
	*simulated
	random *rand.Rand
	round  int
	steps  []string
	made   int
	least  int // minimum number of workers
	lost   int // leaders killed in a transaction
	shared int // how often several workers had tasks of simOrigin
	// want contains the last written connectors whose writes were confirmed. unsure contains those whose last write
	// was not confirmed.
	want    map[string]string
	inDoubt map[string]bool
	blinds  []*simWorker // workers cut off from the broker
	slow    atomic.Int64 // end of the slow writes to topics, in nanoseconds of the bubble's time
}

// end prints the steps of a failed simulation, and ends all workers.
func (si *simulation) end() {
	if si.t.Failed() {
		lines := slices.DeleteFunc(strings.Split(si.journal.String(), "\n"), func(line string) bool {
			return strings.Contains(line, "kafka: a broker is")
		})
		si.t.Logf("steps:\n%s\nthe last of the log:\n%s", strings.Join(si.steps, "\n"),
			strings.Join(lines[max(0, len(lines)-150):], "\n"))
	}
	for _, w := range si.running() {
		w.isolate(false)
		w.cut(false)
		w.leave()
	}
	si.ending.Wait()
	time.Sleep(time.Minute) // until abandoned work of workers ends: outside the bubble it would not
	_ = si.plugins.Close()
}

func (si *simulation) says(format string, args ...any) {
	round := fmt.Sprintf("%v round %d: ", time.Since(si.began), si.round)
	si.steps = append(si.steps, round+fmt.Sprintf(format, args...))
}

// fail ends the test.
func (si *simulation) fail(format string, args ...any) {
	si.t.Helper()
	si.t.Fatalf(si.t.Name()+" "+time.Since(si.began).String()+": "+format, args...)
}

// running returns the workers by slot. up returns those that reach the broker.
func (s *simulated) running() []*simWorker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.workers), func(a, b *simWorker) int { return a.slot - b.slot })
}

func (si *simulation) up() []*simWorker {
	return slices.DeleteFunc(si.running(), func(w *simWorker) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.blind
	})
}

func (si *simulation) any(of []*simWorker) *simWorker {
	if len(of) == 0 {
		return nil
	}
	return of[si.random.IntN(len(of))]
}

func (si *simulation) join() *simWorker {
	taken := map[int]bool{}
	for _, w := range si.running() {
		taken[w.slot] = true
	}
	for slot := range simWorkers {
		if !taken[slot] {
			si.says("w%d joins", slot)
			return si.start(slot)
		}
	}
	return nil
}

// play runs one round: up to three events, and then all checks.
func (si *simulation) play() {
	n := 1 + max(0, si.random.IntN(5)-2)
	before := si.owners()
	calm := len(si.blinds) == 0
	what := ""
	var whose *simWorker
	for range n {
		what, whose = si.step()
		si.sleep(time.Duration(si.random.IntN(3000)) * time.Millisecond)
	}
	si.settle(what)
	if n == 1 && calm && whose != nil {
		si.checkMoves(what, whose, before, si.owners())
	}
}

// step triggers an event. whose is the worker that it started or ended, if it did nothing else.
func (si *simulation) step() (what string, whose *simWorker) {
	up := si.up()
	w := si.any(up)
	switch what = si.choose(); {
	case what == "join" || w == nil || len(up) < si.least:
		if whose = si.join(); whose != nil {
			return "join", whose
		}
		return "nothing", nil
	case what == "leave":
		si.says("%s says goodbye", w.name)
		w.shutDown()
		return what, w
	case what == "kill":
		si.says("%s is killed", w.name)
		w.kill()
		return what, w
	case what == "restart":
		if si.random.IntN(2) == 0 {
			si.says("%s is killed, and started again", w.name)
			w.kill()
		} else {
			si.says("%s says goodbye, and is started again", w.name)
			w.shutDown()
		}
		si.sleep(time.Duration(si.random.IntN(8000)) * time.Millisecond)
		si.start(w.slot)
	case what == "pause", what == "zombie", what == "one way", what == "cut":
		si.disconnect(what, w)
	case what == "mend":
		si.mend()
	case what == "mid-write":
		si.midWrite()
	case what == "slow":
		topic := []string{"rows", "offsets", "statuses", testTopic}[si.random.IntN(4)]
		si.says("writes to %s take long for a while", topic)
		si.slow.Store(time.Now().Add(15 * time.Second).UnixNano())
		si.network.Cluster.ControlKey(int16(kmsg.Produce), func(q kmsg.Request) (kmsg.Response, error, bool) {
			if time.Now().UnixNano() > si.slow.Load() {
				return nil, nil, false // the last worker
			}
			si.network.Cluster.KeepControl()
			if p := q.(*kmsg.ProduceRequest); len(p.Topics) > 0 && p.Topics[0].Topic == topic {
				si.network.Cluster.SleepControl(func() { time.Sleep(2 * time.Second) })
			}
			return nil, nil, false
		})
	default:
		si.submitChange(what)
	}
	return what, nil
}

func (si *simulation) choose() string {
	all := []string{"join", "join", "join", "leave", "leave", "kill", "kill", "restart", "pause", "pause", "zombie",
		"zombie", "one way", "one way", "cut", "mend", "mend", "mid-write", "mid-write", "slow", "create", "create",
		"change", "change", "pause connector", "resume connector", "stop connector", "resume connector", "delete",
		"restart connector"}
	return all[si.random.IntN(len(all))]
}

// disconnect cuts a worker off from the broker, for a while or until it is repaired. Connections are cut only while no
// worker joins alone, see kill.
func (si *simulation) disconnect(what string, w *simWorker) {
	if what == "cut" && si.unsettled() != "" {
		what = "pause"
	}
	switch what {
	case "pause":
		w.isolate(true)
	case "zombie":
		w.zombie()
	case "cut":
		w.cut(true)
	default:
		there := si.random.IntN(2) == 0
		w.holdBroker(there, !there)
		what += map[bool]string{true: " (there)", false: " (back)"}[there]
	}
	si.blinds = append(si.blinds, w)
	d := time.Duration(si.random.IntN(20000)) * time.Millisecond
	if si.random.IntN(2) == 0 {
		si.says("%s: %s, until it is mended", w.name, what)
		return
	}
	si.says("%s: %s, for %v", w.name, what, d)
	si.sleep(d)
	si.mend()
}

func (si *simulation) mend() {
	si.says("all are mended")
	for _, w := range si.blinds {
		w.isolate(false)
		w.cut(false)
	}
	si.blinds = nil
}

// midWrite kills the leader while it writes tasks or a connector: before a transaction ends, or after its end but
// before the confirmation.
func (si *simulation) midWrite() {
	leader := si.leader()
	if leader == nil {
		return
	}
	at := int32(1 + si.random.IntN(3))
	done := si.random.IntN(2) == 0
	si.says("%s, which leads, is lost at the end %d of a transaction; done: %v", leader.name, at, done)
	lost := make(chan struct{})
	lose := sync.OnceFunc(func() { leader.isolate(true); close(lost) })
	var ends atomic.Int32
	si.network.Cluster.ControlKey(int16(kmsg.EndTxn), func(q kmsg.Request) (kmsg.Response, error, bool) {
		ours := strings.HasPrefix(q.(*kmsg.EndTxnRequest).TransactionalID, "connect-cluster-")
		switch n := ends.Load(); {
		case n >= at:
			return nil, nil, false
		case !ours || ends.Add(1) < at:
			si.network.Cluster.KeepControl()
			return nil, nil, false
		}
		lose()
		if done {
			return nil, nil, false
		}
		return nil, errors.New("the connection is lost"), true
	})
	si.submitChange("create")
	select {
	case <-lost:
		si.lost++
	case <-time.After(5 * time.Second):
		ends.Store(at)
	}
	leader.kill()
}

func (si *simulation) leader() *simWorker {
	for _, w := range si.up() {
		if _, me, known := w.worker.Leader(); me && known {
			return w
		}
	}
	return nil
}

// submitChange sends a change to a random worker, like REST.
func (si *simulation) submitChange(what string) {
	w := si.any(si.up())
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
	said := ""
	target := func(to string) {
		said = to
		records := []configtopic.Record{configtopic.TargetRecord(name, to)}
		if to == config.TargetStopped {
			records = append(records, configtopic.CommitRecord(name, 0))
		}
		err = w.write(ctx, func(l *simWorker) error {
			_, err := l.store.Write(ctx, records...)
			return err
		})
	}
	switch {
	case what == "create" || name == "":
		si.made++
		name = fmt.Sprintf("c%d", si.made)
		fallthrough
	case what == "change":
		said = strconv.Itoa(1 + si.random.IntN(4))
		err = si.put(ctx, w, name, said)
	case what == "delete":
		err = w.write(ctx, func(l *simWorker) error { return l.store.Delete(ctx, name) })
	case what == "pause connector":
		target(config.TargetPaused)
	case what == "stop connector":
		target(config.TargetStopped)
	case what == "resume connector":
		target(config.TargetStarted)
	case what == "restart connector":
		said = "again"
		_ = w.herder.Restart(name)
	}
	si.says("%s of %s: %s by %s: %v", what, name, said, w.name, err)
	switch {
	case err != nil:
		si.inDoubt[name] = true
	case what == "delete":
		delete(si.want, name)
		delete(si.inDoubt, name)
		return
	case what == "create" || what == "change":
		delete(si.inDoubt, name)
		si.want[name] = said
	}
	if _, ok := si.want[name]; !ok {
		si.want[name] = said
	}
}

// simSettings returns the settings of a connector with this many tasks.
func simSettings(name, tasks string) map[string]string {
	return map[string]string{"name": name, "connector.class": "test.CounterSource", "tasks.max": tasks,
		"counter.tasks": tasks, "counter.scheme": "http", "counter.address": "127.0.0.1", "counter.connector": name}
}

// put writes a connector with this many tasks. Every second connector has a claim.
func (si *simulation) put(ctx context.Context, w *simWorker, name, tasks string) error {
	settings := simSettings(name, tasks)
	if name[len(name)-1]%2 == 0 {
		settings["counter.claim"] = "queue " + name
	}
	c := simConnector(si.t, settings)
	return w.write(ctx, func(l *simWorker) error { return l.store.Put(ctx, name, config.Stored{Connector: c}) })
}

// sleep waits, and checks the invariants that hold at all times.
func (si *simulation) sleep(d time.Duration) {
	for end := time.Now().Add(d); ; {
		if wrong := si.service.found(); len(wrong) > 0 {
			si.fail("service errors: %q", wrong)
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
	by := map[string]string{}
	for _, w := range si.running() {
		if !w.holds() {
			continue
		}
		for _, h := range w.herder.Owned() {
			s, err := w.herder.Status(h.Connector)
			if err != nil {
				continue
			}
			for _, task := range s.Tasks {
				unit := fmt.Sprintf("%s-%d", h.Connector, task.ID)
				if other := by[unit]; task.State == connect.Running && other != "" && other != w.name {
					si.fail("%s runs at %s and at %s", unit, other, w.name)
				}
				if task.State == connect.Running {
					by[unit] = w.name
				}
			}
		}
	}
}

// limitProblem checks that all workers with tasks of simOrigin divide its limit by their number, which does not exceed
// the limit.
func (si *simulation) limitProblem(up []*simWorker) string {
	sharing := slices.DeleteFunc(slices.Clone(up), func(w *simWorker) bool { return !w.sharing() })
	for _, w := range sharing {
		w.mu.Lock()
		by := w.origins[KeyOf(simOrigin)].Workers
		w.mu.Unlock()
		if by != len(sharing) || by > si.limit {
			return fmt.Sprintf("%s divides the limit %d by %d, and %d workers have tasks", w.name, si.limit, by,
				len(sharing))
		}
	}
	if len(sharing) > 1 {
		si.shared++
	}
	return ""
}

// settle waits until everything that should run does, exactly once, and all workers report it.
func (si *simulation) settle(after string) {
	si.t.Helper()
	began := time.Now()
	owned := time.Now()
	for {
		si.sleep(250 * time.Millisecond)
		synctest.Wait()
		why := si.unsettled()
		if why == "" {
			return
		}
		if quick := time.Unix(0, si.slow.Load()); quick.After(began) {
			began = quick
		}
		unowned := si.unowned()
		if unowned == "" { // later moves have their own time limit
			owned = time.Now()
		}
		if late := time.Since(began); late > simSettle || min(late, time.Since(owned)) > simOwned {
			si.fail("after %s: expected the desired state within %v: %s; units without a worker: %q", after, late, why,
				unowned)
		}
	}
}

// unowned returns a unit of a running connector that no worker has.
func (si *simulation) unowned() string {
	s, _ := si.up()[0].store.Snapshot()
	owners := si.owners()
	for name, wants := range si.want {
		tasks, _ := strconv.Atoi(wants)
		if t := s.Targets[name]; t == config.TargetStopped || t == config.TargetPaused { // may not be planned yet
			continue
		}
		for unit := range tasks {
			if one := fmt.Sprintf("%s-%d", name, unit); owners[one] == "" {
				return one
			}
		}
	}
	return ""
}

// unsettled describes the first difference from the desired state.
func (si *simulation) unsettled() string {
	up := si.up()
	if len(up) == 0 {
		return ""
	}
	var leader *simWorker
	generation := int32(0)
	for _, w := range up {
		w.worker.mu.Lock()
		g := w.worker.generation
		assigned := w.worker.assigned
		leading := w.worker.leading
		again := w.worker.assignment.RejoinAfterRevoke
		w.worker.mu.Unlock()
		switch {
		case !assigned:
			return w.name + " is no member"
		case generation != 0 && g != generation:
			return fmt.Sprintf("%s is of generation %d, others of %d", w.name, g, generation)
		case again:
			return w.name + " is to join again"
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
	if !next.IsZero() || changed || members != len(up) {
		return fmt.Sprintf("%s has to plan again: next %v, changes %v, %d members of %d", leader.name, next, changed,
			members, len(up))
	}
	s, _ := leader.store.Snapshot()
	for _, w := range up {
		if other, _ := w.store.Snapshot(); !maps.Equal(other.ConfigOffsets, s.ConfigOffsets) ||
			!maps.Equal(other.Targets, s.Targets) || fmt.Sprint(other.Tasks) != fmt.Sprint(s.Tasks) {
			return fmt.Sprintf("the config topic: %s has read %v %v %v, %s %v %v %v", w.name, other.ConfigOffsets,
				other.Targets, other.Tasks, leader.name, s.ConfigOffsets, s.Targets, s.Tasks)
		}
	}
	if why := cmp.Or(si.configProblem(s), si.limitProblem(up)); why != "" {
		return why
	}
	return si.unitProblem(up, s)
}

// configProblem compares the config topic with what was written.
func (si *simulation) configProblem(s config.Snapshot) string {
	found := map[string]string{}
	for _, c := range s.Connectors {
		found[c.Name] = c.Text("counter.tasks")
	}
	for name := range si.inDoubt { // written or not
		if tasks, ok := found[name]; ok {
			si.want[name] = tasks
		} else {
			delete(si.want, name)
		}
		delete(si.inDoubt, name)
	}
	if !maps.Equal(found, si.want) {
		return fmt.Sprintf("the config topic: expected connectors %v, found %v", si.want, found)
	}
	return ""
}

// unitProblem compares the workers' units and their states with the desired state.
func (si *simulation) unitProblem(up []*simWorker, s config.Snapshot) string {
	owners := map[string]string{}
	states := map[string]connect.State{}
	for _, w := range up {
		for _, h := range w.herder.Owned() {
			if _, ok := s.ConfigOffsets[h.Connector]; !ok {
				return fmt.Sprintf("%s has %+v, which no longer exists", w.name, h)
			}
			if set := s.TaskConfigs(h.Connector); len(h.Tasks) > 0 && (set == nil || set.Version != h.Version) {
				return fmt.Sprintf("%s has %+v of %+v", w.name, h, set)
			}
			status, err := w.herder.Status(h.Connector)
			if err != nil {
				return err.Error()
			}
			mine := map[string]connect.State{}
			if h.Plans {
				mine[h.Connector] = status.Connector.State
			}
			for _, number := range h.Tasks {
				mine[fmt.Sprintf("%s-%d", h.Connector, number)] = "nothing"
				if status.Connector.State == connect.Paused { // the herder shows only tasks that have run there
					mine[fmt.Sprintf("%s-%d", h.Connector, number)] = connect.Paused
				}
			}
			for _, task := range status.Tasks {
				if task.State == connect.Paused &&
					(s.TaskConfigs(h.Connector) == nil || !slices.Contains(h.Tasks, task.ID)) {
					continue // from before the configuration change
				}
				mine[fmt.Sprintf("%s-%d", h.Connector, task.ID)] = task.State
			}
			for unit, state := range mine {
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
		if set := s.TaskConfigs(c.Name); set != nil {
			tasks = len(set.Settings)
		}
		if wants, _ := strconv.Atoi(c.Text("counter.tasks")); tasks != wants && state == connect.Running {
			return fmt.Sprintf("%s has %d tasks of %d", c.Name, tasks, wants)
		}
		wanted[c.Name] = state
		for n := range tasks {
			wanted[fmt.Sprintf("%s-%d", c.Name, n)] = state
		}
	}
	if !maps.Equal(wanted, states) {
		return fmt.Sprintf("expected %v, found %v", wanted, states)
	}
	return si.statusProblem(up, s, owners, states)
}

// statusProblem compares the status topic with the desired state. Tasks that were not planned since the configuration
// changed, as while their connector is paused, still have their old status.
func (si *simulation) statusProblem(up []*simWorker, s config.Snapshot, owners map[string]string,
	states map[string]connect.State) string {
	for _, w := range up {
		said := map[string]string{}
		for _, name := range w.status.Connectors() {
			if own, ok := w.status.Connector(name); ok {
				said[name] = fmt.Sprint(own.State, " at ", own.WorkerID)
			}
			for _, task := range w.status.Tasks(name) {
				if s.TaskConfigs(name) == nil && (task.State == connect.Unassigned || task.State == connect.Paused) {
					continue
				}
				said[fmt.Sprintf("%s-%d", name, task.Task)] = fmt.Sprint(task.State, " at ", task.WorkerID)
			}
		}
		is := map[string]string{}
		for unit, state := range states {
			is[unit] = fmt.Sprint(state, " at ", owners[unit], ":8083")
		}
		for unit := range maps.Keys(is) {
			if said[unit] != is[unit] {
				return fmt.Sprintf("%s is %s, but the status topic has %q for %s", unit, is[unit], said[unit], w.name)
			}
		}
		for unit, what := range said {
			if is[unit] == "" {
				return fmt.Sprintf("the status topic has %s: %s for %s, which does not exist", unit, what, w.name)
			}
		}
	}
	return ""
}

// owners returns the workers of units: of connectors themselves, and of tasks.
func (si *simulation) owners() map[string]string {
	all := map[string]string{}
	for _, w := range si.up() {
		for _, h := range w.herder.Owned() {
			if h.Plans {
				all[h.Connector] = w.name
			}
			for _, number := range h.Tasks {
				all[fmt.Sprintf("%s-%d", h.Connector, number)] = w.name
			}
		}
	}
	return all
}

// checkMoves checks what has moved because a worker joined or left. If one worker takes over the tasks of an origin as
// a whole, other tasks may move to less loaded workers.
func (si *simulation) checkMoves(what string, whose *simWorker, before, after map[string]string) {
	moved := [2]int{}
	units := [2]int{}
	for unit, was := range before {
		kind := 0
		if strings.Contains(unit, "-") {
			kind = 1
		}
		if kind == 1 && si.limit > 0 {
			continue
		}
		units[kind]++
		switch is := after[unit]; {
		case is == was: // the unit stays
		case what == "join" && is != whose.name:
			si.fail("%s joined, and %s moved from %s to %s", whose.name, unit, was, is)
		case what != "join" && was != whose.name:
			si.fail("%s of %s, and %s moved from %s to %s", what, whose.name, unit, was, is)
		default:
			moved[kind]++
		}
	}
	n := len(si.up())
	for kind := range moved {
		if what == "join" && moved[kind] > (units[kind]+n-1)/n {
			si.fail("expected fewer moves: %s joined as the %dth, and %d units of %d moved", whose.name, n, moved[kind],
				units[kind])
		}
	}
}
