//go:build real

package offset

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// fromKafka is what a Java program of one file says, with Kafka's classes.
func fromKafka(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // the first run fetches Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../../../testdata/peers/kafka/tool.sh", append([]string{program}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	written, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", program, err, written, stderr.String())
	}
	return string(written)
}

// The keys and values that the other tests compare with are those that Kafka's own converter writes.
func TestRealKeysAndValues(t *testing.T) {
	written := fromKafka(t, "testdata/Offsets.java")
	stored, err := os.ReadFile("testdata/connect-worker.txt")
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(stored)) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, line)
		}
	}
	if diff := cmp.Diff(want, strings.SplitAfter(strings.TrimSuffix(written, "\n")+"\n",
		"\n")[:len(want)]); diff != "" || len(want) == 0 {
		t.Errorf("connect-worker.txt differs from what Kafka writes (-file +Kafka):\n%s", diff)
	}
}

// A standalone worker's file holds what Kafka's own class writes into one.
func TestRealStandaloneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offsets")
	fromKafka(t, "testdata/Standalone.java", path)
	assert.Equal(t, standaloneWant, standaloneTexts(t, path))
	stored, err := os.ReadFile(standaloneFile)
	require.NoError(t, err)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	// The entries are in another order each time, all else is the same.
	slices.Sort(stored)
	slices.Sort(written)
	if !bytes.Equal(stored, written) {
		t.Errorf("%s has other bytes than what Kafka writes", standaloneFile)
	}
}
