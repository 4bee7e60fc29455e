package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
)

// pinNote is what the names of notes begin with that say which version of a plugin the group runs: see [rest.GroupPin].
// The rest is the plugin's name.
const pinNote = string(config.KindOurs) + "plugin-"

// maxPassed is how many versions of a plugin a pin names that the group does not take by itself; the oldest go first.
const maxPassed = 32

// trialWithin is how long one worker alone tries a version: where no page or batch has gone through by then, as its
// tasks have none or their service is away, the next worker with tasks does.
const trialWithin = 2 * time.Minute

// ruling is held while pins are read and written. ruled are the offsets at which operators have chosen versions of
// plugins, by their names, and attempts the last trials.
type ruling struct {
	guard.Turn
	ruled    map[string]int64
	attempts map[string]attempt
}

// attempt is a trial of a version by a worker. since is zero when it is over.
type attempt struct {
	hash, by string
	since    time.Time
}

// attempt takes which trial of a plugin a pin says, and tells who tried last, and whether that takes too long.
func (r *ruling) attempt(name string, p rest.GroupPin, now time.Time) (last string, late bool) {
	a := r.attempts[name]
	switch {
	case p.Trial == "":
		a.since = time.Time{}
	case a.since.IsZero() || a.hash != p.Trial || a.by != p.By:
		a = attempt{p.Trial, p.By, now}
	}
	r.attempts[name] = a
	return a.by, p.Trial != "" && now.Sub(a.since) >= trialWithin
}

// rollout is what the leader looks at to roll one plugin.
type rollout struct {
	pin     rest.GroupPin
	members []rolling
	// any: plugin.rollout=any.
	any bool
	// tasks are the names of members that run tasks with the plugin. known: what could run does, or has failed.
	tasks func() (names []string, known bool)
	// last is the member that has tried a version last, late: it does, and another one is to.
	last string
	late bool
}

// rolling is a member with its versions of a plugin, at least one: those first that it would run if it were alone; and
// those that wait there for the user's word, which it does not have.
type rolling struct {
	name         string
	offers, held []plugin.Offer
}

// wish is the version that a member would run, lacks: it does not have what is pinned.
type wish struct {
	offered
	lacks bool
}

// offered is a version of a plugin as all members have it: by whom, and whether any has proven or left it.
type offered struct {
	plugin.Offer
	by []string
}

// of is a version as all members together have it.
func (r *rollout) of(hash string) (all offered) {
	for _, m := range r.members {
		for _, o := range m.offers {
			if o.Hash == hash {
				o.Proven, o.Left = all.Proven || o.Proven, all.Left || o.Left
				all = offered{o, append(all.by, m.name)}
			}
		}
	}
	return all
}

// next is the pin that follows, a function of the rollout alone; where nothing is to be done, the one that there is:
//
//   - Nobody has what is pinned, as at the start: the group runs what most have.
//   - What is pinned has broken at a member: back to the version before.
//   - The members want another version: all of them, or with any one of them a newer one, or more that lack what is
//     pinned than have it. One task tries it, of a member that has both; where none of these runs any, all run it.
//   - A page or batch went through: all run it. The version did not open, or broke: it is passed over from now on.
//     Neither: a task of the next member tries it, or another one of the same member.
func (r *rollout) next() rest.GroupPin {
	p := r.pin
	back := r.of(p.Hash).Left && r.of(p.Before).by != nil
	for _, hash := range []string{p.Trial, p.Hash} {
		if hash == p.Hash && back || hash == p.Trial && r.of(hash).Left {
			p.Passed = append(slices.Clone(p.Passed), hash)
			p.Passed = p.Passed[max(0, len(p.Passed)-maxPassed):]
		}
	}
	if back {
		p.Hash, p.Version, p.Before = p.Before, r.of(p.Before).Version, ""
	}
	target := r.of(r.target(&p))
	if target.Hash == p.Hash || target.by == nil {
		p.Trial, p.By = "", ""
		return p
	}
	names, known := r.tasks()
	names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(target.by, name) })
	switch {
	case r.of(p.Hash).by == nil, target.Proven, len(names) == 0 && known:
		return r.moved(p, target)
	case len(names) == 0, r.late && p.Trial == target.Hash:
		p.Trial, p.By = "", ""
	case p.Trial != target.Hash || !slices.Contains(names, p.By):
		slices.Sort(names)
		p.Trial, p.By = target.Hash, names[0]
		if at := slices.IndexFunc(names, func(name string) bool { return name > r.last }); at > 0 {
			p.By = names[at]
		}
	}
	return p
}

// wishes are of members; of some there may be none. What was left or passed over nobody wants, unless there is nothing
// else, and nobody has what is pinned.
func (r *rollout) wishes(p *rest.GroupPin) (all []wish) {
	pinned := r.of(p.Hash).by
	for _, wanted := range []func(offered) bool{
		func(o offered) bool { return !o.Left && !slices.Contains(p.Passed, o.Hash) },
		func(o offered) bool { return !o.Left },
		func(offered) bool { return true },
	} {
		for _, m := range r.members {
			for _, o := range m.offers {
				if one := r.of(o.Hash); wanted(one) {
					all = append(all, wish{one, !slices.Contains(pinned, m.name)})
					break
				}
			}
		}
		if len(all) > 0 || pinned != nil {
			break
		}
	}
	return all
}

func compareOffered(a, b offered) int {
	return cmp.Or(plugin.CompareVersions(a.Version, b.Version), cmp.Compare(a.Hash, b.Hash))
}

// target is the version that is to run, "" where there is none.
func (r *rollout) target(p *rest.GroupPin) string {
	wishes := r.wishes(p)
	if len(wishes) == 0 {
		return ""
	}
	compare := func(a, b wish) int { return compareOffered(a.offered, b.offered) }
	highest, pinned := slices.MaxFunc(wishes, compare), len(r.of(p.Hash).by)
	// lacking is how many would run a version of those who do not have what is pinned. In a roll of images each member
	// has one version: the last ones with the old one would have all to do.
	lacking := func(v wish) (n int) {
		for _, w := range wishes {
			if w.lacks && w.Hash == v.Hash {
				n++
			}
		}
		return n
	}
	most := slices.MaxFunc(wishes, func(a, b wish) int {
		return cmp.Or(cmp.Compare(lacking(a), lacking(b)), compare(a, b))
	})
	switch {
	case pinned == 0:
		return slices.MaxFunc(wishes, func(a, b wish) int {
			return cmp.Or(cmp.Compare(len(a.by), len(b.by)), compare(a, b))
		}).Hash
	case len(wishes) == len(r.members) && slices.MinFunc(wishes, compare).Hash == highest.Hash,
		r.any && plugin.CompareVersions(highest.Version, p.Version) > 0:
		return highest.Hash
	case !r.any && lacking(most) > pinned:
		return most.Hash
	}
	return p.Hash
}

// waits says why the group does not run another version that members have; "" where none has any.
func (r *rollout) waits() string {
	p := r.pin
	named := func(o plugin.Offer) string { return fmt.Sprintf("version %s with the hash %s", o.Version, o.Hash) }
	if p.Trial != "" {
		return fmt.Sprintf("%s: tried by %s, no page or batch has gone through yet", named(r.of(p.Trial).Offer), p.By)
	}
	var all []offered
	for _, w := range r.wishes(&p) {
		if w.Hash != p.Hash && (!w.lacks || plugin.CompareVersions(w.Version, p.Version) > 0) {
			all = append(all, w.offered)
		}
	}
	for _, m := range r.members {
		for _, o := range m.held {
			if o.Hash != p.Hash && !slices.Contains(p.Passed, o.Hash) {
				all = append(all, offered{Offer: o})
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	wanted := slices.MaxFunc(all, compareOffered).Offer
	var why, lack, held []string
	for _, m := range r.members {
		is := func(o plugin.Offer) bool { return o.Hash == wanted.Hash }
		switch {
		case slices.ContainsFunc(m.held, is):
			held = append(held, m.name)
		case !slices.ContainsFunc(m.offers, is):
			lack = append(lack, m.name)
		}
	}
	if len(lack) > 0 && !r.any {
		why = append(why, "lacking at "+strings.Join(lack, ", "))
	}
	if len(held) > 0 {
		why = append(why, fmt.Sprintf("held for plugin.%s.accept at %s", wanted.Name, strings.Join(held, ", ")))
	}
	if len(why) == 0 {
		why = []string{"tasks are on their way, or others would run another version"}
	}
	return named(wanted) + ": " + strings.Join(why, "; ")
}

// moved has all members run a version.
func (r *rollout) moved(p rest.GroupPin, to offered) rest.GroupPin {
	if p.Hash != to.Hash {
		p.Before = p.Hash
	}
	p.Hash, p.Version, p.Trial, p.By = to.Hash, to.Version, "", ""
	if slices.Contains(p.Passed, to.Hash) {
		p.Passed = slices.DeleteFunc(slices.Clone(p.Passed), func(hash string) bool { return hash == to.Hash })
	}
	return p
}

// chosen is the pin by which an operator has all run a version; others are passed over until another file comes.
func (r *rollout) chosen(to offered) rest.GroupPin {
	p := r.moved(r.pin, to)
	p.Passed = nil
	for _, m := range r.members {
		for _, o := range m.offers {
			if o.Hash != to.Hash && !slices.Contains(p.Passed, o.Hash) && len(p.Passed) < maxPassed {
				p.Passed = append(p.Passed, o.Hash)
			}
		}
	}
	return p
}

// rollouts are those of all plugins that members have; l.ruling is held.
func (l *leader) rollouts() map[string]*rollout {
	pins := l.w.pins()
	l.mu.Lock()
	members := l.members
	l.mu.Unlock()
	all := map[string]*rollout{}
	for _, m := range members {
		if m.Leaving {
			continue
		}
		of := map[string]*rolling{}
		for _, o := range m.Plugins {
			// Else an operator has chosen it since.
			o.Left = o.Left && (m.Offset > l.ruling.ruled[o.Name] || o.Hash != pins[o.Name].Hash)
			of[o.Name] = cmp.Or(of[o.Name], &rolling{name: m.Name})
			of[o.Name].offers = append(of[o.Name].offers, o)
		}
		for _, o := range m.Held {
			if one := of[o.Name]; one != nil {
				one.held = append(one.held, o)
			}
		}
		for name, one := range of {
			if all[name] == nil {
				r := &rollout{pin: pins[name], any: l.w.o.RollAny,
					tasks: func() ([]string, bool) { return l.tasksWith(name, members) }}
				r.last, r.late = l.ruling.attempt(name, r.pin, time.Now())
				all[name] = r
			}
			all[name].members = append(all[name].members, *one)
		}
	}
	return all
}

// tasksWith are the names of members that run tasks with a plugin. known is false while tasks are on their way.
func (l *leader) tasksWith(name string, members []Member) (names []string, known bool) {
	s, known := l.w.o.Store.Snapshot()
	l.mu.Lock()
	unplaced := l.unplaced
	l.mu.Unlock()
	at := map[string]bool{} // by worker id
	for _, c := range s.Connectors {
		set := s.Planned(c.Name)
		if set == nil || unplaced[c.Name] != "" || !slices.ContainsFunc(l.needs(c), func(n need) bool {
			return n.plugin == name && n.version == ""
		}) {
			continue
		}
		tasks := l.w.o.Status.Tasks(c.Name)
		known = known && len(tasks) >= len(set.Settings)
		for _, t := range tasks {
			known = known && t.State != connect.Unassigned && t.State != connect.Restarting
			at[t.WorkerID] = at[t.WorkerID] || t.State == connect.Running
		}
	}
	for _, m := range members {
		if at[workerID(m.URL)] {
			names = append(names, m.Name)
		}
	}
	return names, known
}

// roll writes the pins that follow from what members say.
func (l *leader) roll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	if l.ruling.Lock(ctx) != nil {
		return
	}
	defer l.ruling.Unlock()
	pins, waits := map[string]rest.GroupPin{}, map[string]string{}
	for name, r := range l.rollouts() {
		next := r.next()
		if !reflect.DeepEqual(next, r.pin) {
			pins[name] = next
		}
		r.pin = next
		if why := r.waits(); why != "" {
			waits[name] = why
		}
	}
	l.mu.Lock()
	before := l.waits
	l.waits = waits
	l.mu.Unlock()
	for name, why := range waits {
		if before[name] != why {
			l.w.o.Logger.Info("a version of a plugin waits until the group runs it", "plugin", name, "reason", why)
		}
	}
	if _, err := l.pin(ctx, pins); err != nil && !errors.Is(err, ErrNotLeader) {
		l.w.o.Logger.Warn("which versions of plugins the group runs is not written", "error", err)
	}
}

// pin writes pins, by the names of plugins; l.ruling is held.
func (l *leader) pin(ctx context.Context, pins map[string]rest.GroupPin) (last int64, err error) {
	var records []config.TopicRecord
	for name, p := range pins {
		record, err := config.NoteRecord(pinNote+name, p)
		if err != nil {
			return 0, err
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		return 0, nil
	}
	if last, err = l.w.o.Store.Write(ctx, records...); err != nil {
		return 0, err
	}
	for name, p := range pins {
		l.w.o.Logger.Info("the group runs a version of a plugin", "plugin", name, "version", p.Version, "hash", p.Hash,
			"on_trial", p.Trial, "by", p.By, "passed_over", p.Passed)
	}
	return last, nil
}

// Choose has all workers of the group run a version of a plugin, by the SHA-256 of its file in hex; "" is the one
// before the present one. Only the leader can. The error is [plugin.ErrUnknownVersion] where no member has it.
func (w *Worker) Choose(ctx context.Context, name, hash string) error {
	l := w.leader
	if _, me, known := w.Leader(); !known || !me {
		return ErrNotLeader
	}
	if err := l.ruling.Lock(ctx); err != nil {
		return err
	}
	defer l.ruling.Unlock()
	r := cmp.Or(l.rollouts()[name], &rollout{})
	to := r.of(cmp.Or(shortHash(hash), r.pin.Before))
	if to.by == nil {
		return fmt.Errorf("%w %s with the hash %q at any worker of the group (without one: the version before)",
			plugin.ErrUnknownVersion, name, hash)
	}
	last, err := l.pin(ctx, map[string]rest.GroupPin{name: r.chosen(to)})
	if err == nil {
		l.ruling.ruled[name] = last
	}
	return err
}

// shortHash is as much of a hash as members say.
func shortHash(hash string) string { return hash[:min(12, len(hash))] }

// pins are the versions that the group runs, by the names of plugins.
func (w *Worker) pins() map[string]rest.GroupPin {
	pins := map[string]rest.GroupPin{}
	for name, note := range w.o.Store.Notes(pinNote) {
		var p rest.GroupPin
		if json.Unmarshal(note, &p) == nil && p.Hash != "" { // else it is not ours
			pins[name] = p
		}
	}
	return pins
}

// pin has this worker run the versions that the group runs.
func (w *Worker) pin() {
	pins := map[string]plugin.Pin{}
	for name, p := range w.pins() {
		one := plugin.Pin{Hash: p.Hash, Before: p.Before}
		if p.By == w.name() {
			one.Trial = p.Trial
		}
		pins[name] = one
	}
	w.o.Plugins.Pin(pins)
}

// offer puts into metadata what this worker's plugins are, and tells whether that is news for its group.
func (w *Worker) offer(m *Metadata) (news bool) {
	for _, o := range w.o.Plugins.Offers() {
		o.Hash = shortHash(o.Hash)
		m.Plugins = append(m.Plugins, o)
	}
	for _, o := range w.o.Plugins.HeldOffers() {
		o.Hash = shortHash(o.Hash)
		m.Held = append(m.Held, o)
	}
	for _, class := range w.o.Classes() {
		m.Classes = append(m.Classes, KeyOf(class))
	}
	before := w.offered.Swap(new(fmt.Sprint(m.Plugins, m.Held, m.Classes)))
	return before == nil || *before != *w.offered.Load()
}
