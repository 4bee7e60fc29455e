package lockouts

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// Shared is what the workers of a cluster find out about secrets together (P10). A store that has one asks it before a
// secret is sent that this process has not seen accepted, or that is in doubt. Methods may be called by several
// goroutines; all but Enter and Resume return at once.
type Shared interface {
	// Look is what this worker has heard of a secret.
	Look(Secret) Finding
	// Enter waits until this worker may try a secret, or it is known as refused. doubt: it was refused once here, and
	// accepted before. The error is the cause of the context. After an Enter without an error, Tell is called once.
	Enter(ctx context.Context, s Secret, doubt bool) (Leave, error)
	// Tell is what has come of a secret.
	Tell(Secret, Outcome)
	// Resume has all workers forget all refusals, and returns how many the cluster knew.
	Resume(ctx context.Context) (int, error)
}

// Secret stands for a secret and for who logs on with it where, for processes that have no salt in common.
type Secret struct {
	// Place is origin, SAP client and user, in one text.
	Place string
	// Hash is a slow one of the place and the secret. The place is its salt.
	Hash [sha256.Size]byte
}

// Finding is what is known of a secret. Its zero value is nothing.
type Finding struct {
	// Refused is since when it is refused; zero: it is not.
	Refused time.Time
	// Unknown: it counts as refused because workers ended while they tried it.
	Unknown bool
	// Tried: it is in doubt, and another worker tries it or is to do so.
	Tried bool
}

// Leave is the cluster's leave to try a secret, or that it was refused.
type Leave struct {
	Finding
	// Taken: an origin took it from one of the workers within the last hour.
	Taken bool
	// Last: a refusal is not to be doubted, since the service may have counted one before.
	Last bool
}

// Outcome is what has come of a secret.
type Outcome int

const (
	// Nothing: nobody has looked at it.
	Nothing Outcome = iota
	// Accepted by the service.
	Accepted
	// Rejected: it counts as refused.
	Rejected
	// Doubted: it was refused, and this worker is to try it once more.
	Doubted
)

// clustered is what a logon has where secrets are tried by one worker at a time. The logon's mu guards the last three.
type clustered struct {
	with   Shared
	secret func() Secret
	// asking is held from the question to the answer's head: of the requests of a logon one asks for all.
	asking guard.Turn

	taken, last bool // see Leave, while there is one
	// told: the cluster knows, or will, that the secret was refused.
	told bool
}

// Share has the store try secrets with the other workers of a cluster. It comes before the first [Store.Of].
func (l *Store) Share(with Shared) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.logons) > 0 {
		panic("lockouts: expected no logons before Share")
	}
	l.shared = with
}

// clustered is of an identity; nil for a worker that is alone. l.mu need not be held.
func (l *Store) clustered(id Identity) *clustered {
	if l.shared == nil {
		return nil
	}
	return &clustered{with: l.shared, asking: guard.NewTurn(), secret: sync.OnceValue(func() Secret {
		s := Secret{Place: id.place()}
		hash, err := pbkdf2.Key(sha256.New, id.Secret, []byte("Culvert, a secret at "+s.Place), hashRounds, len(s.Hash))
		if err != nil {
			panic(err) // of key lengths that FIPS refuses: ours is not among them
		}
		copy(s.Hash[:], hash)
		return s
	})}
}

// heard is the verdict with what the cluster has found out; g.mu is held. A refusal elsewhere is written down here, for
// commands next to this worker; one that stands in a file here is said to the cluster, once in the life of this process,
// since the operator who resumes takes the cluster's away first.
func (g *Logon) heard() verdict {
	c := g.cluster
	if c == nil {
		return g.verdict
	}
	found := c.with.Look(c.secret())
	switch {
	case g.verdict.state == refused:
		if found.Refused.IsZero() && !c.told {
			g.tell(Rejected)
		}
		c.told = true
	case !found.Refused.IsZero():
		g.believe(found)
	case found.Tried && g.verdict.state == unjudged:
		return verdict{state: elsewhere}
	}
	return g.verdict
}

// believe takes the cluster's word that the secret was refused; g.mu is held.
func (g *Logon) believe(found Finding) {
	g.cluster.told = true
	if found.Unknown {
		g.suspect = ", as far as the cluster knows, whose workers ended while they tried it,"
	}
	g.unaccept()
	g.replace(verdict{state: refused, at: found.Refused})
}

// tell has the cluster know; g.mu is held.
func (g *Logon) tell(what Outcome) {
	if c := g.cluster; c != nil {
		c.told = c.told || what == Rejected
		c.with.Tell(c.secret(), what)
	}
}

// admitted waits until the cluster lets this worker try the secret, where the request does so: asked. leave gives that
// back when what has come of it is known.
func (g *Logon) admitted(ctx context.Context, a Request) (leave func(), asked bool, err error) {
	c, tries := g.cluster, func() (v verdict, yes bool) {
		v = g.look()
		known, _ := g.known()
		return v, v.state != refused && (!known || v.trial(a))
	}
	leave = func() {}
	if c == nil {
		return leave, false, nil
	}
	if _, yes := tries(); !yes {
		return leave, false, nil
	}
	if c.asking.Lock(ctx) != nil {
		return leave, false, context.Cause(ctx)
	}
	v, yes := tries()
	if !yes { // by now, thanks to who asked before
		c.asking.Unlock()
		return leave, false, nil
	}
	began := time.Now()
	given, err := c.with.Enter(ctx, c.secret(), v.doubted() || v.onTrial())
	if err != nil {
		c.asking.Unlock()
		return leave, false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c.taken, c.last = given.Taken, given.Last
	if !given.Refused.IsZero() {
		g.believe(given.Finding)
	}
	return func() {
		g.mu.Lock()
		came := Nothing
		if !g.accepted.Before(began) {
			came = Accepted
		}
		c.taken, c.last = false, false
		g.tell(came)
		g.mu.Unlock()
		c.asking.Unlock()
	}, true, nil
}
