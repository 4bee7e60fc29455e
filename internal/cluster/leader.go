package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/secret"
)

// Changes of the config topic within rebalanceDelay cause one rebalance; if they continue, one in lastRebalanceDelay.
const (
	rebalanceDelay     = 100 * time.Millisecond
	lastRebalanceDelay = time.Second
)

const (
	// cleanInterval is how often the leader compares the status topic with the connectors. It also does so with each
	// event if that takes less than cheapClean: 5,000 connectors take 50 ms.
	cleanInterval = 5 * time.Second
	cheapClean    = 10 * time.Millisecond
)

// leader is the part of a worker that acts while it leads its group: it assigns connectors and tasks to the members,
// and alone writes them to the config topic. It plans with the state of its last plan only if that plan is the group's
// current one. Its writes are fenced by the group's transactional ID.
type leader struct {
	worker *Worker
	notify guard.Bell // wakes run

	mu         guard.Mutex
	state      AssignorState
	generation int32                    // the generation that it leads and state belongs to; 0 if it does not lead
	members    []Member                 // of the last plan
	targets    map[string][]ResourceSet // of the last plan, by member ID
	groupProblems
	former          formerMembers     // after the last plan
	planAt          time.Time         // the time to plan again although no member joins; zero means never
	changes         int               // number of changes of the config topic so far
	plannedChanges  int               // number of changes at the last plan
	canWrite        bool              // the leader's producer is open, or will be with the next write
	caughtUp        bool              // all writes of the previous leader are read
	stoppedOnly     map[string]int    // calls of WhenStopped in progress, by connector: no tasks are assigned
	pendingVersions map[string]string // why versions of plugins wait, see [groupview.Group]
	rolloutLock     guard.CtxMutex    // held while pins are read and written
}

func newLeader(w *Worker) *leader {
	return &leader{worker: w, notify: guard.NewBell(), stoppedOnly: map[string]int{}, rolloutLock: guard.NewCtxMutex()}
}

// setGeneration starts the term of a generation, or with generation 0 ends it.
func (l *leader) setGeneration(generation int32) {
	l.mu.Lock()
	if l.generation = generation; generation == 0 {
		l.canWrite = false
		l.caughtUp = false
		l.state = AssignorState{}
		l.planAt = time.Time{}
	}
	l.mu.Unlock()
	if generation == 0 { // callers with a write in progress repeat it at the next leader
		l.worker.options.Log.Resign()
	} else {
		l.worker.options.Log.startTerm()
	}
	l.notify.Ring()
}

func (l *leader) configChanged() {
	l.mu.Lock()
	l.changes++
	l.mu.Unlock()
	l.notify.Ring()
}

// run starts rebalances for changes of the config topic and for delays that end, probes new members, and cleans up
// statuses, until ctx ends.
func (l *leader) run(ctx context.Context) {
	wait := rebalanceDelay
	var lastRebalance, cleanedAt time.Time
	var cleanDuration time.Duration
	rebalancedChanges := 0 // the number of changes at the last rebalance
	prober := memberProber{leader: l}
	defer prober.stop()
	timer := time.NewTimer(0)
	ticker := time.NewTicker(cleanInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		case <-l.notify:
		case <-timer.C:
		}
		l.mu.Lock()
		leads := l.generation != 0
		canWrite := l.canWrite
		changes := l.changes
		planAt := l.planAt
		hasChanged := changes > max(l.plannedChanges, rebalancedChanges)
		prober.update(ctx)
		l.mu.Unlock()
		if !leads || !l.prepare(ctx, canWrite) {
			continue
		}
		now := time.Now()
		if cleanDuration < cheapClean || now.Sub(cleanedAt) > 10*cleanDuration { // at most a tenth of the time
			l.cleanStatuses()
			cleanedAt = time.Now()
			cleanDuration = time.Since(now)
		}
		// The order matters: changes come before delays. The first change of a series waits for rebalanceDelay, so that
		// others can join it; if they continue, the wait doubles.
		switch due := lastRebalance.Add(wait); {
		case hasChanged && (lastRebalance.IsZero() || now.Sub(lastRebalance) > 2*lastRebalanceDelay):
			lastRebalance = now // the wait counts from here
			wait = rebalanceDelay
			timer.Reset(rebalanceDelay)
		case hasChanged && now.Before(due):
			timer.Reset(due.Sub(now))
		case hasChanged:
			lastRebalance = now
			wait = min(2*wait, lastRebalanceDelay)
			rebalancedChanges = changes
			l.worker.Rejoin("the config topic has changed")
		case !planAt.IsZero() && !now.Before(planAt):
			l.mu.Lock()
			l.planAt = time.Time{}
			l.mu.Unlock()
			l.worker.Rejoin("a delay of the assignment has ended")
		case !planAt.IsZero():
			timer.Reset(planAt.Sub(now))
		}
	}
}

// prepare writes what a leader must write before it assigns resources: the group's claim of the topic, the session key
// and the pins of plugins. It reports whether the leader may assign. It blocks while the topic cannot be written.
func (l *leader) prepare(ctx context.Context, canWrite bool) bool {
	if !canWrite {
		l.claimWrites(ctx)
	}
	if !l.ownsTopic(ctx) {
		return false
	}
	if err := l.worker.options.EnsureSessionKey(ctx); err != nil && ctx.Err() == nil {
		l.worker.options.Logger.Warn("the session key of the cluster was not written", "error", err)
	}
	l.rollOut(ctx)
	return true
}

// claimWrites opens the leader's producer, which fences the previous leader. After an error the next write opens it.
func (l *leader) claimWrites(ctx context.Context) {
	if err := l.worker.options.Log.fencePreviousLeader(ctx); err != nil && ctx.Err() == nil &&
		l.worker.options.Log.isLeading() {
		l.worker.options.Logger.Warn("this worker leads its group, but cannot write to the config topic yet",
			"error", err)
	}
	l.mu.Lock()
	l.canWrite = l.generation != 0
	l.mu.Unlock()
}

// MemberIDs returns the members of the group if this worker leads it and can write as the leader, else nil.
func (w *Worker) MemberIDs() map[string]bool {
	l := w.leader
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.canWrite || l.blocked != "" {
		return nil
	}
	ids := map[string]bool{}
	for _, m := range l.members {
		ids[m.ID] = true
	}
	return ids
}

// CheckLeader returns [ErrNotLeader] unless this worker can write as the leader, and no other worker can lead by now.
func (w *Worker) CheckLeader(ctx context.Context) error {
	if w.MemberIDs() == nil || w.CheckLease(ctx) != nil {
		return ErrNotLeader
	}
	return nil
}

// owner implements [Worker.Owner] on the leader. A missing connector or task belongs to this worker, which answers that
// it does not exist.
func (l *leader) owner(name string, task int) (url string, isSelf, isKnown bool) {
	_, exists := l.worker.options.Store.ConfigOffset(name)
	if set := l.worker.options.Store.TaskConfigs(name); !exists || (task >= 0 &&
		(set == nil || task >= len(set.Settings))) {
		return "", true, true
	}
	connector := KeyOf(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		for _, t := range l.targets[m.ID] {
			if t.Connector == connector && t.Resources.Has(task+1) {
				return m.URL, false, true
			}
		}
	}
	return "", false, false
}

// OwnersLost is called when a connector is deleted, and returns nil if this worker does not lead. The returned function
// waits for the owners to end the connector. It returns true if the group has lost them all, or there were none: then
// no worker has ended the connector's subscriptions.
func (w *Worker) OwnersLost(name string) func(context.Context) bool {
	l := w.leader
	connector := KeyOf(name)
	includes := func(sets []ResourceSet) bool {
		return slices.ContainsFunc(sets, func(set ResourceSet) bool { return set.Connector == connector })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		return nil
	}
	owners := map[string]bool{}
	for _, m := range l.members {
		owners[m.ID] = m.URL != w.options.URL && (includes(l.targets[m.ID]) || includes(m.Owned))
	}
	return func(ctx context.Context) bool { return w.waitOwnersLost(ctx, name, owners) }
}

func (w *Worker) waitOwnersLost(ctx context.Context, name string, owners map[string]bool) bool {
	ctx, cancel := context.WithTimeout(ctx, w.options.Group.SessionTimeout+w.options.Group.RebalanceTimeout+stopTimeout)
	defer cancel()
	l := w.leader
	for {
		l.mu.Lock()
		leads := l.generation != 0
		ownerRemains := slices.ContainsFunc(l.members, func(m Member) bool { return owners[m.ID] })
		l.mu.Unlock()
		ownerErr := l.ownerOf(ctx, name) // asks all members: an owner may have returned under another ID
		switch {
		case leads && ownerErr == nil:
			return !ownerRemains
		case !leads, pause.For(ctx, ownedCheckInterval) != nil:
			w.options.Logger.Warn("subscriptions of a deleted connector may still exist at its service; culvert "+
				"retire -p FILE ends them", "connector", name, "leads", leads, "error", ownerErr)
			return false
		}
	}
}

// HandleTasksCall answers a [TasksCall]; body is a [config.TaskPlan] in JSON. It returns when the plan is written. The
// error is [ErrNotLeader] if this worker does not lead.
func (w *Worker) HandleTasksCall(ctx context.Context, name string, body []byte) (any, error) {
	var taskPlan config.TaskPlan
	if err := secret.UnmarshalJSON(body, &taskPlan); err != nil {
		return nil, fmt.Errorf("tasks of connector %s: %w", name, err)
	}
	if _, isSelf, hasLeader := w.Leader(); !hasLeader || !isSelf {
		return nil, ErrNotLeader
	}
	return nil, w.leader.putTaskConfigs(ctx, name, taskPlan)
}

func (l *leader) putTaskConfigs(ctx context.Context, name string, taskPlan config.TaskPlan) error {
	snapshot, ok := l.worker.options.Store.Snapshot()
	if offset, exists := snapshot.ConfigOffsets[name]; !ok || !exists || offset != taskPlan.Offset {
		return &WriteError{fmt.Errorf("connector %s: expected tasks of the settings at offset %d of the config topic, "+
			"found tasks of the settings at %d", name, offset, taskPlan.Offset)}
	}
	if snapshot.Targets[name] == config.TargetStopped {
		return nil // its tasks are planned when it is resumed
	}
	l.mu.Lock()
	mustStayStopped := l.stoppedOnly[name] > 0
	l.mu.Unlock()
	if mustStayStopped {
		return &WriteError{fmt.Errorf("connector %s: expected no tasks while its offsets are changed", name)}
	}
	for _, c := range snapshot.Connectors {
		set := snapshot.TaskConfigs(c.Name)
		if c.Name == name || set == nil {
			continue
		}
		for _, claim := range set.Requirements.Claims {
			if slices.Contains(taskPlan.Claims, claim) {
				return resolved.ClaimConflict(claim, c.Name, name)
			}
		}
	}
	if current, ok := snapshot.Tasks[name]; ok && current.Version > taskPlan.Offset && current.HasRequirements &&
		!snapshot.Incomplete[name] && slices.EqualFunc(current.Settings, taskPlan.Tasks, maps.Equal) {
		return nil // the same plan is written already
	}
	_, err := l.worker.options.Store.Write(ctx, configtopic.TaskPlanRecords(name, taskPlan)...)
	return err
}
