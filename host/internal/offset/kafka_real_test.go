//go:build real

package offset

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The keys and values that the other tests compare with are those that Kafka's own converter writes.
func TestRealKeysAndValues(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // the first run fetches Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../../testdata/peers/kafka/tool.sh", "testdata/Offsets.java")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	written, err := c.Output()
	if err != nil {
		t.Fatalf("Offsets.java: %v\n%s%s", err, written, stderr.String())
	}
	stored, err := os.ReadFile("testdata/connect-worker.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(stored)) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, line)
		}
	}
	if diff := cmp.Diff(want, strings.SplitAfter(strings.TrimSuffix(string(written), "\n")+"\n",
		"\n")[:len(want)]); diff != "" || len(want) == 0 {
		t.Errorf("connect-worker.txt differs from what Kafka writes (-file +Kafka):\n%s", diff)
	}
}
