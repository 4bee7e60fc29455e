package operate

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Fifty connectors, each with a transform, next to a bound of the plugins' memory that lets in one of them at a time:
// all finish, and each row of each is there once.
func TestFiftyConnectorsTakeTurnsForMemory(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	const connectors, rows, page = 50, 30, 10
	server := httptest.NewServer(odatatest.New(odatatest.Options{Rows: rows, PageSize: page}))
	t.Cleanup(server.Close)
	files := []string{}
	for n := range connectors {
		name := fmt.Sprintf("c%02d", n)
		files = append(files, p.File(name+".properties", append(e2etest.Source(name, strings.TrimPrefix(server.URL, "http://"),
			"Orders"),
			"transforms=note", "transforms.note.type=org.apache.kafka.connect.transforms.InsertField$Value",
			"transforms.note.static.field=Note",
			"transforms.note.static.value="+name)...))
	}
	args := append([]string{"run", "--once", "--set", "plugins.memory.bytes=1", "--plugins", e2etest.Folder(t, "smt"), "--data",
		p.Data}, files...)
	if r := p.StartFor(e2etest.Limit+e2etest.Limit, args...).Wait(); r.Code != 0 || strings.Count(r.Stderr,
		"the memory for plugins is used up") == 0 {
		t.Fatalf("expected exit 0 and a warning of memory, found %d\n%s", r.Code, r.Stderr)
	}
	seen := map[string]int{}
	for _, r := range p.Records("Orders") {
		payload := r["value"].(map[string]any)["payload"].(map[string]any)
		seen[fmt.Sprint(payload["Note"], payload["OrderID"])]++
	}
	if len(seen) != connectors*rows {
		t.Errorf("expected %d rows, found %d", connectors*rows, len(seen))
	}
	for row, times := range seen {
		if times != 1 {
			t.Errorf("expected %s once, found it %d times", row, times)
		}
	}
}
