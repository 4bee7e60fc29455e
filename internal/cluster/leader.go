package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
)

// Changes of the config topic within rebalanceDelay cause one rebalance; if they continue, one in
// lastRebalanceDelay.
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

// leader is the part of a worker that acts while it leads its group: it assigns resources, and alone writes connectors
// and tasks. It plans with the state of its last plan only if that plan is the group's current one. Its writes are
// fenced by the config topic's transactional ID, which it claims first.
type leader struct {
	worker *Worker
	notify guard.Bell // notify wakes run

	mu         guard.Mutex
	state      AssignorState
	generation int32 // the generation that it leads, and that memory is of; 0: none
	members    []Member
	targets    map[string][]ResourceSet
	groupProblems
	planAt                  time.Time // the time to plan again although no member joins. Zero means never.
	changes, plannedChanges int
	// canWrite: the right to write is claimed, or will be with the next write. caughtUp: all of the previous leader's
	// writes are read.
	canWrite, caughtUp bool
	stoppedOnly        map[string]int
	pendingVersions    map[string]string // the reasons why versions of plugins wait, see [rest.Group]
	rolloutLock        rolloutLock
}

func newLeader(w *Worker) *leader {
	return &leader{worker: w, notify: guard.NewBell(), stoppedOnly: map[string]int{},
		rolloutLock: rolloutLock{guard.NewCtxMutex(), map[string]int64{}}}
}

func (l *leader) setGeneration(generation int32) {
	l.mu.Lock()
	if l.generation = generation; generation == 0 {
		l.canWrite, l.caughtUp, l.state, l.planAt = false, false, AssignorState{}, time.Time{}
	}
	l.mu.Unlock()
	if generation == 0 { // those who have asked for a write ask the next leader then
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

func (l *leader) run(ctx context.Context) {
	wait := rebalanceDelay
	var last, cleaned time.Time // when a change was last placed, and when clean has ended, which took so long
	var elapsed time.Duration
	asked := 0 // the count of changes for which the group was last to join again
	var reaching sync.WaitGroup
	defer reaching.Wait()
	reached, over := int32(0), func() {} // of which generation members are asked whether they answer
	defer func() { over() }()
	timer, look := time.NewTimer(0), time.NewTicker(cleanInterval)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		case <-l.notify:
		case <-timer.C:
		}
		l.mu.Lock()
		leads, claimed, changes, next := l.generation != 0, l.canWrite, l.changes, l.planAt
		changed := changes > max(l.plannedChanges, asked)
		if l.generation != reached {
			over()
			l.unreachable = nil
			asking, end := context.WithCancel(ctx)
			reached, over = l.generation, end
			if members := l.members; leads {
				reaching.Go(func() { l.probeMembers(asking, members) })
			}
		}
		l.mu.Unlock()
		if !leads || !l.prepare(ctx, claimed) {
			continue
		}
		now := time.Now()
		if elapsed < cheapClean || now.Sub(cleaned) > 10*elapsed { // a tenth of the time, however often there is news
			l.cleanStatuses()
			cleaned, elapsed = time.Now(), time.Since(now)
		}
		switch due := last.Add(wait); {
		case changed && last.IsZero(), changed && now.Sub(last) > 2*lastRebalanceDelay: // the first of some
			last, wait = now, rebalanceDelay
			timer.Reset(rebalanceDelay)
		case changed && now.Before(due):
			timer.Reset(due.Sub(now))
		case changed:
			last, wait, asked = now, min(2*wait, lastRebalanceDelay), changes
			l.worker.Rejoin("the config topic has changed")
		case !next.IsZero() && !now.Before(next):
			l.mu.Lock()
			l.planAt = time.Time{}
			l.mu.Unlock()
			l.worker.Rejoin("what was to wait has waited")
		case !next.IsZero():
			timer.Reset(next.Sub(now))
		}
	}
}

// prepare reports whether the leader may assign resources. It writes the session key and the pins of plugins.
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

func (l *leader) claimWrites(ctx context.Context) {
	if err := l.worker.options.Log.fencePreviousLeader(ctx); err != nil && ctx.Err() == nil &&
		l.worker.options.Log.isLeading() {
		l.worker.options.Logger.Warn("this worker leads its group and cannot write to the config topic yet", "error",
			err)
	}
	l.mu.Lock()
	l.canWrite = l.generation != 0
	l.mu.Unlock()
}

func (l *leader) assign(self string, members []JoinedMember) (map[string][]byte, error) {
	all, offset, newest := l.decodeMembers(members)
	ctx, cancel := context.WithTimeout(context.Background(), l.worker.options.SyncTimeout)
	defer cancel()
	if err := l.worker.options.Log.Await(ctx, offset); err != nil {
		return nil, err
	}
	l.mu.Lock()
	changes, memory, read := l.changes, l.state, l.caughtUp
	if l.generation < newest {
		memory = AssignorState{}
	}
	l.mu.Unlock()
	var unread error
	if !read { // the topic may have become another group's while this one had no members
		unread = l.worker.options.Log.Refresh(ctx)
	}
	s, ok := l.worker.options.Store.Snapshot()
	if !ok {
		return nil, errors.New("the config topic was not read to its end yet")
	}
	if l.worker.options.Store.Group() != l.worker.options.Group.Group {
		s.Connectors = nil // once it is, its note has the group join again
	}
	began := time.Now()
	var out Output
	if unread == nil || s.Connectors == nil {
		out = Assign(Input{Now: began, Delay: l.worker.options.RebalanceDelay, Members: all, Connectors: l.planInput(s,
			all),
			State: memory})
	} else {
		out = freezePlan(all)
		out.Next = began.Add(replanDelay)
	}
	for name, why := range out.Unplaced {
		if l.unplaced[name] != why && !othersLeaving(all, "") { // who stops says so
			l.worker.options.Logger.Warn("a connector, or tasks of it, are given to no worker", "connector", name,
				"reason", why)
		}
	}
	l.worker.options.Logger.Debug("the leader has planned", "members", len(all), "connectors", len(s.Connectors),
		"again", out.RejoinAfterRevoke,
		"took", time.Since(began))
	l.mu.Lock()
	l.state, l.members, l.targets, l.planAt, l.plannedChanges = out.State, all, out.Targets, out.Next, changes
	l.unplaced, l.caughtUp = out.Unplaced, unread == nil
	l.mu.Unlock()
	placed, err := l.encodeAssignments(self, all, out, s.Offset, began)
	l.recordProblems(all, recordSize(members, placed), unread)
	return placed, err
}

func recordSize(members []JoinedMember, placed map[string][]byte) (size int) {
	for _, m := range members {
		size += len(m.Metadata) + len(placed[m.ID])
	}
	return size
}

// decodeMembers sorts members by ID, which decides ties. offset is the greatest that a member has read of the config
// topic, newest the newest generation with an assignment.
func (l *leader) decodeMembers(members []JoinedMember) (all []Member, offset int64, newest int32) {
	for _, m := range members {
		metadata, err := DecodeMetadata(m.Metadata)
		if err != nil { // it is given nothing, and asked nothing
			l.worker.options.Logger.Error("a member of the group says what this version does not know: it is given "+
				"nothing", "member",
				m.ID, "error", err)
			continue
		}
		if newest = max(newest, metadata.Generation); l.worker.readsSameTopic(metadata) {
			offset = max(offset, metadata.Offset)
		} else {
			metadata.Leaving = true // it runs what another topic has
		}
		all = append(all, Member{ID: m.ID, Metadata: metadata})
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return all, offset, newest
}

func (l *leader) encodeAssignments(self string, all []Member, out Output, offset int64,
	began time.Time) (map[string][]byte,
	error) {
	placed := map[string][]byte{}
	for _, m := range all {
		a := Assignment{Leader: self, LeaderURL: l.worker.options.URL, RejoinAfterRevoke: out.RejoinAfterRevoke,
			Target:  out.Targets[m.ID],
			Origins: out.Origins[m.ID], LastMember: othersLeaving(all, m.ID)}
		if l.worker.readsSameTopic(m.Metadata) {
			a.Offset = offset
		}
		if !out.Next.IsZero() {
			a.Delay = max(0, out.Next.Sub(began))
		}
		b, err := a.Encode()
		if err != nil {
			return nil, err
		}
		placed[m.ID] = b
	}
	return placed, nil
}

const replanDelay = 10 * time.Second

// freezePlan keeps everything where it is, for members of the last generation; other members have stopped everything.
// Origins are unknown, so each member sends one request at a time.
func freezePlan(members []Member) Output {
	out := Output{Targets: map[string][]ResourceSet{}}
	newest := int32(0)
	for _, m := range members {
		newest = max(newest, m.Generation)
	}
	holds := map[Key][]ownedSet{}
	for m := range members {
		for _, h := range members[m].Owned {
			holds[h.Connector] = append(holds[h.Connector], ownedSet{m, h})
		}
	}
	for i, m := range members {
		if m.Leaving || m.Generation < newest {
			continue
		}
		var target []ResourceSet
		for _, h := range m.Owned {
			kept := ResourceSet{Connector: h.Connector, Version: h.Version}
			for unit := range h.Resources.All() {
				if !slices.ContainsFunc(holds[h.Connector], func(o ownedSet) bool {
					return o.member != i && members[o.member].Generation == newest &&
						(o.Resources.Has(unit) || unit > 0 && o.Version != h.Version && o.Resources.HasTasks())
				}) {
					kept.Resources.Add(unit)
				}
			}
			if len(kept.Resources) > 0 {
				target = append(target, kept)
			}
		}
		out.Targets[m.ID] = target
		out.State.members = append(out.State.members, memberHistory{id: m.ID, name: m.Name, assigned: target})
	}
	return out
}

func othersLeaving(members []Member, id string) bool {
	return !slices.ContainsFunc(members, func(m Member) bool { return m.ID != id && !m.Leaving })
}

func (l *leader) planInput(s config.Snapshot, members []Member) []Connector {
	var all []Connector
	for _, c := range s.Connectors {
		one := Connector{Name: c.Name, Key: KeyOf(c.Name), Class: c.Text("connector.class"),
			Created: s.ConfigOffsets[c.Name]}
		one.Eligible, one.Missing = l.eligible(c, members)
		if set := s.TaskConfigs(c.Name); set != nil {
			one.Version, one.Tasks, one.Claims = set.Version, len(set.Settings), set.Requirements.Claims
			one.Origin, one.Requests, one.PerSecond = set.Requirements.Origin, set.Requirements.Requests,
				set.Requirements.PerSecond
		}
		all = append(all, one)
	}
	return all
}

type requirement struct{ class, plugin, version string }

func (l *leader) requirements(c *config.Connector) (all []requirement) {
	add := func(class, version string) {
		name, of := l.worker.options.ResolveClass(class)
		all = append(all, requirement{name, of, version})
	}
	add(c.Text("connector.class"), c.Text("connector.plugin.version"))
	stages, _ := c.Stages()
	for _, s := range stages {
		add(s.Class, s.Version)
		if s.Predicate != nil {
			add(s.Predicate.Class, s.Predicate.Version)
		}
	}
	return all
}

func (n requirement) metBy(m Member) bool {
	if n.plugin == "" || n.version == "" {
		return slices.Contains(m.Classes, KeyOf(n.class))
	}
	return slices.ContainsFunc(m.Plugins, func(o plugin.Offer) bool {
		return o.Name == n.plugin && o.Version == n.version && !o.Rejected
	})
}

func (l *leader) eligible(c *config.Connector, members []Member) (fit []bool, unmet string) {
	needs := l.requirements(c)
	for _, m := range members {
		fit = append(fit, !slices.ContainsFunc(needs, func(n requirement) bool { return !n.metBy(m) }))
	}
	if slices.Contains(fit, true) {
		return fit, ""
	}
	missing := slices.DeleteFunc(slices.Clone(needs), func(n requirement) bool {
		return slices.ContainsFunc(members, n.metBy)
	})
	if len(missing) == 0 { // each is somewhere, and all of them nowhere
		missing = needs
	}
	var texts []string
	pins := l.worker.pinnedVersions()
	for _, n := range missing {
		text := n.class + " of no plugin that the leader has"
		switch p := pins[n.plugin]; {
		case n.plugin != "" && n.version != "":
			text = n.plugin + " " + n.version
		case p.Hash != "":
			text = fmt.Sprintf("%s %s with the hash %s, which the group runs: culvert plugins swap chooses another",
				n.plugin, p.Version, p.Hash)
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return fit, strings.Join(texts, "; ")
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

// CheckLeader returns [ErrNotLeader] unless this worker leads, can write as the leader, and no other worker can lead by
// now.
func (w *Worker) CheckLeader(ctx context.Context) error {
	if w.MemberIDs() == nil || w.CheckLease(ctx) != nil {
		return ErrNotLeader
	}
	return nil
}

func (l *leader) owner(name string, task int) (url string, me, known bool) {
	_, there := l.worker.options.Store.ConfigOffset(name)
	if set := l.worker.options.Store.TaskConfigs(name); !there || task >= 0 &&
		(set == nil || task >= len(set.Settings)) {
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

// OwnersLost is called when a connector is deleted, and returns nil if this worker does not lead. The returned
// function waits for the owners to end it. It returns true if the group has lost them all or there were none, so that
// no worker has ended what the connector had opened at its service.
func (w *Worker) OwnersLost(name string) func(context.Context) bool {
	l, connector := w.leader, KeyOf(name)
	had := func(held []ResourceSet) bool {
		return slices.ContainsFunc(held, func(h ResourceSet) bool { return h.Connector == connector })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		return nil
	}
	owners := map[string]bool{}
	for _, m := range l.members {
		owners[m.ID] = m.URL != w.options.URL && (had(l.targets[m.ID]) || had(m.Owned))
	}
	return func(ctx context.Context) bool { return w.waitOwnersLost(ctx, name, owners) }
}

func (w *Worker) waitOwnersLost(ctx context.Context, name string, owners map[string]bool) bool {
	ctx, cancel := context.WithTimeout(ctx, w.options.Group.SessionTimeout+w.options.Group.RebalanceTimeout+stopTimeout)
	defer cancel()
	l := w.leader
	for {
		l.mu.Lock()
		leads, left := l.generation != 0, slices.ContainsFunc(l.members, func(m Member) bool { return owners[m.ID] })
		l.mu.Unlock()
		busy := l.ownerOf(ctx, name) // of all members: an owner may be back under another ID, and end its tasks
		switch {
		case leads && busy == nil:
			return !left
		case !leads, pause.For(ctx, ownedCheckInterval) != nil:
			w.options.Logger.Warn("it is not known whether what a deleted connector has opened at its service was "+
				"ended; "+
				"culvert retire -p FILE does it", "connector", name, "leads", leads, "error", busy)
			return false
		}
	}
}

// cleanStatuses deletes statuses of missing connectors and tasks, and marks resources that no member runs as
// unassigned. It keeps worker and generation of the status that it replaces: generations begin with 1 again if the
// brokers forget the group.
func (l *leader) cleanStatuses() {
	s, ok := l.worker.options.Store.Snapshot()
	if !ok {
		return
	}
	l.mu.Lock()
	members := map[string]bool{} // members worker id
	for _, m := range l.members {
		members[workerID(m.URL)] = true
	}
	generation, unplaced := l.generation, l.unplaced
	l.mu.Unlock()
	if len(members) == 0 { // a static leader that came back has not seen who there is
		return
	}
	for name, why := range unplaced {
		_, there := s.ConfigOffsets[name]
		if _, said := l.worker.options.Status.Connector(name); there && !said {
			l.worker.options.Status.PutSafe(Status{Connector: name, Task: -1, State: connect.Unassigned, Trace: why,
				WorkerID: l.worker.options.WorkerID, Generation: generation})
		}
	}
	for _, name := range l.worker.options.Status.Connectors() {
		if _, there := s.ConfigOffsets[name]; !there {
			l.worker.options.Status.Delete(name)
			continue
		}
		all := l.worker.options.Status.Tasks(name)
		if set, there := s.Tasks[name]; there && len(all) > len(set.Settings) {
			l.worker.options.Status.DeleteTasks(name, len(set.Settings))
			all = all[:len(set.Settings)]
		}
		if own, ok := l.worker.options.Status.Connector(name); ok {
			all = append(all, own)
		}
		for _, one := range all {
			why := ""
			if one.Task < 0 {
				why = unplaced[name]
			}
			switch {
			case one.State == connect.Unassigned && (why == "" || why == one.Trace):
			case one.State != connect.Unassigned && members[one.WorkerID], l.worker.ownsStatus(one.Connector, one.Task):
			default:
				one.State, one.Trace = connect.Unassigned, why
				l.worker.options.Status.PutSafe(one)
			}
		}
	}
}

func workerID(advertised string) string {
	u, err := url.Parse(advertised)
	if err != nil {
		return advertised
	}
	return u.Host
}

// HandleTasksCall answers a [TasksCall] on the leader.
func (w *Worker) HandleTasksCall(ctx context.Context, name string, body []byte) (any, error) {
	var h config.TaskPlan
	if err := json.Unmarshal(body, &h); err != nil {
		return nil, fmt.Errorf("tasks of connector %s: %w", name, err)
	}
	if _, me, known := w.Leader(); !known || !me {
		return nil, ErrNotLeader
	}
	return nil, w.leader.putTaskConfigs(ctx, name, h)
}

func (l *leader) putTaskConfigs(ctx context.Context, name string, h config.TaskPlan) error {
	s, ok := l.worker.options.Store.Snapshot()
	if at, there := s.ConfigOffsets[name]; !ok || !there || at != h.Offset {
		return &WriteError{fmt.Errorf("connector %s: expected tasks of the settings at offset %d of the config topic, "+
			"found those of the settings at %d", name, at, h.Offset)}
	}
	if s.Targets[name] == config.TargetStopped {
		return nil // they are planned when it goes on
	}
	l.mu.Lock()
	still := l.stoppedOnly[name] > 0
	l.mu.Unlock()
	if still {
		return &WriteError{fmt.Errorf("connector %s: expected no tasks while its offsets are changed", name)}
	}
	for _, c := range s.Connectors {
		set := s.TaskConfigs(c.Name)
		if c.Name == name || set == nil {
			continue
		}
		for _, claim := range set.Requirements.Claims {
			if slices.Contains(h.Claims, claim) {
				return components.ClaimConflict(claim, c.Name, name)
			}
		}
	}
	if before, there := s.Tasks[name]; there && before.Version > h.Offset && before.HasRequirements &&
		!s.Incomplete[name] && slices.EqualFunc(before.Settings, h.Tasks, maps.Equal) {
		return nil
	}
	_, err := l.worker.options.Store.Write(ctx, configtopic.TaskPlanRecords(name, h)...)
	return err
}
