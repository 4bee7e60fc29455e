//go:build real

package offset

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/porttest"
)

// realBroker is an Apache Kafka broker, until the test's end.
func realBroker(t *testing.T) kafka.Config {
	t.Helper()
	address, controller := porttest.Address(t), porttest.Address(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	_, controllerPort, err := net.SplitHostPort(controller)
	require.NoError(t, err)
	c := exec.Command("../../../../testdata/peers/kafka/start-broker.sh", port, t.TempDir())
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
	if line, _ := lines.ReadString('\n'); strings.TrimSpace(line) != "READY" {
		t.Fatalf("the broker did not start:\n%s", stderr.String())
	}
	k := kafka.Defaults()
	k.Bootstrap = []string{"127.0.0.1:" + port}
	return k
}

// With Apache Kafka a worker that was paused stores nothing late, either; its first transactions are there.
func TestRealZombieStoresNothing(t *testing.T) {
	zombies(t, realBroker(t), false)
	zombies(t, realBroker(t), true)
}
