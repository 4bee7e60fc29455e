package main

import (
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// An answer that comes drop by drop takes longer than silence may: it is read to its end, since there is no silence in
// it.
func TestAnswersThatDrip(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 40, Switches: service.Switches{Drip: 40 * time.Millisecond,
		Match: "Orders"}})
	lines := append(source("orders", address, "Orders"), "sap.odata.connection.read.timeout.ms=1000",
		"sap.odata.max.retries=3")
	began := time.Now()
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, p.file("orders.properties",
		lines...)); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took %v: this shows nothing", took)
	}
	if n := strings.Count(p.run("consume", "Orders", "--data", p.data).stdout, "\n"); n < s.Count("Orders") {
		t.Errorf("%d of %d rows came", n, s.Count("Orders"))
	}
}
