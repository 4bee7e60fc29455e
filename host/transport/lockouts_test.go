package transport

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

var somebody = identity{"http://sap.example:8000", "100", "ALICE", "Secr3t"}

// always and never tell whether a request opens a session.
func always() bool { return true }
func never() bool  { return false }

// try sends the secret to a service that answers with a status; sent says whether it came to that.
func try(t *testing.T, l *Lockouts, id identity, status int) (sent bool, err error) {
	t.Helper()
	permit, err := l.of(id).enter(t.Context(), requestID{}, always)
	if err != nil {
		return false, err
	}
	permit.done(status)
	return true, nil
}

func openLockouts(t *testing.T, folder string) *Lockouts {
	t.Helper()
	l, err := OpenLockouts(folder)
	require.NoError(t, err)
	return l
}

func TestRefusalOutlivesTheProcess(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	if sent, err := try(t, openLockouts(t, folder), somebody, 401); !sent {
		t.Fatal(err)
	}
	l := openLockouts(t, folder)
	_, err := try(t, l, somebody, 200)
	wantFault(t, err, wit.FaultUnauthorized, "http://sap.example:8000", `"ALICE"`, "client 100",
		"was refused (401) at 20", "change user or password", "culvert run --resume-logons")
	if strings.Contains(err.Error(), somebody.secret) {
		t.Errorf("the error shows the secret: %v", err)
	}
	for what, change := range map[string]func(*identity){
		"secret": func(id *identity) { id.secret = "other" }, "user": func(id *identity) { id.user = "BOB" },
		"client": func(id *identity) { id.client = "200" },
		"origin": func(id *identity) { id.origin = "https://sap.example" },
	} {
		other := somebody
		change(&other)
		if sent, err := try(t, l, other, 200); !sent {
			t.Errorf("expected another %s to be tried, found %v", what, err)
		}
	}
	nothingReadable(t, folder)

	running := openLockouts(t, folder) // of a worker that goes on while the operator resumes
	_, err = try(t, running, somebody, 200)
	wantFault(t, err, wit.FaultUnauthorized, "ALICE")
	if n, err := l.Resume(); n != 1 || err != nil {
		t.Errorf("expected 1 refusal to be forgotten, found %d, %v", n, err)
	}
	if sent, err := try(t, l, somebody, 200); !sent {
		t.Errorf("after resuming: %v", err)
	}
	if sent, err := try(t, running, somebody, 200); !sent {
		t.Errorf("after resuming, in the process that runs: %v", err)
	}
}

// A refusal that cannot be written down is said: a restart would show the secret again.
func TestRefusalThatCannotBeKept(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	l := openLockouts(t, folder)
	var log strings.Builder
	l.logTo(slog.New(slog.DiscardHandler)) // of a command that says nothing
	l.logTo(slog.New(slog.NewTextHandler(&log, nil)))
	permit, err := l.of(somebody).enter(t.Context(), requestID{}, always)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(folder))
	permit.done(401)
	if said := log.String(); !strings.Contains(said, "can't be written down") || !strings.Contains(said,
		"user=ALICE") ||
		strings.Contains(said, somebody.secret) {
		t.Errorf("expected the refusal without the secret, found %q", said)
	}
	if sent, err := try(t, l, somebody, 200); sent {
		t.Errorf("the secret was sent again: %v", err)
	}
}

// nothingReadable checks what the folder gives away.
func nothingReadable(t *testing.T, folder string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	refusals := 0
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: expected mode 0600, found %v, %v", f.Name(), info.Mode(), err)
		}
		content, err := os.ReadFile(filepath.Join(folder, f.Name()))
		require.NoError(t, err)
		for _, text := range []string{"alice", "secr3t", "sap.example", "100"} {
			if strings.Contains(strings.ToLower(string(content)), text) || text != "100" &&
				strings.Contains(strings.ToLower(f.Name()), text) {
				t.Errorf("%s shows %q", f.Name(), text)
			}
		}
		if strings.HasSuffix(f.Name(), refusal) {
			refusals++
		}
	}
	if refusals != 1 {
		t.Errorf("expected one refusal, found %d", refusals)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("expected the folder with mode 0700, found %v, %v", info.Mode(), err)
	}
}

// Two processes with several connectors each send a wrong secret once in all.
func TestFirstLogonsGoOneAfterAnother(t *testing.T) {
	folder := t.TempDir()
	processes := []*Lockouts{openLockouts(t, folder), openLockouts(t, folder)}
	var sent, under, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			permit, err := processes[i%2].of(somebody).enter(t.Context(), requestID{}, never)
			if err != nil {
				wantFault(t, err, wit.FaultUnauthorized, "ALICE")
				return
			}
			sent.Add(1)
			most.Store(max(most.Load(), under.Add(1)))
			under.Add(-1)
			permit.done(401)
		})
	}
	wg.Wait()
	if sent.Load() != 1 || most.Load() != 1 {
		t.Errorf("expected the secret to be sent once, found %d times, %d at a time", sent.Load(), most.Load())
	}
}

func TestLogonsToOneOriginTakeTurns(t *testing.T) {
	l := NewLockouts()
	other := somebody
	other.user = "BOB"
	first, err := l.of(somebody).enter(t.Context(), requestID{}, always)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := l.of(other).enter(ctx, requestID{}, always); err == nil || err.Error() != "enough" {
		t.Errorf("expected the second user to wait for the first, found %v", err)
	}
	elsewhere := somebody
	elsewhere.origin = "http://other.example"
	if sent, err := try(t, l, elsewhere, 200); !sent {
		t.Errorf("another origin: %v", err)
	}
	first.done(503)
	if sent, err := try(t, l, other, 200); !sent {
		t.Errorf("after the first: %v", err)
	}
	// Who has logged on goes without a turn, unless a session is to be opened.
	holding, err := l.of(somebody).enter(t.Context(), requestID{}, always)
	require.NoError(t, err)
	permit, err := l.of(other).enter(ctx, requestID{}, never)
	if err != nil {
		t.Fatalf("in a session: %v", err)
	}
	permit.done(200)
	if _, err := l.of(other).enter(ctx, requestID{}, always); err == nil {
		t.Error("expected the opening of a session to wait")
	}
	holding.done(0)
}

func TestLogonsNeedTheirFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	if _, err := OpenLockouts(filepath.Join(file, "logons")); err == nil || !strings.Contains(err.Error(),
		"refused logons are kept in") {
		t.Errorf("found %v", err)
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, saltFile), []byte("short"), 0o600))
	if _, err := OpenLockouts(folder); err == nil || !strings.Contains(err.Error(), "expected 32 bytes, found 5") {
		t.Errorf("found %v", err)
	}
}
