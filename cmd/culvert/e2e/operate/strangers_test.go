package operate

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Where nothing answers, or somebody else does, the settings are named that say where the service is.
func TestFaultsNameWhereTheServiceIs(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	closed := porttest.Address(t)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"closed", e2etest.Source("closed", closed, "Orders"),
			"connection refused (see sap.odata.host.address, sap.odata.host.port)"},
		{"scheme", e2etest.Instead(e2etest.Source("scheme", address, "Orders"), "sap.odata.host.protocol=https"),
			"(no TLS is spoken on this port: see sap.odata.host.protocol, sap.odata.host.port)"},
		{"name", e2etest.Instead(e2etest.Source("name", address, "Orders"), "sap.odata.host.address=nowhere.invalid"),
			"(see sap.odata.host.address)"},
	} {
		file := p.File(c.name+".properties", c.lines...)
		ping := p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).Exits(1)
		if strings.Count(ping.LastLine(), c.want) != 1 {
			t.Errorf("%s: ping: expected %q once, found\n%s", c.name, c.want, ping.Stderr)
		}
	}
	p.Once("closed.properties").Exits(1).LastLineHas("(see sap.odata.host.address, sap.odata.host.port)")
	p.Run("doctor", "-p", "scheme.properties", "--plugins", e2etest.Plugins(t)).
		Exits(1).Prints("sap.odata.host.protocol: expected TLS on port ")
	url := p.File("url.properties", e2etest.Instead(e2etest.Source("url", address, "Orders"),
		"sap.odata.host.address=http://localhost")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), url).Exits(1).Prints(
		`sap.odata.host.address: expected a host name or IP address, found "http://localhost": a URL's scheme, port and path have settings of their own`)
}

// A sink for a topic that is not there has done nothing, which --once must not report as done, unless sources of the
// same run had nothing to make it for.
func TestOnceWithoutItsTopic(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	first := p.File("first.properties", e2etest.Source("first", address, "Products")...)
	both := p.File("both.properties", e2etest.SinkOf("both", address, "Prodcts", "OrderCopies", "Products", "ProductCopies")...)
	args := []string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data}
	p.Run(append(args, first, both)...).Exits(0).Says("there is no such topic")
	again := p.File("again.properties", e2etest.SinkOf("again", address, "Prodcts", "OrderCopies")...)
	p.Run(append(args, again)...).Exits(1).LastLineBegins(
		"connector again, task 0: FAILED: topics: expected topics that exist, found none with the name Prodcts: ")
}
