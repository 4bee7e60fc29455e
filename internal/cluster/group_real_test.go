//go:build real

package cluster

import (
	"context"
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
	g := &realGroup{broker: b, config: c, lapStart: time.Now()}
	g.leader = g.join(t, "a", "a")
	g.follower = g.join(t, "d", "d")
	g.third = g.join(t, "e", "e")
	g.agree(t, g.leader, g.follower, g.third)
	g.lap(t, "three members")

	checkDescription(t, g)
	checkMembersForceGenerations(t, g)
	checkStaticMembersReturn(t, g)
	checkMembersWaitForSlowMember(t, g)
	require.NoError(t, g.third.Leave(kafkatest.Context(t), true))
	g.agree(t, g.leader, g.follower)
	g.lap(t, "one left forever")
	checkMembersReturnAfterPause(t, g)
	checkMembersSurviveRestart(t, g)
	checkInstanceIsFenced(t, g)
}

// A realGroup has up to three static members at an Apache Kafka broker.
type realGroup struct {
	broker     *peer
	config     kafka.Config
	leader     *worker
	follower   *worker
	third      *worker
	generation int32
	lapStart   time.Time
}

// join starts a static member with the text in its metadata.
func (g *realGroup) join(t *testing.T, name, text string) *worker {
	w := newWorker(name, g.config)
	w.metadataText = text
	w.o.InstanceID = "pod-" + name
	w.o.SessionTimeout = 6 * time.Second
	w.o.HeartbeatInterval = time.Second
	return w.join(t)
}

// agree waits until the members are in one generation after the last one.
func (g *realGroup) agree(t *testing.T, members ...*worker) {
	t.Helper()
	g.generation = agree(t, g.generation, members...)
}

// lap logs how long a step took.
func (g *realGroup) lap(t *testing.T, step string) {
	t.Logf("%s: %v", step, time.Since(g.lapStart).Round(time.Millisecond))
	g.lapStart = time.Now()
}

func checkDescription(t *testing.T, g *realGroup) {
	admin := kadm.NewClient(kafkatest.Client(t, g.config.AdminOpts()...))
	groups, err := admin.DescribeGroups(kafkatest.Context(t), testGroup)
	require.NoError(t, err)
	group := groups[testGroup]
	assert.Equal(t, []string{"Stable", connectType, culvertProtocol},
		[]string{group.State, group.ProtocolType, group.Protocol})
	assert.Equal(t, 3, len(group.Members))
	g.lap(t, "described")
}

func checkMembersForceGenerations(t *testing.T, g *realGroup) {
	g.follower.Rejoin("a member that does not lead, with the same bytes")
	g.agree(t, g.leader, g.follower, g.third)
	g.lap(t, "a member forces a generation")
	g.leader.Rejoin("the leader")
	g.agree(t, g.leader, g.follower, g.third)
	g.lap(t, "the leader forces a generation")
}

// checkStaticMembersReturn checks that a static member that restarts has its assignment, and that the leader reads its
// new metadata.
func checkStaticMembersReturn(t *testing.T, g *realGroup) {
	g.third.Close()
	g.third = g.join(t, "e", "e with news")
	assert.Equal(t, fmt.Sprintf("%d: for e by a", g.generation), g.third.eventList()[0], "the earlier assignment")
	g.lap(t, "a static member came back")
	require.NoError(t, g.third.Confirm(kafkatest.Context(t)))
	g.agree(t, g.leader, g.follower, g.third)
	g.lap(t, "and the leader has its news")
	g.leader.Close()
	g.leader = g.join(t, "a", "a")
	assert.Equal(t, fmt.Sprintf("%d: for a by a, leader", g.generation), g.leader.eventList()[0])
	g.agree(t, g.leader, g.follower, g.third)
	g.lap(t, "the leader came back")
}

// checkMembersWaitForSlowMember checks that no member loses its membership while one takes 15 s for an assignment.
func checkMembersWaitForSlowMember(t *testing.T, g *realGroup) {
	members := []*worker{g.leader, g.follower, g.third}
	g.third.update(func() { g.third.assignDelay = 15 * time.Second })
	g.leader.Rejoin("a generation that takes long")
	hasNext := func() bool {
		_, generation := g.third.Member()
		return generation > g.generation
	}
	require.Until(t, hasNext, func() string { return "expected one more" })
	g.generation++
	g.follower.Rejoin("a generation that waits for e")
	for waitStart := time.Now(); time.Since(waitStart) < 12*time.Second; time.Sleep(100 * time.Millisecond) {
		for _, w := range members {
			if !w.OwnsAssignment() {
				t.Fatal("expected all to be members, found", describeEvents(members))
			}
		}
	}
	g.third.update(func() { g.third.assignDelay = 0 })
	g.agree(t, members...)
	assert.Equal(t, 0, g.leader.losses()+g.follower.losses()+g.third.losses())
	g.lap(t, "members waited for a slow one")
}

func checkMembersReturnAfterPause(t *testing.T, g *realGroup) {
	g.broker.signal(t, syscall.SIGSTOP)
	require.Until(t, func() bool { return g.leader.isLost() && g.follower.isLost() },
		func() string { return "expected losses" })
	g.lap(t, "the broker is paused, and the members are lost")
	g.broker.signal(t, syscall.SIGCONT)
	g.agree(t, g.leader, g.follower)
	g.lap(t, "and are members again")
}

func checkMembersSurviveRestart(t *testing.T, g *realGroup) {
	g.broker.Stop()
	g.lap(t, "the broker has stopped")
	runPeer(t, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t)}, "start-broker.sh", g.broker.port, g.broker.Dir)
	g.lap(t, "the broker was started again")
	g.leader.Rejoin("to see that it works")
	g.agree(t, g.leader, g.follower)
	g.lap(t, "and its members are of one generation")
}

// checkInstanceIsFenced checks that a member with the instance ID of another one replaces it, and that a killed member
// is removed after its session.
func checkInstanceIsFenced(t *testing.T, g *realGroup) {
	successor := newWorker("f", g.config)
	successor.o.InstanceID = "pod-d"
	successor.join(t)
	require.Until(t, g.follower.isLost,
		func() string { return "expected the first of two with one instance to be informed" })
	assert.Contains(t, g.follower.lastEvent(), "group.instance.id=pod-d", "FENCED_INSTANCE_ID")

	killed := newWorker("g", g.config).join(t)
	g.agree(t, g.leader, successor, killed)
	g.lapStart = time.Now()
	killed.Close()
	g.agree(t, g.leader, successor)
	g.lap(t, "a member was killed, with a session of 10 s")
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
	start := time.Now()
	_, err := Join(t.Context(), a.o)
	require.ErrorIs(t, err, kerr.InconsistentGroupProtocol, "a rejection")
	t.Logf("rejected after %v: %v", time.Since(start).Round(time.Millisecond), err)
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
	command := exec.CommandContext(ctx, "../../testdata/peers/kafka/start-connect.sh", e2etest.FreePort(t),
		"127.0.0.1:"+b.port, dir)
	command.Env = append(os.Environ(), java...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	if err := command.Run(); err == nil || ctx.Err() != nil {
		t.Errorf("expected Kafka Connect's worker to exit with an error, found %v", err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "worker.log"))
	require.NoError(t, err)
	assert.Contains(t, string(log), "InconsistentGroupProtocolException")
	assert.Equal(t, 0, a.losses())
	assert.Equal(t, true, a.OwnsAssignment())
}
