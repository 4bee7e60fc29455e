package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// runSteps lets members request turns and report outcomes, and returns the responses. The step MEMBER/TURN:SECRET
// requests a turn; with an outcome it reports. TURN ends in ! if a session has ended. -MEMBER leaves the group,
// +DURATION passes.
func runSteps(t *testing.T, l *lockout, steps string) (answers []string) {
	t.Helper()
	now := time.UnixMilli(1_000_000_000)
	members := map[string]bool{"a": true, "b": true, "c": true}
	for _, step := range strings.Split(steps, "; ") {
		if member, ok := strings.CutPrefix(step, "-"); ok {
			delete(members, member)
			continue
		}
		if text, ok := strings.CutPrefix(step, "+"); ok {
			d, err := time.ParseDuration(text)
			require.NoError(t, err)
			now = now.Add(d)
			continue
		}
		turn, text, _ := strings.Cut(step, ":")
		secret, outcome, hasOutcome := strings.Cut(text, " ")
		member, _, _ := strings.Cut(turn, "/")
		c := lockoutCall{Outcome: lockouts.Outcome(outcome), Secret: secret, Turn: turn, Member: member,
			SessionEnded: strings.HasSuffix(turn, "!")}
		previous := encodeLockout(t, l)
		if hasOutcome {
			changed := l.recordOutcome(c, now)
			answers = append(answers, map[bool]string{true: "heard", false: "-"}[changed])
			assert.Equal(t, changed, previous != encodeLockout(t, l), "change by", step)
			continue
		}
		a, changed := l.requestTurn(c, now, members)
		assert.Equal(t, changed, previous != encodeLockout(t, l), "change by", step)
		switch {
		case a.Wait:
			answers = append(answers, "wait")
		case !a.RejectedAt.IsZero():
			answers = append(answers, "refused")
		default:
			answers = append(answers, map[bool]string{true: "permit", false: "free"}[a.Granted])
		}
	}
	return answers
}

func encodeLockout(t *testing.T, l *lockout) string {
	t.Helper()
	text, err := json.Marshal(l)
	require.NoError(t, err)
	return string(text)
}

// Turns are granted one after another, and outcomes decide about the next ones. [runSteps] describes the steps.
func TestLockoutTransitions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ steps, want string }{
		"one after another": {
			"a/1:x; b/1:x; b/1:y; a/1:x; a/1:x refused; b/1:x; b/1:y",
			"permit; wait; wait; permit; heard; refused; permit"},
		"refused twice": {
			"a/1:x; a/1:x refused; b/1:x refused",
			"permit; heard; -"},
		"accepted": {
			"a/1:x; a/1:x accepted; b/1:x; +59s; b/1:x; +2s; b/1:x; c/1:x",
			"permit; heard; free; free; permit; wait"},
		"a session ended": {
			"a/1:x; a/1:x accepted; b/1:x; b/2!:x; b/2!:x; a/2!:x; c/1:x; b/2!:x nothing; c/1:x; c/1:x accepted; a/3:x",
			"permit; heard; free; permit; permit; wait; wait; heard; permit; heard; free"},
		"a session ended, wrong": {
			"a/1:x; a/1:x accepted; b/1!:x; a/2:x; b/1!:x refused; a/2:x; c/1!:x",
			"permit; heard; permit; wait; heard; refused; refused"},
		"a session ended, and the worker": {
			"a/1:x; a/1:x accepted; b/1!:x; -b; c/1!:x; -c; a/2:x",
			"permit; heard; permit; permit; refused"},
		"a session ended, of another secret": {
			"a/1:x; a/1:x accepted; b/1!:y; b/1!:y accepted; a/2:x",
			"permit; heard; permit; heard; permit"},
		"accepted long ago": {
			"a/1:x; a/1:x accepted; +61m; b/1:x",
			"permit; heard; permit"},
		"another secret": {
			"a/1:x; a/1:x accepted; b/1:y",
			"permit; heard; permit"},
		"nobody has looked": {
			"a/1:x; a/1:x nothing; b/1:x; b/1:x nothing; a/2:x",
			"permit; heard; permit; heard; permit"},
		"a holder vanishes": {
			"a/1:x; -a; b/1:x; c/1:x",
			"permit; permit; wait"},
		"two holders vanish": {
			"a/1:x; -a; b/1:x; -b; c/1:x; c/1:x; c/1:y",
			"permit; permit; refused; refused; permit"},
		"it comes back": {
			"a/1:x; -a; b/1:x; a/1:x accepted; b/1:x nothing; c/1:x",
			"permit; permit; -; heard; permit"},
		"strangers": {
			"z/1:x; a/1:x; z/1:x accepted; z/1:x",
			"wait; permit; -; wait"},
		"another's permit": {
			"a/1:x; b/1:x accepted; b/1:x nothing; a/2:x accepted; a/1:y accepted",
			"permit; -; -; -; -"},
		"permits of before": {
			"a/1:x; a/1:x accepted; a/1:x accepted; +2m; b/1:x; a/1:x accepted",
			"permit; heard; -; permit; -"},
		"anybody's refusal": {
			"a/1:x; b/9:x refused; a/1:x accepted; a/1:x",
			"permit; heard; -; refused"},
		"a refusal after success": {
			"a/1:x; a/1:x accepted; b/9:x refused; c/1:x",
			"permit; heard; heard; refused"},
		"an unknown outcome": {
			"a/1:x; a/1:x guessed",
			"permit; -"},
	} {
		assert.Equal(t, c.want, strings.Join(runSteps(t, &lockout{}, c.steps), "; "), name)
	}
}

// The number of rejected secrets is bounded; the oldest is dropped.
func TestRejectedSecretsAreBounded(t *testing.T) {
	t.Parallel()
	var l lockout
	for i := range maxRejected + 3 {
		runSteps(t, &l, fmt.Sprintf("a/1:%d; a/1:%d refused", i, i))
	}
	assert.Equal(t, maxRejected, len(l.Rejected))
	assert.Equal(t, "permit; refused", strings.Join(runSteps(t, &l, "a/1:2; a/1:3"), "; "))
}

// Whatever workers do, and whichever of them vanish, one at a time sends a secret for the first time, and a wrong
// secret is sent twice at most. A rejected secret stays rejected.
func TestRandomLockouts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5_000) {
		r := rand.New(rand.NewPCG(seed, 26))
		var l lockout
		members := map[string]bool{}
		holder := ""
		sent := 0
		refused := false
		now := time.UnixMilli(1_000_000_000)
		for m := range 8 {
			members[fmt.Sprint(m)] = true
		}
		for step := range 60 {
			now = now.Add(time.Duration(r.IntN(100)) * time.Second)
			m := fmt.Sprint(r.IntN(8))
			c := lockoutCall{Secret: "wrong", Turn: fmt.Sprint(m, "/", step), Member: m, SessionEnded: step%2 == 0}
			switch n := r.IntN(10); {
			case n == 0 && len(members) > 2:
				delete(members, m)
				if holder != "" && strings.HasPrefix(holder, m+"/") {
					holder = ""
				}
			case n < 3 && holder != "":
				c.Turn = holder
				c.Outcome = []lockouts.Outcome{lockouts.Rejected, lockouts.Inconclusive}[r.IntN(2)]
				l.recordOutcome(c, now)
				if c.Outcome == lockouts.Inconclusive {
					sent--
				}
				holder = ""
			case n < 5: // from a member without a permit
				c.Outcome = []lockouts.Outcome{lockouts.Accepted, lockouts.Inconclusive}[r.IntN(2)]
				if l.recordOutcome(c, now) {
					t.Fatalf("seed %d, step %d: expected no change without a permit, found %s", seed, step,
						encodeLockout(t, &l))
				}
			default:
				a, _ := l.requestTurn(c, now, members)
				require.True(t, !refused || !a.RejectedAt.IsZero() || a.Wait,
					"seed %d, step %d: expected the secret to stay rejected, found %+v", seed, step, a)
				refused = refused || !a.RejectedAt.IsZero()
				require.True(t, (!a.Granted || holder == "") && (a.Granted || a.Wait || !a.RejectedAt.IsZero()),
					"seed %d, step %d: expected one holder, found %+v and %s", seed, step, a, holder)
				if a.Granted {
					holder = c.Turn
					sent++
				}
			}
			require.True(t, sent <= maxFailures,
				"seed %d, step %d: expected the secret to be sent %d times at most, found %d", seed, step, maxFailures,
				sent)
		}
	}
}

// Arbitrary bytes in annotations and calls change nothing that they must not change.
func FuzzUserNote(f *testing.F) {
	f.Add([]byte(`{"refused":[{"secret":"x","at":1}],"trial":{"secret":"y","permit":"p","member":"a","spent":1}}`),
		[]byte(`{"what":"accepted","secret":"y","permit":"p","member":"a"}`))
	f.Add([]byte(`{"trial":{"secret":"x","spent":-9},"accepted":"x"}`), []byte(`{"secret":"x","member":"a"}`))
	f.Fuzz(func(t *testing.T, note, call []byte) {
		var l lockout
		var c lockoutCall
		if json.Unmarshal(note, &l) != nil || json.Unmarshal(call, &c) != nil {
			return
		}
		previous := encodeLockout(t, &l)
		refused := l.indexOf(c.Secret) >= 0
		changed := false
		if c.Outcome == "" {
			var a lockoutAnswer
			a, changed = l.requestTurn(c, time.UnixMilli(5), map[string]bool{"a": true})
			assert.True(t, !refused || !a.RejectedAt.IsZero(),
				"%s, %s: expected no change, found %+v", previous, call, a)
		} else {
			changed = l.recordOutcome(c, time.UnixMilli(5))
		}
		current := encodeLockout(t, &l)
		assert.True(t, changed || current == previous, "%s, %s: expected no change, found %s", previous, call, current)
		if refused && len(l.Rejected) <= maxRejected && l.indexOf(c.Secret) < 0 {
			t.Errorf("%s, %s: expected the secret to stay rejected, found %s", previous, call, encodeLockout(t, &l))
		}
	})
}
