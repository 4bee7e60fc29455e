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

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
)

// pinNote is what the names of notes begin with that say which version of a plugin the group runs: see [rest.GroupPin].
// The rest is the plugin's name.
const pinNote = string(config.KindAnnotation) + "plugin-"

// maxPassed is how many versions of a plugin a pin names that the group does not take by itself; the oldest go first.
const maxPassed = 32

// ruling is held while pins are read and written. ruled are the offsets at which operators have chosen versions of
// plugins, by their names.
type ruling struct {
	guard.Turn
	ruled map[string]int64
}

// rollout is what the leader looks at to choose the version of one plugin.
type rollout struct {
	pin     rest.GroupPin
	members []rolling
}

// rolling is a member with its versions of a plugin, at least one: those first that it would run if it were alone.
type rolling struct {
	name   string
	offers []plugin.Offer
}

// offered is a version of a plugin as all members have it: by whom, and whether any has left it.
type offered struct {
	plugin.Offer
	by []string
}

// of is a version as all members together have it.
func (r *rollout) of(hash string) (all offered) {
	for _, m := range r.members {
		for _, o := range m.offers {
			if o.Hash == hash && !slices.Contains(all.by, m.name) {
				o.Left = o.Left || all.Left
				all = offered{o, append(all.by, m.name)}
			}
		}
	}
	return all
}

// next returns the pin that follows, which is the present one if nothing changes. If a pinned version broke at a
// member, the version before runs again, provided that all members have it, and the pinned one is passed over.
func (r *rollout) next() rest.GroupPin {
	p := r.pin
	if before := r.of(p.Before); r.of(p.Hash).Left && before.by != nil && len(before.by) == len(r.members) {
		p.Passed = append(slices.Clone(p.Passed), p.Hash)
		p.Passed = p.Passed[max(0, len(p.Passed)-maxPassed):]
		p.Hash, p.Version, p.Before = p.Before, before.Version, ""
	}
	if target := r.target(&p); target.Hash != p.Hash {
		return moved(p, target)
	}
	return p
}

// usable ranks versions by their history: one that was abandoned or passed over counts only if no member has another
// one.
func usable(o offered, p *rest.GroupPin) int {
	switch {
	case o.Left:
		return 0
	case slices.Contains(p.Passed, o.Hash):
		return 1
	}
	return 2
}

// target is the version that is to run: the one that each member would run if it were alone, else the newest that all
// have. Where they have none in common, as while images are rolled, it is the one that most have, and of several the
// one that is pinned. The pinned one also stays where no other can be used, or fewer members have any: the others would
// run nothing.
func (r *rollout) target(p *rest.GroupPin) offered {
	var all []offered
	best := 0
	for _, m := range r.members {
		for _, o := range m.offers {
			one := r.of(o.Hash)
			all, best = append(all, one), max(best, usable(one, p))
		}
	}
	all = slices.DeleteFunc(all, func(o offered) bool { return usable(o, p) < best })
	first := map[string]int{} // how many members would run a version, by its hash
	for _, m := range r.members {
		for _, o := range m.offers {
			if usable(r.of(o.Hash), p) == best {
				first[o.Hash]++
				break
			}
		}
	}
	every := func(n int) int { return n / len(r.members) } // 1 for all members
	target := slices.MaxFunc(all, func(a, b offered) int {
		newer := cmp.Or(plugin.CompareVersions(a.Version, b.Version), cmp.Compare(a.Hash, b.Hash))
		return cmp.Or(cmp.Compare(every(first[a.Hash]), every(first[b.Hash])), cmp.Compare(len(a.by), len(b.by)), newer)
	})
	pinned := r.of(p.Hash)
	more := cmp.Compare(len(pinned.by), len(target.by))
	lacking := len(target.by) < len(r.members) && (more > 0 || more == 0 && usable(pinned, p) == best)
	if pinned.by != nil && (best < 2 || lacking) {
		return pinned
	}
	return target
}

// waits says which newer version the group does not run, and who lacks it; "" where there is none.
func (r *rollout) waits() string {
	var newest plugin.Offer
	for _, m := range r.members {
		for _, o := range m.offers {
			if plugin.CompareVersions(o.Version, cmp.Or(newest.Version, r.pin.Version)) > 0 && !r.of(o.Hash).Left &&
				!slices.Contains(r.pin.Passed, o.Hash) {
				newest = o
			}
		}
	}
	var lack []string
	for _, m := range r.members {
		if newest.Hash != "" && !slices.Contains(r.of(newest.Hash).by, m.name) {
			lack = append(lack, m.name)
		}
	}
	if len(lack) == 0 {
		return ""
	}
	return fmt.Sprintf("version %s with the hash %s: lacking at %s", newest.Version, newest.Hash,
		strings.Join(lack, ", "))
}

// moved has all members run a version.
func moved(p rest.GroupPin, to offered) rest.GroupPin {
	if p.Hash != to.Hash {
		p.Before = p.Hash
	}
	p.Hash, p.Version = to.Hash, to.Version
	if slices.Contains(p.Passed, to.Hash) {
		p.Passed = slices.DeleteFunc(slices.Clone(p.Passed), func(hash string) bool { return hash == to.Hash })
	}
	return p
}

// chosen is the pin by which an operator has all run a version; others are passed over until another file comes.
func (r *rollout) chosen(to offered) rest.GroupPin {
	p := moved(r.pin, to)
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
		for _, o := range m.Plugins {
			// Else an operator has chosen it since.
			o.Left = o.Left && (m.Offset > l.ruling.ruled[o.Name] || o.Hash != pins[o.Name].Hash)
			r := all[o.Name]
			if r == nil {
				r = &rollout{pin: pins[o.Name]}
				all[o.Name] = r
			}
			if n := len(r.members); n == 0 || r.members[n-1].name != m.Name {
				r.members = append(r.members, rolling{name: m.Name})
			}
			one := &r.members[len(r.members)-1]
			one.offers = append(one.offers, o)
		}
	}
	return all
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
	var records []config.Record
	for name, p := range pins {
		record, err := config.AnnotationRecord(pinNote+name, p)
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
			"passed_over", p.Passed)
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
	for name, note := range w.o.Store.Annotations(pinNote) {
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
		pins[name] = plugin.Pin{Hash: p.Hash, Before: p.Before}
	}
	w.o.Plugins.Pin(pins)
}

// offer puts into metadata what this worker's plugins and its folder are, and tells whether that is news for its group.
func (w *Worker) offer(m *Metadata) (news bool) {
	for _, o := range w.o.Plugins.Offers() {
		o.Hash = shortHash(o.Hash)
		m.Plugins = append(m.Plugins, o)
	}
	for _, class := range w.o.Classes() {
		m.Classes = append(m.Classes, KeyOf(class))
	}
	m.Digest = w.o.FolderDigest()
	before := w.offered.Swap(new(fmt.Sprint(m.Plugins, m.Classes, m.Digest)))
	return before == nil || *before != *w.offered.Load()
}
