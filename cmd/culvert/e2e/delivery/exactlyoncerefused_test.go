package delivery

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A connector that requires exactly-once but cannot have it is rejected; the message names the setting or the set that
// prevents it.
func TestExactlyOnceThatCannotBe(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	repeated := append(e2etest.Source("reads", address, "Orders"), "exactly.once.support=required",
		"sap.odata#00.exec-period=60")
	for _, c := range []struct {
		worker []string
		lines  []string
		want   string
	}{
		{
			worker: []string{"exactly.once.source.support=enabled"},
			lines:  e2etest.Source("reads", address, "Orders"),
			want:   "worker.properties:2: exactly.once.source.support: ",
		},
		{
			worker: []string{"group.id=g", "exactly.once.source.support=enabled"},
			lines:  repeated,
			want:   "entity set Orders",
		},
	} {
		worker := p.File("worker.properties", append([]string{"bootstrap.servers=127.0.0.1:1"}, c.worker...)...)
		p.Run("validate", "--plugins", e2etest.Plugins(t), worker, p.File("reads.properties", c.lines...)).
			WantCode(1).WantStdout(c.want)
	}
}

// A connector whose earlier tasks cannot be fenced does not start, and names the missing right; with that right it
// starts. A transactional ID in use is taken over, and its previous owner commits nothing more.
func TestConnectorThatCannotFence(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	servers := strings.Join(cluster.ListenAddrs(), ",")
	var isForbidden atomic.Bool
	cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if r.(*kmsg.InitProducerIDRequest).TransactionalID == nil || !isForbidden.Load() {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		answer.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return answer, nil, true
	})
	otherProducer := e2etest.NewClient(t, servers, kgo.TransactionalID("g-reads-0"))
	e2etest.CreateTopics(t, otherProducer, "theirs")
	require.NoError(t, otherProducer.BeginTransaction())
	require.NoError(t, otherProducer.ProduceSync(t.Context(), &kgo.Record{Topic: "theirs",
		Value: []byte("x")}).FirstErr())
	files := []string{p.File("worker.properties", "bootstrap.servers="+servers, "listeners=", "group.id=g",
		"exactly.once.source.support=enabled"), p.File("reads.properties",
		e2etest.Source("reads", address, "Orders")...)}
	run := func() e2etest.Result {
		return p.Run(append([]string{"run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data}, files...)...)
	}
	isForbidden.Store(true)
	run().WantCode(1).WantStderr("transactional id g-reads-0", "DESCRIBE and WRITE on the resource TransactionalId")
	isForbidden.Store(false)
	run().WantCode(0)
	e2etest.ReadTopic(t, servers, "Orders", 5)
	err = otherProducer.EndTransaction(t.Context(), kgo.TryCommit)
	assert.True(t, err != nil, "expected the foreign producer to be fenced")
}

// The number of tasks grows and shrinks: each row that the sets have returned so far arrives once, whichever task reads
// it.
func TestTasksThatComeAndGoUnderExactlyOnce(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	servers := p.StartBroker()
	worker := p.File("worker.properties", "bootstrap.servers="+servers, "listeners=", "group.id=tasks",
		"exactly.once.source.support=enabled")
	sets := []string{"Products", "Customers", "Categories"}
	lines := append(e2etest.Source("reads", address), "exactly.once.support=required")
	for n, set := range sets {
		prefix := fmt.Sprintf("sap.odata#%02d.", n)
		lines = append(lines, prefix+"service="+odatatest.SAPPath, prefix+"entityset="+set, prefix+"topic="+set,
			prefix+"track-changes=1", prefix+"exec-period=60")
	}
	rows := map[string]int{} // expected records by set
	for _, set := range sets {
		rows[set] = s.Count(set)
	}
	d := e2etest.Writer{S: s}
	for round, tasks := range []int{1, 3, 2} {
		if round > 0 {
			for set, field := range map[string]string{"Products": "ProductName", "Categories": "CategoryName"} {
				require.True(t, d.Send("MERGE", set+"(1)", map[string]any{field: fmt.Sprint("Round ", round)}),
					"%s was not changed", set)
				rows[set]++
			}
		}
		file := p.File("reads.properties", append(lines, fmt.Sprint("tasks.max=", tasks))...)
		p.MustRunOnce(worker, file)
		for _, set := range sets {
			r := p.Run("consume", set, "--bootstrap-servers", servers)
			assert.Equal(t, rows[set], strings.Count(r.Stdout, "\n"), tasks, "tasks: records of", set)
		}
	}
}
