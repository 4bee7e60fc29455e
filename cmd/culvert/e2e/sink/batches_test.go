package sink

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// If a worker was killed between a request and its response, the next one looks up which rows arrived, and writes none
// twice.
func TestKilledSinkLooksWhatArrived(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: uncertainRows})
	address, isHeld, _ := holdFirst(t, s, isPost)
	args := []string{p.File("there.properties", e2etest.Source("there", address, "Orders")...),
		p.File("back.properties", append(e2etest.Sink("back", address, "Orders", "OrderCopies"),
			"sap.odata.insert.uncertain=check")...)}
	c := p.StartOnce(e2etest.Plugins(t, "odata-sink"), args...)
	c.Eventually("a request", isHeld)
	c.Kill()
	p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), args...)
	e2etest.CheckNoneTwice(t, s.Ledger())
	e2etest.CheckCopies(t, s)
}
