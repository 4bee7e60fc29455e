package cluster

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/plugin"
)

// newRollout returns a rollout. A member is `name offers`, with offers such as `1.0:a` in order of preference, and with
// - for an abandoned version.
func newRollout(pin groupview.Pin, members ...string) *rollout {
	r := &rollout{pin: pin}
	for _, m := range members {
		f := strings.Fields(m)
		member := memberVersions{name: f[0]}
		for _, o := range f[1:] {
			version, hash, _ := strings.Cut(strings.Trim(o, "-"), ":")
			member.versions = append(member.versions, plugin.Offer{Name: "p", Version: version, Hash: hash,
				Rejected: strings.HasSuffix(o, "-")})
		}
		r.members = append(r.members, member)
	}
	return r
}

// A group runs the newest version that all members have.
func TestRollout(t *testing.T) {
	t.Parallel()
	one := groupview.Pin{Version: "1", Hash: "a"}
	two := groupview.Pin{Version: "2", Hash: "b", Before: "a"}
	passed := func(p groupview.Pin, hashes ...string) groupview.Pin {
		p.Passed = hashes
		return p
	}
	for name, c := range map[string]struct {
		pin     groupview.Pin
		members string // separated by commas
		want    groupview.Pin
	}{
		"the first pin":                   {groupview.Pin{}, "m1 1:a, m2 1:a", one},
		"the first pin is what most have": {groupview.Pin{}, "m1 2:b, m2 1:a, m3 1:a", one},
		"of two the newer": {groupview.Pin{}, "m1 1:a, m2 2:b",
			groupview.Pin{Version: "2", Hash: "b"}},
		"nothing new":                           {one, "m1 1:a, m2 1:a", one},
		"some have a newer one":                 {one, "m1 2:b 1:a, m2 1:a", one},
		"all have it":                           {one, "m1 2:b 1:a, m2 2:b 1:a", two},
		"two newer ones, of which all have one": {one, "m1 2:b 1:a, m2 3:c 2:b 1:a", two},
		"the same file twice":                   {one, "m1 2:b 2:b 1:a, m2 1:a", one},
		"it breaks": {two, "m1 2:b- 1:a, m2 2:b 1:a",
			groupview.Pin{Version: "1", Hash: "a", Passed: []string{"b"}}},
		"it breaks, and one lacks the one before": {two, "m1 2:b- 1:a, m2 2:b", two},
		"it breaks, and all have one that is older still": {two, "m1 2:b- 1:a 0:z, m2 2:b 0:z",
			groupview.Pin{Version: "0", Hash: "z", Before: "b"}},
		"it breaks, and nobody has other": {two, "m1 2:b-, m2 2:b", two},
		"it breaks, and one has another":  {two, "m1 3:c 2:b-, m2 2:b", two},
		"it breaks, and as many have another": {two, "m1 3:c, m2 2:b-",
			groupview.Pin{Version: "3", Hash: "c", Before: "b"}},
		"what was passed over is not pinned": {passed(one, "b"), "m1 2:b 1:a, m2 2:b 1:a", passed(one, "b")},
		"another file comes after that": {passed(one, "b"), "m1 3:c 1:a, m2 3:c 1:a",
			groupview.Pin{Version: "3", Hash: "c", Before: "a", Passed: []string{"b"}}},
		"it is replaced by an older one": {two, "m1 1:c 2:b, m2 1:c 2:b",
			groupview.Pin{Version: "1", Hash: "c", Before: "b"}},
		"it is replaced by an older one at a member": {two, "m1 1:c 2:b, m2 2:b", two},
		"a new member with an old one": {two, "m1 2:b 1:a, m2 2:b 1:a, m3 1:a",
			groupview.Pin{Version: "1", Hash: "a", Before: "b"}},
		"a new member with nothing in common": {two, "m1 2:b, m2 2:b, m3 1:a", two},
		"nobody has what is pinned":           {one, "m1 2:b, m2 2:b", two},
		"nobody has it: what was passed over": {passed(one, "b"), "m1 2:b, m2 2:b",
			groupview.Pin{Version: "2", Hash: "b", Before: "a", Passed: []string{}}},
		"nobody has it: what was left":     {one, "m1 2:b-, m2 2:b", two},
		"images: as many have the new one": {one, "m1 1:a, m2 1:a, m3 2:b, m4 2:b", one},
		"images: more have the new one":    {one, "m1 1:a, m2 1:a, m3 2:b, m4 2:b, m5 2:b", two},
		"images: more have an older one": {two, "m1 2:b, m2 1:a, m3 1:a",
			groupview.Pin{Version: "1", Hash: "a", Before: "b"}},
		"images: some differ":        {one, "m1 1:a, m2 1:a, m3 2:b, m4 3:c, m5 3:c", one},
		"images: it was passed over": {passed(one, "b"), "m1 1:a, m2 2:b, m3 2:b", passed(one, "b")},
		"a member without any file":  {one, "m1 2:b 1:a", two},
	} {
		r := newRollout(c.pin, strings.Split(c.members, ",")...)
		got := r.next()
		assert.Equal(t, c.want, got, name)
		r.pin = got
		assert.Equal(t, got, r.next(), name, "and again")
	}
}

// Only a member that has read the pin can have rejected the pinned version since then, also for a new leader.
func TestRejectionFromBeforeThePinDoesNotCount(t *testing.T) {
	t.Parallel()
	worker, _ := config.NewWorker("", nil, nil, nil)
	store := configtopic.NewStore("configs", worker, nil, slog.New(slog.DiscardHandler))
	pin, err := configtopic.AnnotationRecord(pinPrefix+"p", groupview.Pin{Version: "2", Hash: "b", Before: "a"})
	require.NoError(t, err)
	pin.Offset = 7
	store.Apply(pin)
	for offset, want := range map[int64]string{7: "b", 8: "a"} { // the next offset of who has not read it, and who has
		l := newLeader(&Worker{options: WorkerOptions{Topics: Topics{Store: store}}})
		l.members = []Member{{ID: "m1", Metadata: Metadata{Offset: offset, Plugins: []plugin.Offer{
			{Name: "p", Version: "2", Hash: "b", Rejected: true}, {Name: "p", Version: "1", Hash: "a"}}}}}
		next := l.rollouts()["p"].next()
		assert.Equal(t, want, next.Hash, "at offset %d", offset)
	}
}

// A pin of an unknown format is none of the members' versions, and is not replaced by one.
func TestUnreadablePinStays(t *testing.T) {
	t.Parallel()
	worker, _ := config.NewWorker("", nil, nil, nil)
	store := configtopic.NewStore("configs", worker, nil, slog.New(slog.DiscardHandler))
	store.Apply(configtopic.Record{Key: pinPrefix + "p", Value: []byte(`{"digest":"b"}`)})
	l := newLeader(&Worker{options: WorkerOptions{Topics: Topics{Store: store},
		ResolveClass: func(class string) (name, plugin string) { return class, "p" }}})
	l.members = []Member{{ID: "m1", Metadata: Metadata{Plugins: []plugin.Offer{{Name: "p", Version: "2", Hash: "b"}}}}}
	r := l.rollouts()["p"]
	assert.Equal(t, r.pin, r.next())
	_, missing := l.eligible(simConnector(t, map[string]string{"name": "c", "connector.class": "Shop"}), l.members)
	assert.Equal(t, "the group's version of p, whose record in the config topic has an unknown format: "+
		"culvert plugins swap selects another", missing)
	assert.Equal(t, groupview.Pin{Version: "2", Hash: "b"}, r.choose(r.withHash("b")))
}

// The reason why a newer version waits names the members without it.
func TestRolloutNamesMembersWithoutVersion(t *testing.T) {
	t.Parallel()
	one := groupview.Pin{Version: "1", Hash: "a"}
	for _, c := range []struct {
		pin     groupview.Pin
		members string
		want    string
	}{
		{one, "m1 1:a, m2 1:a", ""},
		{one, "m1 2:b 1:a, m2 1:a, m3 1:a", "version 2 with the hash b: missing on m2, m3"},
		{one, "m1 2:b- 1:a, m2 1:a", ""},
		{groupview.Pin{Version: "1", Hash: "a", Passed: []string{"b"}}, "m1 2:b 1:a, m2 1:a", ""},
		{groupview.Pin{Version: "2", Hash: "b"}, "m1 1:a, m2 2:b", ""},
	} {
		r := newRollout(c.pin, strings.Split(c.members, ",")...)
		assert.Equal(t, c.want, r.pendingReason(), c.members)
	}
}

// Workers receive another image one by one, which has another version of the plugin and not the old one. After each
// step every unit has a worker, and no worker has more than twice its final share.
func TestRollingImageUpdate(t *testing.T) {
	t.Parallel()
	const (
		members = 10
		tasks   = 50 // of each connector
	)
	maxTasks := 0 // of a worker
	g := newGroup(connector("a", 0, tasks), connector("b", 2, tasks))
	r := newRollout(groupview.Pin{})
	step := func(id string, offer plugin.Offer) {
		if m := g.member(id); m != nil && m.Leaving {
			g.leave(id)
		} else if m != nil {
			m.Leaving = true
		} else {
			g.join(id)
			g.member(id).Plugins = []plugin.Offer{offer}
		}
		r.members = nil
		for _, m := range g.in.Members {
			if !m.Leaving {
				r.members = append(r.members, memberVersions{name: m.ID, versions: m.Plugins})
			}
		}
		r.pin = r.next()
		for c := range g.in.Connectors {
			g.in.Connectors[c].Eligible = nil
			for _, m := range g.in.Members {
				g.in.Connectors[c].Eligible = append(g.in.Connectors[c].Eligible, m.Plugins[0].Hash == r.pin.Hash)
			}
		}
		for range 5 { // a move takes two
			g.rebalance()
			g.pass(g.in.Delay)
		}
		assigned := 0
		for _, m := range g.in.Members {
			n := 0
			for _, h := range g.targets[m.ID] {
				for unit := range h.Resources.All() {
					n += min(unit, 1) // the connector's own unit is 0
				}
			}
			assigned += n
			maxTasks = max(maxTasks, n)
		}
		require.True(t, len(g.out.Unplaced) == 0 && assigned == 2*tasks,
			"%s: expected all tasks to have a worker, found %d of %d: %v", id, assigned, 2*tasks, g.out.Unplaced)
	}
	for n := range members {
		step(fmt.Sprint("m", n), plugin.Offer{Name: "p", Version: "1", Hash: "a"})
	}
	maxTasks = 0
	for n := range members {
		id := fmt.Sprint("m", n)
		step(id, plugin.Offer{})
		step(id, plugin.Offer{})
		step(id+"'", plugin.Offer{Name: "p", Version: "2", Hash: "b"})
	}
	assert.Equal(t, "b", r.pin.Hash)
	assert.AtMost(t, 2*2*tasks/members, maxTasks, "tasks at a worker")
}

// An operator's choice is stored in the pin. It applies until another file arrives, whoever leads.
func TestChosenVersionStays(t *testing.T) {
	t.Parallel()
	members := []string{"m1 2:b 1:a", "m2 2:b 1:a"}
	two := groupview.Pin{Version: "2", Hash: "b", Before: "a"}
	r := newRollout(two, members...)
	r.pin = r.choose(r.withHash("a"))
	assert.Equal(t, groupview.Pin{Version: "1", Hash: "a", Before: "b", Passed: []string{"b"}}, r.pin)
	assert.Equal(t, r.pin, r.next())
	r = newRollout(r.choose(r.withHash("b")), members...)
	assert.Equal(t, groupview.Pin{Version: "2", Hash: "b", Before: "a", Passed: []string{"a"}}, r.next())
	r = newRollout(r.pin, "m1 3:c 2:b", "m2 3:c 2:b")
	assert.Equal(t, "c", r.next().Hash)
}

// Whatever members report, a pin converges and names a version that some member has, if any.
func TestRolloutConverges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(26, 10))
	hash := func() string { return string('a' + rune(r.IntN(4))) }
	for n := range 4_000 {
		var members []string
		for m := range 1 + r.IntN(4) {
			text := fmt.Sprint("m", m)
			for range 1 + r.IntN(3) {
				h := hash()
				text += fmt.Sprintf(" %d:%s%s", h[0], h, []string{"", "", "", "-"}[r.IntN(4)])
			}
			members = append(members, text)
		}
		pin := groupview.Pin{Hash: hash(), Before: hash(), Version: "97"}
		for range r.IntN(maxPassed + 2) {
			pin.Passed = append(pin.Passed, hash())
		}
		rollout := newRollout(pin, members...)
		for step := 0; ; step++ {
			next := rollout.next()
			require.True(t, len(next.Passed) <= maxPassed+1,
				"%d: %v: expected a newer state, found %+v after %+v", n, members, next, rollout.pin)
			if fmt.Sprint(next) == fmt.Sprint(rollout.pin) {
				break
			}
			rollout.pin = next
			require.True(t, step <= 8, "%d: %v: expected the pin to converge, found %+v", n, members, next)
		}
		require.True(t, rollout.withHash(rollout.pin.Hash).members != nil,
			"%d: %v: expected a version that a member has, found %+v", n, members, rollout.pin)
	}
}
