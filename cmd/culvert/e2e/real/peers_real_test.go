//go:build real

package real

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Times that bound a peer: the first start fetches packages and may compile one.
const (
	peerStarts = 30 * time.Minute
	peerEnds   = 5 * time.Minute
	toolEnds   = 15 * time.Minute
)

// peer is a start script of testdata/peers at work. It ends with the test, and when this process is killed: it holds
// its input.
type peer struct {
	dir    string // where its logs are
	stderr e2etest.Buffer
	stop   func() // in good order, and waits
}

func startPeer(t *testing.T, script, dir string, env []string, args ...string) *peer {
	t.Helper()
	p := &peer{dir: dir}
	c := exec.Command(filepath.Join("../../../../testdata/peers", script), args...)
	c.Env = append(append(os.Environ(), "UNTIL_EOF=1"), env...)
	c.Stderr = &p.stderr
	stdin, err := c.StdinPipe()
	e2etest.NoError(t, err)
	stdout, err := c.StdoutPipe()
	e2etest.NoError(t, err)
	if err := c.Start(); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	ready, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		ready <- strings.TrimSpace(line) == "READY"
		io.Copy(io.Discard, lines)
		c.Wait()
	}()
	p.stop = sync.OnceFunc(func() {
		stdin.Close()
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(peerEnds):
			c.Process.Kill()
			t.Errorf("%s did not end within %v of SIGTERM", script, peerEnds)
		}
	})
	t.Cleanup(p.stop)
	select {
	case ok := <-ready:
		if !ok {
			<-ended
			t.Fatalf("%s did not start:\n%s", script, p.stderr.String())
		}
	case <-time.After(peerStarts):
		t.Fatalf("%s did not start within %v:\n%s", script, peerStarts, p.stderr.String())
	}
	return p
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(porttest.Address(t))
	e2etest.NoError(t, err)
	return port
}

// kafkaTool runs one of Kafka's own command line tools, by its name in testdata/peers/kafka/tool.sh, and returns what
// it prints.
func kafkaTool(t *testing.T, args ...string) string {
	t.Helper()
	return kafkaToolReading(t, "", args...)
}

// kafkaToolReading is kafkaTool with something to read.
func kafkaToolReading(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), toolEnds)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, "../../../../testdata/peers/kafka/tool.sh", args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = peerEnds
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("Kafka's tool %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// produceTo puts records into topics, which are made if they are missing.
func produceTo(t *testing.T, servers string, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.AllowAutoTopicCreation())
	e2etest.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.Limit)
	defer cancel()
	e2etest.NoError(t, client.ProduceSync(ctx, records...).FirstErr())
}

// fetchFrom reads n records of a topic as they are in the broker.
func fetchFrom(t *testing.T, servers, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	e2etest.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.Limit)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records of %s: %v", len(all), n, topic, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}
