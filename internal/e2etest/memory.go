package e2etest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// WithinMemory checks that a process never had more resident memory than a number of bytes, and logs its peak. Only
// Linux reports it.
func WithinMemory(t *testing.T, pid, limit int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	NoError(t, err)
	for line := range strings.Lines(string(status)) {
		value, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kib, err := strconv.Atoi(strings.Fields(value)[0])
		NoError(t, err)
		t.Logf("peak: %d MiB", kib>>10)
		if kib<<10 > limit {
			t.Errorf("expected a peak of at most %d MiB, found %d", limit>>20, kib>>10)
		}
		return
	}
	t.Fatalf("expected VmHWM of process %d, found %s", pid, status)
}
