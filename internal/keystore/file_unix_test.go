//go:build unix

package keystore_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
)

// Pipes and devices are rejected and not opened.
func TestPipesAndDevicesAreNotOpened(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, "/dev/zero", t.TempDir()} {
		if _, err := keystore.ReadFile(path); err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("%s: expected an error that it is not a file, found %v", path, err)
		}
		if _, err := keystore.Open(keystore.Location{Path: path, Password: "secret"}); err == nil ||
			!strings.Contains(err.Error(), "is not a file") {
			t.Errorf("%s: expected an error that it is not a file, found %v", path, err)
		}
	}
}
