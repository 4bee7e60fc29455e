package sink

import (
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
)

// 25,000 records are written in batches, each once, by inserts and by upserts.
func TestWritesAtUsersSize(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	for _, mode := range []string{"insert", "upsert"} {
		t.Run(mode, func(t *testing.T) {
			p, s, worker := e2e.Filled(t, rows)
			back := p.File("back.properties", e2e.Instead(e2e.CopiesOf(e2e.Serve(t, s)), "sap.odata.enable.batch=1",
				"sap.odata.operation.mode="+mode)...)
			p.MustRun("run", "--once", "--plugins", e2e.Plugins(t, "odata-sink"), "--data", p.Data, worker, back)
			e2e.Copied(t, s)
			e2e.CreatedOnce(t, s.Ledger(), rows)
		})
	}
}
