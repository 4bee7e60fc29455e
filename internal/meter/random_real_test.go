//go:build real

package meter_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// TestRealSmith is the long form of TestRandomModules.
func TestRealSmith(t *testing.T) {
	smith := exec.Command("../../testdata/smith/run.sh", "20500", "1")
	smith.Stderr = os.Stderr
	out, err := smith.StdoutPipe()
	if err == nil {
		err = smith.Start()
	}
	require.NoError(t, err)
	compareModules(t, out, 20_000) // besides some that the meter does not support
	_ = smith.Process.Kill()
	_ = smith.Wait()
}
