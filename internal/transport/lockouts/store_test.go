package lockouts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

var alice = Identity{Origin: "http://sap.example:8000", Client: "100", User: "ALICE", Secret: "Secr3t"}

// always and never report whether a request opens a session.
func always() bool { return true }

func never() bool { return false }

// try sends the secret to a service that returns a status; sent reports whether it was sent.
func try(t *testing.T, l *Store, id Identity, status int) (sent bool, err error) {
	t.Helper()
	done, err := l.Gate(id).Acquire(t.Context(), always)
	if err != nil {
		return false, err
	}
	done(status)
	return true, nil
}

func open(t *testing.T, own string, others ...string) *Store {
	t.Helper()
	l, err := Open(own, own, others...)
	require.NoError(t, err)
	return l
}

// wantRefusal checks the error of a secret that was rejected before.
func wantRefusal(t *testing.T, err error, texts ...string) {
	t.Helper()
	_, locked := errors.AsType[*LockedOut](err)
	f, ok := errors.AsType[*wit.Error](err)
	if !locked || !ok || f.Kind != wit.ErrorUnauthorized {
		t.Errorf("expected a refusal, found %v", err)
		return
	}
	for _, text := range texts {
		assert.True(t, strings.Contains(f.Message, text), "expected %q in it, found %v", text, err)
	}
}

// In a run in which no request can resume logons, a refusal names the flag of the next one.
func TestRefusalNamesTheWayOfTheRun(t *testing.T) {
	store := New()
	store.ResumeByRun()
	if sent, err := try(t, store, alice, 401); !sent {
		t.Fatalf("expected the secret to be sent, found %v", err)
	}
	_, err := try(t, store, alice, 200)
	wantRefusal(t, err, "is unlocked, run culvert run --resume-logons")
}

// After one 401 the secret is not sent again, also after a restart and by other processes, until it changes or an
// operator resumes.
func TestRejectedSecretIsLockedOut(t *testing.T) {
	data := t.TempDir()
	user := t.TempDir()
	for owner, c := range map[string]struct{ own, other string }{
		"worker":  {own: data, other: user},
		"command": {own: user, other: data},
	} {
		if sent, err := try(t, open(t, c.own, c.other), alice, 401); !sent {
			t.Fatalf("%s: expected the secret to be sent, found %v", owner, err)
		}
		expectNothingReadable(t, filepath.Join(c.own, fileName))
		running := open(t, c.other, c.own) // in another process
		for _, l := range []*Store{open(t, c.own, c.other), running} {
			_, err := try(t, l, alice, 200)
			wantRefusal(t, err, "http://sap.example:8000", `"ALICE"`, "client 100", "was refused (401) at 20",
				"correct user or password", "run culvert connectors lockouts resume")
			assert.True(t, !strings.Contains(err.Error(), alice.Secret),
				"%s: expected no secret in the error, found %v", owner, err)
		}
		l := open(t, c.own, c.other)
		for part, change := range map[string]func(*Identity){
			"secret": func(id *Identity) { id.Secret = "other" },
			"user":   func(id *Identity) { id.User = "BOB" },
			"client": func(id *Identity) { id.Client = "200" },
			"origin": func(id *Identity) { id.Origin = "https://sap.example" },
		} {
			other := alice
			change(&other)
			sent, err := try(t, l, other, 200)
			assert.True(t, sent, "expected another %s to be tried, found %v", part, err)
		}
		otherSpelling := alice
		otherSpelling.User = "alice"
		_, err := try(t, l, otherSpelling, 200)
		wantRefusal(t, err, "alice")
		list, others := l.List()
		assert.Equal(t, 1, len(list))
		assert.Equal(t, "alice", list[0].User)
		assert.Equal(t, 0, others)
		_, others = open(t, c.other, c.own).List()
		assert.Equal(t, 1, others, "refusals of others")

		n, err := l.Resume(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, n, "forgotten")
		for _, l := range []*Store{l, running, open(t, c.own)} {
			sent, err := try(t, l, alice, 200)
			assert.True(t, sent, "%s: after resuming: expected the secret to be sent, found %v", owner, err)
		}
	}
}

// Of two wrong secrets of a user, neither is sent a second time.
func TestEachRejectedSecretIsRemembered(t *testing.T) {
	folder := t.TempDir()
	other := alice
	other.Secret = "another"
	for range 3 {
		l := open(t, folder)
		try(t, l, alice, 401)
		try(t, l, other, 401)
	}
	content, err := os.ReadFile(filepath.Join(folder, fileName))
	require.NoError(t, err)
	assert.Equal(t, 3, len(strings.FieldsFunc(string(content), func(r rune) bool { return r == '\n' })),
		"lines: a salt, two refusals")
}

// A lockout that cannot be stored is reported, and applies until the process ends.
func TestLockoutWithoutFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	l := open(t, folder)
	var log strings.Builder
	l.LogTo(slog.New(slog.DiscardHandler)) // of a command that logs nothing
	l.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	l.lockFolder = ""
	done, err := l.Gate(alice).Acquire(t.Context(), always)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(folder))
	done(401)
	if output := log.String(); !strings.Contains(output, "cannot be stored") || strings.Contains(output, alice.Secret) {
		t.Errorf("expected the refusal without the secret, found %q", output)
	}
	require.NoError(t, os.Mkdir(folder, 0o700)) // with another salt from now on
	other := alice
	other.User = "BOB"
	try(t, l, other, 401)
	sent, err := try(t, l, alice, 200)
	assert.True(t, !sent, "expected the secret not to be sent again: %v", err)
	n, err := l.Resume(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, n)
}

// expectNothingReadable checks that a file reveals no secret or user.
func expectNothingReadable(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("expected mode 0600, found %v, %v", info.Mode(), err)
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, text := range []string{"alice", "secr3t", "sap.example"} {
		assert.True(t, !strings.Contains(strings.ToLower(string(content)), text),
			"%s: expected no %q in the file", path, text)
	}
}

// Beyond the bound the oldest lockouts are removed. Lines whose write was interrupted are skipped.
func TestLockoutFileIsBounded(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	var lines strings.Builder
	for i := range maxRefusals {
		fmt.Fprintf(&lines, "%d %032x\n", i, i)
	}
	path := filepath.Join(folder, fileName)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(string(content)+"17\n\n12 ab\x00\x00\n"+lines.String()), 0o600))
	try(t, l, alice, 401)
	_, others := open(t, folder).List()
	assert.Equal(t, maxRefusals/2, others)
	_, err = try(t, open(t, folder), alice, 200)
	wantRefusal(t, err)
	require.NoError(t, os.WriteFile(path, []byte(string(content)+strings.Repeat("\n", maxFile)), 0o600))
	_, err = Open("", folder)
	assert.True(t, err != nil, "expected a larger file to be an error")
}

// Two processes with several connectors send a wrong secret once.
func TestFirstLogonsAreSequential(t *testing.T) {
	folder := t.TempDir()
	processes := []*Store{open(t, folder), open(t, folder)}
	var sent, inFlight, peak atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			done, err := processes[i%2].Gate(alice).Acquire(t.Context(), never)
			if err != nil {
				wantRefusal(t, err, "ALICE")
				return
			}
			sent.Add(1)
			peak.Store(max(peak.Load(), inFlight.Add(1)))
			inFlight.Add(-1)
			done(401)
		})
	}
	wg.Wait()
	assert.True(t, sent.Load() == 1 && peak.Load() == 1,
		"expected the secret to be sent once, found %d times, %d at a time", sent.Load(), peak.Load())
}

// A request that logs on at a service also logs on at a proxy, even if both secrets have the same name of a lock file.
// The proxy's gate is held for a time.
func TestLogonsOfServiceAndRoute(t *testing.T) {
	fileOf := func(id Identity) byte { return sha256.Sum256([]byte(id.place()))[0] }
	proxy := Identity{Origin: ProxyOrigin + "proxy.example:3128", User: "me", Secret: "pr0xy"}
	for n := 0; fileOf(proxy) != fileOf(alice); n++ {
		proxy.User = strconv.Itoa(n)
	}
	l := open(t, t.TempDir())
	done, err := l.Gate(alice).Acquire(t.Context(), always)
	require.NoError(t, err)
	defer done(200)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	routeDone, err := l.RouteGate(proxy, time.Minute).Acquire(ctx, never)
	require.NoError(t, err)
	routeDone(Unsent)
	synctest.Test(t, func(t *testing.T) {
		l := New()
		began := time.Now()
		for range 3 { // without answers
			_, err := l.RouteGate(proxy, time.Minute).Acquire(t.Context(), never)
			require.NoError(t, err)
		}
		assert.Equal(t, 2*time.Minute, time.Since(began), "waited")
	})
}

// Of concurrent requests with a secret that has become wrong, one is rejected and the others are not sent.
func TestChangedSecretFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		try(t, l, alice, 200)
		time.Sleep(2 * leaderAfter)
		var sent atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				done, err := l.Gate(alice).Acquire(t.Context(), never)
				if err != nil {
					wantRefusal(t, err, "ALICE")
					return
				}
				sent.Add(1)
				time.Sleep(time.Millisecond) // the service's response time
				done(401)
			})
		}
		wg.Wait()
		assert.Equal(t, int64(1), sent.Load())
	})
}

// Logons of a user are sent one after another, whatever the secret. Other users do not wait.
func TestLogonsOfUserAreSequential(t *testing.T) {
	l := New()
	other := alice
	bob := alice
	other.Secret = "another"
	bob.User = "BOB"
	firstDone, err := l.Gate(alice).Acquire(t.Context(), always)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := l.Gate(other).Acquire(ctx, always); err == nil || err.Error() != "enough" {
		t.Errorf("expected the second secret to wait for the first, found %v", err)
	}
	sent, err := try(t, l, bob, 200)
	assert.True(t, sent, "another user: expected the secret to be sent, found %v", err)
	firstDone(503)
	sent, err = try(t, l, other, 200)
	assert.True(t, sent, "after the first: expected the secret to be sent, found %v", err)
	// A request with an accepted secret does not wait, unless it opens a session.
	holderDone, err := l.Gate(alice).Acquire(t.Context(), always)
	require.NoError(t, err)
	done, err := l.Gate(other).Acquire(ctx, never)
	require.NoError(t, err, "in a session")
	done(200)
	_, err = l.Gate(other).Acquire(ctx, always)
	assert.True(t, err != nil, "expected the opening of a session to wait")
	holderDone(0)
}

func TestLockoutsRequireUsableFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open("", filepath.Join(file, "data"))
	assert.Error(t, err, "refused logons cannot be stored in")
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, fileName), []byte("short"), 0o600))
	_, err = Open("", folder)
	assert.Error(t, err, "expected a salt")
}

// Statuses that do not prove a check of the secret leave it unknown: the next request is sent alone (P10).
func TestInconclusiveStatuses(t *testing.T) {
	for status, isProof := range map[int]bool{200: true, 304: true, 400: true, 403: false, 404: false,
		407: false, 408: false, 429: false, 502: false, 503: false, 302: false, 0: false, Unsent: false} {
		l := New()
		if sent, err := try(t, l, alice, status); !sent {
			t.Fatalf("%d: expected the secret to be sent, found %v", status, err)
		}
		done, err := l.Gate(alice).Acquire(t.Context(), never)
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("alone"))
		_, err = l.Gate(alice).Acquire(ctx, never)
		if isAdmitted := err == nil; isAdmitted != isProof {
			t.Errorf("%d: expected the next requests to be sent concurrently: %v, found %v", status, isProof, err)
		}
		done(0)
	}
}

// fixedGroup is a group with fixed results.
type fixedGroup struct {
	Group
	refused time.Time
	resumed time.Time
}

func (g *fixedGroup) Lookup(Secret) Finding {
	return Finding{Refused: g.refused, Resumed: g.resumed}
}

// Lockouts of the group are stored for commands. A resume in the group removes older lockouts, and all once this worker
// receives it.
func TestLockoutsOfGroup(t *testing.T) {
	folder := t.TempDir()
	try(t, open(t, folder), alice, 401)
	expectRefused := func(l *Store, want bool, about string) {
		t.Helper()
		_, isRefused := l.Status(alice)
		assert.Equal(t, want, isRefused, about)
	}
	early := &fixedGroup{resumed: time.UnixMilli(0)}
	l := open(t, folder)
	l.JoinGroup(early)
	expectRefused(l, true, "before any resume")
	early.resumed = time.Now().Add(-time.Hour) // by the leader's clock
	expectRefused(l, false, "after a resume")
	early.refused = time.Now()
	expectRefused(l, true, "refused in the group")
	expectRefused(open(t, folder), true, "in a command next to the worker")

	late := open(t, folder)
	late.JoinGroup(&fixedGroup{resumed: time.Now().Add(time.Second)})
	expectRefused(late, false, "resumed while it was away")
	expectRefused(open(t, folder), false, "in a command next to it")
}

// A resume also removes lockouts with a time in the future.
func TestResumeRemovesFutureLockouts(t *testing.T) {
	for about, group := range map[string]*fixedGroup{"alone": nil, "group": {resumed: time.UnixMilli(0)}} {
		l := open(t, t.TempDir())
		if group != nil {
			l.JoinGroup(group)
		}
		l.Status(alice)
		l.mu.Lock()
		l.save(alice.toSecret(), time.Now().Add(time.Hour))
		l.mu.Unlock()
		if group != nil {
			group.resumed = time.Now()
		} else if _, err := l.Resume(t.Context()); err != nil {
			t.Error(err)
		}
		_, refused := l.Status(alice)
		assert.Equal(t, false, refused, about)
	}
}

// An outdated lookup does not restore a lockout.
func TestOutdatedLookup(t *testing.T) {
	g := &fixedGroup{resumed: time.Now()}
	l := open(t, t.TempDir())
	l.JoinGroup(g)
	l.Status(alice)
	g.refused = time.Now()
	g.resumed = g.resumed.Add(-time.Second)
	_, refused := l.Status(alice)
	assert.Equal(t, false, refused)
}

// An incomplete line does not damage the next one. With an unreadable file no secret is sent.
func TestDamagedLockoutFile(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	path := filepath.Join(folder, fileName)
	salt, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(salt, "12345 abc"...), 0o600))
	try(t, l, alice, 401)
	_, err = try(t, open(t, folder), alice, 200)
	wantRefusal(t, err, "was refused (401)")

	require.NoError(t, os.WriteFile(path, []byte("something else"), 0o600))
	_, err = try(t, l, alice, 200)
	wantRefusal(t, err, "was refused (401)")
	bob := alice
	bob.User = "BOB"
	_, err = try(t, l, bob, 200)
	wantRefusal(t, err, `"BOB" in client 100 is not sent to http://sap.example:8000`,
		"expected a salt in the first line", "a format that this version does not know")
}

// A file in an unknown format never counts as one without refusals: no secret is sent, whoever owns the file.
func TestLockoutFileInUnknownFormat(t *testing.T) {
	for name, content := range map[string]string{
		"first line":    "salt2 " + strings.Repeat("00", 32) + "\n",
		"another line":  "salt " + strings.Repeat("00", 32) + "\n12345 abc\nrefused 12345 abc\n",
		"another field": "salt " + strings.Repeat("00", 32) + "\n12345 abc ALICE\n",
	} {
		worker := t.TempDir()
		path := filepath.Join(worker, fileName)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := Open(worker, worker)
		assert.Error(t, err, path+": expected", name)
		_, err = try(t, open(t, t.TempDir(), worker), alice, 200)
		wantRefusal(t, err, path+": expected", "a format that this version does not know")
	}
}
