package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// A secret that its origin has accepted lately may be refused by one application server of several, which is starting or stopping. So
// it is in doubt at first: nothing is sent with it for a moment, then one request tries it in a session of its own, and what that is
// answered counts for all. When it was accepted, that it is in doubt, and that it is being tried, stands in the folder of refusals:
// a command beside a worker would otherwise condemn what works there, and each of 20 connectors in as many processes would try.

// recently is how long an acceptance speaks for a secret.
const recently = time.Hour

// doubtPause is how long nothing is sent with a secret in doubt. It is longer than idle connections live, so that the second try goes by
// a connection of its own too: what spreads connections over servers may lead it to another one.
const doubtPause = 3 * time.Second

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
)

// verdict is a state, and since when it holds.
type verdict struct {
	state state
	at    time.Time
}

func (v verdict) doubted() bool { return v.state == doubtful || v.state == tried }

// left is how long nothing is to be sent.
func (v verdict) left() time.Duration {
	if !v.doubted() {
		return 0
	}
	return min(doubtPause, doubtPause-time.Since(v.at)) // a clock may have been set back
}

// pause waits so long.
func (v verdict) pause(ctx context.Context) error {
	if v.left() <= 0 {
		return nil
	}
	timer := time.NewTimer(v.left())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bytes are what stands in a file.
func (v verdict) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(v.at.UnixMilli())), byte(v.state))
}

// readVerdict reads a file. What is no verdict is a refusal: rather not sent than a user locked.
func readVerdict(content []byte) verdict {
	if len(content) < 8 {
		return verdict{refused, time.Now()}
	}
	v := verdict{refused, time.UnixMilli(int64(binary.BigEndian.Uint64(content)))}
	if len(content) == 9 && verdict.doubted(verdict{state: state(content[8])}) {
		v.state = state(content[8])
	}
	return v
}

// look is what this process or another has found out. A file that is no longer there was taken away by an operator, or by who tried the
// secret and was not refused.
func (g *logon) look() verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.path == "" {
		return g.verdict
	}
	content, err := os.ReadFile(g.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		g.verdict = verdict{}
	case err != nil:
		if g.verdict.state != refused {
			g.verdict = verdict{refused, time.Now()}
		}
	default:
		g.verdict = readVerdict(content)
	}
	return g.verdict
}

// acceptedLately tells whether the secret worked within the last hour, here or in another process; g.mu is held.
func (g *logon) acceptedLately() bool {
	if !g.accepted.IsZero() && time.Since(g.accepted) < recently {
		return true
	}
	if g.accepts == "" {
		return false
	}
	content, err := os.ReadFile(g.accepts)
	if err != nil || len(content) != 8 {
		return false
	}
	ago := time.Since(time.UnixMilli(int64(binary.BigEndian.Uint64(content))))
	return ago < recently && ago > -recently
}

// note writes down that the secret was accepted, now and then; g.mu is held. Where that can't be done, other processes refuse it at once.
func (g *logon) note() {
	if g.accepts == "" || time.Since(g.noted) < noteEvery {
		return
	}
	g.noted = g.accepted
	replace(g.accepts, binary.BigEndian.AppendUint64(nil, uint64(g.accepted.UnixMilli())))
}

// doubt notes the first refusal of a secret that works; g.mu is held.
func (g *logon) doubt() {
	g.write(verdict{doubtful, time.Now()})
	if log := g.logons.log.Load(); log != nil {
		log.Warn("a secret was refused (401) that the service took within the last hour: it is tried once more in a fresh session",
			"origin", g.origin, "user", g.user, "client", g.client, "after", doubtPause)
	}
}

// tries notes that the second try begins, of a secret that is in doubt since then. It is noted before, so that a process that is killed
// in it leaves no third one to others. The turn is held, and the lock.
func (g *logon) tries(since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replace(verdict{tried, since})
}

// judge notes what the second try came to.
func (g *logon) judge(since time.Time, status int) {
	if status == http.StatusUnauthorized {
		g.condemn()
		return
	}
	accepted := g.accept(status)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case accepted:
		g.verdict = verdict{}
		if g.path != "" {
			os.Remove(g.path)
		}
	case status == unsent:
		g.replace(verdict{doubtful, since})
	default: // nobody has looked at the secret
		g.replace(verdict{doubtful, time.Now()})
	}
}

// condemn has a secret in doubt count as refused.
func (g *logon) condemn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unaccept()
	g.replace(verdict{refused, time.Now()})
}

// doubted tells whether the secret is to be tried again.
func (g *logon) doubted() bool { return g != nil && g.look().doubted() }

// write notes a verdict, unless another process has come to one before; g.mu is held. What cannot be written down holds in memory, and
// is said, since a restart would show the secret again.
func (g *logon) write(v verdict) {
	g.verdict = v
	if g.path == "" {
		return
	}
	if err := writeNew(g.path, v.bytes()); err != nil && !errors.Is(err, os.ErrExist) {
		g.unwritten(err)
	}
}

// replace notes a verdict in the place of another; g.mu is held.
func (g *logon) replace(v verdict) {
	g.verdict = v
	if g.path == "" {
		return
	}
	if err := replace(g.path, v.bytes()); err != nil {
		g.unwritten(err)
	}
}

func (g *logon) unwritten(err error) {
	g.path = ""
	if log := g.logons.log.Load(); log != nil {
		log.Error("a refused logon can't be written down: until this process ends the secret is not sent again, other processes and the next start "+
			"do not know and may lock the user", "origin", g.origin, "user", g.user, "error", err)
	}
}

// replace writes a file that has all of its content at any moment.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
