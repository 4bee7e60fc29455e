package operate

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Files of properties that were renamed to .json or .yaml are read all the same, as Kafka's standalone worker reads
// them; other wrong content is named.
func TestPropertiesUnderOtherNames(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	args := []string{}
	for name, set := range map[string]string{"orders.json": "Orders", "products.yaml": "Products"} {
		lines := e2etest.Source(set, address, set)
		args = append(args, p.File(name, append([]string{"# a comment: with a colon", ""}, lines...)...))
	}
	p.MustRunOnce(args...)
	p.CheckRecordCount("Orders", s.Count("Orders"))
	p.CheckRecordCount("Products", s.Count("Products"))
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.File("text.json", "Orders and Products")).WantFailure().
		WantOutput("text.json:1: invalid JSON: ")
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.File("text.yml", "Orders and Products")).WantFailure().
		WantOutput("text.yml:1: expected a mapping of settings")
}

// A run with --timeout ends with exit code 1 if it is not done by then. What was read is kept, and another run
// continues.
func TestRunOnceWithTimeout(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	gate, s, address := e2etest.StartGated(t, odatatest.Options{Rows: 40, PageSize: 10}, "Orders", 2)
	file := p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)
	plugins := e2etest.Plugins(t)
	p.Run("run", "--timeout", "1s", "--plugins", plugins, "--data", p.Data, file).WantCode(2).
		WantStderr("--timeout: expected --once as well")
	p.Run("run", "--once", "--timeout", "-1s", "--plugins", plugins, "--data", p.Data, file).WantCode(2).
		WantStderr("--timeout: expected a time such as 30m, found -1s")
	gate.Allow(2)
	c := p.Start("run", "--once", "--timeout", "15s", "--plugins", plugins, "--data", p.Data, file)
	c.Eventually("the third page to be requested", gate.IsHolding)
	c.Wait().WantCode(1).WantLastLine("not done within 15s: offsets are stored, and the next run continues")
	n := len(p.Records("Orders"))
	assert.True(t, n != 0 && n < s.Count("Orders"), "expected a part of the rows, found %d", n)
	close(gate.Turns) // from here on all requests pass
	p.MustRun("run", "--once", "--timeout", "10m", "--plugins", plugins, "--data", p.Data, file)
	values, _ := p.TopicValues("Orders")
	assert.Equal(t, s.Count("Orders"), len(values), "orders")
}
