//go:build !wasip1

package guest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// slicesMemory is a linear memory that contains all slices whose address was requested.
type slicesMemory struct {
	starts []uint32
	blocks [][]byte
	end    uint32
}

// testMemory returns an empty memory, and sets address and View to use it.
func testMemory() canon.Memory {
	m := &slicesMemory{end: 8}
	address = m.address
	View = func(ptr, size uint32) []byte {
		view, _ := m.View(ptr, size)
		return view
	}
	return m
}

func (m *slicesMemory) address(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	start := m.end
	m.starts = append(m.starts, start)
	m.blocks = append(m.blocks, b)
	m.end += uint32(len(b)+7) &^ 7
	return start
}

func (m *slicesMemory) View(ptr, size uint32) ([]byte, bool) {
	if size == 0 {
		return nil, true
	}
	i := sort.Search(len(m.starts), func(i int) bool { return m.starts[i] > ptr }) - 1
	if i < 0 || int(ptr-m.starts[i]+size) > len(m.blocks[i]) {
		return nil, false
	}
	return m.blocks[i][ptr-m.starts[i]:][:size], true
}

// The tests of values without reflection also pass in a guest.
func TestValuesInGuest(t *testing.T) {
	require.NoError(t, guesttest.Depend("sdk", "wit"))
	binary := filepath.Join(t.TempDir(), "guest.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the tests: %v\n%s", err, output)
	}

	module, err := os.ReadFile(binary)
	require.NoError(t, err)
	ctx := t.Context()
	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(context.Background())
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	host := runtime.NewHostModuleBuilder(wit.Package + "/" + wit.InterfaceHost + "@" + wit.Version)
	host.NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32) {}).Export("log")
	_, err = host.Instantiate(ctx)
	require.NoError(t, err)

	var out bytes.Buffer
	config := wazero.NewModuleConfig().WithArgs("guest.test", "-test.v", "-test.run=^TestValues").
		WithStdout(&out).WithStderr(&out).WithSysWalltime().WithSysNanotime()
	// The module ends with proc_exit, which is an error here whether the tests pass or fail: the output decides.
	_, err = runtime.InstantiateWithConfig(ctx, module, config)
	for _, line := range []string{"--- PASS: TestValuesLowered ", "--- PASS: TestValuesLifted "} {
		assert.True(t, strings.Contains(out.String(), line), "expected %q, found %v\n%s", line, err, out.String())
	}
}
