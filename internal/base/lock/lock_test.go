package lock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A lock excludes others until its release. The error names the process that has it.
func TestLockIsExclusive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.lock")
	require.NoError(t, os.WriteFile(name, []byte("999999999999999999999999 of another time\n"), 0o600))
	first, err := Acquire(name)
	require.NoError(t, err)
	_, err = Acquire(name)
	want := fmt.Sprintf("(process %d)", os.Getpid())
	assert.True(t, errors.Is(err, ErrLocked) && strings.HasSuffix(err.Error(), want),
		"expected it to be locked %s, found %v", want, err)
	assert.NoError(t, first.Release())
	second, err := Acquire(name)
	require.NoError(t, err, "it to be unlocked")
	second.Release()
	if _, err := Acquire(filepath.Join(name, "below")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("expected another error for a file that cannot be created, found %v", err)
	}
	var nilLock *Lock
	assert.NoError(t, nilLock.Release())
}
