package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestReads reads part of the orders with their lines, by settings under the names that other files have for them.
func TestReads(t *testing.T) {
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 40,
		Switches: odatatest.Switches{PageSize: 15, ExpandPageSize: 2}})
	lines := append(e2etest.Source("reads", address, "Orders"), "sap.odata#00.projections=ShipCountry,Order_Details/Quantity",
		"sap.odata#00.expands=Order_Details/Product",
		"sap.odata#00.select#00.property=OrderID", "sap.odata#00.select#00.option=BT",
		"sap.odata#00.select#00.low=10250", "sap.odata#00.select#00.high=10269",
		"sap.odata#00.filter#01.property=Order_Details/Quantity", "sap.odata#00.filter#01.option=gt",
		"sap.odata#00.filter#01.low=10")
	p.MustOnce(p.File("reads.properties", lines...))
	expected := 0
	s.Each("Order_Details", func(key string, line map[string]string) {
		var order, quantity int
		fmt.Sscan(line["OrderID"], &order)
		fmt.Sscan(line["Quantity"], &quantity)
		if order >= 10250 && order <= 10269 && quantity > 10 {
			expected++
		}
	})
	records, found := p.Records("Orders"), 0
	for _, record := range records {
		order := record["value"].(map[string]any)["payload"].(map[string]any)
		if len(order) != 3 {
			t.Errorf("expected OrderID, ShipCountry and Order_Details, found %v", order)
		}
		for _, line := range order["Order_Details"].([]any) {
			found++
			line := line.(map[string]any)
			if len(line) != 4 || line["Quantity"].(float64) <= 10 ||
				line["Product"].(map[string]any)["ProductName"] == nil {
				t.Errorf("expected the key, a quantity above 10 and the product, found %v", line)
			}
		}
	}
	if len(records) != 20 || found != expected || expected == 0 {
		t.Errorf("expected 20 orders with %d lines, found %d with %d", expected, len(records), found)
	}
}

// TestCron reads a set again at the times of an expression, and refuses one that is none.
func TestCron(t *testing.T) {
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 40})
	lines := e2etest.Source("nightly", address, "Orders")
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--set", "listeners=http://"+porttest.Address(t),
		p.File("nightly.properties", append(lines, "sap.odata#00.cron.expression=* * * * * ?")...))
	c.Eventually("three extractions", func() bool {
		return strings.Count(c.Stderr.String(), "the next one begins at its time") >= 3
	})
	c.MustStop()
	r := p.Once(p.File("nightly.properties", append(lines, "sap.odata#00.cron.expression=0 0 25 * * ?")...))
	if r.Code == 0 || !strings.Contains(r.LastLine(), `hour: expected 0 to 23, found "25"`) {
		t.Errorf("exit code %d: %s", r.Code, r.LastLine())
	}
}
