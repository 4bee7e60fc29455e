package sink

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// If a worker was killed between a request and its response, the next one looks up which rows arrived, and writes none
// twice.
func TestKilledSinkLooksWhatArrived(t *testing.T) {
	t.Parallel()
	v4 := strings.NewReplacer("connector.class=ODataSink", "connector.class=OData4Sink", "service="+odatatest.SAPPath,
		"service="+odatatest.SAP4Path)
	for name, change := range map[string]func(settings []string) []string{
		"v2": func(settings []string) []string { return settings },
		"v4": func(settings []string) []string { return replaceIn(settings, v4) },
		"v4 in JSON": func(settings []string) []string {
			return append(replaceIn(settings, v4), "sap.odata.batch.format=json")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			s := odatatest.New(odatatest.Options{Rows: uncertainRows})
			address, isHeld, _ := holdFirst(t, s, isPost)
			args := []string{p.File("there.properties", e2etest.Source("there", address, "Orders")...),
				p.File("back.properties", append(change(e2etest.Sink("back", address, "Orders", "OrderCopies")),
					"sap.odata.insert.uncertain=check")...)}
			c := p.StartOnce(e2etest.Plugins(t, "odata-sink"), args...)
			c.Eventually("a request", isHeld)
			c.Kill()
			p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), args...)
			e2etest.CheckNoneTwice(t, s.Ledger())
			e2etest.CheckCopies(t, s)
		})
	}
}

// replaceIn returns the lines with replacements.
func replaceIn(lines []string, replacements *strings.Replacer) []string {
	replaced := make([]string, len(lines))
	for i, line := range lines {
		replaced[i] = replacements.Replace(line)
	}
	return replaced
}
