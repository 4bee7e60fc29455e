package rest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/config"
)

const (
	maxVerified   = 1000 // cached logons, which avoid a bcrypt per request
	maxBcryptCost = 14   // about 2 seconds of CPU, since each request may cause a check
	maxChecks     = 2    // concurrent ones, to leave cores for the connectors
)

// users are the users of a file, which is read again when it changes.
type users struct {
	path   string
	log    *slog.Logger
	salt   [32]byte
	checks chan struct{} // an entry for each running check of a password

	mu       sync.Mutex
	stamp    string            // identifies the version of the file that was read
	hashes   map[string][]byte // by name
	verified map[[32]byte]bool // valid logons, as salted hashes
}

func readUsers(path string, log *slog.Logger) (*users, error) {
	u := &users{path: path, log: log, checks: make(chan struct{}, maxChecks), stamp: watch.Stamp(path)}
	rand.Read(u.salt[:])
	var err error
	u.hashes, err = parseUsers(path)
	u.verified = map[[32]byte]bool{}
	return u, err
}

// parseUsers reads lines of NAME:HASH. Only bcrypt is accepted: other hashes are quickly guessed.
func parseUsers(path string) (map[string][]byte, error) {
	data, err := config.ReadRegular(path)
	if err != nil {
		return nil, err
	}
	hashes := map[string][]byte{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s:%d: expected NAME:HASH, as `htpasswd -B` writes it", path, n)
		}
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s:%d: user %s: expected a hash of bcrypt, as `htpasswd -B` writes it", path, n,
				name)
		case cost > maxBcryptCost:
			return nil, fmt.Errorf("%s:%d: user %s: expected a hash that costs at most %d, found %d", path, n, name,
				maxBcryptCost, cost)
		}
		hashes[name] = []byte(hash)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(hashes) == 0 {
		return nil, fmt.Errorf("%s: expected at least one user", path)
	}
	return hashes, nil
}

// reload returns the users of the file. If it becomes unusable, reload logs that once and keeps the previous users.
func (u *users) reload() map[string][]byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	stamp := watch.Stamp(u.path)
	if stamp == u.stamp {
		return u.hashes
	}
	u.stamp = stamp
	hashes, err := parseUsers(u.path)
	if err != nil {
		u.log.Error("the changed file of REST users cannot be read: the previous users stay valid", "error", err)
		return u.hashes
	}
	u.hashes = hashes
	u.verified = map[[32]byte]bool{}
	u.log.Info("the file of REST users was reloaded", "file", u.path)
	return u.hashes
}

// hashToCompare returns the hash to compare a password with. For an unknown user it is another user's, always the same
// for a name, so that response times do not reveal names.
func (u *users) hashToCompare(name string) (hash []byte, exists bool) {
	hashes := u.reload()
	if hash, exists = hashes[name]; exists {
		return hash, true
	}
	names := slices.Sorted(maps.Keys(hashes))
	sum := sha256.Sum256(append(u.salt[:], name...))
	return hashes[names[binary.BigEndian.Uint64(sum[:])%uint64(len(names))]], false
}

// authenticate reports whether the request has a valid logon. It waits for other checks of passwords.
func (u *users) authenticate(r *http.Request) bool {
	name, password, hasAuth := r.BasicAuth()
	if !hasAuth {
		return false
	}
	hash, exists := u.hashToCompare(name)
	sum := sha256.New()
	sum.Write(u.salt[:])
	fmt.Fprintf(sum, "%d:%s:%s:%s", len(name), name, hash, password)
	logon := [32]byte(sum.Sum(nil))
	u.mu.Lock()
	isVerified := u.verified[logon]
	u.mu.Unlock()
	if isVerified {
		return true
	}
	select {
	case u.checks <- struct{}{}:
	case <-r.Context().Done():
		return false
	}
	defer func() { <-u.checks }()
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || !exists {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.verified) >= maxVerified {
		clear(u.verified)
	}
	u.verified[logon] = true
	return true
}
