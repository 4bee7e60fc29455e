//go:build real

package real

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// testParts reads parts of sets with filters, projections and nested expansions in both formats, and compares them with
// the responses to handwritten requests.
func (s *capService) testParts(t *testing.T) {
	p := e2etest.NewPlace(t)
	settings := s.settings("parts", "ODataSource")
	filter := func(number, property, option string, bounds ...string) []string {
		prefix := "filter#" + number + "."
		filterSettings := []string{prefix + "property=" + property, prefix + "option=" + option,
			prefix + "low=" + bounds[0]}
		if len(bounds) > 1 {
			filterSettings = append(filterSettings, prefix+"high="+bounds[1])
		}
		return filterSettings
	}
	n := 0
	addSets := func(set, topic string, lists ...[]string) {
		for _, format := range []string{"json", "atom"} {
			more := []string{"id=" + topic + format, "format=" + format}
			for _, list := range lists {
				more = append(more, list...)
			}
			settings = append(settings, setSettings(n, capPath, set, topic+"-"+format, more...)...)
			n++
		}
	}
	addSets("Products", "between", filter("0", "ID", "bt", "1000", "2999"), filter("1", "active", "eq", "true"),
		[]string{"select=name,price"})
	addSets("Products", "in", filter("0", "category_code", "in", "'C001',C002"), []string{"select=stock",
		"paging=top", "page.size=300"})
	addSets("Products", "dates", filter("0", "released", "ge", "2005-01-01"), []string{"select=released",
		"date.mapping=date"})
	addSets("Orders", "nested", []string{"expand=Items/Schedule", "select=number,Items/pos,Items/Schedule/qty"})
	addSets("Orders", "inner", filter("0", "Items/pos", "gt", "1"), []string{"expand=Items",
		"select=number,Items/product"})
	p.MustRunOnce(p.File("parts.properties", settings...))
	count := func(set, filter string) int {
		var response struct {
			D struct {
				Count json.Number `json:"__count"`
			}
		}
		body := s.get(t, capPath+"/"+set+"?$format=json&$top=1&$inlinecount=allpages&$filter="+url.PathEscape(filter))
		require.NoError(t, json.Unmarshal(body, &response))
		total, _ := response.D.Count.Int64()
		return int(total)
	}
	items, schedules, later := s.countItems(t)
	for _, format := range []string{"-json", "-atom"} {
		for topic, filter := range map[string]string{
			"between": "ID ge 1000 and ID le 2999 and active eq true",
			"in":      "category_code eq 'C001' or category_code eq 'C002'",
			"dates":   "released ge datetime'2005-01-01T00:00:00'",
		} {
			want := count("Products", filter)
			got := len(p.Records(topic + format))
			assert.True(t, got == want && want != 0, "%s: expected %d rows, found %d", topic+format, want, got)
		}
		gotItems := 0
		gotSchedules := 0
		gotLater := 0
		for _, record := range p.Records("nested" + format) {
			for _, item := range payload(t, record, "value")["Items"].([]any) {
				gotItems++
				gotSchedules += len(item.(map[string]any)["Schedule"].([]any))
			}
		}
		for _, record := range p.Records("inner" + format) {
			order := payload(t, record, "value")
			for _, item := range order["Items"].([]any) {
				gotLater++
				if item := item.(map[string]any); len(item) != 2 || item["ID"] == nil {
					t.Errorf("%s: expected key and product, found %v", format, item)
				}
			}
		}
		assert.True(t, gotItems == items && gotSchedules == schedules && gotLater == later && later != 0,
			"%s: expected %d items with %d schedule lines, %d of them behind the first, found %d with %d, %d", format,
			items, schedules, later, gotItems, gotSchedules, gotLater)
	}
}

// countItems counts the items of all orders, their schedule lines, and the items after the first positions.
func (s *capService) countItems(t *testing.T) (items, schedules, later int) {
	t.Helper()
	var orders struct {
		D struct {
			Results []struct {
				ID    string
				Items struct {
					Results []struct {
						Pos      int
						Schedule struct{ Results []any }
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(s.get(t, capPath+"/Orders?$format=json&$expand=Items/Schedule"), &orders))
	for _, o := range orders.D.Results {
		for _, i := range o.Items.Results {
			items++
			schedules += len(i.Schedule.Results)
			if i.Pos > 1 {
				later++
			}
		}
	}
	return items, schedules, later
}
