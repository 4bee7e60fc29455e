//go:build unix

package keystore_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
)

// Pipes and devices are rejected and not opened.
func TestPipesAndDevicesAreNotOpened(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, "/dev/zero", t.TempDir()} {
		_, err := keystore.ReadFile(path)
		assert.Error(t, err, "is not a file", path, "it is not a file")
		_, err = keystore.Open(keystore.Location{Path: path, Password: "secret"})
		assert.Error(t, err, "is not a file", path, "it is not a file")
	}
}
