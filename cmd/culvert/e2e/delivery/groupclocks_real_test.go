//go:build real

package delivery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// clockPatch patches package time so that the wall clock of a program is ahead by the seconds in the file `clock` of
// its working folder, which it reads ten times a second. It uses system calls that fit the runtime's own stack, because
// timers read the time there. The monotonic clock stays right, as on a machine whose clock is set.
var clockPatch = strings.NewReplacer("import (", "import (\n\t\"sync/atomic\"\n\t\"syscall\"\n\t\"unsafe\"",
	"sec, nsec, mono := runtimeNow()", "sec, nsec, mono := runtimeNow()\n\tsec += ahead(mono)",
	"\nfunc Now() Time {", `
var clock struct {
	looked, ahead atomic.Int64
	text          [16]byte
}

var clockFile = [...]byte{'c', 'l', 'o', 'c', 'k', 0}

func ahead(mono int64) int64 {
	if last := clock.looked.Load(); mono-last > 1e8 && clock.looked.CompareAndSwap(last, mono) {
		here := -100 // AT_FDCWD
		fd, _, failed := syscall.RawSyscall6(syscall.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(&clockFile)),
			syscall.O_RDONLY|syscall.O_CLOEXEC, 0, 0, 0)
		if failed == 0 {
			n, _, _ := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&clock.text)), 16)
			syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
			if seconds, err := atoi(clock.text[:min(n, 16)]); err == nil {
				clock.ahead.Store(int64(seconds))
			}
		}
	}
	return clock.ahead.Load()
}

func Now() Time {`)

// buildPrograms builds two versions of the program whose clocks can be set.
func buildPrograms(t *testing.T) (programs []string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	file := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := filepath.Join(t.TempDir(), "time.go")
	require.NoError(t, os.WriteFile(changed, []byte(clockPatch.Replace(string(content))), 0o600))
	for _, version := range []string{"8.1.0", "8.2.0"} {
		program := filepath.Join(e2etest.Bench.Dir, "culvert-"+version)
		require.NoError(t, e2etest.Build(program, version, map[string]string{file: changed}))
		programs = append(programs, program)
	}
	return programs
}
