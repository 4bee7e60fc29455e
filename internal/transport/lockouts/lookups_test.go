package lockouts

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A refusal that another process stores is not looked up in the second after the service accepted the secret, and seen
// after it, also if the service keeps accepting the secret.
func TestRefusalIsLookedUpOneSecondAfterAcceptance(t *testing.T) {
	for name, answers := range map[string]int{"accepted once": 1, "accepted again and again": 9} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			running := open(t, folder)
			other := open(t, folder)
			synctest.Test(t, func(t *testing.T) {
				for range answers {
					_, err := try(t, running, alice, 200)
					require.NoError(t, err)
					time.Sleep(100 * time.Millisecond)
				}
				other.refuse(alice.toSecret())
				time.Sleep(time.Second - time.Duration(answers)*100*time.Millisecond - 1)
				if _, err := try(t, running, alice, 200); err != nil {
					t.Errorf("expected no look-up before the second has passed, found %v", err)
				}
				time.Sleep(time.Nanosecond)
				_, err := try(t, running, alice, 200)
				wantRefusal(t, err)
			})
		})
	}
}

// Only an answer that proves the secret saves a look-up.
func TestRefusalIsLookedUpUnlessAccepted(t *testing.T) {
	for _, status := range []int{0, Unsent, 302, 403, 500} {
		folder := t.TempDir()
		running := open(t, folder)
		other := open(t, folder)
		_, err := try(t, running, alice, status)
		require.NoError(t, err)
		other.refuse(alice.toSecret())
		_, err = try(t, running, alice, 200)
		wantRefusal(t, err)
	}
}

// A 401 is looked up at once, although the service accepted the secret just before, or answers an earlier request
// with 200 just after.
func TestRefusalIsLookedUpAtOnceAfter401(t *testing.T) {
	l := open(t, t.TempDir())
	try(t, l, alice, 200)
	lateDone, err := l.Gate(alice).Acquire(t.Context(), never)
	require.NoError(t, err)
	try(t, l, alice, 401)
	lateDone(200)
	_, err = try(t, l, alice, 200)
	wantRefusal(t, err)
}

// A 401 in a session may mean that another process has stored a refusal: the logon looks it up.
func TestRecheckLooksRefusalUp(t *testing.T) {
	folder := t.TempDir()
	running := open(t, folder)
	other := open(t, folder)
	r := sessionEnds(t, running)
	other.refuse(alice.toSecret())
	_, err := r.Acquire(t.Context())
	wantRefusal(t, err)
}

// After a resume, accepted secrets are not looked up for a second again.
func TestResumedSecretIsNotLookedUpAgain(t *testing.T) {
	folder := t.TempDir()
	l := open(t, folder)
	try(t, l, alice, 401)
	_, err := l.Resume(t.Context())
	require.NoError(t, err)
	_, err = try(t, l, alice, 200)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, fileName), []byte("damaged\n"), 0o600))
	sent, err := try(t, l, alice, 200)
	require.NoError(t, err)
	assert.Equal(t, true, sent)
}

// A look-up that began before a 401 and found nothing does not allow a request to omit the next look-up.
func TestLookupDuring401(t *testing.T) {
	var l lookups
	now := time.Now()
	mark := l.begin()
	l.reject()
	l.foundNone(mark)
	l.accept(now)
	assert.Equal(t, false, l.canOmit(now))
	l.foundNone(l.begin())
	l.accept(now)
	assert.Equal(t, true, l.canOmit(now))
}
