package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A worker whose memory limit is 512 MiB stays below it while several sources read large rows in large pages.
func TestSourceStaysWithinItsMemory(t *testing.T) {
	for name, c := range map[string]struct {
		size     int
		rows     int
		onlySoak bool // only with CULVERT_SOAK=1
	}{
		"100 KB": {size: 100_000, rows: 1000, onlySoak: true},
		"900 KB": {size: 900_000, rows: 150},
	} {
		if c.onlySoak && !e2etest.IsSoak() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			const connectors = 3
			p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
			p.Environ = append(p.Environ, "GOMEMLIMIT=512MiB", "GOGC=")
			writer := e2etest.Writer{S: s}
			content := strings.Repeat("0123456789abcdef", c.size/16)
			for i := range c.rows {
				row := map[string]any{"CategoryID": 1000 + i, "CategoryName": "a", "Description": content}
				require.True(t, writer.Send("POST", "Categories", row), "expected row %d to be written", i)
			}
			broker := e2etest.StartEmbeddedBroker(t).Addr()
			w := p.StartWorker("folder", "bootstrap.servers="+broker, "key.converter.schemas.enable=false",
				"value.converter.schemas.enable=false")
			for i := range connectors {
				name := fmt.Sprint("texts-", i)
				w.ReplaceFile("folder/"+name+".properties",
					e2etest.WithSettings(e2etest.Source(name, address, "Categories"),
						"sap.odata#00.service="+odatatest.SAPPath, "sap.odata#00.topic="+name)...)
			}
			w.Eventually("all rows", func() bool {
				for i := range connectors {
					if w.Rows(fmt.Sprint("texts-", i)) < c.rows {
						return false
					}
				}
				return true
			})
			w.CheckPeakMemory(512 << 20)
		})
	}
}
