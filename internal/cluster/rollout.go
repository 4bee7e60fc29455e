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

	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/rest"
)

const pinPrefix = string(configtopic.KindAnnotation) + "plugin-"

const maxPassed = 32

// rolloutLock is held while pins are read and written. chosenAt are the offsets of operators' choices, by plugin.
type rolloutLock struct {
	guard.CtxMutex
	chosenAt map[string]int64
}

type rollout struct {
	pin     rest.GroupPin
	members []memberVersions
}

type memberVersions struct {
	name     string
	versions []plugin.Offer
}

type groupVersion struct {
	plugin.Offer
	members []string
}

func (r *rollout) version(hash string) (all groupVersion) {
	for _, m := range r.members {
		for _, o := range m.versions {
			if o.Hash == hash && !slices.Contains(all.members, m.name) {
				o.Rejected = o.Rejected || all.Rejected
				all = groupVersion{o, append(all.members, m.name)}
			}
		}
	}
	return all
}

func (r *rollout) next() rest.GroupPin {
	p := r.pin
	if before := r.version(p.Before); r.version(p.Hash).Rejected && before.members != nil &&
		len(before.members) == len(r.members) {
		p.Passed = append(slices.Clone(p.Passed), p.Hash)
		p.Passed = p.Passed[max(0, len(p.Passed)-maxPassed):]
		p.Hash, p.Version, p.Before = p.Before, before.Version, ""
	}
	if target := r.desiredVersion(&p); target.Hash != p.Hash {
		return pinTo(p, target)
	}
	return p
}

// rank orders versions by history: abandoned or passed over ones only count if no member has another one.
func rank(o groupVersion, p *rest.GroupPin) int {
	switch {
	case o.Rejected:
		return 0
	case slices.Contains(p.Passed, o.Hash):
		return 1
	}
	return 2
}

// desiredVersion returns the version that each member would run alone, else the newest that all have, else (during a
// rollout of images) the one that most have. The pinned version stays if no other is usable or fewer members have one.
func (r *rollout) desiredVersion(p *rest.GroupPin) groupVersion {
	var all []groupVersion
	best := 0
	for _, m := range r.members {
		for _, o := range m.versions {
			one := r.version(o.Hash)
			all, best = append(all, one), max(best, rank(one, p))
		}
	}
	all = slices.DeleteFunc(all, func(o groupVersion) bool { return rank(o, p) < best })
	first := map[string]int{} // how many members would run a version, by its hash
	for _, m := range r.members {
		for _, o := range m.versions {
			if rank(r.version(o.Hash), p) == best {
				first[o.Hash]++
				break
			}
		}
	}
	every := func(n int) int { return n / len(r.members) } // 1 for all members
	target := slices.MaxFunc(all, func(a, b groupVersion) int {
		newer := cmp.Or(plugin.CompareVersions(a.Version, b.Version), cmp.Compare(a.Hash, b.Hash))
		return cmp.Or(cmp.Compare(every(first[a.Hash]), every(first[b.Hash])), cmp.Compare(len(a.members),
			len(b.members)), newer)
	})
	pinned := r.version(p.Hash)
	more := cmp.Compare(len(pinned.members), len(target.members))
	lacking := len(target.members) < len(r.members) && (more > 0 || more == 0 && rank(pinned, p) == best)
	if pinned.members != nil && (best < 2 || lacking) {
		return pinned
	}
	return target
}

func (r *rollout) pendingReason() string {
	var newest plugin.Offer
	for _, m := range r.members {
		for _, o := range m.versions {
			if plugin.CompareVersions(o.Version, cmp.Or(newest.Version, r.pin.Version)) > 0 &&
				!r.version(o.Hash).Rejected &&
				!slices.Contains(r.pin.Passed, o.Hash) {
				newest = o
			}
		}
	}
	var lack []string
	for _, m := range r.members {
		if newest.Hash != "" && !slices.Contains(r.version(newest.Hash).members, m.name) {
			lack = append(lack, m.name)
		}
	}
	if len(lack) == 0 {
		return ""
	}
	return fmt.Sprintf("version %s with the hash %s: lacking at %s", newest.Version, newest.Hash,
		strings.Join(lack, ", "))
}

func pinTo(p rest.GroupPin, to groupVersion) rest.GroupPin {
	if p.Hash != to.Hash {
		p.Before = p.Hash
	}
	p.Hash, p.Version = to.Hash, to.Version
	if slices.Contains(p.Passed, to.Hash) {
		p.Passed = slices.DeleteFunc(slices.Clone(p.Passed), func(hash string) bool { return hash == to.Hash })
	}
	return p
}

func (r *rollout) choose(to groupVersion) rest.GroupPin {
	p := pinTo(r.pin, to)
	p.Passed = nil
	for _, m := range r.members {
		for _, o := range m.versions {
			if o.Hash != to.Hash && !slices.Contains(p.Passed, o.Hash) && len(p.Passed) < maxPassed {
				p.Passed = append(p.Passed, o.Hash)
			}
		}
	}
	return p
}

func (l *leader) rollouts() map[string]*rollout {
	pins := l.worker.pinnedVersions()
	l.mu.Lock()
	members := l.members
	l.mu.Unlock()
	all := map[string]*rollout{}
	for _, m := range members {
		if m.Leaving {
			continue
		}
		for _, o := range m.Plugins {
			o.Rejected = o.Rejected && (m.Offset > l.rolloutLock.chosenAt[o.Name] || o.Hash != pins[o.Name].Hash)
			r := all[o.Name]
			if r == nil {
				r = &rollout{pin: pins[o.Name]}
				all[o.Name] = r
			}
			if n := len(r.members); n == 0 || r.members[n-1].name != m.Name {
				r.members = append(r.members, memberVersions{name: m.Name})
			}
			one := &r.members[len(r.members)-1]
			one.versions = append(one.versions, o)
		}
	}
	return all
}

func (l *leader) rollOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if l.rolloutLock.Lock(ctx) != nil {
		return
	}
	defer l.rolloutLock.Unlock()
	pins, waits := map[string]rest.GroupPin{}, map[string]string{}
	for name, r := range l.rollouts() {
		next := r.next()
		if !reflect.DeepEqual(next, r.pin) {
			pins[name] = next
		}
		r.pin = next
		if why := r.pendingReason(); why != "" {
			waits[name] = why
		}
	}
	l.mu.Lock()
	before := l.pendingVersions
	l.pendingVersions = waits
	l.mu.Unlock()
	for name, why := range waits {
		if before[name] != why {
			l.worker.options.Logger.Info("a version of a plugin waits until the group runs it", "plugin", name,
				"reason", why)
		}
	}
	if _, err := l.writePins(ctx, pins); err != nil && !errors.Is(err, ErrNotLeader) {
		l.worker.options.Logger.Warn("which versions of plugins the group runs is not written", "error", err)
	}
}

func (l *leader) writePins(ctx context.Context, pins map[string]rest.GroupPin) (last int64, err error) {
	var records []configtopic.Record
	for name, p := range pins {
		record, err := configtopic.AnnotationRecord(pinPrefix+name, p)
		if err != nil {
			return 0, err
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		return 0, nil
	}
	if last, err = l.worker.options.Store.Write(ctx, records...); err != nil {
		return 0, err
	}
	for name, p := range pins {
		l.worker.options.Logger.Info("the group runs a version of a plugin", "plugin", name, "version", p.Version,
			"hash", p.Hash,
			"passed_over", p.Passed)
	}
	return last, nil
}

// Choose pins a plugin's version for all workers by the SHA-256 of its file in hex; empty means the previous version.
// Only the leader can. The error is [plugin.ErrUnknownVersion] if no member has it.
func (w *Worker) Choose(ctx context.Context, name, hash string) error {
	l := w.leader
	if _, me, known := w.Leader(); !known || !me {
		return ErrNotLeader
	}
	if err := l.rolloutLock.Lock(ctx); err != nil {
		return err
	}
	defer l.rolloutLock.Unlock()
	r := cmp.Or(l.rollouts()[name], &rollout{})
	to := r.version(cmp.Or(shortHash(hash), r.pin.Before))
	if to.members == nil {
		return fmt.Errorf("%w %s with the hash %q at any worker of the group (without one: the version before)",
			plugin.ErrUnknownVersion, name, hash)
	}
	last, err := l.writePins(ctx, map[string]rest.GroupPin{name: r.choose(to)})
	if err == nil {
		l.rolloutLock.chosenAt[name] = last
	}
	return err
}

func shortHash(hash string) string { return hash[:min(12, len(hash))] }

func (w *Worker) pinnedVersions() map[string]rest.GroupPin {
	pins := map[string]rest.GroupPin{}
	for name, note := range w.options.Store.Annotations(pinPrefix) {
		var p rest.GroupPin
		if json.Unmarshal(note, &p) == nil && p.Hash != "" { // else it is not ours
			pins[name] = p
		}
	}
	return pins
}

func (w *Worker) pinPlugins() {
	pins := map[string]plugin.PinnedVersion{}
	for name, p := range w.pinnedVersions() {
		pins[name] = plugin.PinnedVersion{Hash: p.Hash, Previous: p.Before}
	}
	w.options.Plugins.Pin(pins)
}

func (w *Worker) addOffer(m *Metadata) (news bool) {
	for _, o := range w.options.Plugins.Versions() {
		o.Hash = shortHash(o.Hash)
		m.Plugins = append(m.Plugins, o)
	}
	for _, class := range w.options.Classes() {
		m.Classes = append(m.Classes, KeyOf(class))
	}
	m.Digest = w.options.FolderDigest()
	before := w.lastOffer.Swap(new(fmt.Sprint(m.Plugins, m.Classes, m.Digest)))
	return before == nil || *before != *w.lastOffer.Load()
}
