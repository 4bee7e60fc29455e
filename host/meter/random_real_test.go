//go:build real

package meter_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// TestRealRandomModules is the long form of TestRandomModules.
func TestRealRandomModules(t *testing.T) { randomModules(t, 3_000) }

// TestRealSmith compares modules of wasm-smith, a generator that is not ours, as they are and metered.
func TestRealSmith(t *testing.T) {
	const modules = 20_000 // in addition to some that the meter does not take
	smith := exec.Command("../../testdata/smith/run.sh", "20500", "1")
	smith.Stderr = os.Stderr
	out, err := smith.StdoutPipe()
	if err == nil {
		err = smith.Start()
	}
	require.NoError(t, err)
	d := &differential{}
	in := bufio.NewReader(out)
	d.run(t, func(yield func([]byte) bool) {
		for {
			var size uint32
			err := binary.Read(in, binary.LittleEndian, &size)
			if errors.Is(err, io.EOF) {
				return
			}
			code := make([]byte, size)
			if err == nil {
				_, err = io.ReadFull(in, code)
			}
			if err != nil {
				t.Error(err)
				return
			}
			if !yield(code) {
				return
			}
		}
	})
	_ = smith.Process.Kill()
	_ = smith.Wait()
	d.judge(t, modules)
}
