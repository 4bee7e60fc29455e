package transport

import (
	"log/slog"
	"time"
)

// Logon is who a client would log on as, where, and by what secret. It shows no secret when printed.
type Logon struct {
	id       identity
	lockouts *Lockouts
	tokens   bool
}

// LogonOf is the logon of the clients of a configuration. It sends nothing, and nobody remembers it. Errors are those
// that [New] would have.
func LogonOf(c Config) (Logon, error) {
	d, err := prepared(c)
	if err != nil {
		return Logon{}, err
	}
	return Logon{d.identity(), d.config.Lockouts, d.auth.tokens != nil}, nil
}

// Needed says whether there is anything to log on with.
func (l Logon) Needed() bool { return l.id.user != "" || l.id.secret != "" }

// Place is where it logs on as whom: one text for all ways to write that, and for all SAP clients. Users are of a
// client, but a request that names none is for the system's own, whose users another request may name. It holds no
// secret.
func (l Logon) Place() string { return l.id.anyClient().place() }

// Secret is what it logs on with, for nothing but comparison.
func (l Logon) Secret() string { return l.id.secret }

// ByToken says whether the secret goes to a service that hands out tokens.
func (l Logon) ByToken() bool { return l.tokens }

// Judged says whether the origin has taken the secret, and not refused it since: within the life of this process, or
// for another one within the last hour; and whether it counts as refused, so that clients do not send it.
func (l Logon) Judged() (taken, isRefused bool) {
	l.lockouts.mu.Lock()
	g := l.lockouts.logons[l.id.key()]
	l.lockouts.mu.Unlock()
	if g == nil {
		g = l.lockouts.unknown(l.id)
	}
	v := g.look()
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero() || g.acceptedLately(), v.state == refused
}

// LastTaken is when the origin took any secret of the user last from this process; zero: it has taken none.
func (l Logon) LastTaken() (last time.Time) {
	l.lockouts.mu.Lock()
	defer l.lockouts.mu.Unlock()
	for _, g := range l.lockouts.logons {
		if g.anyClient().place() != l.Place() {
			continue
		}
		g.mu.Lock()
		if g.accepted.After(last) {
			last = g.accepted
		}
		g.mu.Unlock()
	}
	return last
}

// String is where it logs on.
func (l Logon) String() string { return l.id.origin }

// LogValue is String.
func (l Logon) LogValue() slog.Value { return slog.StringValue(l.String()) }
