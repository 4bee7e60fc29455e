//go:build real

package delivery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// trio is a cluster of three Apache Kafka brokers with three replicas of everything, for workers with exactly-once.
type trio struct {
	e2etest.ExactPeer
	killAll func()
}

func startTrio(t *testing.T) *trio {
	t.Helper()
	first := e2etest.ConsecutivePorts(t, 6)
	c := &trio{ExactPeer: e2etest.ExactPeer{T: t, Dir: t.TempDir()}}
	c.killAll = sync.OnceFunc(func() {
		for node := range 3 {
			_ = syscall.Kill(c.pid(node), syscall.SIGKILL)
		}
	})
	var servers []string
	for n := range 3 {
		servers = append(servers, fmt.Sprintf("127.0.0.1:%d", first+n))
	}
	c.Servers = strings.Join(servers, ",")
	c.start(strconv.Itoa(first))
	return c
}

// start runs the script that starts all brokers, or one of them again. They are killed before the script is stopped:
// brokers that all stop cleanly at once would wait for a quorum of controllers that no longer exists.
func (t *trio) start(args ...string) {
	t.T.Helper()
	e2etest.StartPeer(t.T, "kafka/start-3-brokers.sh", t.Dir, []string{"HEAP=256m"}, append(args, t.Dir)...)
	t.T.Cleanup(t.killAll)
}

// pid returns the process of a broker, counted from 0.
func (t *trio) pid(node int) int {
	t.T.Helper()
	content, err := os.ReadFile(filepath.Join(t.Dir, "pids"))
	require.NoError(t.T, err)
	pid, err := strconv.Atoi(strings.Fields(string(content))[node])
	require.NoError(t.T, err)
	return pid
}

// moveLeaders makes the next replica the leader of each partition of the topics.
func (t *trio) moveLeaders(topics ...string) {
	t.T.Helper()
	leaders := map[string]int32{} // before the move, by topic and partition
	t.AwaitAdmin("other leaders", func(ctx context.Context, admin *kadm.Client) (moved bool, err error) {
		metadata, err := admin.Metadata(ctx, topics...)
		if err := errors.Join(err, metadata.Topics.Error()); err != nil {
			return false, err
		}
		var assignments kadm.AlterPartitionAssignmentsReq
		elect := kadm.TopicsSet{}
		for topic, d := range metadata.Topics {
			for partition, p := range d.Partitions {
				oldLeader, ok := leaders[fmt.Sprint(topic, "/", partition)]
				switch {
				case ok && p.Leader >= 0 && p.Leader != oldLeader:
					continue
				case !ok && (p.Leader < 0 || len(p.Replicas) != 3):
					return false, fmt.Errorf("topic %s, partition %d: leader %d, replicas %v", topic, partition,
						p.Leader, p.Replicas)
				case !ok:
					slices.Sort(p.Replicas)
					next := slices.Index(p.Replicas, p.Leader) + 1
					assignments.Assign(topic, partition, append(slices.Clone(p.Replicas[next:]), p.Replicas[:next]...))
				}
				elect.Add(topic, partition)
			}
		}
		if assignments != nil {
			assigned, err := admin.AlterPartitionAssignments(ctx, assignments)
			if err := errors.Join(err, assigned.Error()); err != nil {
				return false, err
			}
			for topic, d := range metadata.Topics {
				for partition, p := range d.Partitions {
					leaders[fmt.Sprint(topic, "/", partition)] = p.Leader
				}
			}
		}
		if len(elect) > 0 {
			_, err = admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, elect)
		}
		return len(elect) == 0, err
	})
}

// coordinator returns the broker that coordinates the transactions of an ID, counted from 0.
func (t *trio) coordinator(id string) (node int) {
	t.T.Helper()
	t.AwaitAdmin("a coordinator of transactions", func(ctx context.Context, admin *kadm.Client) (bool, error) {
		coordinators := admin.FindTxnCoordinators(ctx, id)
		node = int(coordinators[id].NodeID) - 1
		return node >= 0, coordinators[id].Err
	})
	return node
}

// restart stops a broker by a signal, calls whileDown, and starts the broker again.
func (t *trio) restart(w *e2etest.Command, node int, signal syscall.Signal, whileDown func()) {
	t.T.Helper()
	pid := t.pid(node)
	require.NoError(t.T, syscall.Kill(pid, signal))
	w.Eventually("a broker that has ended", func() bool { return syscall.Kill(pid, 0) != nil })
	whileDown()
	t.start("--node", strconv.Itoa(node+1))
}

// awaitInSync waits until all replicas of each partition are in sync.
func (t *trio) awaitInSync() {
	t.T.Helper()
	t.AwaitAdmin("copies in step", func(ctx context.Context, admin *kadm.Client) (inStep bool, err error) {
		topics, err := admin.ListTopicsWithInternal(ctx)
		inStep = err == nil
		topics.EachPartition(func(p kadm.PartitionDetail) { inStep = inStep && len(p.ISR) == len(p.Replicas) })
		return inStep, err
	})
}

// TestRealExactlyOnceMoved uses three brokers of Apache Kafka. During the transactions of a worker with exactly-once it
// moves the leaders of all partitions that the worker writes to, and kills the transaction coordinator: a consumer with
// read_committed finds every row once.
func TestRealExactlyOnceMoved(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	t.Run("Leaders", func(t *testing.T) {
		e := NewExactWorker(t, c.Servers, e2etest.NewPlace(t), "moved", 4)
		w := e.BlockInPage()
		topics := []string{"moved", "movedc", "connect-offsets", "__transaction_state"}
		c.moveLeaders(topics...)
		first := e.Held.Release
		e.Arm()
		close(first)
		e.AwaitBlocked(w)
		c.moveLeaders(topics...)
		e.ResumeAndStop(w)
		e.Finish("leaders moved twice")
	})
	t.Run("CoordinatorKilled", func(t *testing.T) {
		e := NewExactWorker(t, c.Servers, e2etest.NewPlace(t), "killed", 4)
		w := e.BlockInPage()
		c.restart(w, c.coordinator("exact-killed-0"), syscall.SIGKILL, func() {
			first := e.Held.Release
			e.Arm()
			close(first)
			e.AwaitBlocked(w)
		})
		e.ResumeAndStop(w)
		e.Finish("coordinator's broker killed and started")
	})
}
