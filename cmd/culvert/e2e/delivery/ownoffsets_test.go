package delivery

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// With exactly-once, a connector whose producers go to another cluster has its offsets there, in a topic of its own,
// and a copy in the worker's. An older offset that is set is gone on from.
func TestOwnOffsetsOnAnotherCluster(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	here, there := e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+here, "listeners=", "group.id=own",
		"exactly.once.source.support=enabled")
	file := p.File("reads.properties", append(e2etest.Source("reads", address, "Orders"), "offsets.storage.topic=own-offsets",
		"exactly.once.support=required", "producer.override.bootstrap.servers="+there,
		"consumer.override.bootstrap.servers="+there, "admin.override.bootstrap.servers="+there)...)
	does := func(args ...string) e2etest.Result {
		t.Helper()
		return p.MustRun(append(args, "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, file)...)
	}
	for range 2 {
		does("run", "--once")
		e2etest.ReadTopic(t, there, "Orders", 10)
	}
	total := func(at, topic string) (n int64) {
		for _, end := range e2etest.EndsOn(t, at, topic) {
			n += end
		}
		return n
	}
	if total(there, "own-offsets") == 0 || total(here, "connect-offsets") == 0 {
		t.Errorf("expected offsets in both topics, found %d and %d", total(there, "own-offsets"),
			total(here, "connect-offsets"))
	}
	if at := e2etest.EndsOn(t, here, "own-offsets"); at != nil {
		t.Errorf("expected no such topic on the worker's cluster, found %v", at)
	}
	base := strings.TrimSuffix(odatatest.NorthwindPath, "/")
	older := p.File("older.json", `{"offsets":[{"partition":{"service":"`+base+`","entityset":"Orders"},`+
		`"offset":{"url":"`+base+`/Orders?$skip=7"}}]}`)
	does("offsets", "set", "reads", older)
	does("run", "--once")
	e2etest.ReadTopic(t, there, "Orders", 13)
}
