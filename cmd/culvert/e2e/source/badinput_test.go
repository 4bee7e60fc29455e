package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Settings that are missing, unknown, misspelt or wrong: nothing is sent, and each stands with its file and line (T16,
// P6).
func TestWrongSettingsSendNothing(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	dir := e2etest.Plugins(t, "smt", "odata-sink")
	good := e2etest.AsMe(e2etest.Source("good", address, "Orders"))
	without := func(name string) []string {
		lines := e2etest.Instead(good, name+"=")
		return lines[:len(lines)-1]
	}
	type wrong struct {
		name  string
		lines []string
		line  int // 0: the last one
		want  string
	}
	cases := []wrong{
		{"host", without("sap.odata.host.address"), 1,
			`sap.odata.host.address: Missing required configuration "sap.odata.host.address"`},
		{"host-port", e2etest.Instead(good, "sap.odata.host.address="+address), 0, "sap.odata.host.address: expected a host " +
			`name or IP address, found "` + address + `": the port has a setting of its own, sap.odata.host.port`},
		{"topic", without("sap.odata#00.topic"), 7,
			`sap.odata#00.topic: Missing required configuration "sap.odata#00.topic"`},
		{"class", without("connector.class"), 1, `connector.class: Missing required configuration "connector.class"`},
		{"filter", e2etest.Instead(good, "sap.odata#00.fliter#00.property=OrderID"), 0, "sap.odata#00.fliter#00.property: " +
			"unknown setting; the nearest known one is sap.odata#00.filter#00.property"},
		{"unknown", e2etest.Instead(good, "sap.odata.quite.another=x"), 0, "sap.odata.quite.another: unknown setting"},
		{"group", e2etest.Instead(good, "sap.odata#0.format=atom"), 0,
			`sap.odata#0.service: Missing required configuration "sap.odata#0.service"`},
		{"password", e2etest.Instead(good, "sap.odata.user.pasword="+e2etest.Password), 0, "sap.odata.user.pasword: unknown setting"},
		{"number", e2etest.Instead(good, "sap.odata#00.page.size=many"), 0, "sap.odata#00.page.size: Invalid value many for " +
			"configuration sap.odata#00.page.size: Not a number of type INT"},
		{"delta", e2etest.Instead(good, "sap.odata#00.track-changes=1"), 7,
			"sap.odata#00.exec-period: Delta mode with sap.odata#00.exec-period = -1 would never ask for changes"},
		{"transform-class", e2etest.Instead(good, "transforms=a", "transforms.a.type=org.example.None"), 0,
			"transforms.a.type: no plugin has the transformation org.example.None"},
		{"sink-topic", e2etest.Instead(e2etest.SinkOf("sink", address, "a", "OrderCopies"), "topics=a,b"), 10,
			`topics: expected topics that one of sap.odata#00.topic (a) names, found "b"`},
		{"twice", e2etest.Instead(good, "sap.odata#01.service="+odatatest.NorthwindPath, "sap.odata#01.entityset=Orders",
			"sap.odata#01.topic=x"), len(good) + 2, "sap.odata#01.entityset: "},
	}
	var args []string
	for _, c := range cases {
		args = append(args, p.File(c.name+".properties", append([]string{"name=" + c.name},
			e2etest.Instead(c.lines, "name=")[:len(c.lines)-1]...)...))
	}
	r := p.OnceWith(dir, args...)
	e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
	for _, c := range cases {
		line := c.line
		if line == 0 {
			line = len(c.lines)
		}
		want := fmt.Sprintf("%s:%d: %s", filepath.Join(p.Dir, c.name+".properties"), line, c.want)
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("expected %q, found", want)
			for found := range strings.Lines(r.Stderr) {
				if strings.Contains(found, "/"+c.name+".properties:") {
					t.Log(found)
				}
			}
		}
	}
	if got := s.Ledger().Total; r.Code != 2 || got != 0 {
		t.Errorf("expected exit 2 and no request, found exit %d and %d requests", r.Code, got)
	}
	// The same offline; a setting of a transform that is not known is no error for Kafka Connect, which never looks at
	// it.
	args = append(args, p.File("transform.properties", e2etest.Instead(good, "transforms=a",
		"transforms.a.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.a.static.feild=x", "transforms.a.static.value=1")...))
	r = p.Run(append([]string{"validate", "--plugins", dir}, args...)...)
	e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
	if got := s.Ledger().Total; r.Code != 1 || got != 0 || strings.Count(r.Stdout, ".properties:") < len(cases) ||
		!strings.Contains(r.Stdout, "transforms.a.static.feild: warning: unknown setting; the nearest "+
			"known one is static.field\n") {
		t.Errorf("expected exit 1, a line for each and no request, found exit %d, %d requests\n%s", r.Code, got,
			r.Stdout)
	}
}
