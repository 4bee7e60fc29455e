//go:build real

package offset

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/porttest"
)

// fromKafka returns the output of a Java program with Kafka's classes.
func fromKafka(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // the first run downloads Kafka
	defer cancel()
	c := exec.CommandContext(ctx, "../../../testdata/peers/kafka/tool.sh", append([]string{program}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	written, err := c.Output()
	require.True(t, err == nil, "%s: %v\n%s%s", program, err, written, stderr.String())
	return string(written)
}

// Kafka's converter writes the keys and values of the other tests.
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
	diff := cmp.Diff(want, strings.SplitAfter(strings.TrimSuffix(written, "\n")+"\n", "\n")[:len(want)])
	assert.True(t, diff == "" && len(want) != 0,
		"connect-worker.txt differs from what Kafka writes (-file +Kafka):\n%s", diff)
}

// Kafka's class writes the file of the other tests.
func TestRealStandaloneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offsets")
	fromKafka(t, "testdata/Standalone.java", path)
	assert.Equal(t, standaloneWant, standaloneTexts(t, path))
	stored, err := os.ReadFile(standaloneFile)
	require.NoError(t, err)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	// Only the order of entries differs between runs.
	slices.Sort(stored)
	slices.Sort(written)
	assert.True(t, bytes.Equal(stored, written), "%s differs from the file that Kafka writes", standaloneFile)
}

func realBroker(t *testing.T) kafka.Config {
	t.Helper()
	address := porttest.Address(t)
	controller := porttest.Address(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	_, controllerPort, err := net.SplitHostPort(controller)
	require.NoError(t, err)
	c := exec.Command("../../../testdata/peers/kafka/start-broker.sh", port, t.TempDir())
	c.Env = append(os.Environ(), "UNTIL_EOF=1", "CONTROLLER_PORT="+controllerPort)
	var stderr strings.Builder
	c.Stderr = &stderr
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := bufio.NewReader(out)
	t.Cleanup(func() {
		in.Close()
		_ = c.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, lines)
		_ = c.Wait()
	})
	line, _ := lines.ReadString('\n')
	require.True(t, strings.TrimSpace(line) == "READY", "the broker did not start:\n%s", stderr.String())
	k := kafka.Defaults()
	k.Bootstrap = []string{"127.0.0.1:" + port}
	return k
}

// A paused worker stores nothing late, with Apache Kafka either.
func TestRealZombieStoresNothing(t *testing.T) {
	checkZombieWrites(t, realBroker(t), false)
	checkZombieWrites(t, realBroker(t), true)
}
