//go:build real

package e2etest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
)

// Limits of the waits for a peer. The first start downloads packages and may compile one.
const (
	PeerStartLimit = 30 * time.Minute
	PeerEndLimit   = 5 * time.Minute
	ToolLimit      = 15 * time.Minute
)

// Peer is a running start script of testdata/peers. It ends with the test, and if this process is killed, because its
// input ends.
type Peer struct {
	Dir    string // has its logs
	Stderr Buffer
	Stop   func() // ends it gracefully and waits for its end
}

// StartPeer starts a script of testdata/peers and waits until it is ready.
func StartPeer(t *testing.T, script, dir string, env []string, args ...string) *Peer {
	t.Helper()
	p := &Peer{Dir: dir}
	c := exec.Command(filepath.Join(Bench.Root, "testdata/peers", script), args...)
	c.Env = append(append(os.Environ(), "UNTIL_EOF=1"), env...)
	c.Stderr = &p.Stderr
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start(), script)
	ready := make(chan bool, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		ready <- strings.TrimSpace(line) == "READY"
		io.Copy(io.Discard, lines)
		c.Wait()
	}()
	p.Stop = sync.OnceFunc(func() {
		stdin.Close()
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(PeerEndLimit):
			c.Process.Kill()
			t.Errorf("%s did not end within %v of SIGTERM", script, PeerEndLimit)
		}
	})
	t.Cleanup(p.Stop)
	select {
	case ok := <-ready:
		if !ok {
			<-ended
			t.Fatalf("%s did not start:\n%s", script, p.Stderr.String())
		}
	case <-time.After(PeerStartLimit):
		t.Fatalf("%s did not start within %v:\n%s", script, PeerStartLimit, p.Stderr.String())
	}
	return p
}

// FreePort returns a port on which nobody listens.
func FreePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(porttest.Address(t))
	require.NoError(t, err)
	return port
}

// RunKafkaTool runs one of Kafka's own command line tools, by its name in testdata/peers/kafka/tool.sh, and returns its
// output.
func RunKafkaTool(t *testing.T, args ...string) string {
	t.Helper()
	return RunKafkaToolWithInput(t, "", args...)
}

// RunKafkaToolWithInput is [RunKafkaTool] with a text as standard input.
func RunKafkaToolWithInput(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ToolLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, filepath.Join(Bench.Root, "testdata/peers/kafka/tool.sh"), args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = PeerEndLimit
	c.Stdin = strings.NewReader(input)
	c.Stdout = &stdout
	c.Stderr = &stderr
	require.NoError(t, c.Run(), "Kafka's tool", strings.Join(args, " "), stdout.String(), stderr.String())
	return stdout.String()
}

// ConsecutivePorts returns the first of n consecutive ports on which nobody listens.
func ConsecutivePorts(t *testing.T, n int) int {
	t.Helper()
	for range 50 {
		port, _ := strconv.Atoi(FreePort(t))
		allFree := true
		for i := range n {
			allFree = allFree && port+i <= 65535 && isFree(port+i)
		}
		if allFree {
			return port
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// StartKafka starts a broker of Apache Kafka that ends with the test, and returns its address.
func StartKafka(t *testing.T) (servers string) {
	t.Helper()
	port := FreePort(t)
	controller := FreePort(t)
	dir := t.TempDir()
	StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	return "127.0.0.1:" + port
}

// ExactPeer is a broker of Apache Kafka for workers with exactly-once.
type ExactPeer struct {
	T       *testing.T
	Dir     string
	Servers string
	Start   func() // starts the broker, also again
}

// Pid returns the process ID of the broker.
func (e *ExactPeer) Pid() int {
	e.T.Helper()
	content, err := os.ReadFile(filepath.Join(e.Dir, "pids"))
	require.NoError(e.T, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(e.T, err)
	return pid
}

// Signal sends a signal to the broker.
func (e *ExactPeer) Signal(s syscall.Signal) {
	e.T.Helper()
	require.NoError(e.T, syscall.Kill(e.Pid(), s))
}

// AwaitAdmin waits until a condition holds that an admin client checks. what names it in the message of a failure.
func (e *ExactPeer) AwaitAdmin(what string, holds func(ctx context.Context, c *kadm.Client) (bool, error)) {
	e.T.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(e.Servers, ",")...))
	require.NoError(e.T, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), WaitLimit)
	defer cancel()
	admin := kadm.NewClient(client)
	for {
		ok, err := holds(ctx, admin)
		if ok && err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			e.T.Fatalf("%s did not come about: %v", what, err)
		}
	}
}

// AwaitTransactions waits until a transaction is open, or, if open is false, until no transaction is open: brokers
// abort transactions that have timed out.
func (e *ExactPeer) AwaitTransactions(open bool) {
	e.T.Helper()
	e.AwaitAdmin("transactions that begin or end", func(ctx context.Context, c *kadm.Client) (bool, error) {
		transactions, err := c.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareAbort", "PrepareEpochFence"})
		return len(transactions.TransactionalIDs()) > 0 == open, err
	})
}
