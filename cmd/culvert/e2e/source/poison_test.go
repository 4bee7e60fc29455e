package source

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// trappingPlugin returns a folder with a source that panics on rows with the word Poison.
func trappingPlugin(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	e2etest.WriteFile(t, folder, "odata-source.wasm", guesttest.With(t, "../../../../plugins/odata-source",
		"../../testdata/guests/trapping/trapping.go"))
	return folder
}

// A row that traps the plugin becomes a dead letter, and the other rows are delivered, also if the trap is on a further
// page of an expanded feed.
func TestRowsOnWhichAPluginBreaks(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 200,
		Switches: odatatest.Switches{PageSize: 30, ExpandPageSize: 3}})
	// The first product is on the first page of its category's products, the last one on a further page.
	poisoned := map[string][]string{}
	count := s.Count("Products")
	d := e2etest.Writer{S: s}
	s.Each("Products", func(_ string, fields map[string]string) {
		if id := fields["ProductID"]; id == "1" || id == fmt.Sprint(count) {
			poisoned["Products"] = append(poisoned["Products"], id)
			poisoned["Categories"] = append(poisoned["Categories"], fields["CategoryID"])
		}
	})
	for _, id := range poisoned["Products"] {
		require.True(t, d.Send("MERGE", "Products("+id+")", map[string]any{"ProductName": "Poison"}),
			"product %s was not changed", id)
	}
	c := poisoned["Categories"]
	require.True(t, len(c) == 2 && c[0] != c[1], "expected products of two categories, found %v", poisoned)
	servers := p.StartBroker()
	lines := append(e2etest.Source("poison", address, "Products", "Categories"), "sap.odata.format=json",
		"sap.odata#01.expand=Products", "errors.tolerance=all", "errors.deadletterqueue.topic.name=refused",
		"errors.deadletterqueue.context.headers.enable=true")
	p.MustRun("run", "--once", "--plugins", trappingPlugin(t), p.WritePlainWorker(servers), p.File("poison.properties",
		lines...))
	letters := p.Run("consume", "refused", "--bootstrap-servers", servers).Stdout
	for set, key := range map[string]string{"Products": "ProductID", "Categories": "CategoryID"} {
		received := map[string]int{}
		for line := range strings.Lines(p.Run("consume", set, "--bootstrap-servers", servers).Stdout) {
			var record struct{ Value map[string]json.RawMessage }
			require.NoError(t, json.Unmarshal([]byte(line), &record), "in", line)
			received[string(record.Value[key])]++
		}
		s.Each(set, func(_ string, fields map[string]string) {
			id := fields[key]
			want := 1
			if slices.Contains(poisoned[set], id) {
				want = 0
			}
			assert.True(t, received[id] == want,
				"%s %s: expected it %d times, found it %d times", set, id, want, received[id])
		})
		// A trap in the other feed repeats a page, so a dead letter may arrive twice.
		refused := map[string]bool{}
		for line := range strings.Lines(letters) {
			if strings.Contains(line, `"__connect.errors.topic","value":"`+set+`"`) {
				_, value, _ := strings.Cut(line, `"value":`)
				value, _, _ = strings.Cut(value, `,"headers":`)
				refused[value] = true
			}
		}
		assert.True(t, len(refused) == len(poisoned[set]),
			"%s: expected %d dead letters, found %d in\n%s", set, len(poisoned[set]), len(refused), letters)
	}
	n := strings.Count(letters, `message","value":"the plugin breaks on this row`)
	assert.True(t, n == strings.Count(letters, "\n") && n != 0,
		"expected the reason in each dead letter, found\n%s", letters)
	for _, want := range []string{"panic: a row that holds Poison", "trapping.go:"} {
		assert.True(t, regexp.MustCompile(`exception.stacktrace","value":".*`+want).MatchString(letters),
			"expected a dead letter with %q in its stack, found\n%s", want, letters)
	}
}
