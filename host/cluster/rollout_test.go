package cluster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
)

// rolls is a rollout by few words: a member is `name offers`, offers as `1.0:a` those first that it would take, with +
// where the version is proven, and with - where it was left.
func rolls(pin rest.GroupPin, any bool, tasks []string, members ...string) *rollout {
	r := &rollout{pin: pin, any: any, tasks: func() ([]string, bool) {
		if len(tasks) == 1 && tasks[0] == "unknown" {
			return nil, false
		}
		return slices.Clone(tasks), true
	}}
	for _, m := range members {
		f := strings.Fields(m)
		one := rolling{name: f[0]}
		for _, o := range f[1:] {
			version, hash, _ := strings.Cut(strings.Trim(o, "+-"), ":")
			one.offers = append(one.offers, plugin.Offer{Name: "p", Version: version, Hash: hash,
				Proven: strings.HasSuffix(o, "+"), Left: strings.HasSuffix(o, "-")})
		}
		r.members = append(r.members, one)
	}
	return r
}

func TestRollout(t *testing.T) {
	t.Parallel()
	one := rest.GroupPin{Version: "1", Hash: "a"}
	trial := rest.GroupPin{Version: "1", Hash: "a", Trial: "b", By: "m2"}
	two := rest.GroupPin{Version: "2", Hash: "b", Before: "a"}
	passed := func(p rest.GroupPin, hashes ...string) rest.GroupPin {
		p.Passed = hashes
		return p
	}
	run := []string{"m1", "m2"}
	for name, c := range map[string]struct {
		before  rest.GroupPin
		any     bool
		tasks   []string
		members string // parted by commas
		want    rest.GroupPin
	}{
		"the first pin":                   {rest.GroupPin{}, false, run, "m1 1:a, m2 1:a", one},
		"the first pin is what most have": {rest.GroupPin{}, false, run, "m1 2:b, m2 1:a, m3 1:a", one},
		"of two the newer": {rest.GroupPin{}, false, run, "m1 1:a, m2 2:b",
			rest.GroupPin{Version: "2", Hash: "b"}},
		"nothing new":             {one, false, run, "m1 1:a, m2 1:a", one},
		"some have a newer one":   {one, false, run, "m1 2:b 1:a, m2 1:a", one},
		"all have it":             {one, false, []string{"m2"}, "m1 2:b 1:a, m2 2:b 1:a", trial},
		"the first by name tries": {one, false, []string{"m3", "m2"}, "m2 2:b 1:a, m3 2:b", trial},
		"nobody runs it":          {one, false, nil, "m1 2:b 1:a, m2 2:b", two},
		"tasks are on their way":  {one, false, []string{"unknown"}, "m1 2:b 1:a, m2 2:b", one},
		"the trial goes on":       {trial, false, run, "m1 2:b 1:a, m2 2:b 1:a", trial},
		"the trial went well":     {trial, false, run, "m1 2:b 1:a, m2 2:b+ 1:a", two},
		"the trial went badly":    {trial, false, run, "m1 2:b 1:a, m2 2:b- 1:a", passed(one, "b")},
		"who tries it has gone": {trial, false, []string{"m1"}, "m1 2:b 1:a, m3 2:b 1:a",
			rest.GroupPin{Version: "1", Hash: "a", Trial: "b", By: "m1"}},
		"who tries it does not run it any more": {trial, false, []string{"unknown"}, "m1 2:b 1:a, m2 2:b 1:a", one},
		"the file has gone in mid-trial":        {trial, false, run, "m1 2:b 1:a, m2 1:a", one},
		"a member without it joins":             {trial, false, run, "m1 2:b 1:a, m2 2:b 1:a, m3 1:a", one},
		"a yet newer one comes in mid-trial": {trial, false, []string{"m2"}, "m1 3:c 2:b 1:a, m2 3:c 2:b 1:a",
			rest.GroupPin{Version: "1", Hash: "a", Trial: "c", By: "m2"}},
		"it breaks afterwards": {two, false, run, "m1 2:b- 1:a, m2 2:b 1:a",
			rest.GroupPin{Version: "1", Hash: "a", Passed: []string{"b"}}},
		"it breaks, and nobody has other": {two, false, run, "m1 2:b-, m2 2:b", two},
		"what was passed over is left":    {passed(one, "b"), false, run, "m1 2:b 1:a, m2 2:b 1:a", passed(one, "b")},
		"another file comes after that": {passed(one, "b"), false, []string{"m1"}, "m1 3:c 1:a, m2 3:c 1:a",
			rest.GroupPin{Version: "1", Hash: "a", Trial: "c", By: "m1", Passed: []string{"b"}}},
		"it is replaced by an older one": {two, false, []string{"m1"}, "m1 1:c 2:b, m2 1:c 2:b",
			rest.GroupPin{Version: "2", Hash: "b", Before: "a", Trial: "c", By: "m1"}},
		"a new member with an old one": {two, false, run, "m1 2:b 1:a, m2 2:b 1:a, m3 1:a", two},
		"nobody has what is pinned":    {one, false, run, "m1 2:b, m2 2:b", two},
		"nobody has it: what was passed over": {passed(one, "b"), false, run, "m1 2:b, m2 2:b",
			rest.GroupPin{Version: "2", Hash: "b", Before: "a", Passed: []string{}}},
		"nobody has it: what was left": {one, false, run, "m1 2:b-, m2 2:b",
			two},
		"images: as many have the new one": {one, false, run, "m1 1:a, m2 1:a, m3 2:b, m4 2:b", one},
		"images: more have the new one":    {one, false, run, "m1 1:a, m2 1:a, m3 2:b, m4 2:b, m5 2:b", two},
		"images: more have an older one": {two, false, []string{"m1"}, "m1 2:b, m2 1:a, m3 1:a", rest.GroupPin{Version: "1",
			Hash: "a", Before: "b"}},
		"images: some differ": {one, false, run, "m1 1:a, m2 1:a, m3 2:b, m4 3:c, m5 3:c", one},
		"images: one has both, and tries": {one, false, run, "m1 1:a, m2 2:b 1:a, m3 2:b, m4 2:b, m5 2:b",
			rest.GroupPin{Version: "1", Hash: "a", Trial: "b", By: "m2"}},
		"images: it was passed over":      {passed(one, "b"), false, run, "m1 1:a, m2 2:b, m3 2:b", passed(one, "b")},
		"images, any: an older one waits": {two, true, run, "m1 2:b, m2 1:a, m3 1:a", two},
		"a member without any file": {one, false, []string{"m1"}, "m1 2:b 1:a",
			rest.GroupPin{Version: "1", Hash: "a", Trial: "b", By: "m1"}},
		"any: one has it":              {one, true, run, "m1 1:a, m2 2:b 1:a", trial},
		"any: it runs where it is":     {trial, true, run, "m1 1:a, m2 2:b+ 1:a", two},
		"any: who has it runs nothing": {one, true, []string{"m1"}, "m1 1:a, m2 2:b", two},
		"any: one who has it refuses":  {trial, true, run, "m1 1:a, m2 2:b- 1:a", passed(one, "b")},
		"any: it does not go back":     {two, true, run, "m1 1:a, m2 2:b", two},
		"any: the same version of old": {one, true, run, "m1 1:a, m2 1:c 1:a", one},
		"any: the same version for all": {one, true, nil, "m1 1:c, m2 1:c 1:a",
			rest.GroupPin{Version: "1", Hash: "c", Before: "a"}},
	} {
		r := rolls(c.before, c.any, c.tasks, strings.Split(c.members, ",")...)
		got := r.next()
		assert.Equal(t, c.want, got, name)
		r.pin = got
		assert.Equal(t, got, r.next(), name, "and again")
	}
}

// A trial that takes too long goes to the next member; where no other has tasks, to another task there.
func TestTrialGoesOn(t *testing.T) {
	t.Parallel()
	r := rolls(rest.GroupPin{Version: "1", Hash: "a"}, false, []string{"m3", "m1"}, "m1 2:b 1:a", "m2 2:b 1:a",
		"m3 2:b 1:a")
	attempts, now, found := ruling{attempts: map[string]attempt{}}, time.Now(), ""
	for range 9 {
		r.last, r.late = attempts.attempt("p", r.pin, now)
		r.pin, now = r.next(), now.Add(trialWithin/2)
		found += r.pin.By + " "
	}
	assert.Equal(t, "m1 m1 m1  m3 m3 m3  m1 ", found)
	r.tasks = func() ([]string, bool) { return []string{"m2"}, true }
	r.pin, found = r.next(), ""
	for range 5 {
		r.last, r.late = attempts.attempt("p", r.pin, now)
		r.pin, now = r.next(), now.Add(trialWithin/2)
		found += r.pin.By + " "
	}
	assert.Equal(t, "m2 m2  m2 m2 ", found)
}

// What a version waits for is said: where it is not, where somebody has to accept it, and who tries it.
func TestWhatARolloutWaitsFor(t *testing.T) {
	t.Parallel()
	one := rest.GroupPin{Version: "1", Hash: "a"}
	for _, c := range []struct {
		pin                 rest.GroupPin
		any                 bool
		members, held, want string
	}{
		{one, false, "m1 1:a, m2 1:a", "", ""},
		{one, false, "m1 2:b 1:a, m2 1:a, m3 1:a", "", "version 2 with the hash b: lacking at m2, m3"},
		{one, false, "m1 2:b 1:a, m2 1:a, m3 1:a", "m3", "version 2 with the hash b: lacking at m2; " +
			"held for plugin.p.accept at m3"},
		{one, false, "m1 1:a", "m1", "version 2 with the hash b: held for plugin.p.accept at m1"},
		{one, true, "m1 1:a, m2 1:a", "m1", "version 2 with the hash b: held for plugin.p.accept at m1"},
		{rest.GroupPin{Version: "1", Hash: "a", Trial: "b", By: "m1"}, false, "m1 2:b 1:a", "",
			"version 2 with the hash b: tried by m1, no page or batch has gone through yet"},
		{rest.GroupPin{Version: "2", Hash: "b"}, false, "m1 1:a, m2 2:b", "", ""},
		{rest.GroupPin{Version: "2", Hash: "b"}, false, "m1 1:a 2:b, m2 2:b", "",
			"version 1 with the hash a: lacking at m2"},
		{one, false, "m1 2:b 1:a", "", "version 2 with the hash b: tasks are on their way, or others would run another " +
			"version"},
	} {
		r := rolls(c.pin, c.any, nil, strings.Split(c.members, ",")...)
		for i := range r.members {
			if r.members[i].name == c.held {
				r.members[i].held = []plugin.Offer{{Name: "p", Version: "2", Hash: "b"}}
			}
		}
		assert.Equal(t, c.want, r.waits(), c.members)
	}
}

// Ten workers get another image in turn, in which the plugin has another version and the old one is not: every unit
// has a worker after each step, and none has more than twice what it has when all do the same.
func TestRollOfImages(t *testing.T) {
	t.Parallel()
	const members, connectors, tasks = 10, 20, 5
	for name, images := range map[string][2]string{"a newer one": {"1:a", "2:b"}, "back": {"2:b", "1:a"}} {
		var all []Connector
		for n := range connectors {
			all = append(all, connector(fmt.Sprint("c", n), int64(2*n), tasks))
		}
		g, r, most := newGroup(all...), rolls(rest.GroupPin{}, false, nil), 0
		r.tasks = func() (names []string, known bool) {
			for _, m := range g.in.Members {
				if slices.ContainsFunc(m.Holds, func(h Held) bool { return h.Units.Tasks() }) {
					names = append(names, m.ID)
				}
			}
			return names, true
		}
		roll := func() {
			r.members = nil
			for _, m := range g.in.Members {
				if !m.Leaving {
					r.members = append(r.members, rolling{name: m.ID, offers: m.Plugins})
				}
			}
			for pin, n := r.next(), 0; !reflect.DeepEqual(pin, r.pin) && n < 5; pin, n = r.next(), n+1 {
				r.pin = pin
			}
			for c := range g.in.Connectors {
				fits := make([]bool, len(g.in.Members))
				for m := range fits {
					fits[m] = g.in.Members[m].Plugins[0].Hash == r.pin.Hash
				}
				g.in.Connectors[c].Fits = fits
			}
			for range 5 { // balance is put off
				g.rebalance()
				g.pass(g.in.Delay)
			}
			sum := 0
			for _, m := range g.in.Members {
				n := 0
				for _, h := range g.targets[m.ID] {
					for unit := range h.Units.All() {
						n += min(unit, 1)
					}
				}
				sum, most = sum+n, max(most, n)
			}
			if len(g.out.Unplaced) > 0 || sum != connectors*tasks {
				t.Fatalf("%s: %d of %d tasks have a worker: %v", name, sum, connectors*tasks, g.out.Unplaced)
			}
		}
		join := func(id, image string) {
			g.join(id)
			version, hash, _ := strings.Cut(image, ":")
			g.member(id).Plugins = []plugin.Offer{{Name: "p", Version: version, Hash: hash}}
			roll()
		}
		for n := range members {
			join(fmt.Sprint("m", n), images[0])
		}
		most = 0
		for n := range members {
			id := fmt.Sprint("m", n)
			g.member(id).Leaving = true
			roll()
			g.leave(id)
			roll()
			join(id+"'", images[1])
		}
		t.Logf("%s: at most %d of %d tasks at one of %d workers", name, most, connectors*tasks, members)
		if want := 2 * connectors * tasks / members; most > want {
			t.Errorf("%s: expected at most %d tasks at a worker, found %d", name, want, most)
		}
	}
}

// What an operator has chosen stays until another file comes, whoever leads: it stands in the pin.
func TestChosenVersionStays(t *testing.T) {
	t.Parallel()
	members := []string{"m1 2:b 1:a", "m2 2:b 1:a"}
	two := rest.GroupPin{Version: "2", Hash: "b", Before: "a"}
	r := rolls(two, false, []string{"m1"}, members...)
	r.pin = r.chosen(r.of("a"))
	assert.Equal(t, rest.GroupPin{Version: "1", Hash: "a", Before: "b", Passed: []string{"b"}}, r.pin)
	assert.Equal(t, r.pin, r.next())
	r = rolls(r.chosen(r.of("b")), false, []string{"m1"}, members...)
	assert.Equal(t, rest.GroupPin{Version: "2", Hash: "b", Before: "a", Passed: []string{"a"}}, r.next())
	r = rolls(r.pin, false, []string{"m1"}, "m1 3:c 2:b", "m2 3:c 2:b")
	assert.Equal(t, "c", r.next().Trial)
}

// Whatever members say, a pin comes to rest, names what somebody has where anybody has anything, and never tries what
// was left or passed over.
func TestRolloutsRest(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(26, 10))
	hash := func() string { return string('a' + rune(r.IntN(4))) }
	for n := range 20_000 {
		var members []string
		for m := range 1 + r.IntN(4) {
			text := fmt.Sprint("m", m)
			for range 1 + r.IntN(3) {
				h := hash()
				text += fmt.Sprintf(" %d:%s%s", h[0], h, []string{"", "", "", "+", "-"}[r.IntN(5)])
			}
			members = append(members, text)
		}
		pin := rest.GroupPin{Hash: hash(), Before: hash(), Version: "97"}
		for range r.IntN(maxPassed + 2) {
			pin.Passed = append(pin.Passed, hash())
		}
		if r.IntN(2) == 0 {
			pin.Trial, pin.By = hash(), "m1"
		}
		all := rolls(pin, r.IntN(2) == 0, []string{"m0", "m1"}[:r.IntN(3)], members...)
		for step := 0; ; step++ {
			next := all.next()
			if len(next.Passed) > maxPassed+1 || next.Trial != "" && (next.By == "" || all.of(next.Trial).Left ||
				slices.Contains(next.Passed, next.Trial) || next.Trial == next.Hash) {
				t.Fatalf("%d: %v: found %+v after %+v", n, members, next, all.pin)
			}
			if fmt.Sprint(next) == fmt.Sprint(all.pin) {
				break
			}
			all.pin = next
			if step > 8 {
				t.Fatalf("%d: %v: no rest: %+v", n, members, next)
			}
		}
		if all.of(all.pin.Hash).by == nil {
			t.Fatalf("%d: %v: nobody has %+v", n, members, all.pin)
		}
	}
}
