package transport

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// A secret that its origin has accepted lately may be refused by one application server of several, which is starting
// or stopping. So it is in doubt at first: nothing is sent with it for a moment, then one request tries it in a session
// of its own, and what that is answered counts for all. Where that request asked for something else than the one that
// was refused, its acceptance is no proof: a service may take anybody's reads and look at the secret of writes alone.
// So what was refused stays on trial until it is accepted: it is sent by one at a time, in a fresh session, and another
// refusal of anything is the last. When the secret was accepted, that it is in doubt or on trial, and that it is being
// tried, stands in the folder of refusals: a command next to a worker would else condemn what works there, and each
// of 20 connectors in as many processes would try.

// recently is how long an acceptance speaks for a secret.
const recently = time.Hour

// doubtPause is how long nothing is sent with a secret in doubt. It is longer than idle connections live, so that the
// second try goes by a connection of its own too: what spreads connections over servers may lead it to another one.
const doubtPause = 3 * time.Second

// courtesy is how much longer nothing else is sent than what was refused and the fetching of its token: its answer ends
// the doubt.
const courtesy = time.Second

// acceptance is the ending of the files that each say when a secret was accepted.
const acceptance = ".accepted"

// noteEvery is how often an acceptance is written down.
const noteEvery = time.Minute

// state is what is thought of a secret.
type state byte

const (
	unjudged state = 0
	// refused: it is not sent again.
	refused state = 'r'
	// doubtful: it was refused once and is to be tried again.
	doubtful state = 'd'
	// tried: that is being done. Found with the lock of logons in hand, it says that whoever did it has died.
	tried state = 't'
	// onTrial: something else was accepted since, and what was refused is to be tried again.
	onTrial state = 'w'
	// retried: that is being done, as above.
	retried state = 'W'
)

// requestID is what a request asks for, as far as doubts go by it: all but its query and body. The zero value is no
// request.
type requestID struct {
	// writes: it may be no GET, and all that are none are tried one at a time.
	writes bool
	hash   [8]byte
	// serves is the hash of the request that this one fetches a token for, otherwise its own.
	serves [8]byte
}

// asks returns what a request asks for.
func (l *Lockouts) asks(e *exchange) requestID {
	path, _, _ := strings.Cut(e.line, "?")
	a := requestID{writes: e.method != http.MethodGet && e.method != http.MethodHead}
	method := e.method
	if !a.writes {
		method = http.MethodGet
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", l.salt, method, path))
	copy(a.hash[:], hash[:])
	a.serves = a.hash
	if e.serves != nil {
		a.serves = l.asks(e.serves).hash
	}
	return a
}

// verdict is a state, and since when it holds: of a doubt, since the refusal that began it.
type verdict struct {
	state state
	at    time.Time
	// of is what was refused when the doubt began.
	of requestID
}

// doubted: whatever is sent tries the secret.
func (v verdict) doubted() bool { return v.state == doubtful || v.state == tried }

func (v verdict) onTrial() bool { return v.state == onTrial || v.state == retried }

// trial says whether a request tries the secret, and is to be sent alone and in a fresh session.
func (v verdict) trial(a requestID) bool {
	return v.doubted() || v.onTrial() && (a.hash == v.of.hash || a.writes && v.of.writes)
}

// before says whether a request was sent before the doubt: for the pause nothing was.
func (v verdict) before(sent time.Time) bool { return sent.Before(v.at.Add(doubtPause)) }

// left is how long a request is not to be sent.
func (v verdict) left(a requestID) time.Duration {
	pause := doubtPause
	if a.serves != v.of.hash {
		pause += courtesy
	}
	if !v.doubted() && (!v.onTrial() || v.trial(a)) {
		return 0
	}
	return min(pause, pause-time.Since(v.at)) // a clock may have been set back
}

// pause waits so long.
func (v verdict) pause(ctx context.Context, a requestID) error {
	left := v.left(a)
	if left <= 0 {
		return nil
	}
	return pause.For(ctx, left)
}

// bytes are what stands in a file.
func (v verdict) bytes() []byte {
	b := append(binary.BigEndian.AppendUint64(nil, uint64(v.at.UnixMilli())), byte(v.state))
	if v.state == refused {
		return b
	}
	writes := byte(0)
	if v.of.writes {
		writes = 1
	}
	return append(append(b, writes), v.of.hash[:]...)
}

// readVerdict reads a file. What is no verdict is a refusal: rather not sent than a user locked.
func readVerdict(content []byte) verdict {
	if len(content) < 8 {
		return verdict{state: refused, at: time.Now()}
	}
	v := verdict{state: refused, at: time.UnixMilli(int64(binary.BigEndian.Uint64(content)))}
	if len(content) != 10+len(v.of.hash) {
		return v
	}
	if found := (verdict{state: state(content[8])}); found.doubted() || found.onTrial() {
		v.state, v.of.writes = found.state, content[9] != 0
		copy(v.of.hash[:], content[10:])
	}
	return v
}

// look is what this process or another has found out. A file that is no longer there was taken away by an operator, or
// by who tried the secret and was not refused. A trial that nobody ends is over when an acceptance is too old to count.
func (g *logon) look() verdict {
	g.named()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read()
	if g.verdict.onTrial() && time.Since(g.verdict.at) > recently {
		g.clear()
	}
	return g.verdict
}

// read reads the file, if there is one; g.mu is held.
func (g *logon) read() {
	if g.files.refused == "" {
		return
	}
	content, err := wholefile.Read(g.files.refused, logonFileBytes)
	switch {
	case errors.Is(err, os.ErrNotExist):
		g.verdict = verdict{}
	case err != nil:
		if g.verdict.state != refused {
			g.verdict = verdict{state: refused, at: time.Now()}
		}
	default:
		g.verdict = readVerdict(content)
	}
}

// clear has nothing be known against the secret; g.mu is held.
func (g *logon) clear() {
	g.verdict = verdict{}
	if g.files.refused != "" {
		os.Remove(g.files.refused)
	}
}

// acceptedLately says whether the secret worked within the last hour, here or in another process; g.mu is held.
func (g *logon) acceptedLately() bool {
	if !g.accepted.IsZero() && time.Since(g.accepted) < recently {
		return true
	}
	if g.files.accepted == "" {
		return false
	}
	content, err := wholefile.Read(g.files.accepted, logonFileBytes)
	if err != nil || len(content) != 8 {
		return false
	}
	ago := time.Since(time.UnixMilli(int64(binary.BigEndian.Uint64(content))))
	return ago < recently && ago > -recently
}

// note writes down that the secret was accepted, now and then; g.mu is held. Where that can't be done, other processes
// refuse it at once.
func (g *logon) note() {
	if g.files.accepted == "" || time.Since(g.noted) < noteEvery {
		return
	}
	g.noted = g.accepted
	wholefile.Replace(g.files.accepted, binary.BigEndian.AppendUint64(nil, uint64(g.accepted.UnixMilli())))
}

// doubt notes the first refusal of a secret that works; g.mu is held.
func (g *logon) doubt(of requestID) {
	g.write(verdict{doubtful, time.Now(), of})
	if log := g.lockouts.log.Load(); log != nil {
		log.Warn("a secret was refused (401) that the service took within the last hour: it is tried once "+
			"more in a fresh session",
			"origin", g.origin, "user", g.user, "client", g.client, "after", doubtPause)
	}
}

// tries notes that the secret is being tried. It is noted before, so that a process that is killed in it leaves no
// third try to others. The turn is held, and the lock.
func (g *logon) tries(v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.state = map[state]state{doubtful: tried, onTrial: retried}[v.state]
	g.replace(v)
}

// judge notes what a try came to of a secret that was found as v says.
func (g *logon) judge(v verdict, a requestID, status int) {
	if status == http.StatusUnauthorized {
		g.condemn()
		return
	}
	accepted := g.accept(status)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case accepted && a.hash == v.of.hash:
		g.clear()
		return
	case accepted:
		v.state = onTrial
		v.of.writes = v.of.writes && !a.writes // a service that took one write takes others too
	case v.state == doubtful && status != unsent: // nobody has looked at the secret
		v.at = time.Now()
	}
	g.replace(v)
}

// condemn has a secret in doubt count as refused.
func (g *logon) condemn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unaccept()
	g.replace(verdict{state: refused, at: time.Now()})
}

// write notes a verdict, unless another process has come to one before; g.mu is held. What cannot be written down holds
// in memory, and is said, since a restart would show the secret again.
func (g *logon) write(v verdict) {
	g.verdict = v
	if g.files.refused == "" {
		return
	}
	if err := wholefile.New(g.files.refused, v.bytes()); err != nil && !errors.Is(err, os.ErrExist) {
		g.unwritten(err)
	}
}

// replace notes a verdict in the place of another; g.mu is held.
func (g *logon) replace(v verdict) {
	g.verdict = v
	if g.files.refused == "" {
		return
	}
	if err := wholefile.Replace(g.files.refused, v.bytes()); err != nil {
		g.unwritten(err)
	}
}

func (g *logon) unwritten(err error) {
	g.files.refused = ""
	if log := g.lockouts.log.Load(); log != nil {
		log.Error("a refused logon can't be written down: until this process ends the secret is not sent again, other "+
			"processes and the next start do not know and may lock the "+
			"user", "origin", g.origin, "user", g.user, "error", err)
	}
}
