package transport

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/lock"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
	"github.com/culvert-project/culvert/wit"
)

// Lockouts remembers which secrets were refused, so that a wrong one is sent once and not until the user is locked
// (P10); one that its origin accepted within the last hour is tried once more before it counts as refused (see
// doubt.go). One is shared by all clients of a process; with a folder, by all processes that use it, and over restarts.
// First logons to one origin go one after another. Safe for use by several goroutines.
type Lockouts struct {
	folder string
	salt   []byte
	log    atomic.Pointer[slog.Logger] // see logTo

	mu     guard.Mutex
	logons map[[sha256.Size]byte]*logon
	turns  map[string]chan struct{} // by origin; each holds one token: the right to log on
}

// processLockouts is what clients use that were given none.
var processLockouts = NewLockouts()

// NewLockouts returns an empty memory that ends with the process.
func NewLockouts() *Lockouts {
	return &Lockouts{logons: map[[sha256.Size]byte]*logon{}, turns: map[string]chan struct{}{}}
}

const (
	saltFile = "salt"
	saltSize = 32
	// logonFileBytes is how large a file of the folder is at most that is read, in bytes; ours have less.
	logonFileBytes = 4 << 10
	// refusal is the ending of the files that each stand for a refused secret.
	refusal = ".refused"
)

// OpenLockouts returns a memory that is kept in a folder, which is made if missing, for this user of the machine alone.
// Its files say nothing about who was refused where: their names are a slow hash under a salt that belongs to the
// folder, their content is a time. Files that processes lock while they log on are named by the origin alone, under the
// same salt.
func OpenLockouts(folder string) (*Lockouts, error) {
	l, err := openFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", folder, err)
	}
	return l, nil
}

func openFolder(folder string) (*Lockouts, error) {
	l := NewLockouts()
	l.folder = folder
	if err := ownFolder(folder); err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	// Of several processes that begin at once, the first one's salt holds.
	if err := wholefile.New(filepath.Join(folder, saltFile), salt); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	salt, err := wholefile.Read(filepath.Join(folder, saltFile), logonFileBytes)
	if err == nil && len(salt) != saltSize {
		err = fmt.Errorf("%s: expected %d bytes, found %d: delete the folder if no logon is refused at present",
			saltFile, saltSize, len(salt))
	}
	if err != nil {
		return nil, err
	}
	l.salt = salt
	l.tidy()
	return l, nil
}

// ownFolder makes a folder that nobody else can use; one of somebody else is an error.
func ownFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if err := checkOwner(info); err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return os.Chmod(folder, 0o700)
}

// tidy takes away what is too old to count.
func (l *Lockouts) tidy() {
	files, _ := os.ReadDir(l.folder)
	for _, f := range files {
		if info, err := f.Info(); err == nil && strings.HasSuffix(f.Name(), acceptance) &&
			time.Since(info.ModTime()) > recently {
			os.Remove(filepath.Join(l.folder, f.Name()))
		}
	}
}

// Resume forgets all refusals, so that each secret is tried once more: for operators who have unlocked a user. It
// returns how many there were.
func (l *Lockouts) Resume() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	forgotten := 0
	for _, g := range l.logons {
		if g.forget() && l.folder == "" {
			forgotten++
		}
	}
	if l.folder == "" {
		return forgotten, nil
	}
	files, err := os.ReadDir(l.folder)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), refusal) {
			continue
		}
		path := filepath.Join(l.folder, f.Name())
		if content, err := wholefile.Read(path, logonFileBytes); err != nil || readVerdict(content).state == refused {
			forgotten++
		}
		err = errors.Join(err, os.Remove(path))
	}
	return forgotten, err
}

// identity is who logs on where, and by what. The client is SAP's, "" where none is named.
type identity struct{ origin, client, user, secret string }

// logon is what is known of one identity. The secret itself is not kept.
type logon struct {
	identity // without the secret
	// named waits until the files' names are known, which take a while to be made. look calls it, which comes before
	// all else that is asked of a logon.
	named    func()
	files    logonFiles
	turn     chan struct{}
	lockouts *Lockouts

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

// logTo sets the logger of what cannot be written to the folder: that of the first client that logs at all.
func (l *Lockouts) logTo(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		l.log.CompareAndSwap(nil, log)
	}
}

// place is where an identity logs on as whom. SAP's users have no lower case: me is ME, and locked with it.
func (id identity) place() string {
	return id.origin + "\x00" + id.client + "\x00" + strings.ToUpper(id.user) + "\x00"
}

// anyClient is the identity without its client.
func (id identity) anyClient() identity {
	id.client = ""
	return id
}

// of returns the logon of an identity; nil when it has neither user nor secret.
func (l *Lockouts) of(id identity) *logon {
	if id.user == "" && id.secret == "" {
		return nil
	}
	key := id.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.logons[key]; g != nil {
		return g
	}
	turn := l.turns[id.origin]
	if turn == nil {
		turn = make(chan struct{}, 1)
		turn <- struct{}{}
		l.turns[id.origin] = turn
	}
	g := l.unknown(id)
	g.turn = turn
	if l.folder != "" {
		go func() { // while the rest is made ready for the first request, which needs it
			defer guard.Recover(l.log.Load(), "naming the file of a logon", nil)
			g.named()
		}()
	}
	l.logons[key] = g
	return g
}

// key tells identities apart.
func (id identity) key() [sha256.Size]byte { return sha256.Sum256([]byte(id.place() + id.secret)) }

// unknown is a logon of which this process knows nothing.
func (l *Lockouts) unknown(id identity) *logon {
	g := &logon{identity: id, lockouts: l, named: func() {}}
	g.secret = ""
	if l.folder != "" {
		g.files.lock = filepath.Join(l.folder, l.lockName(id.origin))
		g.named = sync.OnceFunc(func() {
			name := filepath.Join(l.folder, l.name([]byte(id.place()+id.secret)))
			g.files.refused, g.files.accepted = name+refusal, name+acceptance
		})
	}
	return g
}

// hashRounds makes guessing a password from a file's name slow: some 20 ms a guess.
const hashRounds = 100_000

func (l *Lockouts) name(text []byte) string {
	key, err := pbkdf2.Key(sha256.New, string(text), l.salt, hashRounds, 16)
	if err != nil {
		panic(err) // of key lengths that FIPS refuses: ours is not among them
	}
	return hex.EncodeToString(key)
}

// lockName is that of the file that processes lock for a first logon at an origin. An origin is no secret, and so few
// are likely that no slow hash would hide it: one under the salt does, as long as the folder is not read.
func (l *Lockouts) lockName(origin string) string {
	mac := hmac.New(sha256.New, l.salt)
	mac.Write([]byte(origin))
	return hex.EncodeToString(mac.Sum(nil)[:8]) + ".lock"
}

// permit is the leave to send a secret. done must be called with the status of the answer, 0 if none came, unsent if
// nothing was sent. doubt is since when the secret is in doubt or on trial: the request is to be made in a session that
// began later. Zero: it is not.
type permit struct {
	done  func(status int)
	doubt time.Time
}

// unsent is in the place of the status of a request that was not sent.
const unsent = -1

// enter waits until the secret may be sent with a request. opening: that will be a logon of its own, since there is no
// session yet.
func (g *logon) enter(ctx context.Context, a requestID, opening func() bool) (permit, error) {
	if g == nil {
		return permit{done: func(int) {}}, nil
	}
	for {
		p, again, err := g.enterOnce(ctx, a, opening)
		if !again {
			return p, err
		}
	}
}

// enterOnce is enter; again: it is to be called once more, since the secret came into doubt meanwhile.
func (g *logon) enterOnce(ctx context.Context, a requestID, opening func() bool) (p permit, again bool, err error) {
	v := g.look()
	if err := g.fault(v); err != nil {
		return p, false, err
	}
	if !v.trial(a) && v.left(a) <= 0 && !opening() && g.joins() {
		return g.permit(a, v, nil), false, nil
	}
	if err := v.pause(ctx, a); err != nil {
		return p, false, err
	}
	select {
	case <-g.turn:
	case <-ctx.Done():
		return p, false, context.Cause(ctx)
	}
	release := func() { g.turn <- struct{}{} }
	v = g.look()
	if err := g.fault(v); err != nil {
		release()
		return p, false, err
	}
	if !v.trial(a) && v.left(a) <= 0 && !opening() && g.joins() { // by now, thanks to whose turn it was
		release()
		return g.permit(a, v, nil), false, nil
	}
	known, fresh := g.known()
	if (!known || v.trial(a)) && g.files.lock != "" {
		unlock, err := lockFile(ctx, g.files.lock)
		if err != nil {
			release()
			return p, false, err
		}
		release = func() { unlock(); g.turn <- struct{}{} }
	}
	release = sync.OnceFunc(release)
	before := v
	v = g.look()
	switch err := g.fault(v); {
	case err != nil:
		release()
		return p, false, err
	case v.left(a) > 0 || v.trial(a) && !before.trial(a):
		release()
		return p, true, nil
	case v.trial(a) && (v.state == tried || v.state == retried): // whoever did so has died
		g.condemn()
		release()
		return p, false, g.fault(g.look())
	case v.trial(a):
		g.tries(v)
		return g.goes(v, func(status int) { g.judge(v, a, status); release() }), false, nil
	case !known:
		return g.permit(a, v, release), false, nil
	case fresh && !opening():
		return g.leads(a, v, release), false, nil
	}
	giveUp := time.AfterFunc(openingTurn, release)
	return g.permit(a, v, func() { giveUp.Stop(); release() }), false, nil
}

// permit lets a request go whose answer is learned from. after may be nil.
func (g *logon) permit(a requestID, v verdict, after func()) permit {
	sent := time.Now()
	return g.goes(v, func(status int) {
		g.learn(a, sent, status)
		if after != nil {
			after()
		}
	})
}

// goes counts a request as under way until its answer begins.
func (g *logon) goes(v verdict, after func(status int)) permit {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underway++
	return permit{doubt: v.at, done: func(status int) {
		g.mu.Lock()
		g.underway--
		g.mu.Unlock()
		after(status)
	}}
}

// joins says whether a request may go out while others are under way: the secret was right in this moment, or others
// are under way with it anyway.
func (g *logon) joins() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ago := time.Since(g.accepted)
	return ago < silent || ago < trusted && g.underway > 0 && !g.leading
}

// leads lets the first request after a silence go ahead of others: where the secret was changed meanwhile, it alone is
// refused.
func (g *logon) leads(a requestID, v verdict, release func()) permit {
	lead := func(leading bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.leading = leading
	}
	lead(true)
	end := sync.OnceFunc(func() { lead(false); release() })
	giveUp := time.AfterFunc(firstTurn, end)
	return g.permit(a, v, func() { giveUp.Stop(); end() })
}

// openingTurn is how long the opening of a session has others wait whose secret is known to be right: an answer may
// take hours.
const openingTurn = 10 * time.Second

// firstTurn is how long the first request after a silence has others wait.
const firstTurn = 500 * time.Millisecond

// lockTries is how often a lock that another process holds is tried again.
const lockTries = 50 * time.Millisecond

// lockFile waits until no other process holds the lock.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		l, err := lock.Take(path)
		switch {
		case err == nil:
			return func() { l.Release() }, nil
		case errors.Is(err, errors.ErrUnsupported):
			// By this system, or this file system. First logons of several processes may go side by side here; what was
			// refused is known to all of them after that.
			return func() {}, nil
		case !errors.Is(err, lock.ErrTaken):
			return nil, fmt.Errorf("first logons: %w", err)
		}
		if err := pause.For(ctx, lockTries); err != nil {
			return nil, err
		}
	}
}

const (
	// trusted is for how long a secret that was accepted is known to be right. After that it may have been changed, and
	// sessions have ended that nobody used: the next request goes alone again.
	trusted = time.Minute
	// silent is after how long without an answer the next request goes ahead of others.
	silent = 100 * time.Millisecond
)

// known says whether the secret was accepted once, fresh whether that was lately.
func (g *logon) known() (known, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero(), time.Since(g.accepted) < trusted
}

// LockedOut is the error of a request that was not sent, because its secret was refused before. It wraps a [wit.Fault]
// of kind unauthorized.
type LockedOut struct {
	// Why says who was refused where and since when, and how that is mended.
	Why string
}

// Error is Why.
func (l *LockedOut) Error() string { return l.Why }

// Unwrap is the fault.
func (l *LockedOut) Unwrap() error { return faultf(wit.FaultUnauthorized, "%s", l.Why) }

// fault is the error of a secret that was refused before.
func (g *logon) fault(v verdict) error {
	if v.state != refused {
		return nil
	}
	return &LockedOut{g.explain(v.at)}
}

// Refusal says who was refused where and since when, and how that is mended; "" if the secret that the client has now
// was not refused.
func (c *Client) Refusal() string {
	for _, g := range c.at.Load().logons() {
		if g == nil {
			continue
		}
		if v := g.look(); v.state == refused {
			return g.explain(v.at)
		}
	}
	return ""
}

// suspects notes who else may have refused. The refusal counts for the service all the same: nobody can tell, and its
// users are locked.
func (g *logon) suspects(text string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspect = text
}

// explain says who was refused where and since when, and how that is mended.
func (g *logon) explain(at time.Time) string {
	who := fmt.Sprintf("the password of user %q", g.user)
	if g.user == "" {
		who = "the secret"
	}
	if g.client != "" {
		who += " in client " + g.client
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf("%s was refused (401) at %s by %s%s and is not sent again, because SAP locks users after a few "+
		"failures: change user or password, or, when the user is unlocked and they are right, try once more with "+
		"culvert run --resume-logons, or PUT /culvert/lockouts/resume",
		who, at.Format("2006-01-02 15:04:05 -0700"), g.origin, g.suspect)
}

// unasked are answers below 500 of those who stand before the service and look at no secret of its: proxies, guards of
// its load, and what knows that there is no such service, or none that is active, before anybody logs on.
var unasked = []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests,
	http.StatusNotFound, http.StatusForbidden}

// learn notes what the answer to a request says about the secret, which went out at that time.
func (g *logon) learn(a requestID, sent time.Time, status int) {
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
	case g.acceptedLately():
		g.doubt(a)
	default:
		g.refuse()
	}
}

// accept notes that the service took the secret; it says whether it did.
func (g *logon) accept(status int) bool {
	if status <= 0 || status == http.StatusUnauthorized || status >= 500 || slices.Contains(unasked, status) ||
		redirects(status) {
		return false // a gateway that answers 503, or leads to a page of its own, has not looked at the secret
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepted, g.ledAside = time.Now(), false
	g.note()
	return true
}

// ledAway notes that a request was redirected elsewhere. It says whether the secret was accepted within the hour
// before that began: the longer somebody stands in the service's place, the longer ago that is.
func (g *logon) ledAway() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ledAside = g.verdict.state == unjudged && (g.ledAside || g.acceptedLately())
	return g.ledAside
}

// refuse notes the refusal of a secret that was not known to be right; g.mu is held.
func (g *logon) refuse() {
	g.unaccept()
	g.write(verdict{state: refused, at: time.Now()})
}

// unaccept takes back that the secret was accepted; g.mu is held.
func (g *logon) unaccept() {
	g.accepted, g.noted, g.ledAside = time.Time{}, time.Time{}, false
	if g.files.accepted != "" {
		os.Remove(g.files.accepted)
	}
}

// forget lets the secret be sent once more; it says whether it was refused.
func (g *logon) forget() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.verdict.state == refused
	g.verdict, g.accepted, g.noted, g.ledAside = verdict{}, time.Time{}, time.Time{}, false
	return was
}

// Lockout is a secret that is not sent, or with care alone, and why.
type Lockout struct {
	Origin, Client, User string
	// State is refused; doubtful, refused once and to be tried once more; or trial, until what was refused is accepted.
	State string
	Since time.Time
	// Text says all of it, and what is to be done.
	Text string
}

// List are the lockouts of those who log on in this process. others are refusals of other processes, which say nothing
// of whom they concern.
func (l *Lockouts) List() (list []Lockout, others int, err error) {
	l.mu.Lock()
	known, files := make([]*logon, 0, len(l.logons)), map[string]bool{}
	for _, g := range l.logons {
		g.named()
		known = append(known, g)
		files[filepath.Base(g.files.refused)] = true
	}
	l.mu.Unlock()
	for _, g := range known {
		one := Lockout{Origin: g.origin, Client: g.client, User: g.user}
		v := g.look()
		one.Since = v.at
		switch {
		case v.state == refused:
			one.State, one.Text = "refused", g.explain(v.at)
		case v.doubted():
			one.State, one.Text = "doubtful",
				"it was refused (401) once after it had been accepted: one request tries it once more"
		case v.onTrial():
			one.State, one.Text = "trial",
				"it was refused (401) once and accepted since: what was refused is tried once more"
		default:
			continue
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Lockout) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Client, b.Client), cmp.Compare(a.User, b.User),
			a.Since.Compare(b.Since))
	})
	if l.folder == "" {
		return list, 0, nil
	}
	entries, err := os.ReadDir(l.folder)
	for _, f := range entries {
		if !strings.HasSuffix(f.Name(), refusal) || files[f.Name()] {
			continue
		}
		content, err := wholefile.Read(filepath.Join(l.folder, f.Name()), logonFileBytes)
		if err == nil && readVerdict(content).state == refused {
			others++
		}
	}
	return list, others, err
}
