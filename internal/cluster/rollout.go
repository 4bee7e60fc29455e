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

// rolloutLock is held while pins are read and written. chosenAt has the offsets of operators' choices by plugin.
type rolloutLock struct {
	guard.CtxMutex
	chosenAt map[string]int64
}

// rollout is the present state of one plugin: the version that the group is pinned to, and the versions of each member.
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

// next returns the next pin. If the pinned version is rejected and all have the previous one, that is pinned again.
func (r *rollout) next() rest.GroupPin {
	pin := r.pin
	if before := r.version(pin.Before); r.version(pin.Hash).Rejected && before.members != nil &&
		len(before.members) == len(r.members) {
		pin.Passed = append(slices.Clone(pin.Passed), pin.Hash)
		pin.Passed = pin.Passed[max(0, len(pin.Passed)-maxPassed):]
		pin.Hash, pin.Version, pin.Before = pin.Before, before.Version, ""
	}
	if target := r.desiredVersion(&pin); target.Hash != pin.Hash {
		return pinTo(pin, target)
	}
	return pin
}

// rank orders versions: rejected ones and those passed over only count if no member has another one.
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
func (r *rollout) desiredVersion(pin *rest.GroupPin) groupVersion {
	var all []groupVersion
	best := 0
	for _, m := range r.members {
		for _, o := range m.versions {
			one := r.version(o.Hash)
			all = append(all, one)
			best = max(best, rank(one, pin))
		}
	}
	all = slices.DeleteFunc(all, func(o groupVersion) bool { return rank(o, pin) < best })
	first := map[string]int{} // how many members would run a version, by its hash
	for _, m := range r.members {
		for _, o := range m.versions {
			if rank(r.version(o.Hash), pin) == best {
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
	pinned := r.version(pin.Hash)
	more := cmp.Compare(len(pinned.members), len(target.members))
	lacking := len(target.members) < len(r.members) && (more > 0 || (more == 0 && rank(pinned, pin) == best))
	if pinned.members != nil && (best < 2 || lacking) {
		return pinned
	}
	return target
}

// pendingReason returns which members lack a newer version, "" if there is none.
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
	var lacking []string
	for _, m := range r.members {
		if newest.Hash != "" && !slices.Contains(r.version(newest.Hash).members, m.name) {
			lacking = append(lacking, m.name)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf("version %s with the hash %s: missing on %s", newest.Version, newest.Hash,
		strings.Join(lacking, ", "))
}

func pinTo(p rest.GroupPin, to groupVersion) rest.GroupPin {
	if p.Hash != to.Hash {
		p.Before = p.Hash
	}
	p.Hash = to.Hash
	p.Version = to.Version
	if slices.Contains(p.Passed, to.Hash) {
		p.Passed = slices.DeleteFunc(slices.Clone(p.Passed), func(hash string) bool { return hash == to.Hash })
	}
	return p
}

func (r *rollout) choose(to groupVersion) rest.GroupPin {
	pin := pinTo(r.pin, to)
	pin.Passed = nil
	for _, m := range r.members {
		for _, o := range m.versions {
			if o.Hash != to.Hash && !slices.Contains(pin.Passed, o.Hash) && len(pin.Passed) < maxPassed {
				pin.Passed = append(pin.Passed, o.Hash)
			}
		}
	}
	return pin
}

func (l *leader) rollouts() map[string]*rollout {
	pins := l.worker.pinnedVersions()
	l.mu.Lock()
	members := l.members
	l.mu.Unlock()
	all := map[string]*rollout{}
	for _, member := range members {
		if member.Leaving {
			continue
		}
		for _, offer := range member.Plugins {
			offer.Rejected = offer.Rejected && (member.Offset > l.rolloutLock.chosenAt[offer.Name] ||
				offer.Hash != pins[offer.Name].Hash)
			r := all[offer.Name]
			if r == nil {
				r = &rollout{pin: pins[offer.Name]}
				all[offer.Name] = r
			}
			if n := len(r.members); n == 0 || r.members[n-1].name != member.Name {
				r.members = append(r.members, memberVersions{name: member.Name})
			}
			one := &r.members[len(r.members)-1]
			one.versions = append(one.versions, offer)
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
	pins := map[string]rest.GroupPin{}
	waits := map[string]string{}
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
			l.worker.options.Logger.Info("a plugin version waits until all workers have it", "plugin", name,
				"reason", why)
		}
	}
	if _, err := l.writePins(ctx, pins); err != nil && !errors.Is(err, ErrNotLeader) {
		l.worker.options.Logger.Warn("the group's plugin versions were not written", "error", err)
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
		l.worker.options.Logger.Info("the group uses a plugin version", "plugin", name, "version", p.Version,
			"hash", p.Hash,
			"passed_over", p.Passed)
	}
	return last, nil
}

// Choose pins a plugin's version for all workers by the SHA-256 of its file in hex; empty means the previous version.
// Only the leader can. The error is [plugin.ErrUnknownVersion] if no member has it.
func (w *Worker) Choose(ctx context.Context, name, hash string) error {
	leader := w.leader
	if _, isSelf, known := w.Leader(); !known || !isSelf {
		return ErrNotLeader
	}
	if err := leader.rolloutLock.Lock(ctx); err != nil {
		return err
	}
	defer leader.rolloutLock.Unlock()
	r := cmp.Or(leader.rollouts()[name], &rollout{})
	chosen := r.version(cmp.Or(shortHash(hash), r.pin.Before))
	if chosen.members == nil {
		return fmt.Errorf("%w %s with the hash %q on any worker of the group (an empty hash means the previous "+
			"version)",
			plugin.ErrUnknownVersion, name, hash)
	}
	last, err := leader.writePins(ctx, map[string]rest.GroupPin{name: r.choose(chosen)})
	if err == nil {
		leader.rolloutLock.chosenAt[name] = last
	}
	return err
}

func shortHash(hash string) string { return hash[:min(12, len(hash))] }

func (w *Worker) pinnedVersions() map[string]rest.GroupPin {
	pins := map[string]rest.GroupPin{}
	for name, note := range w.options.Store.Annotations(pinPrefix) {
		var p rest.GroupPin
		if json.Unmarshal(note, &p) == nil && p.Hash != "" { // else the annotation is damaged
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

func (w *Worker) addOffer(metadata *Metadata) (changed bool) {
	for _, o := range w.options.Plugins.Versions() {
		o.Hash = shortHash(o.Hash)
		metadata.Plugins = append(metadata.Plugins, o)
	}
	for _, class := range w.options.Classes() {
		metadata.Classes = append(metadata.Classes, KeyOf(class))
	}
	metadata.Digest = w.options.FolderDigest()
	before := w.lastOffer.Swap(new(fmt.Sprint(metadata.Plugins, metadata.Classes, metadata.Digest)))
	return before == nil || *before != *w.lastOffer.Load()
}
