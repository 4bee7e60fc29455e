package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
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

// WorkerOptions are the dependencies of a [Worker].
type WorkerOptions struct {
	Group          GroupOptions  // the group to join. The worker sets its callbacks.
	URL            string        // the address of this worker's REST API for other workers
	WorkerID       string        // host:port of URL
	RebalanceDelay time.Duration // scheduled.rebalance.max.delay.ms
	SyncTimeout    time.Duration // worker.sync.timeout.ms: the leader and members wait for each other's config offsets
	Topics
	Herder       Herder
	Plugins      *plugin.Manager
	Classes      func() []string                          // Classes returns the names of all available classes
	ResolveClass func(class string) (name, plugin string) // ResolveClass returns the full name and the plugin
	SetQuotas    func(origins map[Key]limits.Division)    // SetQuotas sets this worker's part of the limits
	FolderDigest func() string                            // FolderDigest returns "" without a folder
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
// of earlier ones. The next join sends all of that as metadata. After Lost nothing is assigned until a new generation.
type Worker struct {
	options   WorkerOptions
	group     atomic.Pointer[Group] // nil before the worker has joined
	leader    *leader
	lastOffer atomic.Pointer[string] // the plugins and folder that the group knows of this worker
	notify    guard.Bell             // wakes Run

	mu guard.Mutex
	membership
	drainState  drainState
	leaveCalled bool
	applying    []ResourceSet   // the target that reconcile is passing to the herder; nil at other times
	applied     config.Snapshot // the config snapshot that the herder has
	// behindSince is the time since which the worker lags behind its assignment's offset, zero if it does not. isBehind
	// is true once that took longer than SyncTimeout, and makes the worker release everything.
	behindSince time.Time
	isBehind    bool
	dirty       map[string]bool           // connectors whose statuses must be published
	published   map[string]map[int]Status // by connector and task, -1 for the connector itself

	lastAssigned map[string]string // by connector: a text that identifies what the herder was last assigned
}

type membership struct {
	lastJoined []ResourceSet // what the last JoinGroup reported as owned, so what the leader knows
	generation int32         // of assignment
	joinedWith []ResourceSet // what the join of that generation reported as owned
	assignment Assignment    // the last received; zero while the worker is no member
	assigned   bool          // the worker has an assignment, even if it is empty
	leading    bool
}

// NewWorker returns a worker that has not joined its group.
func NewWorker(o WorkerOptions) *Worker {
	w := &Worker{options: o, notify: guard.NewBell(), dirty: map[string]bool{}, published: map[string]map[int]Status{},
		lastAssigned: map[string]string{}}
	w.leader = newLeader(w)
	return w
}

// Configure sets the options of a worker that was created without them, before anything but queries is called.
func (w *Worker) Configure(o WorkerOptions) { w.options = o }

// Join joins the group and returns with the first assignment. It fails if members use another config topic.
func (w *Worker) Join(ctx context.Context) error {
	if err := w.checkTopic(ctx); err != nil {
		return err
	}
	o := w.options.Group
	o.Metadata = w.metadata
	o.Assign = w.leader.assign
	o.Assigned = w.onAssigned
	o.Lost = w.onLost
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
		w.publishStatuses() // before other workers run the released resources and publish their statuses
		if released {
			w.Rejoin("this worker has released revoked resources")
		}
	}
}

// checkReadLag releases everything while the config topic cannot be read. Kafka Connect's worker leaves its group.
func (w *Worker) checkReadLag() {
	w.mu.Lock()
	isBehind := false
	if w.options.Log.Offset() >= w.assignment.Offset {
		w.behindSince = time.Time{}
	} else if w.behindSince.IsZero() {
		w.behindSince = time.Now()
	} else {
		isBehind = time.Since(w.behindSince) > w.options.SyncTimeout
	}
	changed := isBehind != w.isBehind
	w.isBehind = isBehind
	w.mu.Unlock()
	switch {
	case changed && isBehind:
		w.options.Logger.Error(
			"this worker is behind the group's leader in reading the config topic, "+
				"and stops its connectors and tasks until it has caught up",
			"topic", w.options.Group.Topic, "worker.sync.timeout.ms", w.options.SyncTimeout.Milliseconds())
		w.Rejoin("this worker cannot read the config topic")
	case changed:
		w.Rejoin("this worker reads the config topic again")
	}
}

// ApplySnapshot sets the connectors that the herder has now. Run assigns them; ApplySnapshot does not wait.
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
		configtopic.GroupAnnotation), change.Kind == configtopic.KindConnector, change.Kind == configtopic.KindCommit,
		change.Kind == configtopic.KindTarget:
		w.leader.configChanged()
	}
}

// metadata returns what this worker sends when it joins, and records what it reports as owned.
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
	if err != nil { // for example a name that is too long; without plugins the worker keeps what it runs
		w.options.Logger.Error("this worker's list of plugins cannot be sent to its group", "error", err)
		metadata.Plugins = nil
		metadata.Classes = nil
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

// owned returns all that this worker runs or must run. It reads the assignment first, to miss no resource that starts.
func (w *Worker) owned() []ResourceSet {
	resources := map[versionKey]*ResourceIndexes{}
	add := func(k versionKey, index int) {
		if resources[k] == nil {
			resources[k] = new(ResourceIndexes)
		}
		resources[k].Add(index)
	}
	w.mu.Lock()
	assigned := slices.Concat(w.applying, w.assignment.Target) // empty while the worker is no member
	w.mu.Unlock()
	for _, t := range assigned {
		for index := range t.Resources.All() {
			add(versionKey{t.Connector, t.Version}, index)
		}
	}
	for _, o := range w.options.Herder.Owned() {
		k := versionKey{KeyOf(o.Connector), o.Version}
		if o.Plans {
			add(k, connectorIndex)
		}
		for _, task := range o.Tasks {
			add(k, task+1)
		}
	}
	var sets []ResourceSet
	for k, indexes := range resources {
		sets = append(sets, ResourceSet{k.connector, k.version, *indexes})
	}
	slices.SortFunc(sets, compareResourceSets)
	return sets
}

func (w *Worker) onAssigned(generation int32, leading bool, assignment []byte) {
	decoded, err := DecodeAssignment(assignment)
	if err != nil {
		w.options.Logger.Error("the group's leader has sent an assignment that cannot be read: this worker runs "+
			"nothing", "generation", generation, "error", err)
	}
	w.mu.Lock()
	w.generation = generation
	w.assignment = decoded
	w.assigned = true
	w.leading = leading
	w.joinedWith = w.lastJoined
	w.mu.Unlock()
	w.options.SetQuotas(decoded.Origins)
	w.options.Logger.Info("the worker has joined its group", "group", w.options.Group.Group, "generation", generation,
		"leads", leading, "leader", decoded.LeaderURL)
	if !leading {
		generation = 0
	}
	w.leader.setGeneration(generation)
	w.notify.Ring()
}

func (w *Worker) onLost(err error) {
	w.mu.Lock()
	w.assignment = Assignment{}
	w.assigned = false
	w.leading = false
	w.mu.Unlock()
	w.options.Logger.Warn("the worker is no longer a member of its group; it stops its connectors and rejoins",
		"group", w.options.Group.Group, "error", err)
	w.leader.setGeneration(0)
	w.notify.Ring()
}

// reconcile applies the assignment. The worker must rejoin if other workers wait for released resources.
func (w *Worker) reconcile() (mustRejoin bool) {
	w.mu.Lock()
	assignment := w.assignment
	snapshot := w.applied
	assigned := w.assigned
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
		var share connect.Assignment // the zero value if the worker is no member
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
		if w.options.Herder.Assign(connector.Name, share) == nil { // else the next snapshot repeats it
			w.lastAssigned[connector.Name] = summary
			w.StatusChanged(connector.Name)
		}
	}
	w.mu.Lock()
	w.applying = nil
	w.mu.Unlock()
	maps.DeleteFunc(w.lastAssigned, func(name, _ string) bool {
		_, ok := snapshot.ConfigOffsets[name]
		return !ok
	})
	// Only tasks take time to end.
	if !assignment.RejoinAfterRevoke || !isSubset(w.owned(), assignment, firstTaskIndex) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if isSubset(w.lastJoined, assignment, connectorIndex) { // the leader knows already
		return false
	}
	w.assignment.RejoinAfterRevoke = false // one rejoin is enough
	return true
}

// assignmentOf returns the resources of a connector that are in the target and in the snapshot's task configs.
func assignmentOf(name string, target []ResourceSet, s config.Snapshot) (share connect.Assignment) {
	planned := s.TaskConfigs(name)
	share.TaskConfigs = planned
	for _, t := range target {
		for index := range t.Resources.All() {
			switch {
			case index == connectorIndex:
				share.OwnsConnector = true
			case planned != nil && planned.Version == t.Version && index <= len(planned.Settings):
				share.Tasks = append(share.Tasks, index-1)
			}
		}
	}
	return share
}

// Indexes of [ResourceIndexes].
const (
	connectorIndex = 0
	firstTaskIndex = 1
)

// isSubset reports whether an assignment contains all owned resources with an index of from or more.
func isSubset(owned []ResourceSet, a Assignment, from int) bool {
	target := map[versionKey]ResourceIndexes{}
	for _, t := range a.Target {
		target[versionKey{t.Connector, t.Version}] = t.Resources
	}
	for _, o := range owned {
		for index := range o.Resources.All() {
			if index >= from && !target[versionKey{o.Connector, o.Version}].Has(index) {
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
	go func() { // else the other members notice it with their next heartbeats
		defer guard.Recover(w.options.Logger, "having the group join again", nil)
		ctx, cancel := context.WithTimeout(w.group.Load().ctx, writeTimeout)
		defer cancel()
		if _, err := w.options.Store.Write(ctx, configtopic.RejoinRecord(generation)); err != nil {
			w.options.Logger.Debug("the other members were not told to rejoin", "error", err)
		}
	}()
}

// HasJoined reports whether the worker has joined its group once. It may have lost its membership since.
func (w *Worker) HasJoined() bool { return w.group.Load() != nil }

// MemberID returns the worker's member ID, "" before it has joined.
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

func (w *Worker) lastAssignment() Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assignment
}

// Pending reports whether the worker waits for an assignment.
func (w *Worker) Pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.assigned || w.group.Load() == nil
}
