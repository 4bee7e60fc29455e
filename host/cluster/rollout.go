package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

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

// ruling is held while pins are read and written. ruled are the offsets at which operators have chosen versions of
// plugins, by their names.
type ruling struct {
	guard.Turn
	ruled map[string]int64
}

// rollout is what the leader looks at to roll one plugin.
type rollout struct {
	pin     rest.GroupPin
	members []rolling
	// any: plugin.rollout=any.
	any bool
	// tasks are the names of members that run tasks with the plugin. known: what could run does, or has failed.
	tasks func() (names []string, known bool)
}

// rolling is a member with its versions of a plugin, at least one: those first that it would run if it were alone.
type rolling struct {
	name   string
	offers []plugin.Offer
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
//   - The members want another version: all of them, or with any one of them a newer one. One task tries it.
//   - A page or batch went through: all run it. The version did not open, or broke: it is passed over from now on.
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
	case len(names) == 0:
		p.Trial, p.By = "", ""
	case p.Trial != target.Hash || !slices.Contains(names, p.By):
		p.Trial, p.By = target.Hash, slices.Min(names)
	}
	return p
}

// target is the version that is to run, "" where there is none.
func (r *rollout) target(p *rest.GroupPin) string {
	var choices []offered // of each member
	for _, m := range r.members {
		at := slices.IndexFunc(m.offers, func(o plugin.Offer) bool {
			return !slices.Contains(p.Passed, o.Hash) && !r.of(o.Hash).Left
		})
		if at >= 0 {
			choices = append(choices, r.of(m.offers[at].Hash))
		}
	}
	if len(choices) == 0 {
		return ""
	}
	compare := func(a, b offered) int {
		return cmp.Or(plugin.CompareVersions(a.Version, b.Version), cmp.Compare(a.Hash, b.Hash))
	}
	highest := slices.MaxFunc(choices, compare)
	switch {
	case r.of(p.Hash).by == nil:
		return slices.MaxFunc(choices, func(a, b offered) int {
			return cmp.Or(cmp.Compare(len(a.by), len(b.by)), compare(a, b))
		}).Hash
	case len(choices) == len(r.members) && slices.MinFunc(choices, compare).Hash == highest.Hash,
		r.any && plugin.CompareVersions(highest.Version, p.Version) > 0:
		return highest.Hash
	}
	return p.Hash
}

// moved has all members run a version.
func (r *rollout) moved(p rest.GroupPin, to offered) rest.GroupPin {
	if p.Hash != to.Hash {
		p.Before = p.Hash
	}
	p.Hash, p.Version, p.Trial, p.By = to.Hash, to.Version, "", ""
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
		of := map[string][]plugin.Offer{}
		for _, o := range m.Plugins {
			// Else an operator has chosen it since.
			o.Left = o.Left && (m.Offset > l.ruling.ruled[o.Name] || o.Hash != pins[o.Name].Hash)
			of[o.Name] = append(of[o.Name], o)
		}
		for name, offers := range of {
			if all[name] == nil {
				all[name] = &rollout{pin: pins[name], any: l.w.o.RollAny,
					tasks: func() ([]string, bool) { return l.tasksWith(name, members) }}
			}
			all[name].members = append(all[name].members, rolling{m.Name, offers})
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
		if set == nil || unplaced[c.Name] != "" || c.Text("connector.plugin.version") != "" ||
			!slices.ContainsFunc(classes(c), func(class string) bool {
				_, of := l.w.o.Declared(class)
				return of == name
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
	pins := map[string]rest.GroupPin{}
	for name, r := range l.rollouts() {
		if next := r.next(); !reflect.DeepEqual(next, r.pin) {
			pins[name] = next
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
	for _, class := range w.o.Classes() {
		m.Classes = append(m.Classes, KeyOf(class))
	}
	before := w.offered.Swap(new(fmt.Sprint(m.Plugins, m.Classes)))
	return before == nil || *before != *w.offered.Load()
}
