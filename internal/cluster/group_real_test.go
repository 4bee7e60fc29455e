//go:build real

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// The scripts of the peers are below this root.
func init() { e2etest.Bench.Root = "../.." }

// peer is a running script of testdata/peers/kafka.
type peer struct {
	*e2etest.Peer
	port string
}

// runPeer runs a script until its Stop or the end of the test.
func runPeer(t *testing.T, env []string, script, port, dir string, args ...string) *peer {
	t.Helper()
	args = append(append([]string{port}, args...), dir)
	return &peer{e2etest.StartPeer(t, "kafka/"+script, dir, env, args...), port}
}

// signal sends a signal to the peer's JVMs.
func (p *peer) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	pids, err := os.ReadFile(filepath.Join(p.Dir, "pids"))
	require.NoError(t, err)
	for _, pid := range strings.Fields(string(pids)) {
		n, err := strconv.Atoi(pid)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(n, s))
	}
}

// realBroker starts an Apache Kafka broker with a topic.
func realBroker(t *testing.T, topic string) (*peer, kafka.Config) {
	t.Helper()
	b := runPeer(t, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t)}, "start-broker.sh", e2etest.FreePort(t),
		t.TempDir())
	c := kafka.Defaults()
	c.Bootstrap = []string{"127.0.0.1:" + b.port}
	admin, err := kafka.NewAdmin(c)
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.EnsureTopics(kafkatest.Context(t), kafka.Topic{Name: topic, Partitions: 1})
	require.NoError(t, err)
	return b, c
}

// Apache Kafka accepts group members with our metadata, including static members, also after it was paused for longer
// than their session.
func TestRealGroup(t *testing.T) {
	t.Parallel()
	b, c := realBroker(t, testTopic)
	static := func(name, says string) *worker {
		w := newWorker(name, c)
		w.metadataText = says
		w.o.InstanceID, w.o.SessionTimeout, w.o.HeartbeatInterval = "pod-"+name, 6*time.Second, time.Second
		return w.join(t)
	}
	began := time.Now()
	lap := func(what string) {
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	a, d, e := static("a", "a"), static("d", "d"), static("e", "e")
	at := agree(t, 0, a, d, e)
	lap("three members")

	admin := kadm.NewClient(kafkatest.Client(t, c.AdminOpts()...))
	groups, err := admin.DescribeGroups(kafkatest.Context(t), testGroup)
	require.NoError(t, err)
	group := groups[testGroup]
	assert.Equal(t, []string{"Stable", connectType, culvertProtocol},
		[]string{group.State, group.ProtocolType, group.Protocol})
	assert.Equal(t, 3, len(group.Members))
	lap("described")

	d.Rejoin("a member that does not lead, with the same bytes")
	at = agree(t, at, a, d, e)
	lap("a member forces a generation")
	a.Rejoin("the leader")
	at = agree(t, at, a, d, e)
	lap("the leader forces a generation")

	e.Close()
	e = static("e", "e with news")
	assert.Equal(t, fmt.Sprintf("%d: for e by a", at), e.all()[0], "what it had")
	lap("a static member came back")
	require.NoError(t, e.Confirm(kafkatest.Context(t)))
	at = agree(t, at, a, d, e)
	lap("and the leader has its news")
	a.Close()
	a = static("a", "a")
	assert.Equal(t, fmt.Sprintf("%d: for a by a, leader", at), a.all()[0])
	at = agree(t, at, a, d, e)
	lap("the leader came back")

	e.set(func() { e.assignDelay = 15 * time.Second })
	a.Rejoin("a generation to dwell on")
	require.Until(t, func() bool { _, now := e.Member(); return now > at },
		func() string { return "expected one more" })
	at++
	d.Rejoin("a generation that waits for e")
	for waits := time.Now(); time.Since(waits) < 12*time.Second; time.Sleep(100 * time.Millisecond) {
		if !a.OwnsAssignment() || !d.OwnsAssignment() || !e.OwnsAssignment() {
			t.Fatal("expected all to be members, found", texts([]*worker{a, d, e}))
		}
	}
	e.set(func() { e.assignDelay = 0 })
	at = agree(t, at, a, d, e)
	assert.Equal(t, 0, a.losses()+d.losses()+e.losses())
	lap("members waited for a slow one")

	require.NoError(t, e.Leave(kafkatest.Context(t), true))
	at = agree(t, at, a, d)
	lap("one left forever")

	b.signal(t, syscall.SIGSTOP)
	require.Until(t, func() bool { return a.lost() && d.lost() }, func() string { return "expected losses" })
	lap("the broker is paused, and the members are lost")
	b.signal(t, syscall.SIGCONT)
	at = agree(t, at, a, d)
	lap("and are members again")

	b.Stop()
	lap("the broker has stopped")
	runPeer(t, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t)}, "start-broker.sh", b.port, b.Dir)
	lap("the broker was started again")
	a.Rejoin("to see that it works")
	at = agree(t, at, a, d)
	lap("and its members are of one generation")

	f := newWorker("f", c)
	f.o.InstanceID = "pod-d"
	f.join(t)
	require.Until(t, d.lost, func() string { return "expected the first of two with one instance to hear of it" })
	assert.Contains(t, d.last(), "group.instance.id=pod-d", "FENCED_INSTANCE_ID")

	g := newWorker("g", c).join(t)
	at = agree(t, at, a, f, g)
	began = time.Now()
	g.Close()
	agree(t, at, a, f)
	lap("a member was killed, with a session of 10 s")
}

// A group of Kafka Connect's own workers rejects us and continues. A Kafka Connect worker that joins one of our groups
// stops.
func TestRealGroupOfKafkaConnect(t *testing.T) {
	t.Parallel()
	b, c := realBroker(t, "ours") // Kafka Connect's worker creates its own
	java := []string{"GROUP=" + testGroup, "HEAP=320m"}
	theirs := runPeer(t, java, "start-connect.sh", e2etest.FreePort(t), t.TempDir(), "127.0.0.1:"+b.port)
	a := newWorker("a", c)
	a.o.Topic = "ours"
	began := time.Now()
	_, err := Join(t.Context(), a.o)
	if !errors.Is(err, kerr.InconsistentGroupProtocol) {
		t.Fatalf("expected a rejection, found %v", err)
	}
	t.Logf("rejected after %v: %v", time.Since(began).Round(time.Millisecond), err)
	assert.Contains(t, err.Error(), "group.id=workers", "Kafka Connect's")
	admin := kadm.NewClient(kafkatest.Client(t, c.AdminOpts()...))
	groups, err := admin.DescribeGroups(kafkatest.Context(t), testGroup)
	require.NoError(t, err)
	assert.Equal(t, "Stable sessioned", groups[testGroup].State+" "+groups[testGroup].Protocol)
	assert.Equal(t, 1, len(groups[testGroup].Members))
	theirs.Stop()

	a.join(t)
	agree(t, 0, a)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	again := exec.CommandContext(ctx, "../../testdata/peers/kafka/start-connect.sh", e2etest.FreePort(t),
		"127.0.0.1:"+b.port, dir)
	again.Env = append(os.Environ(), java...)
	again.Cancel = func() error { return again.Process.Signal(syscall.SIGTERM) }
	if err := again.Run(); err == nil || ctx.Err() != nil {
		t.Errorf("expected Kafka Connect's worker to exit with an error, found %v", err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "worker.log"))
	require.NoError(t, err)
	assert.Contains(t, string(log), "InconsistentGroupProtocolException")
	assert.Equal(t, 0, a.losses())
	assert.Equal(t, true, a.OwnsAssignment())
}
