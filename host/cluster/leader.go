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

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/plugin"
)

// Changes of the config topic within firstWait are one rebalance; where they go on it is one in lastWait.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = time.Second
)

// cleanEvery is how often the leader looks whether the status topic says something of what is no more, in addition to
// when there is news, which it does each time where it takes less than cleanCheap: of 5,000 connectors 50 ms.
const (
	cleanEvery = 5 * time.Second
	cleanCheap = 10 * time.Millisecond
)

// leader is what a worker does while it leads its group: it places what all members run, and alone writes connectors
// and tasks.
//
// Invariants: it plans with what it remembers of its last plan only where that plan is the one that the group had. What
// it writes is fenced by the config topic's transactional id, which it claims before anything else.
type leader struct {
	w *Worker
	// news wakes run.
	news guard.Bell

	mu      guard.Mutex
	memory  AssignorState
	of      int32 // the generation that it leads, and that memory is of; 0: none
	members []Member
	targets map[string][]ResourceSet
	doubts
	// next is when to plan again although nobody joins; zero: never.
	next time.Time
	// changes counts changes of the config topic, placed is the count that the last plan has seen.
	changes, placed int
	// claimed: it leads, and has claimed the right to write, or is to claim it with the next write. read: it leads, and
	// has read what the leader before has written.
	claimed, read bool
	// still are connectors that get no tasks at the moment, with how many wait for that, see [Worker.WhenStopped].
	still map[string]int
	// waits say why versions of plugins wait, see [rest.Group].
	waits  map[string]string
	ruling ruling
}

func newLeader(w *Worker) *leader {
	return &leader{w: w, news: guard.NewBell(), still: map[string]int{},
		ruling: ruling{guard.NewTurn(), map[string]int64{}}}
}

// begins takes that the worker leads a generation, or none (0).
func (l *leader) begins(generation int32) {
	l.mu.Lock()
	if l.of = generation; generation == 0 {
		l.claimed, l.read, l.memory, l.next = false, false, AssignorState{}, time.Time{}
	}
	l.mu.Unlock()
	if generation == 0 { // those who have asked for a write ask the next leader then
		l.w.o.Log.Resign()
	} else {
		l.w.o.Log.begin()
	}
	l.news.Ring()
}

// changed takes that the config topic says something else about connectors.
func (l *leader) changed() {
	l.mu.Lock()
	l.changes++
	l.mu.Unlock()
	l.news.Ring()
}

// run does what a leader does from time to time, while the worker leads.
func (l *leader) run(ctx context.Context) {
	wait := firstWait
	var last, cleaned time.Time // when a change was last placed, and when clean has ended, which took so long
	var took time.Duration
	asked := 0 // the count of changes for which the group was last to join again
	var reaching sync.WaitGroup
	defer reaching.Wait()
	reached, over := int32(0), func() {} // of which generation members are asked whether they answer
	defer func() { over() }()
	timer, look := time.NewTimer(0), time.NewTicker(cleanEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		case <-l.news:
		case <-timer.C:
		}
		l.mu.Lock()
		leads, claimed, changes, next := l.of != 0, l.claimed, l.changes, l.next
		changed := changes > max(l.placed, asked)
		if l.of != reached {
			over()
			l.unreached = nil
			asking, end := context.WithCancel(ctx)
			reached, over = l.of, end
			if members := l.members; leads {
				reaching.Go(func() { l.reach(asking, members) })
			}
		}
		l.mu.Unlock()
		if leads && !claimed {
			l.lead(ctx)
		}
		if !leads || !l.takes(ctx) {
			continue
		}
		if err := l.w.o.EnsureSessionKey(ctx); err != nil && ctx.Err() == nil {
			l.w.o.Logger.Warn("the session key of the cluster was not written", "error", err)
		}
		l.roll(ctx)
		now := time.Now()
		if took < cleanCheap || now.Sub(cleaned) > 10*took { // a tenth of the time, however often there is news
			l.clean()
			cleaned, took = time.Now(), time.Since(now)
		}
		switch due := last.Add(wait); {
		case changed && last.IsZero(), changed && now.Sub(last) > 2*lastWait: // the first of some
			last, wait = now, firstWait
			timer.Reset(firstWait)
		case changed && now.Before(due):
			timer.Reset(due.Sub(now))
		case changed:
			last, wait, asked = now, min(2*wait, lastWait), changes
			l.w.Rejoin("the config topic has changed")
		case !next.IsZero() && !now.Before(next):
			l.mu.Lock()
			l.next = time.Time{}
			l.mu.Unlock()
			l.w.Rejoin("what was to wait has waited")
		case !next.IsZero():
			timer.Reset(next.Sub(now))
		}
	}
}

// lead claims the right to write as the leader.
func (l *leader) lead(ctx context.Context) {
	if err := l.w.o.Log.claimReign(ctx); err != nil && ctx.Err() == nil && l.w.o.Log.leading() {
		l.w.o.Logger.Warn("this worker leads its group and cannot write to the config topic yet", "error", err)
	}
	l.mu.Lock()
	l.claimed = l.of != 0
	l.mu.Unlock()
}

// place works out what members are to run; it is called for each generation that the worker leads.
func (l *leader) place(self string, members []JoinedMember) (map[string][]byte, error) {
	all, offset, newest := l.joined(members)
	ctx, cancel := context.WithTimeout(context.Background(), l.w.o.SyncTimeout)
	defer cancel()
	if err := l.w.o.Log.Await(ctx, offset); err != nil {
		return nil, err
	}
	l.mu.Lock()
	changes, memory, read := l.changes, l.memory, l.read
	if l.of < newest {
		memory = AssignorState{}
	}
	l.mu.Unlock()
	var unread error
	if !read { // the topic may have become another group's while this one had no members
		unread = l.w.o.Log.Refresh(ctx)
	}
	s, ok := l.w.o.Store.Snapshot()
	if !ok {
		return nil, errors.New("the config topic was not read to its end yet")
	}
	if l.w.o.Store.Group() != l.w.o.Group.Group {
		s.Connectors = nil // once it is, its note has the group join again
	}
	began := time.Now()
	var out Output
	if unread == nil || s.Connectors == nil {
		out = Assign(Input{Now: began, Delay: l.w.o.RebalanceDelay, Members: all, Connectors: l.connectors(s, all),
			State: memory})
	} else {
		out = keep(all)
		out.Next = began.Add(readLater)
	}
	for name, why := range out.Unplaced {
		if l.unplaced[name] != why && !alone(all, "") { // who stops says so
			l.w.o.Logger.Warn("a connector, or tasks of it, are given to no worker", "connector", name, "reason", why)
		}
	}
	l.w.o.Logger.Debug("the leader has planned", "members", len(all), "connectors", len(s.Connectors), "again",
		out.RejoinAfterRevoke,
		"took", time.Since(began))
	l.mu.Lock()
	l.memory, l.members, l.targets, l.next, l.placed = out.State, all, out.Targets, out.Next, changes
	l.unplaced, l.read = out.Unplaced, unread == nil
	l.mu.Unlock()
	placed, err := l.assignments(self, all, out, s.Offset, began)
	l.doubt(all, recordSize(members, placed), unread)
	return placed, err
}

// recordSize returns the bytes of the metadata and assignments of all members, which brokers keep in one record.
func recordSize(members []JoinedMember, placed map[string][]byte) (size int) {
	for _, m := range members {
		size += len(m.Metadata) + len(placed[m.ID])
	}
	return size
}

// joined decodes members, in the order of their IDs, which decides ties. offset is the greatest offset of the config
// topic that a member has read, newest the newest generation in which a member was assigned something.
func (l *leader) joined(members []JoinedMember) (all []Member, offset int64, newest int32) {
	for _, m := range members {
		metadata, err := DecodeMetadata(m.Metadata)
		if err != nil { // it is given nothing, and asked nothing
			l.w.o.Logger.Error("a member of the group says what this version does not know: it is given nothing",
				"member",
				m.ID, "error", err)
			continue
		}
		if newest = max(newest, metadata.Generation); l.w.reads(metadata) {
			offset = max(offset, metadata.Offset)
		} else {
			metadata.Leaving = true // it runs what another topic has
		}
		all = append(all, Member{ID: m.ID, Metadata: metadata})
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return all, offset, newest
}

// assignments encodes the assignments of a plan that was computed with a snapshot of the config topic at an offset.
func (l *leader) assignments(self string, all []Member, out Output, offset int64, began time.Time) (map[string][]byte,
	error) {
	placed := map[string][]byte{}
	for _, m := range all {
		a := Assignment{Leader: self, LeaderURL: l.w.o.URL, Again: out.RejoinAfterRevoke, Target: out.Targets[m.ID],
			Origins: out.Origins[m.ID], Alone: alone(all, m.ID)}
		if l.w.reads(m.Metadata) {
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

// readLater is after how long the leader plans again that could not read the config topic.
const readLater = 10 * time.Second

// keep is a plan by which nothing moves: members of the last generation go on with what they say that they hold. One
// that was out of the group has stopped everything. Origins are not known: each member sends one request at a time.
func keep(members []Member) Output {
	out := Output{Targets: map[string][]ResourceSet{}}
	newest := int32(0)
	for _, m := range members {
		newest = max(newest, m.Generation)
	}
	holds := map[Key][]holding{}
	for m := range members {
		for _, h := range members[m].Holds {
			holds[h.Connector] = append(holds[h.Connector], holding{m, h})
		}
	}
	for i, m := range members {
		if m.Leaving || m.Generation < newest {
			continue
		}
		var target []ResourceSet
		for _, h := range m.Holds {
			kept := ResourceSet{Connector: h.Connector, Version: h.Version}
			for unit := range h.Resources.All() {
				if !slices.ContainsFunc(holds[h.Connector], func(o holding) bool {
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
		out.State.members = append(out.State.members, remembered{id: m.ID, name: m.Name, given: target})
	}
	return out
}

// alone tells whether all members but one are about to leave.
func alone(members []Member, id string) bool {
	return !slices.ContainsFunc(members, func(m Member) bool { return m.ID != id && !m.Leaving })
}

// connectors are those of the config topic as a plan takes them.
func (l *leader) connectors(s config.Snapshot, members []Member) []Connector {
	var all []Connector
	for _, c := range s.Connectors {
		one := Connector{Name: c.Name, Key: KeyOf(c.Name), Class: c.Text("connector.class"),
			Created: s.ConfigOffsets[c.Name]}
		one.Eligible, one.Missing = l.fits(c, members)
		if set := s.TaskConfigs(c.Name); set != nil {
			one.Version, one.Tasks, one.Claims = set.Version, len(set.Settings), set.Requirements.Claims
			one.Origin, one.Requests, one.PerSecond = set.Requirements.Origin, set.Requirements.Requests,
				set.Requirements.PerSecond
		}
		all = append(all, one)
	}
	return all
}

// need is a class that a connector names, with the plugin that has it, "" where none here has, and the version of that
// which the connector names: "" is the one that the group runs.
type need struct{ class, plugin, version string }

// needs are those of a connector.
func (l *leader) needs(c *config.Connector) (all []need) {
	add := func(class, version string) {
		name, of := l.w.o.ResolveClass(class)
		all = append(all, need{name, of, version})
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

// met tells whether a member has what a connector needs.
func (n need) met(m Member) bool {
	if n.plugin == "" || n.version == "" {
		return slices.Contains(m.Classes, KeyOf(n.class))
	}
	return slices.ContainsFunc(m.Plugins, func(o plugin.Offer) bool {
		return o.Name == n.plugin && o.Version == n.version && !o.Left
	})
}

// fits are those of the members that have all that a connector needs. Where none has, lacks says what.
func (l *leader) fits(c *config.Connector, members []Member) (fit []bool, lacks string) {
	needs := l.needs(c)
	for _, m := range members {
		fit = append(fit, !slices.ContainsFunc(needs, func(n need) bool { return !n.met(m) }))
	}
	if slices.Contains(fit, true) {
		return fit, ""
	}
	missing := slices.DeleteFunc(slices.Clone(needs), func(n need) bool { return slices.ContainsFunc(members, n.met) })
	if len(missing) == 0 { // each is somewhere, and all of them nowhere
		missing = needs
	}
	var texts []string
	pins := l.w.pins()
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

// MemberIDs are the members of the group by their ids, while this worker leads it and can write as the leader; else
// nil.
func (w *Worker) MemberIDs() map[string]bool {
	l := w.leader
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.claimed || l.barred != "" {
		return nil
	}
	ids := map[string]bool{}
	for _, m := range l.members {
		ids[m.ID] = true
	}
	return ids
}

// CheckLeader returns nil where this worker leads its group, can write as its leader, and no other worker can lead it
// by now; else [ErrNotLeader].
func (w *Worker) CheckLeader(ctx context.Context) error {
	if w.MemberIDs() == nil || w.CheckLease(ctx) != nil {
		return ErrNotLeader
	}
	return nil
}

// owner is the member that was given a unit. Of a connector or task that is not there it is this worker, which says so.
func (l *leader) owner(name string, task int) (url string, me, known bool) {
	_, there := l.w.o.Store.ConfigOffset(name)
	if set := l.w.o.Store.TaskConfigs(name); !there || task >= 0 && (set == nil || task >= len(set.Settings)) {
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

// OwnersLost is called when a connector is deleted; nil: this worker does not lead. What it returns waits until the
// workers that had the connector, or tasks of it, have ended these, and is false then: they have ended, too, what it
// had opened at its service. true: the group has lost all of them, or there were none.
func (w *Worker) OwnersLost(name string) func(context.Context) bool {
	l, connector := w.leader, KeyOf(name)
	had := func(held []ResourceSet) bool {
		return slices.ContainsFunc(held, func(h ResourceSet) bool { return h.Connector == connector })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == 0 {
		return nil
	}
	owners := map[string]bool{}
	for _, m := range l.members {
		owners[m.ID] = m.URL != w.o.URL && (had(l.targets[m.ID]) || had(m.Holds))
	}
	return func(ctx context.Context) bool { return w.orphaned(ctx, name, owners) }
}

func (w *Worker) orphaned(ctx context.Context, name string, owners map[string]bool) bool {
	ctx, cancel := context.WithTimeout(ctx, w.o.Group.SessionTimeout+w.o.Group.RebalanceTimeout+stillWithin)
	defer cancel()
	l := w.leader
	for {
		l.mu.Lock()
		leads, left := l.of != 0, slices.ContainsFunc(l.members, func(m Member) bool { return owners[m.ID] })
		l.mu.Unlock()
		busy := l.busy(ctx, name) // of all members: an owner may be back under another ID, and end its tasks
		switch {
		case leads && busy == nil:
			return !left
		case !leads, pause.For(ctx, stillEvery) != nil:
			w.o.Logger.Warn("it is not known whether what a deleted connector has opened at its service was ended; "+
				"culvert retire -p FILE does it", "connector", name, "leads", leads, "error", busy)
			return false
		}
	}
}

// clean takes out of the status topic what is no more, and says of what nobody runs that it is unassigned, and of
// connectors why. It says so with the worker and the generation of the last status, which it may replace: the group's
// own generations begin with 1 again when the brokers have forgotten it.
func (l *leader) clean() {
	s, ok := l.w.o.Store.Snapshot()
	if !ok {
		return
	}
	l.mu.Lock()
	members := map[string]bool{} // by worker id
	for _, m := range l.members {
		members[workerID(m.URL)] = true
	}
	generation, unplaced := l.of, l.unplaced
	l.mu.Unlock()
	if len(members) == 0 { // a static leader that came back has not seen who there is
		return
	}
	for name, why := range unplaced {
		_, there := s.ConfigOffsets[name]
		if _, said := l.w.o.Status.Connector(name); there && !said {
			l.w.o.Status.PutSafe(Status{Connector: name, Task: -1, State: connect.Unassigned, Trace: why,
				WorkerID: l.w.o.WorkerID, Generation: generation})
		}
	}
	for _, name := range l.w.o.Status.Connectors() {
		if _, there := s.ConfigOffsets[name]; !there {
			l.w.o.Status.Delete(name)
			continue
		}
		all := l.w.o.Status.Tasks(name)
		if set, there := s.Tasks[name]; there && len(all) > len(set.Settings) {
			l.w.o.Status.DeleteTasks(name, len(set.Settings))
			all = all[:len(set.Settings)]
		}
		if own, ok := l.w.o.Status.Connector(name); ok {
			all = append(all, own)
		}
		for _, one := range all {
			why := ""
			if one.Task < 0 {
				why = unplaced[name]
			}
			switch {
			case one.State == connect.Unassigned && (why == "" || why == one.Trace):
			case one.State != connect.Unassigned && members[one.WorkerID], l.w.says(one.Connector, one.Task):
				// who has it says so itself
			default:
				one.State, one.Trace = connect.Unassigned, why
				l.w.o.Status.PutSafe(one)
			}
		}
	}
}

// workerID is host:port of what a worker advertises.
func workerID(advertised string) string {
	u, err := url.Parse(advertised)
	if err != nil {
		return advertised
	}
	return u.Host
}

// HandleTasksCall answers a [TasksCall], as the leader.
func (w *Worker) HandleTasksCall(ctx context.Context, name string, body []byte) (any, error) {
	var h config.TaskPlan
	if err := json.Unmarshal(body, &h); err != nil {
		return nil, fmt.Errorf("tasks of connector %s: %w", name, err)
	}
	if _, me, known := w.Leader(); !known || !me {
		return nil, ErrNotLeader
	}
	return nil, w.leader.take(ctx, name, h)
}

// take writes tasks, where they are news.
func (l *leader) take(ctx context.Context, name string, h config.TaskPlan) error {
	s, ok := l.w.o.Store.Snapshot()
	if at, there := s.ConfigOffsets[name]; !ok || !there || at != h.Offset {
		return &WriteError{fmt.Errorf("connector %s: expected tasks of the settings at offset %d of the config topic, "+
			"found those of the settings at %d", name, at, h.Offset)}
	}
	if s.Targets[name] == config.TargetStopped {
		return nil // they are planned when it goes on
	}
	l.mu.Lock()
	still := l.still[name] > 0
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
				return check.ClaimedTwice(claim, c.Name, name)
			}
		}
	}
	if before, there := s.Tasks[name]; there && before.Version > h.Offset && before.HasRequirements &&
		!s.Incomplete[name] && slices.EqualFunc(before.Settings, h.Tasks, maps.Equal) {
		return nil
	}
	_, err := l.w.o.Store.Write(ctx, h.Records(name)...)
	return err
}
