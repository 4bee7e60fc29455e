package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport/limits"
)

// Herder is [connect.Herder], as far as a group moves its work.
type Herder interface {
	Assign(name string, share connect.Assignment) error
	Owned() []connect.Ownership
	Status(name string) (connect.Status, error)
}

// WorkerOptions are what a [Worker] works with.
type WorkerOptions struct {
	// Group says which group it joins; its callbacks are the worker's.
	Group GroupOptions
	// URL is where other workers reach this one's REST; WorkerID is host:port of it, as statuses have it.
	URL, WorkerID string
	// RebalanceDelay is scheduled.rebalance.max.delay.ms: how long tasks of a worker that vanished wait for it.
	RebalanceDelay time.Duration
	// SyncTimeout is worker.sync.timeout.ms: how long a leader reads on for what another member has read, and a member
	// for what its leader has.
	SyncTimeout time.Duration
	Log         *Log
	Store       *config.TopicStore
	Status      *StatusTopic
	Herder      Herder
	// Plugins are those that the worker has, and Classes the connectors and transforms that they offer.
	Plugins *plugin.Manager
	Classes func() []string
	// ResolveClass is the name of a class as a plugin of this worker declares it, which users may abbreviate, and the
	// plugin's name; the text itself where none does.
	ResolveClass func(class string) (name, plugin string)
	// SetQuotas has the worker divide the limits of origins from now on, by [Assignment.Origins].
	SetQuotas func(origins map[Key]limits.Division)
	// FolderDigest is the digest of the worker's folder of connectors, "" without one.
	FolderDigest func() string
	// Call has another worker, by its URL, or this one ("") answer a call; see [Worker.CallLeader].
	Call func(ctx context.Context, to, call, connector string, body, answer any) error
	// IsRetriable tells whether the error of such a call may be over when it is tried again.
	IsRetriable func(error) bool
	// EnsureSessionKey writes a session key where the config topic has none, or an old one; the leader calls it.
	EnsureSessionKey func(ctx context.Context) error
	Logger           *slog.Logger
}

// Worker is a worker's part in its cluster. It brings the worker's herder to what the group's leader has assigned to
// it, says in the status topic what that does, and leads where the group has it lead.
//
// Invariants: what the herder runs is at most what the last assignment names, as the config topic has it now, and what
// has not ended yet of earlier ones. Whatever the herder has is in the metadata of the next join. After Lost nothing is
// assigned to the worker until the next generation.
type Worker struct {
	o      WorkerOptions
	group  atomic.Pointer[Group] // nil before it has joined
	leader *leader
	// offered is what the group was last given to know of this worker's plugins.
	offered atomic.Pointer[string]
	// work wakes the loop that brings the herder to the assignment.
	work guard.Bell

	mu guard.Mutex
	membership
	stay stay
	ends bool // Leave was called
	// bringing is what bring is having the herder run, which an assignment may have replaced meanwhile.
	bringing []ResourceSet
	// brought is what the herder has of the config topic.
	brought config.Snapshot
	// behind is since when it has not read the config topic up to its assignment's offset; zero: it has. lags: for so
	// long that it gives up what it has until then.
	behind time.Time
	lags   bool
	// dirty are connectors whose statuses may be others than written says, by connector and task.
	dirty   map[string]bool
	written map[string]map[int]Status

	// shares say what the herder was assigned, by connector, with the offset of its settings; of the loop of Run alone.
	shares map[string]string
}

// membership is what the worker has said to its group, and what it was given.
type membership struct {
	// said is what it had when it joined last, which is what the leader knows of.
	said []ResourceSet
	// generation and assignment are the last that the group has given, assigned where they count still. heard is what
	// it said for them.
	generation int32
	heard      []ResourceSet
	assignment Assignment
	assigned   bool
	leading    bool
}

// NewWorker makes one that has not joined. Where its options are not known yet, Begin takes them.
func NewWorker(o WorkerOptions) *Worker {
	w := &Worker{o: o, work: guard.NewBell(), dirty: map[string]bool{}, written: map[string]map[int]Status{},
		shares: map[string]string{}}
	w.leader = newLeader(w)
	return w
}

// Configure takes the options of a worker that was made without any, before anything but questions about its group, and
// [Worker.StatusChanged], comes to it: it is in none, and answers so.
func (w *Worker) Configure(o WorkerOptions) { w.o = o }

// Join joins the group, and returns when the first assignment is there. It refuses one whose members read another
// config topic.
func (w *Worker) Join(ctx context.Context) error {
	if err := w.sameTopic(ctx); err != nil {
		return err
	}
	o := w.o.Group
	o.Metadata, o.Assign, o.Assigned, o.Lost = w.metadata, w.leader.place, w.begins, w.lost
	g, err := Join(ctx, o)
	if err == nil {
		w.group.Store(g)
	}
	return err
}

// Run brings the herder to what is assigned until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	defer guard.Vital("the part of this worker in its cluster")
	var leading sync.WaitGroup
	leading.Go(func() {
		defer guard.Vital("the leader's work")
		w.leader.run(ctx)
	})
	defer leading.Wait()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			w.repeat()
			if w.offer(&Metadata{}) {
				w.Rejoin("this worker's plugins, or its folder of connectors, have changed")
			}
			w.keepUp()
		case <-w.work:
		}
		letGo := w.bring()
		w.say() // before others run what was let go of, and say so
		if letGo {
			w.Rejoin("this worker has let go of what it was to")
		}
	}
}

// lookEvery is how often a worker looks whether the status topic says of what it runs what it has said itself.
const lookEvery = time.Second

// keepUp gives up what the worker has where it cannot read the config topic, as changes do not come to it, and others
// may be able to: Kafka Connect's worker leaves its group (DistributedHerder.handleRebalanceCompleted).
func (w *Worker) keepUp() {
	w.mu.Lock()
	lags := false
	if w.o.Log.Offset() >= w.assignment.Offset {
		w.behind = time.Time{}
	} else if w.behind.IsZero() {
		w.behind = time.Now()
	} else {
		lags = time.Since(w.behind) > w.o.SyncTimeout
	}
	changed := lags != w.lags
	w.lags = lags
	w.mu.Unlock()
	switch {
	case changed && lags:
		w.o.Logger.Error("this worker has not read the config topic as far as the group's leader, and gives up what "+
			"it has until it has", "topic", w.o.Group.Topic, "worker.sync.timeout.ms", w.o.SyncTimeout.Milliseconds())
		w.Rejoin("this worker cannot read the config topic")
	case changed:
		w.Rejoin("this worker reads the config topic again")
	}
}

// repeat says once more what others have said something else of since: a worker that had it before, or a leader of
// before that took this worker for one that is gone. All that the worker says is looked at once more, since nobody
// reports which versions of plugins run.
func (w *Worker) repeat() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, written := range w.written {
		w.dirty[name] = true
		for task, s := range written {
			now := w.o.Status.unit(statusKey{connector: name, task: task})
			newer := now.Generation > s.Generation && now.State != connect.Unassigned // and has it
			others := now.WorkerID != s.WorkerID || now.State == connect.Unassigned && s.State != connect.Unassigned
			if others && now != (Status{}) && !newer {
				w.o.Status.Put(s)
			}
		}
	}
}

// StatusChanged records that the herder has changed the status of a connector, see [connect.Group].
func (w *Worker) StatusChanged(connector string) {
	w.mu.Lock()
	w.dirty[connector] = true
	w.mu.Unlock()
	w.work.Ring()
}

// ApplySnapshot takes what the herder has of the config topic now.
func (w *Worker) ApplySnapshot(s config.Snapshot) {
	w.mu.Lock()
	w.brought = s
	w.mu.Unlock()
	w.work.Ring()
}

// ConfigChanged takes what a record of the config topic has changed, see [config.NewTopicStore].
func (w *Worker) ConfigChanged(change config.TopicChange) {
	switch {
	case change.Kind == config.KindAnnotation && change.Name == config.RejoinAnnotation:
		if generation, ok := w.o.Store.RejoinGeneration(); ok && w.group.Load() != nil {
			w.group.Load().RejoinNow(generation)
		}
	case change.Kind == config.KindAnnotation && strings.HasPrefix(string(change.Kind)+change.Name, pinNote):
		w.pin()
	case change.Kind == config.KindAnnotation && strings.HasPrefix(string(change.Kind)+change.Name,
		config.GroupAnnotation),
		change.Kind == config.KindConnector, change.Kind == config.KindCommit, change.Kind == config.KindTarget:
		w.leader.changed()
	}
}

// metadata is what this member says when it joins.
func (w *Worker) metadata() []byte {
	holds := w.holds()
	w.mu.Lock()
	w.said = holds
	m := Metadata{URL: w.o.URL, Offset: w.o.Log.Offset(), Holds: holds, Generation: w.generation,
		Leaving: w.stay == leaves || w.lags, Name: w.name(), Topic: w.o.Group.Topic, Lags: w.lags}
	w.mu.Unlock()
	w.pin()
	w.offer(&m)
	b, err := m.Encode()
	if err != nil { // a name that is too long, say: with less of it the worker still runs what it has
		w.o.Logger.Error("this worker cannot say to its group which plugins it has", "error", err)
		m.Plugins, m.Classes = nil, nil
		b, _ = m.Encode()
	}
	return b
}

// name is the same after a restart.
func (w *Worker) name() string {
	if w.o.Group.InstanceID != "" {
		return w.o.Group.InstanceID
	}
	return w.o.URL
}

// holds is what the herder has, and what was assigned and has not begun. What is about to begin is looked at first: it
// is the herder's by the time that it is not about to.
func (w *Worker) holds() []ResourceSet {
	held := map[versionKey]*ResourceIndexes{}
	add := func(k versionKey, unit int) {
		if held[k] == nil {
			held[k] = new(ResourceIndexes)
		}
		held[k].Add(unit)
	}
	w.mu.Lock()
	begins := slices.Concat(w.bringing, w.assignment.Target) // none, where it does not count
	w.mu.Unlock()
	for _, t := range begins {
		for unit := range t.Resources.All() {
			add(versionKey{t.Connector, t.Version}, unit)
		}
	}
	for _, h := range w.o.Herder.Owned() {
		k := versionKey{KeyOf(h.Connector), h.Version}
		if h.Plans {
			add(k, 0)
		}
		for _, task := range h.Tasks {
			add(k, task+1)
		}
	}
	var all []ResourceSet
	for k, units := range held {
		all = append(all, ResourceSet{k.connector, k.version, *units})
	}
	slices.SortFunc(all, compareHeld)
	return all
}

// begins takes a generation.
func (w *Worker) begins(generation int32, leading bool, assignment []byte) {
	a, err := DecodeAssignment(assignment)
	if err != nil {
		w.o.Logger.Error("the group's leader has sent an assignment that cannot be read: this worker runs nothing",
			"generation", generation, "error", err)
	}
	w.mu.Lock()
	w.generation, w.assignment, w.assigned, w.leading = generation, a, true, leading
	w.heard = w.said
	w.mu.Unlock()
	w.o.SetQuotas(a.Origins)
	w.o.Logger.Info("the worker is a member of its group", "group", w.o.Group.Group, "generation", generation, "leads",
		leading, "leader", a.LeaderURL)
	if !leading {
		generation = 0
	}
	w.leader.begins(generation)
	w.work.Ring()
}

// lost drops everything.
func (w *Worker) lost(err error) {
	w.mu.Lock()
	w.assignment, w.assigned, w.leading = Assignment{}, false, false
	w.mu.Unlock()
	w.o.Logger.Warn("the worker is no member of its group any more: it stops its connectors and joins again", "group",
		w.o.Group.Group, "error", err)
	w.leader.begins(0)
	w.work.Ring()
}

// bring has the herder run what is assigned, as the config topic has it now. letGo: others wait for what it has let go
// of, and it has, so that it is to join again.
func (w *Worker) bring() (letGo bool) {
	w.mu.Lock()
	assignment, brought, assigned := w.assignment, w.brought, w.assigned
	if w.stay == rests {
		assignment.Target = nil
	}
	w.bringing = assignment.Target
	w.mu.Unlock()
	target := map[Key][]ResourceSet{}
	for _, t := range assignment.Target {
		target[t.Connector] = append(target[t.Connector], t)
	}
	for _, c := range brought.Connectors {
		var share connect.Assignment // of a worker that is no member
		if assigned {
			share = shareOf(c.Name, target[KeyOf(c.Name)], brought)
		}
		said := fmt.Sprint(brought.ConfigOffsets[c.Name], share.OwnsConnector, share.Tasks)
		if share.TaskConfigs != nil {
			said += fmt.Sprint(" of ", share.TaskConfigs.Version)
		}
		if w.shares[c.Name] == said {
			continue
		}
		if w.o.Herder.Assign(c.Name, share) == nil { // else the herder has it with the next snapshot
			w.shares[c.Name] = said
			w.StatusChanged(c.Name)
		}
	}
	w.mu.Lock()
	w.bringing = nil
	w.mu.Unlock()
	maps.DeleteFunc(w.shares, func(name, _ string) bool {
		_, there := brought.ConfigOffsets[name]
		return !there
	})
	if !assignment.Again || !within(w.holds(), assignment, 1) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if within(w.said, assignment, 0) { // the leader knows: others are waited for, and joins would follow each other
		return false
	}
	w.assignment.Again = false // it is said once
	return true
}

// shareOf is the share of a connector that a target comes to. Tasks of another plan than the topic has now do not run.
func shareOf(name string, target []ResourceSet, s config.Snapshot) (share connect.Assignment) {
	planned := s.TaskConfigs(name)
	share.TaskConfigs = planned
	for _, t := range target {
		for unit := range t.Resources.All() {
			switch {
			case unit == 0:
				share.OwnsConnector = true
			case planned != nil && planned.Version == t.Version && unit <= len(planned.Settings):
				share.Tasks = append(share.Tasks, unit-1)
			}
		}
	}
	return share
}

// within tells whether what is held is nothing but what an assignment names, of units from one on: 1 for tasks alone.
func within(held []ResourceSet, a Assignment, from int) bool {
	named := map[versionKey]ResourceIndexes{}
	for _, t := range a.Target {
		named[versionKey{t.Connector, t.Version}] = t.Resources
	}
	for _, h := range held {
		for unit := range h.Resources.All() {
			if unit >= from && !named[versionKey{h.Connector, h.Version}].Has(unit) {
				return false
			}
		}
	}
	return true
}

// Rejoin has the group form a new generation, as soon as all members can.
func (w *Worker) Rejoin(reason string) {
	w.mu.Lock()
	generation := w.generation
	w.mu.Unlock()
	w.group.Load().Rejoin(reason)
	go func() { // else the others hear of it by their next heartbeats
		defer guard.Recover(w.o.Logger, "having the group join again", nil)
		ctx, cancel := context.WithTimeout(w.group.Load().life, writeWithin)
		defer cancel()
		if _, err := w.o.Store.Write(ctx, config.RejoinRecord(generation)); err != nil {
			w.o.Logger.Debug("the group is not told to join again at once", "error", err)
		}
	}()
}

// say writes what has changed to the status topic: of what the worker runs whatever others have said, of what it has
// let go of only where nobody else has it by now.
func (w *Worker) say() {
	w.mu.Lock()
	dirty, generation := w.dirty, w.generation
	w.dirty = map[string]bool{}
	w.mu.Unlock()
	holds := map[string][]connect.Ownership{}
	for _, h := range w.o.Herder.Owned() {
		holds[h.Connector] = append(holds[h.Connector], h)
	}
	for name := range dirty {
		held := w.statusesOf(name, holds[name], generation)
		w.mu.Lock()
		for task, s := range held {
			if w.written[name][task] != s {
				w.o.Status.Put(s)
			}
		}
		tasks := len(w.brought.Tasks[name].Settings)
		if _, there := w.brought.ConfigOffsets[name]; !there {
			tasks = -1
		}
		for task, s := range w.written[name] { // of what is no more the leader takes out what it said
			if _, still := held[task]; !still && task < tasks && s.State != connect.Unassigned {
				s.State, s.Trace, s.Extension = connect.Unassigned, "", ""
				w.o.Status.PutSafe(s)
			}
		}
		if w.written[name] = held; len(held) == 0 {
			delete(w.written, name)
		}
		w.mu.Unlock()
	}
}

// says tells whether this worker says what becomes of a unit.
func (w *Worker) says(connector string, task int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ours := w.written[connector][task]
	return ours
}

// statusesOf are those of what the worker has of a connector, by task.
func (w *Worker) statusesOf(name string, holds []connect.Ownership, generation int32) map[int]Status {
	all := map[int]Status{}
	s, err := w.o.Herder.Status(name)
	if err != nil {
		return nil
	}
	add := func(task int, state connect.State, trace, version string, own any) {
		said, err := json.Marshal(own)
		if err != nil || string(said) == "{}" {
			said = nil
		}
		all[task] = Status{Connector: name, Task: task, State: state, Trace: trace, WorkerID: w.o.WorkerID,
			Generation: generation, Version: version, Extension: string(said)}
	}
	type unit struct {
		Plugin      string   `json:"plugin,omitempty"`
		Plugins     []string `json:"plugins,omitempty"`
		Restarts    string   `json:"restarts,omitempty"`
		ConfigError string   `json:"config_error,omitempty"`
	}
	c := unit{Plugin: s.Connector.Plugin, Restarts: s.Connector.Restarts,
		ConfigError: s.Connector.ConfigError[:min(len(s.Connector.ConfigError), maxTraceBytes)]}
	for _, h := range holds {
		if h.Plans {
			add(-1, s.Connector.State, s.Connector.Trace, s.Connector.Version, c)
		}
		for _, task := range h.Tasks { // others are shown, which ran before
			at := slices.IndexFunc(s.Tasks, func(t connect.TaskStatus) bool { return t.ID == task })
			works := at >= 0 && s.Tasks[at].State != connect.Unassigned && s.Tasks[at].State != connect.Failed
			switch {
			// The connector cannot start here, for example because a secret is missing. That is newer than a failure of
			// the task itself.
			case !works && s.Connector.State == connect.Failed:
				add(task, connect.Failed, s.Connector.Trace, s.Connector.Version, unit{Restarts: c.Restarts})
			case at >= 0:
				t := s.Tasks[at]
				add(task, t.State, t.Trace, t.Version, unit{Plugin: t.Plugin, Plugins: t.Plugins, Restarts: t.Restarts})
			case s.Connector.State == connect.Paused: // it has not run here
				add(task, connect.Paused, "", s.Connector.Version, unit{})
			}
		}
	}
	return all
}

// PutTaskConfigs takes how a connector shares its work out, and returns when the leader has it. A plan of other
// settings than the config topic has now would count as one of those: it waits until ctx ends, as another plan follows.
func (w *Worker) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	return w.RetryWithLeader(ctx, func() error {
		var same bool
		if p.Offset, same = w.o.Store.ConfigOffsetFor(name, p.Config); !same {
			return &WriteError{fmt.Errorf("connector %s: expected a plan of its settings in the config topic, found "+
				"one of others", name)}
		}
		return w.CallLeader(ctx, TasksCall, name, p, nil)
	})
}

// RetryWithLeader asks the leader for something, again and again while there is none, or it is another one by then,
// until ctx ends; before it waits for lastAsk the first time it says so. It returns what the leader refuses.
func (w *Worker) RetryWithLeader(ctx context.Context, ask func() error) error {
	for backoff, warned := (pause.Backoff{First: firstAsk, Longest: lastAsk}), false; ; {
		err := ask()
		if err == nil || ctx.Err() != nil || !w.passes(err) {
			return err
		}
		wait := backoff.Next()
		if wait == lastAsk && !warned { // what is over soon needs nobody
			warned = true
			w.o.Logger.Warn("the group's leader has not done yet what this worker asks it for, and is asked again",
				"error",
				err)
		}
		if paused := pause.For(ctx, wait); paused != nil {
			return fmt.Errorf("%w, and before that %w", paused, err)
		}
	}
}

// passes tells whether the leader may do later what it has not done now.
func (w *Worker) passes(err error) bool {
	return errors.Is(err, ErrNotLeader) || errors.As(err, new(*WriteError)) || w.o.IsRetriable(err)
}

// Pauses between two tries to have the leader do something: the first, and the longest, to which they double.
const (
	firstAsk = 50 * time.Millisecond
	lastAsk  = 5 * time.Second
)

// HasJoined tells whether the worker has been a member of its group, with a leader, at any time.
func (w *Worker) HasJoined() bool { return w.group.Load() != nil }

// MemberID is what the group calls this worker, "" before it has joined.
func (w *Worker) MemberID() string {
	g := w.group.Load()
	if g == nil {
		return ""
	}
	id, _ := g.Member()
	return id
}

// CheckLease returns nil where nobody else can have what is assigned to this worker: by the time that its session has
// left, or since the group's coordinator says so.
func (w *Worker) CheckLease(ctx context.Context) error {
	g := w.group.Load()
	switch {
	case g == nil:
		return errors.New("this worker has not joined its group")
	case g.OwnsAssignment():
		return nil
	}
	return g.Confirm(ctx)
}

// Leader returns the worker that leads the group; me reports whether it is this one. known is false while there is
// none.
func (w *Worker) Leader() (url string, me, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assignment.LeaderURL, w.leading, w.assigned && (w.leading || w.assignment.LeaderURL != "")
}

// Owner implements rest.Cluster.
func (w *Worker) Owner(connector string, task int) (url string, me, known bool) {
	key := KeyOf(connector)
	w.mu.Lock()
	target := w.assignment.Target
	w.mu.Unlock()
	for _, t := range target {
		if t.Connector == key && t.Resources.Has(task+1) {
			return w.o.URL, true, true
		}
	}
	if url, me, known = w.Leader(); me {
		return w.leader.owner(connector, task)
	}
	return url, me, known
}

// Calls that a leader answers, and one that each member does, with method and path: how a connector shares its work
// out, which [Worker.HandleTasksCall] takes; about logons, for [AttemptArbiter.HandleCall]; all that a member has, as
// [connect.Holding].
const (
	TasksCall    = "POST /connectors/{name}/tasks"
	LockoutsCall = "POST /culvert/internal/lockouts"
	OwnedCall    = "POST /culvert/internal/holds"
)

// CallLeader has the leader of the group, which may be this worker, answer a call about a connector, or none (""). The
// answer is read as JSON, where one is wanted. Errors are [ErrNotLeader] where none is known, and those of the call.
func (w *Worker) CallLeader(ctx context.Context, call, connector string, body, answer any) error {
	to, me, known := w.Leader()
	switch {
	case !known:
		return ErrNotLeader
	case me:
		to = ""
	}
	return w.o.Call(ctx, to, call, connector, body, answer)
}

// Pending reports whether a rebalance is expected.
func (w *Worker) Pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.assigned || w.group.Load() == nil
}
