package lockouts

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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// Store remembers which secrets were refused. One is shared by all clients of a process; with a folder, by all
// processes that use it, and over restarts. Safe for use by several goroutines.
type Store struct {
	folder string
	salt   []byte
	log    atomic.Pointer[slog.Logger] // see LogTo
	shared Shared                      // see Share; nil for a worker that is alone

	mu     guard.Mutex
	logons map[[sha256.Size]byte]*Logon
	turns  map[string]guard.Turn // by origin: the right to log on
}

// New returns an empty store that ends with the process.
func New() *Store {
	return &Store{logons: map[[sha256.Size]byte]*Logon{}, turns: map[string]guard.Turn{}}
}

const (
	saltFile = "salt"
	saltSize = 32
	// refusal is the ending of the files that each stand for a refused secret.
	refusal = ".refused"
)

// Open returns a store that is kept in a folder, which is made if missing, for this user of the machine alone.
// Its files say nothing about who was refused where: their names are a slow hash under a salt that belongs to the
// folder, their content is a time. Files that processes lock while they log on are named by the origin alone, under the
// same salt.
func Open(folder string) (*Store, error) {
	l, err := openFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", folder, err)
	}
	return l, nil
}

func openFolder(folder string) (*Store, error) {
	l := New()
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
	salt, err := wholefile.Read(filepath.Join(folder, saltFile), fileBytes)
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
func (l *Store) tidy() {
	files, _ := os.ReadDir(l.folder)
	for _, f := range files {
		if info, err := f.Info(); err == nil && strings.HasSuffix(f.Name(), acceptance) &&
			time.Since(info.ModTime()) > recently {
			os.Remove(filepath.Join(l.folder, f.Name()))
		}
	}
}

// Resume forgets all refusals, so that each secret is tried once more: for operators who have unlocked a user. It
// returns how many there were. In a cluster all workers forget them; without a leader that waits for the context's end.
func (l *Store) Resume(ctx context.Context) (int, error) {
	known, err := 0, error(nil)
	if l.shared != nil {
		known, err = l.shared.Resume(ctx)
	}
	forgotten, here := l.forget()
	return max(known, forgotten), errors.Join(err, here)
}

// forget is Resume for this process and its folder alone.
func (l *Store) forget() (int, error) {
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
		if content, err := wholefile.Read(path, fileBytes); err != nil || readVerdict(content).state == refused {
			forgotten++
		}
		err = errors.Join(err, os.Remove(path))
	}
	return forgotten, err
}

// LogTo sets the logger of what cannot be written to the folder: that of the first client that logs at all.
func (l *Store) LogTo(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		l.log.CompareAndSwap(nil, log)
	}
}

// Of returns the logon of an identity; nil when it has neither user nor secret.
func (l *Store) Of(id Identity) *Logon {
	if !id.Needed() {
		return nil
	}
	key := id.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.logons[key]; g != nil {
		return g
	}
	turn := l.turns[id.Origin]
	if turn == nil {
		turn = guard.NewTurn()
		l.turns[id.Origin] = turn
	}
	g := l.unknown(id)
	g.turn = turn
	if l.folder != "" || g.cluster != nil {
		go func() { // while the rest is made ready for the first request, which needs it
			defer guard.Recover(l.log.Load(), "naming the file of a logon", nil)
			g.named()
			if g.cluster != nil {
				g.cluster.secret()
			}
		}()
	}
	l.logons[key] = g
	return g
}

// unknown is a logon of which this process knows nothing.
func (l *Store) unknown(id Identity) *Logon {
	g := &Logon{Identity: id, log: &l.log, named: func() {}, cluster: l.clustered(id)}
	g.Secret = ""
	if l.folder != "" {
		g.files.lock = filepath.Join(l.folder, l.lockName(id.Origin))
		g.named = sync.OnceFunc(func() {
			name := filepath.Join(l.folder, l.name([]byte(id.place()+id.Secret)))
			g.files.refused, g.files.accepted = name+refusal, name+acceptance
		})
	}
	return g
}

// Request is what a request asks for by its method and line, as far as doubts go by it.
func (l *Store) Request(method, line string) Request { return requestOf(l.salt, method, line) }

// Judged says whether the origin has taken the secret, and not refused it since: within the life of this process, or
// for another one within the last hour; and whether it counts as refused, so that clients do not send it.
func (l *Store) Judged(id Identity) (taken, isRefused bool) {
	l.mu.Lock()
	g := l.logons[id.key()]
	l.mu.Unlock()
	if g == nil {
		g = l.unknown(id)
	}
	v := g.look()
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero() || g.acceptedLately(), v.state == refused
}

// LastTaken is when the origin took any secret of the user last from this process; zero: it has taken none.
func (l *Store) LastTaken(id Identity) (last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.logons {
		if g.Place() != id.Place() {
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

// hashRounds makes guessing a password from a file's name slow: some 20 ms a guess.
const hashRounds = 100_000

func (l *Store) name(text []byte) string {
	return hex.EncodeToString(slowly(string(text), l.salt, 16))
}

// slowly hashes to so many bytes.
func slowly(text string, salt []byte, size int) []byte {
	hash, err := pbkdf2.Key(sha256.New, text, salt, hashRounds, size)
	if err != nil {
		panic(err) // of key lengths that FIPS refuses: ours are not among them
	}
	return hash
}

// lockName is that of the file that processes lock for a first logon at an origin. An origin is no secret, and so few
// are likely that no slow hash would hide it: one under the salt does, as long as the folder is not read.
func (l *Store) lockName(origin string) string {
	mac := hmac.New(sha256.New, l.salt)
	mac.Write([]byte(origin))
	return hex.EncodeToString(mac.Sum(nil)[:8]) + ".lock"
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
func (l *Store) List() (list []Lockout, others int, err error) {
	l.mu.Lock()
	known, files := make([]*Logon, 0, len(l.logons)), map[string]bool{}
	for _, g := range l.logons {
		g.named()
		known = append(known, g)
		files[filepath.Base(g.files.refused)] = true
	}
	l.mu.Unlock()
	for _, g := range known {
		one := Lockout{Origin: g.Origin, Client: g.Client, User: g.User}
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
		content, err := wholefile.Read(filepath.Join(l.folder, f.Name()), fileBytes)
		if err == nil && readVerdict(content).state == refused {
			others++
		}
	}
	return list, others, err
}
