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

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/version"
)

const pinPrefix = string(configtopic.KindAnnotation) + "plugin-"

const maxPassed = 32 // bounds the versions that a pin passes over

// rollout is the present state of one plugin: the version that the group is pinned to, and the versions of each member.
type rollout struct {
	pin     groupview.Pin
	members []memberVersions
}

type memberVersions struct {
	name     string
	versions []plugin.Offer // in the order in which the member would choose them without a pin
}

// groupVersion is a version of a plugin with the members that have it. Nil members mean that no member has it.
type groupVersion struct {
	plugin.Offer
	members []string
}

// withHash returns the version with a hash. It is rejected if one of its members has rejected it.
func (r *rollout) withHash(hash string) (merged groupVersion) {
	for _, m := range r.members {
		for _, o := range m.versions {
			if o.Hash == hash && !slices.Contains(merged.members, m.name) {
				o.Rejected = o.Rejected || merged.Rejected
				merged = groupVersion{o, append(merged.members, m.name)}
			}
		}
	}
	return merged
}

// next returns the next pin. If the pinned version is rejected and all have the previous one, that is pinned again.
func (r *rollout) next() groupview.Pin {
	pin := r.pin
	if pin.Hash == unreadablePin.Hash {
		return pin // only an operator replaces it
	}
	if previous := r.withHash(pin.Before); r.withHash(pin.Hash).Rejected && previous.members != nil &&
		len(previous.members) == len(r.members) {
		pin.Passed = append(slices.Clone(pin.Passed), pin.Hash)
		pin.Passed = pin.Passed[max(0, len(pin.Passed)-maxPassed):]
		pin.Hash = pin.Before
		pin.Version = previous.Version
		pin.Before = ""
	}
	if target := r.desiredVersion(&pin); target.Hash != pin.Hash {
		return pinTo(pin, target)
	}
	return pin
}

// Ranks of versions, see rank.
const (
	rankRejected = iota
	rankPassed
	rankUsable
)

// rank orders versions: rejected ones and those passed over only count if no member has another one.
func rank(o groupVersion, p *groupview.Pin) int {
	switch {
	case o.Rejected:
		return rankRejected
	case slices.Contains(p.Passed, o.Hash):
		return rankPassed
	}
	return rankUsable
}

// desiredVersion returns the version that each member would run alone, else the newest that all have, else (during a
// rollout of images) the one that most have. The pinned version stays if none is usable. Against a version that not all
// members have, it also stays if more members have it, or equally many and it is usable.
func (r *rollout) desiredVersion(pin *groupview.Pin) groupVersion {
	var versions []groupVersion
	best := rankRejected
	for _, m := range r.members {
		for _, o := range m.versions {
			merged := r.withHash(o.Hash)
			versions = append(versions, merged)
			best = max(best, rank(merged, pin))
		}
	}
	versions = slices.DeleteFunc(versions, func(o groupVersion) bool { return rank(o, pin) < best })
	preferredBy := map[string]int{} // how many members would run a version alone, by its hash
	for _, m := range r.members {
		for _, o := range m.versions {
			if rank(r.withHash(o.Hash), pin) == best {
				preferredBy[o.Hash]++
				break
			}
		}
	}
	target := slices.MaxFunc(versions, func(a, b groupVersion) int {
		return cmp.Or(cmp.Compare(len(a.members), len(b.members)), version.Compare(a.Version, b.Version),
			cmp.Compare(a.Hash, b.Hash))
	})
	isPreferredByAll := func(v groupVersion) bool { return preferredBy[v.Hash] == len(r.members) }
	if pos := slices.IndexFunc(versions, isPreferredByAll); pos >= 0 {
		target = versions[pos]
	}
	pinned := r.withHash(pin.Hash)
	order := cmp.Compare(len(pinned.members), len(target.members))
	pinnedIsBetter := len(target.members) < len(r.members) && (order > 0 || (order == 0 && rank(pinned, pin) == best))
	if pinned.members != nil && (best < rankUsable || pinnedIsBetter) {
		return pinned
	}
	return target
}

// pendingReason returns which members lack a newer version, "" if no newer version waits for members.
func (r *rollout) pendingReason() string {
	var newest plugin.Offer
	for _, m := range r.members {
		for _, o := range m.versions {
			if version.Compare(o.Version, cmp.Or(newest.Version, r.pin.Version)) > 0 &&
				!r.withHash(o.Hash).Rejected && !slices.Contains(r.pin.Passed, o.Hash) {
				newest = o
			}
		}
	}
	var lacking []string
	for _, m := range r.members {
		if newest.Hash != "" && !slices.Contains(r.withHash(newest.Hash).members, m.name) {
			lacking = append(lacking, m.name)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf("version %s with the hash %s: missing on %s", newest.Version, newest.Hash,
		strings.Join(lacking, ", "))
}

// pinTo returns the pin of another version. The version before becomes the previous one.
func pinTo(p groupview.Pin, target groupVersion) groupview.Pin {
	if p.Hash != target.Hash && p.Hash != unreadablePin.Hash {
		p.Before = p.Hash
	}
	p.Hash = target.Hash
	p.Version = target.Version
	if slices.Contains(p.Passed, target.Hash) {
		p.Passed = slices.DeleteFunc(slices.Clone(p.Passed), func(hash string) bool { return hash == target.Hash })
	}
	return p
}

// choose returns the pin for an operator's choice, which passes over all other versions.
func (r *rollout) choose(chosen groupVersion) groupview.Pin {
	pin := pinTo(r.pin, chosen)
	pin.Passed = nil
	for _, m := range r.members {
		for _, o := range m.versions {
			if o.Hash != chosen.Hash && !slices.Contains(pin.Passed, o.Hash) && len(pin.Passed) < maxPassed {
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
	rollouts := map[string]*rollout{}
	for _, member := range members {
		if member.Leaving {
			continue
		}
		for _, offer := range member.Plugins {
			// A member that has not read the pin rejected the version before, and tries it again when it has.
			offer.Rejected = offer.Rejected && (offer.Hash != pins[offer.Name].Hash ||
				member.Offset > l.worker.options.Store.AnnotationOffset(pinPrefix+offer.Name))
			r := rollouts[offer.Name]
			if r == nil {
				r = &rollout{pin: pins[offer.Name]}
				rollouts[offer.Name] = r
			}
			if n := len(r.members); n == 0 || r.members[n-1].name != member.Name {
				r.members = append(r.members, memberVersions{name: member.Name})
			}
			last := &r.members[len(r.members)-1]
			last.versions = append(last.versions, offer)
		}
	}
	return rollouts
}

// rollOut writes the next pin of each plugin, and logs versions that wait for members.
func (l *leader) rollOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if l.rolloutLock.Lock(ctx) != nil {
		return
	}
	defer l.rolloutLock.Unlock()
	pins := map[string]groupview.Pin{}
	waits := map[string]string{}
	for name, r := range l.rollouts() {
		next := r.next()
		if !reflect.DeepEqual(next, r.pin) {
			pins[name] = next
		}
		r.pin = next
		if reason := r.pendingReason(); reason != "" {
			waits[name] = reason
		}
	}
	l.mu.Lock()
	previous := l.pendingVersions
	l.pendingVersions = waits
	l.mu.Unlock()
	for name, reason := range waits {
		if previous[name] != reason {
			l.worker.options.Logger.Info("a plugin version waits until all workers have it", "plugin", name,
				"reason", reason)
		}
	}
	if err := l.writePins(ctx, pins); err != nil && !errors.Is(err, ErrNotLeader) {
		l.worker.options.Logger.Warn("the group's plugin versions were not written", "error", err)
	}
}

func (l *leader) writePins(ctx context.Context, pins map[string]groupview.Pin) error {
	var records []configtopic.Record
	for name, p := range pins {
		record, err := configtopic.AnnotationRecord(pinPrefix+name, p)
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		return nil
	}
	if _, err := l.worker.options.Store.Write(ctx, records...); err != nil {
		return err
	}
	for name, p := range pins {
		l.worker.options.Logger.Info("the group uses a plugin version", "plugin", name, "version", p.Version,
			"hash", p.Hash, "passed_over", p.Passed)
	}
	return nil
}

// Choose pins a plugin's version for all workers by the SHA-256 of its file in hex; empty means the previous version.
// Only the leader can. The error is [plugin.ErrUnknownVersion] if no member has it.
func (w *Worker) Choose(ctx context.Context, name, hash string) error {
	l := w.leader
	if _, isSelf, hasLeader := w.Leader(); !hasLeader || !isSelf {
		return ErrNotLeader
	}
	if err := l.rolloutLock.Lock(ctx); err != nil {
		return err
	}
	defer l.rolloutLock.Unlock()
	r := cmp.Or(l.rollouts()[name], &rollout{})
	chosen := r.withHash(cmp.Or(shortHash(hash), r.pin.Before))
	if chosen.members == nil {
		return fmt.Errorf("%w %s with the hash %q on any worker of the group (an empty hash means the previous "+
			"version)", plugin.ErrUnknownVersion, name, hash)
	}
	return l.writePins(ctx, map[string]groupview.Pin{name: r.choose(chosen)})
}

// shortHash returns the first digits of a hash, which are enough for members and pins to name a file.
func shortHash(hash string) string { return hash[:min(12, len(hash))] }

// unreadablePin replaces a pin of an unknown format, which a later program may have written. No worker has its version,
// so no tasks with the plugin start, unless their plugin.version excludes it, until an operator chooses another one.
var unreadablePin = groupview.Pin{Version: "unknown", Hash: "unreadable"}

func (w *Worker) pinnedVersions() map[string]groupview.Pin {
	pins := map[string]groupview.Pin{}
	for name, annotation := range w.options.Store.Annotations(pinPrefix) {
		var p groupview.Pin
		if json.Unmarshal(annotation, &p) != nil || p.Hash == "" {
			p = unreadablePin
		}
		pins[name] = p
	}
	return pins
}

func (w *Worker) pinPlugins() {
	pins := map[string]plugin.PinnedVersion{}
	for name, p := range w.pinnedVersions() {
		pins[name] = plugin.PinnedVersion{Version: p.Version, Hash: p.Hash, Previous: p.Before}
	}
	w.options.Plugins.Pin(pins)
}

// addOffer adds this worker's plugins, classes and folder digest to its metadata. It reports whether they have changed
// since the last call.
func (w *Worker) addOffer(metadata *Metadata) (changed bool) {
	for _, o := range w.options.Plugins.Versions() {
		o.Hash = shortHash(o.Hash)
		metadata.Plugins = append(metadata.Plugins, o)
	}
	for _, class := range w.options.Classes() {
		metadata.Classes = append(metadata.Classes, KeyOf(class))
	}
	metadata.Digest = w.options.FolderDigest()
	offer := fmt.Sprint(metadata.Plugins, metadata.Classes, metadata.Digest)
	previous := w.lastOffer.Swap(&offer)
	return previous == nil || *previous != offer
}
