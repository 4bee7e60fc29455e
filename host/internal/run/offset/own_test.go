package offset

import (
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// A connector with a topic of its own goes on from the worker's offsets, writes to both, and forgets in both.
func TestOwnTopicOfAConnector(t *testing.T) {
	ctx := testContext(t)
	_, k := openTestBroker(t, t.TempDir())
	worker := openTestStore(t, k, Defaults())
	orders, items := partition("s", "Orders"), partition("s", "Items")
	at := func(n int64) []wit.Field { return []wit.Field{wit.IntegerField("seen", n)} }
	require.NoError(t, worker.Set(ctx, "c", Entry{orders, at(1)}, Entry{items, at(2)}))
	config := Defaults()
	config.Topic = "own"
	own, err := OpenOwn(ctx, k, config, "c", worker, nil)
	require.NoError(t, err)
	t.Cleanup(own.Close)
	expectOffset(t, own, "c", orders, `{"seen":1}`)
	require.NoError(t, own.Set(ctx, "c", Entry{orders, at(3)}))
	expectOffset(t, own, "c", orders, `{"seen":3}`)
	expectOffset(t, own, "c", items, `{"seen":2}`)
	expectOffset(t, worker, "c", orders, `{"seen":3}`)
	if all, err := own.All(ctx, "c"); err != nil || len(all) != 2 {
		t.Errorf("expected both partitions once, found %v, %v", all, err)
	}
	// What was committed in a transaction gets to the worker's topic, too.
	transactional := own.Transactional("c")
	o := kafka.Offset{Partition: orders, Position: at(4)}
	r := transactional.Record(o)
	if r.Topic != "own" || string(r.Value) != `{"seen":4}` {
		t.Errorf("found a record for %s: %s", r.Topic, r.Value)
	}
	transactional.Committed(o, r)
	transactional.Close(ctx)
	expectOffset(t, worker, "c", orders, `{"seen":4}`)
	require.NoError(t, own.Set(ctx, "c", Entry{orders, nil}))
	for _, s := range []*Store{own, worker} {
		if _, found, err := s.Get(ctx, "c", orders); found || err != nil {
			t.Errorf("expected no offset any more, found %v, %v", found, err)
		}
	}
}
