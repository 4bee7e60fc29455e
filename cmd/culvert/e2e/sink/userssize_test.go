package sink

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// 25,000 records are written in batches, each once, by inserts and by upserts.
func TestWritesAtUsersSize(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	for _, mode := range []string{"insert", "upsert"} {
		t.Run(mode, func(t *testing.T) {
			p, s, worker := e2etest.Filled(t, rows)
			back := p.File("back.properties", e2etest.Instead(e2etest.CopiesOf(e2etest.Serve(t, s)), "sap.odata.enable.batch=1",
				"sap.odata.operation.mode="+mode)...)
			p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, back)
			e2etest.Copied(t, s)
			e2etest.CreatedOnce(t, s.Ledger(), rows)
		})
	}
}
