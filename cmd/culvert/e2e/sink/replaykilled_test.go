package sink

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A killed replay continues where it was: each dead letter arrives, and the stored state of the replay is right.
// Inserts without a response are looked up.
func TestReplayThatIsKilled(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 12})
	var armed atomic.Bool
	address, isHeld, _ := holdFirst(t, s, func(r *http.Request, _ int) bool {
		return armed.Load() && r.Method == http.MethodPost
	})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	back := p.File("back.properties", append(e2etest.Sink("back", address, "Orders", "OrderCopies"),
		"errors.tolerance=all", e2etest.NoReadTimeout,
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"sap.odata.insert.uncertain=check")...)
	source := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
	for _, connector := range []string{source, back} {
		p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, connector)
		e2etest.RefuseWrites(t, s, 1000)
	}
	e2etest.ReadTopic(t, broker, "refused", 12)
	s.Set("status-count", "0")
	replay := func() *e2etest.Command {
		return p.Start("dlq", "replay", "refused", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data,
			worker, back)
	}
	armed.Store(true)
	killed := replay()
	killed.Eventually("a letter on its way", isHeld)
	killed.Kill()
	replay().Wait().WantCode(0)
	e2etest.CheckCopies(t, s)
	e2etest.CheckCreatedOnce(t, s.Ledger(), 12)
	checkReplayed(t, 0, replay().Wait())
}

// A replay of a source's dead letters that is killed repeatedly loses none: with exactly-once each row arrives once,
// else a kill repeats at most the rows of one batch.
func TestReplayOfASourceThatIsKilled(t *testing.T) {
	t.Parallel()
	const rows, kills, batchRows = 2000, 2, 500
	for name, c := range map[string]struct {
		worker      []string // more settings of the worker
		maxRepeated int      // rows
	}{
		"at least once": {maxRepeated: kills * batchRows},
		"exactly once":  {worker: []string{"group.id=replays", "exactly.once.source.support=enabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: rows, PageSize: 1000})
			servers := p.StartBroker()
			worker := p.WritePlainWorker(servers, c.worker...)
			connector := func(spec string) string {
				return p.File("orders.properties", append(e2etest.Source("orders", address, "Orders"),
					"transforms=number", "transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value",
					"transforms.number.spec="+spec, "errors.tolerance=all", "errors.deadletterqueue.topic.name=refused",
					"errors.deadletterqueue.context.headers.enable=true")...)
			}
			p.MustRunOnceWith(e2etest.Plugins(t, "smt"), worker, connector("ShipName:int16"))
			client, err := kgo.NewClient(kgo.SeedBrokers(servers))
			require.NoError(t, err)
			defer client.Close()
			admin := kadm.NewClient(client)
			_, err = admin.CreateTopics(t.Context(), 1, 1, nil, "Orders")
			require.NoError(t, err)
			written := func() int64 {
				ends, err := admin.ListEndOffsets(t.Context(), "Orders")
				require.NoError(t, err)
				end, _ := ends.Lookup("Orders", 0)
				return end.Offset
			}
			mended := connector("ShipName:string")
			replay := func() *e2etest.Command {
				return p.Start("dlq", "replay", "refused", "--plugins", e2etest.Plugins(t, "smt"), "--data", p.Data,
					worker, mended)
			}
			killed := 0
			for range kills {
				count := written()
				command := replay()
				command.Eventually("rows", func() bool { return written() > count })
				require.NoError(t, command.Process.Process.Kill())
				if command.Wait().Code != 0 {
					killed++
				}
			}
			assert.True(t, killed != 0, "expected that a replay is killed before its end, found that all ended")
			replay().Wait().WantCode(0)
			checkReplayed(t, 0, replay().Wait())
			counts := orderCounts(t, p, servers, "Orders")
			repeated := 0
			for _, times := range counts {
				repeated += times - 1
			}
			assert.True(t, len(counts) == rows && repeated <= c.maxRepeated,
				"expected %d rows, at most %d repeated, found %d, %d repeated", rows, c.maxRepeated, len(counts),
				repeated)
			t.Logf("%d kills: %d rows, %d repeated", killed, len(counts), repeated)
		})
	}
}
