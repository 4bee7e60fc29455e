package lockouts

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Processes know of each other what was accepted, what is in doubt, and who tries: a command beside a worker condemns
// nothing that works there, and of several one tries.
func TestDoubtIsShared(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	synctest.Test(t, func(t *testing.T) {
		worker := open(t, folder)
		if sent, err := try(t, worker, somebody, 200); !sent {
			t.Fatal(err)
		}
		command := open(t, folder)
		if sent, err := try(t, command, somebody, 401); !sent {
			t.Fatal(err)
		}
		others := []*Store{worker, command, open(t, folder), open(t, folder)}
		for _, l := range others {
			if !l.Of(somebody).look().doubted() || l.Of(somebody).fault(l.Of(somebody).look()) != nil {
				t.Errorf("expected a doubt, found %v", l.Of(somebody).look())
			}
		}
		// 40 requests of four processes: one of them tries, after the pause.
		began, sent := time.Now(), 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				p, err := others[i%4].Of(somebody).Enter(t.Context(), Request{}, never)
				if err != nil {
					wantRefusal(t, err, "ALICE")
					return
				}
				mu.Lock()
				sent++
				mu.Unlock()
				if took := time.Since(began); p.Doubt.IsZero() || took < doubtPause-time.Millisecond {
					t.Errorf("expected the second try after %v, found %v after %v", doubtPause, p.Doubt, took)
				}
				p.Done(401)
			})
		}
		wg.Wait()
		assert.Equal(t, 1, sent, "second tries")
		if _, err := try(t, open(t, folder), somebody, 200); err == nil {
			t.Error("expected the secret to be refused after a restart")
		}
		if files, _ := filepath.Glob(filepath.Join(folder, "*"+acceptance)); len(files) != 0 {
			t.Errorf("expected no acceptance beside a refusal, found %v", files)
		}
	})
	nothingReadable(t, folder)
}

// Whoever dies in the second try leaves no third one to others.
func TestKilledInTheSecondTry(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	synctest.Test(t, func(t *testing.T) {
		l := open(t, folder)
		try(t, l, somebody, 200)
		try(t, l, somebody, 401)
		g := l.Of(somebody)
		g.mu.Lock()
		g.replace(verdict{state: tried, at: time.Now()})
		g.mu.Unlock()
		_, err := try(t, open(t, folder), somebody, 200)
		wantRefusal(t, err, "ALICE")
	})
}

// Acceptances that are too old to count are taken away, and files of unknown content are refusals.
func TestFilesOfDoubts(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	try(t, l, somebody, 200)
	files, _ := filepath.Glob(filepath.Join(folder, "*"+acceptance))
	if len(files) != 1 {
		t.Fatalf("expected an acceptance, found %v", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("expected mode 0600, found %v, %v", info.Mode(), err)
	}
	old := time.Now().Add(-recently - time.Minute)
	require.NoError(t, os.Chtimes(files[0], old, old))
	open(t, folder)
	if files, _ := filepath.Glob(filepath.Join(folder, "*"+acceptance)); len(files) != 0 {
		t.Errorf("expected it to be taken away, found %v", files)
	}
	for _, content := range [][]byte{nil, {1}, slices.Repeat([]byte{0}, 8), slices.Repeat([]byte{'x'}, 9),
		slices.Repeat([]byte{'d'}, 10)} {
		if v := readVerdict(content); v.state != refused {
			t.Errorf("%q: expected a refusal, found %q", content, v.state)
		}
	}
	of := l.Request("POST", "/Orders?x=1")
	of.serves = [8]byte{}
	for _, s := range []state{doubtful, tried, onTrial, retried} {
		v := verdict{s, time.UnixMilli(1), of}
		if got := readVerdict(v.bytes()); got != v {
			t.Errorf("expected %v, found %v", v, got)
		}
	}
	if v := (verdict{state: refused, at: time.UnixMilli(1)}); readVerdict(v.bytes()) != v {
		t.Errorf("expected %v, found %v", v, readVerdict(v.bytes()))
	}
}

// Whoever dies while what was refused is tried again leaves no third try to others, who read meanwhile.
func TestKilledOnTrial(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logons")
	synctest.Test(t, func(t *testing.T) {
		l := open(t, folder)
		write, read := l.Request("POST", "/"), l.Request("GET", "/")
		send := func(l *Store, a Request, status int) error {
			p, err := l.Of(somebody).Enter(t.Context(), a, never)
			if err == nil && status != 0 {
				p.Done(status)
			}
			return err
		}
		for _, err := range []error{send(l, read, 200), send(l, write, 401), send(l, read, 200)} {
			require.NoError(t, err)
		}
		v := l.Of(somebody).look()
		if v.state != onTrial || v.of.hash != write.hash || !v.of.writes {
			t.Fatalf("expected the write to be on trial, found %v", v)
		}
		if !v.trial(write) || v.left(write) > 0 || v.trial(read) {
			t.Errorf("%v: the write is to be tried", v)
		}
		g := l.Of(somebody)
		tries := func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			v.state = retried
			g.replace(v)
		}
		tries()
		if err := send(open(t, folder), read, 200); err != nil {
			t.Errorf("expected reads to go on, found %v", err)
		}
		wantRefusal(t, send(open(t, folder), write, 201), "ALICE")
		tries()
		time.Sleep(recently + time.Second)
		if v := open(t, folder).Of(somebody).look(); v.state != unjudged {
			t.Errorf("expected the trial to be over after an hour, found %v", v)
		}
	})
}
