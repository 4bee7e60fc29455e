package delivery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A forged offset would have another connector skip rows: what the worker keeps in topics is no target of rows, whoever
// chose the topic, on whatever cluster and with whatever errors.tolerance.
func TestRowsNeverGoToTopicsOfTheWorker(t *testing.T) {
	t.Parallel()
	RowsNeverGoToTopicsOfTheWorker(t, e2etest.Embedded(t).Addr(), "__consumer_offsets", "__transaction_state")
}

// Where no transform can change it, the topic is known before anything runs.
func TestValidateRefusesTopicsOfTheWorker(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	lines := e2etest.Source("orders", address, "Orders", "Products")
	for i := range lines {
		lines[i] = strings.Replace(lines[i], ".topic=Products", ".topic=connect-offsets", 1)
	}
	file := p.File("orders.properties", lines...)
	want := fmt.Sprintf("%s:%d: sap.odata#01.topic: topic connect-offsets holds ", file, len(lines))
	if r := p.Run("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, file); r.Code != 1 && r.Code != 2 ||
		!strings.Contains(r.Stdout+r.Stderr, want) {
		t.Errorf("expected a failure with %q, found %d and\n%s%s", want, r.Code, r.Stdout, r.Stderr)
	}
}
