package transport

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
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

	"github.com/culvert-project/culvert/wit"
)

// Logons remembers which secrets were refused, so that a wrong one is sent once and not until the user is locked (P10). One is
// shared by all clients of a process; with a folder, by all processes that use it, and over restarts. First logons to one origin go
// one after another. Safe for use by several goroutines.
type Logons struct {
	folder string
	salt   []byte
	log    atomic.Pointer[slog.Logger] // see hear

	mu     sync.Mutex
	logons map[[sha256.Size]byte]*logon
	turns  map[string]chan struct{} // by origin; each holds one token: the right to log on
}

// processLogons is what clients use that were given none.
var processLogons = NewLogons()

// NewLogons returns an empty memory that ends with the process.
func NewLogons() *Logons {
	return &Logons{logons: map[[sha256.Size]byte]*logon{}, turns: map[string]chan struct{}{}}
}

const (
	saltFile = "salt"
	saltSize = 32
	// refusal is the ending of the files that each stand for a refused secret.
	refusal = ".refused"
)

// OpenLogons returns a memory that is kept in a folder, which is made if missing. Its files say nothing about who was refused where:
// their names are a slow hash under a salt that belongs to the folder, their content is a time.
func OpenLogons(folder string) (*Logons, error) {
	l := NewLogons()
	l.folder = folder
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", folder, err)
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	// Of several processes that begin at once, the first one's salt holds.
	if err := writeNew(filepath.Join(folder, saltFile), salt); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", folder, err)
	}
	salt, err := os.ReadFile(filepath.Join(folder, saltFile))
	if err == nil && len(salt) != saltSize {
		err = fmt.Errorf("%s: expected %d bytes, found %d: delete the folder if no logon is refused at present", saltFile, saltSize, len(salt))
	}
	if err != nil {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", folder, err)
	}
	l.salt = salt
	return l, nil
}

// writeNew makes a file that holds all of its content from the moment it is there; os.ErrExist where it is there already.
func writeNew(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	err = link(f.Name(), path)
	if err == nil || errors.Is(err, os.ErrExist) {
		return err
	}
	// Shares of Windows and of some clouds have no links: there it is all there a moment after it is there.
	alone, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = alone.Write(content)
	return errors.Join(err, alone.Close())
}

var link = os.Link // which tests make fail

// Resume forgets all refusals, so that each secret is tried once more: for operators who have unlocked a user. It returns how many
// there were.
func (l *Logons) Resume() (int, error) {
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
		if strings.HasSuffix(f.Name(), refusal) {
			err = errors.Join(err, os.Remove(filepath.Join(l.folder, f.Name())))
			forgotten++
		}
	}
	return forgotten, err
}

// identity is who logs on where, and by what. The client is SAP's, "" where none is named.
type identity struct{ origin, client, user, secret string }

// logon is what is known of one identity. The secret itself is not kept.
type logon struct {
	identity        // without the secret
	path     string // of the file that says that it was refused; "" without a folder
	lock     string // of the file that processes lock for a first logon
	turn     chan struct{}
	logons   *Logons

	mu       sync.Mutex
	accepted time.Time // the last time
	refused  time.Time
	// suspect is who else may have refused: a proxy that answers 401 for itself.
	suspect string
}

// hear has what cannot be written down logged by the first client that logs at all.
func (l *Logons) hear(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		l.log.CompareAndSwap(nil, log)
	}
}

// of returns the logon of an identity; nil when it has neither user nor secret.
func (l *Logons) of(id identity) *logon {
	if id.user == "" && id.secret == "" {
		return nil
	}
	// SAP's users have no lower case: me is ME, and locked with it.
	text := []byte(id.origin + "\x00" + id.client + "\x00" + strings.ToUpper(id.user) + "\x00" + id.secret)
	key := sha256.Sum256(text)
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
	g := &logon{identity: id, turn: turn, logons: l}
	g.secret = ""
	if l.folder != "" {
		g.path = filepath.Join(l.folder, l.name(text)+refusal)
		g.lock = filepath.Join(l.folder, l.name([]byte(id.origin))[:16]+".lock")
	}
	l.logons[key] = g
	return g
}

// hashRounds makes guessing a password from a file's name slow: some 20 ms a guess.
const hashRounds = 100_000

func (l *Logons) name(text []byte) string {
	key, err := pbkdf2.Key(sha256.New, string(text), l.salt, hashRounds, 16)
	if err != nil {
		panic(err) // of key lengths that FIPS refuses: ours is not among them
	}
	return hex.EncodeToString(key)
}

// enter waits until the secret may be sent. opening: the request will be a logon of its own, since there is no session yet. done
// must be called with the status of the answer, 0 if none came.
func (g *logon) enter(ctx context.Context, opening func() bool) (done func(status int), err error) {
	if g == nil {
		return func(int) {}, nil
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	if _, fresh := g.known(); fresh && !opening() {
		return g.learn, nil
	}
	select {
	case <-g.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	known, fresh := g.known()
	if fresh && !opening() { // by now, thanks to whose turn it was
		g.turn <- struct{}{}
		return g.learn, g.check()
	}
	unlock := func() {}
	if !known && g.lock != "" {
		if unlock, err = lockFile(ctx, g.lock); err != nil {
			g.turn <- struct{}{}
			return nil, err
		}
	}
	release := sync.OnceFunc(func() { unlock(); g.turn <- struct{}{} })
	if err := g.check(); err != nil {
		release()
		return nil, err
	}
	if !known {
		return func(status int) { g.learn(status); release() }, nil
	}
	giveUp := time.AfterFunc(openingTurn, release)
	return func(status int) { giveUp.Stop(); g.learn(status); release() }, nil
}

// openingTurn is how long the opening of a session has others wait whose secret is known to be right: an answer may take hours.
const openingTurn = 10 * time.Second

// lockTries is how often a lock that another process holds is tried again.
const lockTries = 50 * time.Millisecond

// lockFile waits until no other process holds the lock.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of first logons: %w", err)
	}
	for {
		taken, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock of first logons: %s: %w", path, err)
		}
		if !taken {
			return func() { f.Close() }, nil
		}
		timer := time.NewTimer(lockTries)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			f.Close()
			return nil, context.Cause(ctx)
		}
	}
}

// trusted is for how long a secret that was accepted is known to be right. After that it may have been changed, and sessions have ended
// that nobody used: the next request goes alone again.
const trusted = time.Minute

// known tells whether the secret was accepted once, fresh whether that was just now.
func (g *logon) known() (known, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero(), time.Since(g.accepted) < trusted
}

// since is when the secret was refused, by this process or another; zero if it was not. A file that is no longer there was taken
// away by an operator.
func (g *logon) since() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.path == "" {
		return g.refused
	}
	content, err := os.ReadFile(g.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		g.refused = time.Time{}
	case err != nil || len(content) != 8:
		// It is there: rather not sent than a user locked.
		if g.refused.IsZero() {
			g.refused = time.Now()
		}
	default:
		g.refused = time.UnixMilli(int64(binary.BigEndian.Uint64(content)))
	}
	return g.refused
}

// check is the fault of a secret that was refused before.
func (g *logon) check() error {
	at := g.since()
	if at.IsZero() {
		return nil
	}
	return faultf(wit.FaultUnauthorized, "%s", g.explain(at))
}

// Refusal says who was refused where and since when, and how that is mended; "" if the secret that the client has now was not
// refused.
func (c *Client) Refusal() string {
	for _, g := range c.at.Load().logons() {
		if g == nil {
			continue
		}
		if at := g.since(); !at.IsZero() {
			return g.explain(at)
		}
	}
	return ""
}

// suspects notes who else may have refused. The refusal counts for the service all the same: nobody can tell, and its users are locked.
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
	return fmt.Sprintf("%s: %s was refused (401) at %s%s and is not sent again, because SAP locks users after a few failures: "+
		"change user or password, or, when the user is unlocked and they are right, try once more with culvert run --resume-logons",
		g.origin, who, at.Format("2006-01-02 15:04:05 -0700"), g.suspect)
}

// unasked are answers below 500 of those who stand before the service and look at no secret of its: proxies, and guards of its load.
var unasked = []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests}

// learn notes what an answer says about the secret.
func (g *logon) learn(status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case status == 401:
		g.refuse()
	case status == 0 || status >= 500 || slices.Contains(unasked, status):
		// a gateway that answers 503 has not looked at the secret
	default:
		g.accepted = time.Now()
	}
}

// refuse notes that the secret was refused just now; g.mu is held. What cannot be written down holds in memory, and is said, since
// a restart would show the secret again.
func (g *logon) refuse() {
	g.accepted = time.Time{}
	if g.refused.IsZero() {
		g.refused = time.Now()
	}
	if g.path == "" {
		return
	}
	content := binary.BigEndian.AppendUint64(nil, uint64(g.refused.UnixMilli()))
	if err := writeNew(g.path, content); err != nil && !errors.Is(err, os.ErrExist) {
		g.path = ""
		if log := g.logons.log.Load(); log != nil {
			log.Error("a refused logon can't be written down: until this process ends the secret is not sent again, other processes and the next start "+
				"do not know and may lock the user", "origin", g.origin, "user", g.user, "error", err)
		}
	}
}

// forget lets the secret be sent once more; it tells whether it was refused.
func (g *logon) forget() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := !g.refused.IsZero()
	g.refused, g.accepted = time.Time{}, time.Time{}
	return was
}
