package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

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
			if all.pin = next; step > 8 {
				t.Fatalf("%d: %v: no rest: %+v", n, members, next)
			}
		}
	}
}
