package operate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A connector of 600 sets can be checked, although each set has all settings.
func TestManySetsAreValidated(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	lines := e2etest.Source("many", "127.0.0.1:1")
	for i := range 600 {
		prefix := fmt.Sprintf("sap.odata#%03d.", i)
		lines = append(lines, prefix+"service=/s", fmt.Sprintf("%sentityset=X%d", prefix, i), prefix+"topic=t")
	}
	p.Run("validate", "--plugins", e2etest.Plugins(t), p.File("many.properties", lines...)).Exits(0)
}

// What a connector costs that is made, changed or deleted by REST does not depend on how many others there are,
// although each is held against the claims of all of them.
func TestCostOfOneConnectorAmongMany(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 1})
	f := p.Follows("conf", "log.level=error")
	f.Changes()
	config := func(n int, retries string) string {
		lines := append(e2etest.Source("c", address, "FactsOfOrders"), // each has a queue, which one connector alone may have
			fmt.Sprintf("sap.odata.user.name=user%d", n),
			"sap.odata.user.pwd=x",
			"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=60", "sap.odata.max.retries="+retries)
		return e2etest.AsJSON(t, e2etest.Configuration(lines[1:]))
	}
	took := func(what string, do func()) float64 {
		before := f.Calls()
		do()
		t.Logf("%s: %v calls", what, f.Calls()-before)
		return f.Calls() - before
	}
	const many = 12
	var made, changed [many]float64
	for n := range many {
		made[n] = took("made", func() {
			f.Must(201, "POST", "/connectors",
				fmt.Sprintf(`{"name": "c%02d", "initial_state": "STOPPED", "config": %s}`, n, config(n, "0")))
		})
	}
	for n := range many {
		changed[n] = took("changed", func() {
			f.Must(200, "PUT", fmt.Sprintf("/connectors/c%02d/config", n),
				config(n, "1"))
		})
	}
	if made[0] == 0 || made[many-1] > made[1] || changed[many-1] > changed[1] {
		t.Errorf("expected the last ones to cost as many calls of plugins as the second, found %v and %v", made,
			changed)
	}
	// They are compared all the same.
	if status, answer := f.Call("POST", "/connectors", fmt.Sprintf(`{"name": "rival", "config": %s}`,
		config(5, "0"))); status != 400 ||
		!strings.Contains(answer, "connectors c05 and rival both claim") {
		t.Errorf("expected a rival of c05 to be refused, found %d %s", status, answer)
	}
	f.Must(200, "PUT", "/connectors/c05/config", config(100, "0"))
	f.Must(201, "POST", "/connectors", fmt.Sprintf(`{"name": "rival", "initial_state": "STOPPED", "config": %s}`,
		config(5, "0")))
	deleted := took("deleted", func() { f.Must(204, "DELETE", "/connectors/c03", "") })
	if deleted > 0 {
		t.Errorf("expected no call for one that is deleted, found %v", deleted)
	}
	f.MustStop()
}
