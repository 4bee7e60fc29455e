package source

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// An answer that comes drop by drop takes longer than silence may: it is read to its end, since there is no silence in
// it.
func TestAnswersThatDrip(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 40, Switches: odatatest.Switches{Drip: 40 * time.Millisecond,
		Match: "Orders"}})
	lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata.connection.read.timeout.ms=1000",
		"sap.odata.max.retries=3")
	began := time.Now()
	p.MustOnce(p.File("orders.properties", lines...))
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took %v: this shows nothing", took)
	}
	if n := strings.Count(p.Run("consume", "Orders", "--data", p.Data).Stdout, "\n"); n < s.Count("Orders") {
		t.Errorf("%d of %d rows came", n, s.Count("Orders"))
	}
}
