package lockouts

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// Shared is what the workers of a cluster find out about secrets together (P10). Methods may be called by several
// goroutines; all but Enter and Resume return at once.
type Shared interface {
	// Look is what this worker has heard of a secret.
	Look(Secret) Finding
	// Enter waits until this worker may send a secret that it has not seen accepted lately, or that is in doubt, or
	// until it is known as refused. The error is the cause of the context. After an Enter without one, Tell is called.
	Enter(context.Context, Secret) (Leave, error)
	// Tell is what has come of a secret.
	Tell(Secret, Outcome)
	// Resume has all workers forget all refusals, and returns how many the cluster knew.
	Resume(context.Context) (int, error)
}

// Secret stands for a secret and for who logs on with it where, for processes that have no salt in common.
type Secret struct {
	// Place is origin, SAP client and user, in one text.
	Place string
	// Hash is a slow one of place and secret. The place is its salt.
	Hash [sha256.Size]byte
}

// Finding is what a cluster knows of a secret. Its zero value is nothing.
type Finding struct {
	// Refused is since when it is refused; zero: it is not.
	Refused time.Time
	// Unknown: it counts as refused because workers ended while they tried it.
	Unknown bool
	// Doubted is since when it is in doubt at another worker or this one; zero: it is not.
	Doubted time.Time
	// Resumed is when an operator had refusals forgotten last, here or elsewhere.
	Resumed time.Time
}

// Leave is the cluster's leave to send a secret, or that it was refused.
type Leave struct {
	Finding
	// Taken: one of the workers has seen it accepted within the last hour.
	Taken bool
	// Last: a refusal is not to be doubted, since the service may have refused it before.
	Last bool
}

// Outcome is what has come of a secret.
type Outcome string

// The outcomes.
const (
	// Nothing: nobody has looked at it.
	Nothing  Outcome = "nothing"
	Accepted Outcome = "accepted"
	// Rejected: it counts as refused.
	Rejected Outcome = "refused"
	// Doubted: it was refused, and is to be tried once more.
	Doubted Outcome = "doubted"
)

// clustered is what a logon has at a worker of a cluster.
type clustered struct {
	with   Shared
	secret func() Secret
	// asking is held from a question to the answer's head: of a logon's requests one asks for all.
	asking guard.Turn

	// The logon's mu guards these: the present leave, and when an operator had resumed as of the last look.
	leave   Leave
	resumed time.Time
}

// Share has the store send secrets with the leave of a cluster. It comes before the first [Store.Of].
func (l *Store) Share(with Shared) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.logons) > 0 {
		panic("lockouts: expected no logons before Share")
	}
	l.shared = with
}

// clustered is of an identity; nil for a worker that is alone.
func (l *Store) clustered(id Identity) *clustered {
	if l.shared == nil {
		return nil
	}
	return &clustered{with: l.shared, asking: guard.NewTurn(), secret: sync.OnceValue(func() Secret {
		s := Secret{Place: id.place()}
		copy(s.Hash[:], slowly(id.Secret, []byte("Culvert, a secret at "+s.Place), len(s.Hash)))
		return s
	})}
}

// heard is the verdict with what the cluster has found out; g.mu is held. A refusal is written down here, too, for
// commands next to this worker. An operator's resume takes away those from before it, and what was there when it was
// heard of, since clocks differ: what is from after it the cluster knows.
func (g *Logon) heard() verdict {
	if g.cluster == nil {
		return g.verdict
	}
	found := g.cluster.with.Look(g.cluster.secret())
	resumed := !g.cluster.resumed.IsZero() && !g.cluster.resumed.Equal(found.Resumed)
	g.cluster.resumed = found.Resumed
	if g.verdict.state == refused && (resumed || !g.verdict.at.After(found.Resumed)) {
		g.clear()
	}
	if g.verdict.state != refused && !found.Refused.IsZero() {
		g.believe(found)
	}
	if g.verdict.state == unjudged && !found.Doubted.IsZero() {
		return verdict{state: doubtful, at: found.Doubted}
	}
	return g.verdict
}

// believe takes the cluster's word that the secret was refused; g.mu is held.
func (g *Logon) believe(found Finding) {
	if found.Unknown {
		g.suspect = ", as far as the cluster knows, whose workers ended while they tried it,"
	}
	g.unaccept()
	g.replace(verdict{state: refused, at: found.Refused})
}

// tell has the cluster know; g.mu is held.
func (g *Logon) tell(what Outcome) {
	if g.cluster != nil {
		g.cluster.with.Tell(g.cluster.secret(), what)
	}
}

// tries tells whether a request sends the secret for the first time, or tries it. To the workers of a cluster that is
// also the first request after a silence: where the secret was changed meanwhile, each of them would be refused.
func (g *Logon) tries(v verdict, a Request) bool {
	known, fresh := g.known()
	return v.state != refused && (!known || !fresh && g.cluster != nil || v.trial(a))
}

// admitted waits until the cluster lets this worker send the secret, where the request tries it: asked. leave says what
// has come of that.
func (g *Logon) admitted(ctx context.Context, a Request) (leave func(), asked bool, err error) {
	c, leave := g.cluster, func() {}
	if c == nil || !g.tries(g.look(), a) {
		return leave, false, nil
	}
	if err := c.asking.Lock(ctx); err != nil {
		return leave, false, err
	}
	if !g.tries(g.look(), a) { // by now, thanks to who asked before
		c.asking.Unlock()
		return leave, false, nil
	}
	given, err := c.with.Enter(ctx, c.secret())
	if err != nil {
		c.asking.Unlock()
		return leave, false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c.leave = given
	if !given.Refused.IsZero() {
		g.believe(given.Finding)
	}
	before := g.accepted
	return func() {
		defer c.asking.Unlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		c.leave = Leave{}
		came := Nothing
		if g.accepted.After(before) {
			came = Accepted
		}
		g.tell(came)
	}, true, nil
}
