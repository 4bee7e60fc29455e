package lockouts

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

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

var somebody = Identity{"http://sap.example:8000", "100", "ALICE", "Secr3t"}

// always and never tell whether a request opens a session.
func always() bool { return true }

func never() bool { return false }

// try sends the secret to a service that answers with a status; sent says whether it came to that.
func try(t *testing.T, l *Store, id Identity, status int) (sent bool, err error) {
	t.Helper()
	permit, err := l.Of(id).Enter(t.Context(), Request{}, always)
	if err != nil {
		return false, err
	}
	permit.Done(status)
	return true, nil
}

func open(t *testing.T, folder string) *Store {
	t.Helper()
	l, err := Open(folder)
	require.NoError(t, err)
	return l
}

// wantRefusal checks the error of a secret that was refused before.
func wantRefusal(t *testing.T, err error, texts ...string) {
	t.Helper()
	_, locked := errors.AsType[*LockedOut](err)
	f, ok := errors.AsType[*wit.Fault](err)
	if !locked || !ok || f.Kind != wit.FaultUnauthorized {
		t.Errorf("expected a refusal, found %v", err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(f.Message, text) {
			t.Errorf("expected %q in it, found %v", text, err)
		}
	}
}

func TestRefusalOutlivesTheProcess(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	if sent, err := try(t, open(t, folder), somebody, 401); !sent {
		t.Fatal(err)
	}
	l := open(t, folder)
	_, err := try(t, l, somebody, 200)
	wantRefusal(t, err, "http://sap.example:8000", `"ALICE"`, "client 100",
		"was refused (401) at 20", "change user or password", "culvert run --resume-logons")
	if strings.Contains(err.Error(), somebody.Secret) {
		t.Errorf("the error shows the secret: %v", err)
	}
	for what, change := range map[string]func(*Identity){
		"secret": func(id *Identity) { id.Secret = "other" }, "user": func(id *Identity) { id.User = "BOB" },
		"client": func(id *Identity) { id.Client = "200" },
		"origin": func(id *Identity) { id.Origin = "https://sap.example" },
	} {
		other := somebody
		change(&other)
		if sent, err := try(t, l, other, 200); !sent {
			t.Errorf("expected another %s to be tried, found %v", what, err)
		}
	}
	nothingReadable(t, folder)

	running := open(t, folder) // of a worker that goes on while the operator resumes
	_, err = try(t, running, somebody, 200)
	wantRefusal(t, err, "ALICE")
	if n, err := l.Resume(t.Context()); n != 1 || err != nil {
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
	l := open(t, folder)
	var log strings.Builder
	l.LogTo(slog.New(slog.DiscardHandler)) // of a command that says nothing
	l.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	permit, err := l.Of(somebody).Enter(t.Context(), Request{}, always)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(folder))
	permit.Done(401)
	if said := log.String(); !strings.Contains(said, "can't be written down") || !strings.Contains(said,
		"user=ALICE") ||
		strings.Contains(said, somebody.Secret) {
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
	assert.Equal(t, 1, refusals, "refusals")
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("expected the folder with mode 0700, found %v, %v", info.Mode(), err)
	}
}

// Two processes with several connectors each send a wrong secret once in all.
func TestFirstLogonsGoOneAfterAnother(t *testing.T) {
	folder := t.TempDir()
	processes := []*Store{open(t, folder), open(t, folder)}
	var sent, under, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			permit, err := processes[i%2].Of(somebody).Enter(t.Context(), Request{}, never)
			if err != nil {
				wantRefusal(t, err, "ALICE")
				return
			}
			sent.Add(1)
			most.Store(max(most.Load(), under.Add(1)))
			under.Add(-1)
			permit.Done(401)
		})
	}
	wg.Wait()
	if sent.Load() != 1 || most.Load() != 1 {
		t.Errorf("expected the secret to be sent once, found %d times, %d at a time", sent.Load(), most.Load())
	}
}

func TestLogonsToOneOriginTakeTurns(t *testing.T) {
	l := New()
	other := somebody
	other.User = "BOB"
	first, err := l.Of(somebody).Enter(t.Context(), Request{}, always)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := l.Of(other).Enter(ctx, Request{}, always); err == nil || err.Error() != "enough" {
		t.Errorf("expected the second user to wait for the first, found %v", err)
	}
	elsewhere := somebody
	elsewhere.Origin = "http://other.example"
	if sent, err := try(t, l, elsewhere, 200); !sent {
		t.Errorf("another origin: %v", err)
	}
	first.Done(503)
	if sent, err := try(t, l, other, 200); !sent {
		t.Errorf("after the first: %v", err)
	}
	// Who has logged on goes without a turn, unless a session is to be opened.
	holding, err := l.Of(somebody).Enter(t.Context(), Request{}, always)
	require.NoError(t, err)
	permit, err := l.Of(other).Enter(ctx, Request{}, never)
	if err != nil {
		t.Fatalf("in a session: %v", err)
	}
	permit.Done(200)
	if _, err := l.Of(other).Enter(ctx, Request{}, always); err == nil {
		t.Error("expected the opening of a session to wait")
	}
	holding.Done(0)
}

func TestLogonsNeedTheirFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(filepath.Join(file, "logons")); err == nil || !strings.Contains(err.Error(),
		"refused logons are kept in") {
		t.Errorf("found %v", err)
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, saltFile), []byte("short"), 0o600))
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "expected 32 bytes, found 5") {
		t.Errorf("found %v", err)
	}
}

// Answers of those who look at no secret leave it as unknown as it was: the next one goes alone again (P10).
func TestAnswersThatSayNothingOfTheSecret(t *testing.T) {
	for status, known := range map[int]bool{200: true, 304: true, 400: true, 403: false, 404: false,
		407: false, 408: false, 429: false, 502: false, 503: false, 0: false} {
		l := New()
		if sent, err := try(t, l, somebody, status); !sent {
			t.Fatal(err)
		}
		permit, err := l.Of(somebody).Enter(t.Context(), Request{}, never)
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("alone"))
		_, err = l.Of(somebody).Enter(ctx, Request{}, never)
		if beside := err == nil; beside != known {
			t.Errorf("%d: expected the next ones to go side by side: %v, found %v", status, known, err)
		}
		permit.Done(0)
	}
}
