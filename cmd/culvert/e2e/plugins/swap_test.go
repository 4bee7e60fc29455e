package plugins

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/rest"
)

// Newer versions of a source, of a transform and of a predicate are dropped into the folder in the middle of a load:
// they take over at a page or batch boundary, and no record is lost or repeated. A truncated file does not replace the
// version before.
func TestPluginsAreSwappedInMidLoad(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.CopyPlugins(t, "smt")
	// They are built before the load is on hold, because building takes time.
	newSource := guesttest.Bytes(t, "../../../../plugins/odata-source", "main.version=0.2.0")
	newTransforms := guesttest.Bytes(t, "../../../../plugins/smt", "main.version=0.2.0")
	odd := func(version string) []byte {
		return guesttest.Bytes(t, "../../testdata/guests/odd", "main.version="+version)
	}
	e2etest.WriteFile(t, dir, "odd.wasm", odd("1.0.0"))
	const rows, page = 120, 10
	g, s, address := e2etest.StartGated(t, odatatest.Options{Rows: rows, PageSize: page}, "/Orders", rows)
	listen := porttest.Address(t)
	file := p.File("orders.properties", append(e2etest.Source("orders", address, "Orders"),
		e2etest.NoReadTimeout, "transforms=parity,note",
		"transforms.parity.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.parity.static.field=Parity", "transforms.parity.static.value=odd",
		"transforms.parity.predicate=odd", "predicates=odd", "predicates.odd.type=example.Odd",
		"predicates.odd.field=OrderID", "transforms.note.type=example.NoteVersion",
		"transforms.note.field=ShipCountry")...)
	c := p.Start("run", "--set", "listeners=http://"+listen, "--plugins", dir, "--data", p.Data, file)
	status := func() connect.Status { return statusOf(t, listen, "orders") }

	g.Allow(2)
	c.Eventually("the third page", g.IsHolding)
	e2etest.ReplaceFile(t, dir, "odata-source.wasm", newSource)
	e2etest.ReplaceFile(t, dir, "smt.wasm", newTransforms)
	e2etest.ReplaceFile(t, dir, "odd.wasm", odd("1.1.0"))
	for _, loaded := range []string{"plugin=odata-source version=0.2.0", "plugin=smt version=0.2.0",
		"plugin=odd version=1.1.0"} {
		c.AwaitStderr(`msg="plugin loaded" ` + loaded)
	}
	assert.True(t, !strings.Contains(c.Stderr.String(), "plugin swapped"),
		"expected a swap to wait for the end of the page")
	v := status().Tasks[0].Version
	assert.True(t, v == "0.1.0", "expected version 0.1.0 in the status while its page is under way, found %s", v)
	// The newer version is open in addition to the page.
	c.AwaitStderr(`msg="a newer version of the plugin is open and will replace the current one"`)
	g.Allow(2)
	c.Eventually("the fifth page", g.IsHolding)
	c.AwaitStderr("plugin=odata-source from=0.1.0 to=0.2.0")
	c.AwaitStderr("plugin=smt from=0.1.0 to=0.2.0")
	c.AwaitStderr("plugin=odd from=1.0.0 to=1.1.0")
	var list rest.ConnectorEvents
	e2etest.Get(t, "http://"+listen+"/culvert/connectors/orders/events", &list)
	assert.Contains(t, fmt.Sprintf("%v", list.Events), "swapped plugin odata-source 0.1.0 to 0.2.0",
		"swapped plugin smt 0.1.0 to 0.2.0")
	if got := status(); got.Tasks[0].Version != "0.2.0" || got.Tasks[0].State != connect.Running {
		t.Errorf("expected version 0.2.0 RUNNING in the status, found %+v", got)
	}

	e2etest.ReplaceFile(t, dir, "odd.wasm", odd("1.2.0")[:100_000])
	c.AwaitStderr("odd.wasm: the file is truncated")
	g.Allow(4)
	c.Eventually("the ninth page", g.IsHolding)

	// A complete file replaces the truncated one.
	e2etest.ReplaceFile(t, dir, "odd.wasm", odd("1.2.0"))
	c.AwaitStderr(`msg="plugin loaded" plugin=odd version=1.2.0`)
	g.Allow(rows)
	c.AwaitRecords(p, "Orders", rows)
	c.AwaitStderr("plugin=odd from=1.1.0 to=1.2.0")
	c.MustStop()
	checkSwapsAtPages(t, p.Records("Orders"), rows, page)
	checkPagesAreRequestedOnce(t, s)
}

// checkSwapsAtPages checks that each order arrived once, and that versions 1.0.0, 1.1.0 and 1.2.0 of a plugin worked on
// whole pages.
func checkSwapsAtPages(t *testing.T, records []map[string]any, rows, page int) {
	t.Helper()
	assert.Equal(t, rows, len(records), "records")
	versions := map[string]int{}
	for i, r := range records {
		value := r["value"].(map[string]any)["payload"].(map[string]any)
		id := int(value["OrderID"].(float64))
		assert.True(t, id == 10248+i, "record %d: expected order %d, found %d", i, 10248+i, id)
		parity, ok := value["Parity"]
		assert.True(t, ok == (id%2 != 0) && (!ok || parity == "odd"), "order %d: found parity %v", id, parity)
		versions[fmt.Sprint(value["ShipCountry"])]++
	}
	assert.True(t, versions["1.0.0"] >= 2*page && versions["1.1.0"] >= 2*page && versions["1.2.0"] >= page &&
		len(versions) == 3, "expected records by each version, found %v", versions)
}

func checkPagesAreRequestedOnce(t *testing.T, s *odatatest.Service) {
	t.Helper()
	seen := map[string]int{}
	for _, r := range s.Ledger().Requests {
		if strings.HasSuffix(r.Path, "/Orders") {
			seen[r.Query]++
			assert.True(t, seen[r.Query] <= 1, "expected %s?%s once", r.Path, r.Query)
		}
	}
}
