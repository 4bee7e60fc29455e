package delivery

import (
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// refusals are what brokers answer to requests of one kind: each second one has the next of the errors, and nothing of
// it is done.
type refusals struct {
	mu   sync.Mutex
	seen int
	left []*kerr.Error
}

func (r *refusals) next() (*kerr.Error, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen++; r.seen%2 == 1 || len(r.left) == 0 {
		return nil, false
	}
	err := r.left[0]
	r.left = r.left[1:]
	return err, true
}

// Whatever brokers answer to records and to the ends of transactions, every row comes once: what passes is tried again,
// what does not fails the task, and the next start goes on from what was committed.
func TestExactlyOnceWithBrokersThatRefuse(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	e2etest.NoError(t, err)
	t.Cleanup(cluster.Close)
	ends := &refusals{left: []*kerr.Error{kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.InvalidTxnState,
		kerr.UnknownProducerID}}
	cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		refused, some := ends.next()
		if !some {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.EndTxnResponse)
		answer.ErrorCode = refused.Code
		return answer, nil, true
	})
	produces := &refusals{left: []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownProducerID,
		kerr.OutOfOrderSequenceNumber, kerr.PolicyViolation}}
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked := r.(*kmsg.ProduceRequest)
		if asked.TransactionID == nil {
			return nil, nil, false
		}
		refused, some := produces.next()
		if !some {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, at := range asked.Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = at.Topic, at.TopicID
			for _, p := range at.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, refused.Code
				topic.Partitions = append(topic.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
	servers := strings.Join(cluster.ListenAddrs(), ",")
	e := NewExactly(t, servers, e2etest.NewPlace(t), "odd", 9)
	const starts = 10 // more than there are refusals
	failed := 0
	for n := 0; ; n++ {
		r := e.Start(true, e.Files()[0]).Wait()
		if r.Code == 0 {
			break
		}
		failed++
		if n == starts {
			t.Fatalf("the worker fails for the %d. time: exit %d\n%s", n, r.Code, r.Stderr)
		}
		if !strings.Contains(r.Stderr, `msg="task FAILED"`) {
			t.Fatalf("exit %d\n%s", r.Code, r.Stderr)
		}
	}
	if len(ends.left)+len(produces.left) > 0 {
		t.Errorf("%d refusals were not asked for: there were too few pages", len(ends.left)+len(produces.left))
	}
	var found []string
	e.Committed(e.Name, func(r *kgo.Record) { found = append(found, e.Row(string(r.Key))) })
	if c := e.Count(e.Rows, found); c.Missing > 0 || c.Repeated > 0 || c.Rows == 0 {
		t.Errorf("%v, the first one that is missing is row %d", c, c.First)
	} else {
		t.Logf("%v; the task failed %d times", c, failed)
	}
}
