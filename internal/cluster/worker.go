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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// Herder runs the connectors and tasks that are assigned to this worker, see [connect.Herder].
type Herder interface {
	Assign(name string, share connect.Assignment) error
	Owned() []connect.Ownership
	Status(name string) (connect.Status, error)
}

// WorkerOptions configure a [Worker].
type WorkerOptions struct {
	Group          GroupOptions // the group to join. The worker sets its callbacks.
	URL, WorkerID  string
	RebalanceDelay time.Duration
	// SyncTimeout is worker.sync.timeout.ms: how long the leader waits to read what members have read, and members for
	// the leader.
	SyncTimeout time.Duration
	Topics
	Herder       Herder
	Plugins      *plugin.Manager
	Classes      func() []string
	ResolveClass func(class string) (name, plugin string)
	SetQuotas    func(origins map[Key]limits.Division)
	FolderDigest func() string
	// Call sends a call to another worker by its URL, or to this worker if the URL is empty, see [Worker.CallLeader].
	Call             func(ctx context.Context, to, call, connector string, body, answer any) error
	IsRetriable      func(error) bool // IsRetriable reports whether a failed call may succeed later
	EnsureSessionKey func(ctx context.Context) error
	Logger           *slog.Logger
}

// Topics are the topics of a group: the config topic with its connectors, and the status topic.
type Topics struct {
	Log    *Log
	Store  *configtopic.Store
	Status *StatusTopic
}

// Worker makes its herder run what the group's leader has assigned, publishes statuses, and leads the group if elected.
//
// Invariants: the herder runs at most the last assignment, as the config topic has it now, and what has not ended yet
// of earlier ones. The metadata of the next join contain all of that. After Lost nothing is assigned until the next
// generation.
type Worker struct {
	options   WorkerOptions
	group     atomic.Pointer[Group] // nil before it has joined
	leader    *leader
	lastOffer atomic.Pointer[string] // what the group was last told about this worker's plugins and folder
	notify    guard.Bell             // notify wakes the loop of Run

	mu guard.Mutex
	membership
	drainState  drainState
	leaveCalled bool // Leave was called
	applying    []ResourceSet
	applied     config.Snapshot // the config snapshot that the herder has
	// behindSince is the time since which the worker lags behind its assignment's offset, zero if it does not. isBehind
	// is true once that took longer than SyncTimeout, and makes the worker release everything.
	behindSince time.Time
	isBehind    bool
	dirty       map[string]bool
	published   map[string]map[int]Status

	lastAssigned map[string]string
}

type membership struct {
	lastJoined []ResourceSet // what the last JoinGroup reported as owned, so what the leader knows
	// generation and assignment are the last received; joinedWith is what the join of that generation reported as
	// owned.
	generation int32
	joinedWith []ResourceSet
	assignment Assignment
	assigned   bool
	leading    bool
}

// NewWorker returns a worker that has not joined. Options that are not known yet are set by Configure.
func NewWorker(o WorkerOptions) *Worker {
	w := &Worker{options: o, notify: guard.NewBell(), dirty: map[string]bool{}, published: map[string]map[int]Status{},
		lastAssigned: map[string]string{}}
	w.leader = newLeader(w)
	return w
}

// Configure sets the options of a worker that was created without them, before anything but queries is called.
func (w *Worker) Configure(o WorkerOptions) { w.options = o }

// Join joins the group and returns with the first assignment. It fails if members of the group use another config
// topic.
func (w *Worker) Join(ctx context.Context) error {
	if err := w.checkTopic(ctx); err != nil {
		return err
	}
	o := w.options.Group
	o.Metadata, o.Assign, o.Assigned, o.Lost = w.metadata, w.leader.assign, w.onAssigned, w.onLost
	g, err := Join(ctx, o)
	if err == nil {
		w.group.Store(g)
	}
	return err
}

// Run keeps the herder at the assignment until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	defer guard.Vital("the part of this worker in its cluster")
	var leading sync.WaitGroup
	leading.Go(func() {
		defer guard.Vital("the leader's work")
		w.leader.run(ctx)
	})
	defer leading.Wait()
	ticker := time.NewTicker(republishInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.republish()
			if w.addOffer(&Metadata{}) {
				w.Rejoin("this worker's plugins, or its folder of connectors, have changed")
			}
			w.checkReadLag()
		case <-w.notify:
		}
		released := w.reconcile()
		w.publishStatuses() // before others run what was let go of, and say so
		if released {
			w.Rejoin("this worker has let go of what it was to")
		}
	}
}

const republishInterval = time.Second

// checkReadLag releases everything while the config topic cannot be read. Kafka Connect's worker leaves its group.
func (w *Worker) checkReadLag() {
	w.mu.Lock()
	lags := false
	if w.options.Log.Offset() >= w.assignment.Offset {
		w.behindSince = time.Time{}
	} else if w.behindSince.IsZero() {
		w.behindSince = time.Now()
	} else {
		lags = time.Since(w.behindSince) > w.options.SyncTimeout
	}
	changed := lags != w.isBehind
	w.isBehind = lags
	w.mu.Unlock()
	switch {
	case changed && lags:
		w.options.Logger.Error("this worker has not read the config topic as far as the group's leader, and gives "+
			"up what "+
			"it has until it has", "topic", w.options.Group.Topic, "worker.sync.timeout.ms",
			w.options.SyncTimeout.Milliseconds())
		w.Rejoin("this worker cannot read the config topic")
	case changed:
		w.Rejoin("this worker reads the config topic again")
	}
}

// republish restores overwritten statuses, and marks everything as dirty, because plugin versions change without
// notice.
func (w *Worker) republish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, written := range w.published {
		w.dirty[name] = true
		for task, s := range written {
			now := w.options.Status.status(statusKey{connector: name, task: task})
			newer := now.Generation > s.Generation && now.State != connect.Unassigned // and has it
			others := now.WorkerID != s.WorkerID || now.State == connect.Unassigned && s.State != connect.Unassigned
			if others && now != (Status{}) && !newer {
				w.options.Status.Put(s)
			}
		}
	}
}

// StatusChanged records that the herder has changed the status of a connector, see [connect.Group].
func (w *Worker) StatusChanged(connector string) {
	w.mu.Lock()
	w.dirty[connector] = true
	w.mu.Unlock()
	w.notify.Ring()
}

// ApplySnapshot records the config snapshot that the herder has.
func (w *Worker) ApplySnapshot(s config.Snapshot) {
	w.mu.Lock()
	w.applied = s
	w.mu.Unlock()
	w.notify.Ring()
}

// ConfigChanged handles a change of the config topic, see [configtopic.NewStore].
func (w *Worker) ConfigChanged(change configtopic.Change) {
	switch {
	case change.Kind == configtopic.KindAnnotation && change.Name == configtopic.RejoinAnnotation:
		if generation, ok := w.options.Store.RejoinGeneration(); ok && w.group.Load() != nil {
			w.group.Load().RejoinNow(generation)
		}
	case change.Kind == configtopic.KindAnnotation && strings.HasPrefix(string(change.Kind)+change.Name, pinPrefix):
		w.pinPlugins()
	case change.Kind == configtopic.KindAnnotation && strings.HasPrefix(string(change.Kind)+change.Name,
		configtopic.GroupAnnotation),
		change.Kind == configtopic.KindConnector, change.Kind == configtopic.KindCommit,
		change.Kind == configtopic.KindTarget:
		w.leader.configChanged()
	}
}

func (w *Worker) metadata() []byte {
	owned := w.owned()
	w.mu.Lock()
	w.lastJoined = owned
	metadata := Metadata{URL: w.options.URL, Offset: w.options.Log.Offset(), Owned: owned, Generation: w.generation,
		Leaving: w.drainState == draining || w.isBehind, Name: w.name(), Topic: w.options.Group.Topic,
		IsBehind: w.isBehind}
	w.mu.Unlock()
	w.pinPlugins()
	w.addOffer(&metadata)
	b, err := metadata.Encode()
	if err != nil { // a name that is too long, say: with less of it the worker still runs what it has
		w.options.Logger.Error("this worker cannot say to its group which plugins it has", "error", err)
		metadata.Plugins, metadata.Classes = nil, nil
		b, _ = metadata.Encode()
	}
	return b
}

func (w *Worker) name() string {
	if w.options.Group.InstanceID != "" {
		return w.options.Group.InstanceID
	}
	return w.options.URL
}

// owned includes what is assigned but not started. That is read first: what leaves it in between is in the herder by
// then.
func (w *Worker) owned() []ResourceSet {
	resources := map[versionKey]*ResourceIndexes{}
	add := func(k versionKey, unit int) {
		if resources[k] == nil {
			resources[k] = new(ResourceIndexes)
		}
		resources[k].Add(unit)
	}
	w.mu.Lock()
	assigned := slices.Concat(w.applying, w.assignment.Target) // none, where it does not count
	w.mu.Unlock()
	for _, t := range assigned {
		for unit := range t.Resources.All() {
			add(versionKey{t.Connector, t.Version}, unit)
		}
	}
	for _, h := range w.options.Herder.Owned() {
		k := versionKey{KeyOf(h.Connector), h.Version}
		if h.Plans {
			add(k, 0)
		}
		for _, task := range h.Tasks {
			add(k, task+1)
		}
	}
	var all []ResourceSet
	for k, indexes := range resources {
		all = append(all, ResourceSet{k.connector, k.version, *indexes})
	}
	slices.SortFunc(all, compareResourceSets)
	return all
}

func (w *Worker) onAssigned(generation int32, leading bool, assignment []byte) {
	decoded, err := DecodeAssignment(assignment)
	if err != nil {
		w.options.Logger.Error("the group's leader has sent an assignment that cannot be read: this worker runs "+
			"nothing",
			"generation", generation, "error", err)
	}
	w.mu.Lock()
	w.generation, w.assignment, w.assigned, w.leading = generation, decoded, true, leading
	w.joinedWith = w.lastJoined
	w.mu.Unlock()
	w.options.SetQuotas(decoded.Origins)
	w.options.Logger.Info("the worker is a member of its group", "group", w.options.Group.Group, "generation",
		generation, "leads",
		leading, "leader", decoded.LeaderURL)
	if !leading {
		generation = 0
	}
	w.leader.setGeneration(generation)
	w.notify.Ring()
}

func (w *Worker) onLost(err error) {
	w.mu.Lock()
	w.assignment, w.assigned, w.leading = Assignment{}, false, false
	w.mu.Unlock()
	w.options.Logger.Warn("the worker is no member of its group any more: it stops its connectors and joins again",
		"group",
		w.options.Group.Group, "error", err)
	w.leader.setGeneration(0)
	w.notify.Ring()
}

// reconcile applies the assignment. It returns true if the worker must rejoin because other workers wait for what it
// released.
func (w *Worker) reconcile() (mustRejoin bool) {
	w.mu.Lock()
	assignment, snapshot, assigned := w.assignment, w.applied, w.assigned
	if w.drainState == suspended {
		assignment.Target = nil
	}
	w.applying = assignment.Target
	w.mu.Unlock()
	target := map[Key][]ResourceSet{}
	for _, t := range assignment.Target {
		target[t.Connector] = append(target[t.Connector], t)
	}
	for _, connector := range snapshot.Connectors {
		var share connect.Assignment // of a worker that is no member
		if assigned {
			share = assignmentOf(connector.Name, target[KeyOf(connector.Name)], snapshot)
		}
		summary := fmt.Sprint(snapshot.ConfigOffsets[connector.Name], share.OwnsConnector, share.Tasks)
		if share.TaskConfigs != nil {
			summary += fmt.Sprint(" of ", share.TaskConfigs.Version)
		}
		if w.lastAssigned[connector.Name] == summary {
			continue
		}
		if w.options.Herder.Assign(connector.Name, share) == nil { // else the herder has it with the next snapshot
			w.lastAssigned[connector.Name] = summary
			w.StatusChanged(connector.Name)
		}
	}
	w.mu.Lock()
	w.applying = nil
	w.mu.Unlock()
	maps.DeleteFunc(w.lastAssigned, func(name, _ string) bool {
		_, there := snapshot.ConfigOffsets[name]
		return !there
	})
	if !assignment.RejoinAfterRevoke || !isSubset(w.owned(), assignment, 1) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if isSubset(w.lastJoined, assignment,
		0) { // the leader knows: others are waited for, and joins would follow each other
		return false
	}
	w.assignment.RejoinAfterRevoke = false // it is said once
	return true
}

func assignmentOf(name string, target []ResourceSet, s config.Snapshot) (share connect.Assignment) {
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

func isSubset(owned []ResourceSet, a Assignment, from int) bool {
	target := map[versionKey]ResourceIndexes{}
	for _, t := range a.Target {
		target[versionKey{t.Connector, t.Version}] = t.Resources
	}
	for _, h := range owned {
		for unit := range h.Resources.All() {
			if unit >= from && !target[versionKey{h.Connector, h.Version}].Has(unit) {
				return false
			}
		}
	}
	return true
}

// Rejoin makes the group form a new generation as soon as all members can join.
func (w *Worker) Rejoin(reason string) {
	w.mu.Lock()
	generation := w.generation
	w.mu.Unlock()
	w.group.Load().Rejoin(reason)
	go func() { // else the others hear of it by their next heartbeats
		defer guard.Recover(w.options.Logger, "having the group join again", nil)
		ctx, cancel := context.WithTimeout(w.group.Load().ctx, writeTimeout)
		defer cancel()
		if _, err := w.options.Store.Write(ctx, configtopic.RejoinRecord(generation)); err != nil {
			w.options.Logger.Debug("the group is not told to join again at once", "error", err)
		}
	}()
}

func (w *Worker) publishStatuses() {
	w.mu.Lock()
	dirty, generation := w.dirty, w.generation
	w.dirty = map[string]bool{}
	w.mu.Unlock()
	ownerships := map[string][]connect.Ownership{}
	for _, h := range w.options.Herder.Owned() {
		ownerships[h.Connector] = append(ownerships[h.Connector], h)
	}
	for name := range dirty {
		statuses := w.statuses(name, ownerships[name], generation)
		w.mu.Lock()
		for task, s := range statuses {
			if w.published[name][task] != s {
				w.options.Status.Put(s)
			}
		}
		tasks := len(w.applied.Tasks[name].Settings)
		if _, there := w.applied.ConfigOffsets[name]; !there {
			tasks = -1
		}
		for task, s := range w.published[name] { // statuses what is no more the leader takes out what it said
			if _, isOwned := statuses[task]; !isOwned && task < tasks && s.State != connect.Unassigned {
				s.State, s.Trace, s.Extension = connect.Unassigned, "", ""
				w.options.Status.PutSafe(s)
			}
		}
		if w.published[name] = statuses; len(statuses) == 0 {
			delete(w.published, name)
		}
		w.mu.Unlock()
	}
}

func (w *Worker) ownsStatus(connector string, task int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ours := w.published[connector][task]
	return ours
}

func (w *Worker) statuses(name string, ownerships []connect.Ownership, generation int32) map[int]Status {
	all := map[int]Status{}
	status, err := w.options.Herder.Status(name)
	if err != nil {
		return nil
	}
	add := func(task int, state connect.State, trace, version string, extension any) {
		encoded, err := json.Marshal(extension)
		if err != nil || string(encoded) == "{}" {
			encoded = nil
		}
		all[task] = Status{Connector: name, Task: task, State: state, Trace: trace, WorkerID: w.options.WorkerID,
			Generation: generation, Version: version, Extension: string(encoded)}
	}
	type unit struct {
		Plugin      string   `json:"plugin,omitempty"`
		Plugins     []string `json:"plugins,omitempty"`
		Restarts    string   `json:"restarts,omitempty"`
		ConfigError string   `json:"config_error,omitempty"`
	}
	connectorExtension := unit{Plugin: status.Connector.Plugin, Restarts: status.Connector.Restarts,
		ConfigError: status.Connector.ConfigError[:min(len(status.Connector.ConfigError), maxTraceBytes)]}
	for _, h := range ownerships {
		if h.Plans {
			add(-1, status.Connector.State, status.Connector.Trace, status.Connector.Version, connectorExtension)
		}
		for _, task := range h.Tasks { // others are shown, which ran before
			at := slices.IndexFunc(status.Tasks, func(t connect.TaskStatus) bool { return t.ID == task })
			works := at >= 0 && status.Tasks[at].State != connect.Unassigned && status.Tasks[at].State != connect.Failed
			switch {
			// The connector cannot start here, for example because a secret is missing. That is newer than a failure of
			// the task itself.
			case !works && status.Connector.State == connect.Failed:
				add(task, connect.Failed, status.Connector.Trace, status.Connector.Version,
					unit{Restarts: connectorExtension.Restarts})
			case at >= 0:
				t := status.Tasks[at]
				add(task, t.State, t.Trace, t.Version, unit{Plugin: t.Plugin, Plugins: t.Plugins, Restarts: t.Restarts})
			case status.Connector.State == connect.Paused: // it has not run here
				add(task, connect.Paused, "", status.Connector.Version, unit{})
			}
		}
	}
	return all
}

// PutTaskConfigs sends a connector's task configs to the leader and returns when it has written them. A plan of other
// settings than the config topic's current ones waits until ctx ends, because another plan follows.
func (w *Worker) PutTaskConfigs(ctx context.Context, name string, p config.TaskPlan) error {
	return w.RetryWithLeader(ctx, func() error {
		var same bool
		if p.Offset, same = w.options.Store.ConfigOffsetFor(name, p.Config); !same {
			return &WriteError{fmt.Errorf("connector %s: expected a plan of its settings in the config topic, found "+
				"one of others", name)}
		}
		return w.CallLeader(ctx, TasksCall, name, p, nil)
	})
}

// RetryWithLeader repeats a call while the group has no leader or a new one, until ctx ends, and returns any other
// error.
func (w *Worker) RetryWithLeader(ctx context.Context, call func() error) error {
	for backoff, warned := (pause.Backoff{First: firstBackoff, Longest: lastBackoff}), false; ; {
		err := call()
		if err == nil || ctx.Err() != nil || !w.isRetriable(err) {
			return err
		}
		wait := backoff.Next()
		if wait == lastBackoff && !warned { // what is over soon needs nobody
			warned = true
			w.options.Logger.Warn("the group's leader has not done yet what this worker asks it for, and is asked "+
				"again", "error",
				err)
		}
		if paused := pause.For(ctx, wait); paused != nil {
			return fmt.Errorf("%w, and before that %w", paused, err)
		}
	}
}

func (w *Worker) isRetriable(err error) bool {
	return errors.Is(err, ErrNotLeader) || errors.As(err, new(*WriteError)) || w.options.IsRetriable(err)
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// HasJoined reports whether the worker has been a member of its group at any time.
func (w *Worker) HasJoined() bool { return w.group.Load() != nil }

// MemberID returns the worker's member ID. Empty means that it has not joined.
func (w *Worker) MemberID() string {
	g := w.group.Load()
	if g == nil {
		return ""
	}
	id, _ := g.Member()
	return id
}

// CheckLease returns nil if no other worker can own this worker's assignment, by session or the coordinator's answer.
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

// Leader returns the worker that leads; me reports whether it is this one. known is false while there is none.
func (w *Worker) Leader() (url string, isSelf, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assignment.LeaderURL, w.leading, w.assigned && (w.leading || w.assignment.LeaderURL != "")
}

// Owner implements rest.Cluster.
func (w *Worker) Owner(connector string, task int) (url string, isSelf, known bool) {
	key := KeyOf(connector)
	w.mu.Lock()
	target := w.assignment.Target
	w.mu.Unlock()
	for _, t := range target {
		if t.Connector == key && t.Resources.Has(task+1) {
			return w.options.URL, true, true
		}
	}
	if url, isSelf, known = w.Leader(); isSelf {
		return w.leader.owner(connector, task)
	}
	return url, isSelf, known
}

// Calls between workers, as method and path: task configs and logons to the leader, owned resources of any member.
const (
	TasksCall    = "POST /connectors/{name}/tasks"
	LockoutsCall = "POST /culvert/internal/lockouts"
	OwnedCall    = "POST /culvert/internal/holds"
)

// CallLeader sends a call about a connector (or empty) to the leader and decodes the answer into answer unless that is
// nil. It returns [ErrNotLeader] if no leader is known.
func (w *Worker) CallLeader(ctx context.Context, call, connector string, body, answer any) error {
	to, isSelf, known := w.Leader()
	switch {
	case !known:
		return ErrNotLeader
	case isSelf:
		to = ""
	}
	return w.options.Call(ctx, to, call, connector, body, answer)
}

// Pending reports whether a rebalance is expected.
func (w *Worker) Pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.assigned || w.group.Load() == nil
}
