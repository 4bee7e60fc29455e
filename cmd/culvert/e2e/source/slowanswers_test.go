package source

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// An answer that comes drop by drop takes longer than silence may: it is read to its end, since there is no silence in
// it.
func TestAnswersThatDrip(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{Rows: 40, Switches: service.Switches{Drip: 40 * time.Millisecond,
		Match: "Orders"}})
	lines := append(e2e.Source("orders", address, "Orders"), "sap.odata.connection.read.timeout.ms=1000",
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
