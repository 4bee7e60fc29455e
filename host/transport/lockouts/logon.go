package lockouts

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
	"github.com/culvert-project/culvert/wit"
)

// Logon is what is known of one identity. The secret itself is not kept. Nothing that it calls locks the store. Safe
// for use by several goroutines.
type Logon struct {
	Identity // without the secret
	// named waits until the files' names are known, which take a while to be made. look calls it, which comes before
	// all else that is asked of a logon.
	named func()
	files logonFiles
	turn  guard.Turn // of all logons at the origin
	log   *atomic.Pointer[slog.Logger]
	// cluster is nil for a worker that is alone.
	cluster *clustered

	mu       guard.Mutex
	accepted time.Time // the last time
	noted    time.Time // when that was written down last
	verdict  verdict   // as it was read or written last
	// ledAside: requests are redirected elsewhere since a time when the secret was known to be right.
	ledAside bool
	underway int  // requests whose answer has not begun
	leading  bool // one of them goes ahead of others
	// suspect is who else may have refused: a proxy that answers 401 for itself.
	suspect string
}

// logonFiles are the paths of a logon's files; "" without a folder.
type logonFiles struct {
	refused  string // says that it was refused
	accepted string // says when it was accepted
	lock     string // is locked by processes for a first logon
}

// Unsent is in the place of the status of a request that was not sent.
const Unsent = -1

// LockedOut is the error of a request that was not sent, because its secret was refused before. It wraps a [wit.Fault]
// of kind unauthorized.
type LockedOut struct {
	// Why says who was refused where and since when, and how that is mended.
	Why string
}

// Error is Why.
func (l *LockedOut) Error() string { return l.Why }

// Unwrap is the fault.
func (l *LockedOut) Unwrap() error { return &wit.Fault{Kind: wit.FaultUnauthorized, Message: l.Why} }

// fault is the error of a secret that was refused before.
func (g *Logon) fault(v verdict) error {
	if v.state != refused {
		return nil
	}
	return &LockedOut{g.explain(v.at)}
}

// Refusal says who was refused where and since when, and how that is mended; "" if the secret was not refused. So does
// a nil logon.
func (g *Logon) Refusal() string {
	if g == nil {
		return ""
	}
	if v := g.look(); v.state == refused {
		return g.explain(v.at)
	}
	return ""
}

// Suspects notes who else may have refused. The refusal counts for the service all the same: nobody can tell, and its
// users are locked.
func (g *Logon) Suspects(text string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspect = text
}

// explain says who was refused where and since when, and how that is mended.
func (g *Logon) explain(at time.Time) string {
	who := fmt.Sprintf("the password of user %q", g.User)
	if g.User == "" {
		who = "the secret"
	}
	if g.Client != "" {
		who += " in client " + g.Client
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf("%s was refused (401) at %s by %s%s and is not sent again, because SAP locks users after a few "+
		"failures: change user or password, or, when the user is unlocked and they are right, try once more with "+
		"culvert run --resume-logons, or PUT /culvert/lockouts/resume",
		who, at.Format("2006-01-02 15:04:05 -0700"), g.Origin, g.suspect)
}

// unasked are answers below 500 of those who stand before the service and look at no secret of its: proxies, guards of
// its load, and what knows that there is no such service, or none that is active, before anybody logs on.
var unasked = []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests,
	http.StatusNotFound, http.StatusForbidden}

// learn notes what the answer to a request says about the secret, which went out at that time.
func (g *Logon) learn(a Request, sent time.Time, status int) {
	if status != http.StatusUnauthorized {
		g.accept(status)
		return
	}
	v := g.look()
	if v.onTrial() && !v.before(sent) {
		g.condemn()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case v.state != unjudged: // it was on its way when another one was refused
	case g.acceptedLately() && (g.cluster == nil || !g.cluster.leave.Last):
		g.doubt(a)
	default:
		g.refuse()
	}
}

// accept notes that the service took the secret; it says whether it did.
func (g *Logon) accept(status int) bool {
	if status <= 0 || status == http.StatusUnauthorized || status >= 500 || slices.Contains(unasked, status) ||
		status/100 == 3 && status != http.StatusNotModified {
		return false // a gateway that answers 503, or leads to a page of its own, has not looked at the secret
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepted, g.ledAside = time.Now(), false
	g.note()
	return true
}

// LedAway notes that a request was redirected elsewhere. It says whether the secret was accepted within the hour
// before that began: the longer somebody stands in the service's place, the longer ago that is.
func (g *Logon) LedAway() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ledAside = g.verdict.state == unjudged && (g.ledAside || g.acceptedLately())
	return g.ledAside
}

// refuse notes the refusal of a secret that was not known to be right; g.mu is held.
func (g *Logon) refuse() {
	g.unaccept()
	g.write(verdict{state: refused, at: time.Now()})
	g.tell(Rejected)
}

// unaccept takes back that the secret was accepted; g.mu is held.
func (g *Logon) unaccept() {
	g.accepted, g.noted, g.ledAside = time.Time{}, time.Time{}, false
	if g.files.accepted != "" {
		os.Remove(g.files.accepted)
	}
}

// maxDoubts is how often one request is refused and sent again while the secret is accepted in between, as by several
// servers behind one address, one of which refuses it. A doubt needs one repetition; the second is for a request that
// was already under way when another one began the doubt.
const maxDoubts = 2

// Again says whether a request that was refused is to be sent once more, because its secret is in doubt, or was in
// doubt and accepted since: answered says that the service refused it, not who gives out tokens. doubts counts how
// often that was so for the request.
func (g *Logon) Again(answered bool, doubts *int) bool {
	if g == nil {
		return false
	}
	if v := g.look(); !v.doubted() && !v.onTrial() && (v.state == refused || !answered) {
		return false
	}
	if *doubts++; *doubts > maxDoubts {
		g.condemn()
		return false
	}
	return true
}

// forget lets the secret be sent once more; it says whether it was refused.
func (g *Logon) forget() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.verdict.state == refused
	g.verdict, g.accepted, g.noted, g.ledAside = verdict{}, time.Time{}, time.Time{}, false
	return was
}

// Identity is who logs on where, and by what. The client is SAP's, "" where none is named.
type Identity struct{ Origin, Client, User, Secret string }

// place is where an identity logs on as whom. SAP's users have no lower case: me is ME, and locked with it.
func (id Identity) place() string {
	return id.Origin + "\x00" + id.Client + "\x00" + strings.ToUpper(id.User) + "\x00"
}

// Place is where an identity logs on as whom: one text for all ways to write that, and for all SAP clients. Users are
// of a client, but a request that names none is for the system's own, whose users another request may name. It holds
// no secret.
func (id Identity) Place() string {
	id.Client = ""
	return id.place()
}

// Needed says whether there is anything to log on with.
func (id Identity) Needed() bool { return id.User != "" || id.Secret != "" }

// key tells identities apart.
func (id Identity) key() [sha256.Size]byte { return sha256.Sum256([]byte(id.place() + id.Secret)) }

// fileBytes is how large a file of the folder is at most that is read, in bytes; ours have less.
const fileBytes = 4 << 10

// look is what this process or another has found out. A file that is no longer there was taken away by an operator, or
// by who tried the secret and was not refused. A trial that nobody ends is over when an acceptance is too old to count.
func (g *Logon) look() verdict {
	g.named()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read()
	if g.verdict.onTrial() && time.Since(g.verdict.at) > recently {
		g.clear()
	}
	return g.heard()
}

// read reads the file, if there is one; g.mu is held.
func (g *Logon) read() {
	if g.files.refused == "" {
		return
	}
	content, err := wholefile.Read(g.files.refused, fileBytes)
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
func (g *Logon) clear() {
	g.verdict = verdict{}
	if g.files.refused != "" {
		os.Remove(g.files.refused)
	}
}

// acceptedLately says whether the secret worked within the last hour, here, in another process or at another worker
// of the cluster; g.mu is held.
func (g *Logon) acceptedLately() bool {
	if !g.accepted.IsZero() && time.Since(g.accepted) < recently || g.cluster != nil && g.cluster.leave.Taken {
		return true
	}
	if g.files.accepted == "" {
		return false
	}
	content, err := wholefile.Read(g.files.accepted, fileBytes)
	if err != nil || len(content) != 8 {
		return false
	}
	ago := time.Since(time.UnixMilli(int64(binary.BigEndian.Uint64(content))))
	return ago < recently && ago > -recently
}

// note writes down that the secret was accepted, now and then; g.mu is held. Where that can't be done, other processes
// refuse it at once.
func (g *Logon) note() {
	if g.files.accepted == "" || time.Since(g.noted) < noteEvery {
		return
	}
	g.noted = g.accepted
	wholefile.Replace(g.files.accepted, binary.BigEndian.AppendUint64(nil, uint64(g.accepted.UnixMilli())))
}

// doubt notes the first refusal of a secret that works; g.mu is held.
func (g *Logon) doubt(of Request) {
	g.write(verdict{doubtful, time.Now(), of})
	g.tell(Doubted)
	if log := g.log.Load(); log != nil {
		log.Warn("a secret was refused (401) that the service took within the last hour: it is tried once "+
			"more in a fresh session",
			"origin", g.Origin, "user", g.User, "client", g.Client, "after", doubtPause)
	}
}

// begin notes that the secret is being tried. It is noted before, so that a process that is killed in it leaves no
// third try to others. The turn is held, and the lock.
func (g *Logon) begin(v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.state = map[state]state{doubtful: tried, onTrial: retried}[v.state]
	g.replace(v)
}

// judge notes what a try came to of a secret that was found as v says.
func (g *Logon) judge(v verdict, a Request, status int) {
	if status == http.StatusUnauthorized {
		g.condemn()
		return
	}
	accepted := g.accept(status)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case accepted && (a.hash == v.of.hash || v.of == Request{}): // what another worker sent is tried there
		g.clear()
		return
	case accepted:
		v.state = onTrial
		v.of.writes = v.of.writes && !a.writes // a service that took one write takes others too
	case v.state == doubtful && status != Unsent: // nobody has looked at the secret
		v.at = time.Now()
	}
	g.replace(v)
}

// condemn has a secret in doubt count as refused.
func (g *Logon) condemn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unaccept()
	g.replace(verdict{state: refused, at: time.Now()})
	g.tell(Rejected)
}

// write notes a verdict, unless another process has come to one before; g.mu is held. What cannot be written down holds
// in memory, and is said, since a restart would show the secret again.
func (g *Logon) write(v verdict) {
	g.verdict = v
	if g.files.refused == "" {
		return
	}
	if err := wholefile.New(g.files.refused, v.bytes()); err != nil && !errors.Is(err, os.ErrExist) {
		g.unwritten(err)
	}
}

// replace notes a verdict in the place of another; g.mu is held.
func (g *Logon) replace(v verdict) {
	g.verdict = v
	if g.files.refused == "" {
		return
	}
	if err := wholefile.Replace(g.files.refused, v.bytes()); err != nil {
		g.unwritten(err)
	}
}

func (g *Logon) unwritten(err error) {
	g.files.refused = ""
	if log := g.log.Load(); log != nil {
		log.Error("a refused logon can't be written down: until this process ends the secret is not sent again, other "+
			"processes and the next start do not know and may lock the "+
			"user", "origin", g.Origin, "user", g.User, "error", err)
	}
}

// noteEvery is how often an acceptance is written down.
const noteEvery = time.Minute

// acceptance is the ending of the files that each say when a secret was accepted.
const acceptance = ".accepted"
