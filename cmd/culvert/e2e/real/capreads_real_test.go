//go:build real

package real

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// testParts reads parts of sets with filters, projections and nested expansions in both formats, and compares them with
// the responses to handwritten requests.
func (s *capService) testParts(t *testing.T) {
	p := e2etest.NewPlace(t)
	lines := s.lines("parts", "ODataSource")
	const none = "none"
	filter := func(number, property, option, low, high string) []string {
		of := "filter#" + number + "."
		filterLines := []string{of + "property=" + property, of + "option=" + option, of + "low=" + low}
		if high != none {
			filterLines = append(filterLines, of+"high="+high)
		}
		return filterLines
	}
	n := 0
	add := func(set, topic string, lists ...[]string) {
		for _, format := range []string{"json", "atom"} {
			more := []string{"id=" + topic + format, "format=" + format}
			for _, list := range lists {
				more = append(more, list...)
			}
			lines = append(lines, setLines(n, capPath, set, topic+"-"+format, more...)...)
			n++
		}
	}
	add("Products", "between", filter("0", "ID", "bt", "1000", "2999"), filter("1", "active", "eq", "true", none),
		[]string{"select=name,price"})
	add("Products", "in", filter("0", "category_code", "in", "'C001',C002", none), []string{"select=stock",
		"paging=top", "page.size=300"})
	add("Products", "dates", filter("0", "released", "ge", "2005-01-01", none), []string{"select=released",
		"date.mapping=date"})
	add("Orders", "nested", []string{"expand=Items/Schedule", "select=number,Items/pos,Items/Schedule/qty"})
	add("Orders", "inner", filter("0", "Items/pos", "gt", "1", none), []string{"expand=Items",
		"select=number,Items/product"})
	p.MustRunOnce(p.File("parts.properties", lines...))
	count := func(set, filter string) int {
		var page struct {
			D struct {
				Count json.Number `json:"__count"`
			}
		}
		if err := json.Unmarshal(s.get(t, capPath+"/"+set+"?$format=json&$top=1&$inlinecount=allpages&$filter="+
			url.PathEscape(filter)), &page); err != nil {
			t.Fatal(err)
		}
		total, _ := page.D.Count.Int64()
		return int(total)
	}
	items, schedules, later := s.countItems(t)
	for _, format := range []string{"-json", "-atom"} {
		for _, c := range []struct {
			topic string
			rows  int
		}{
			{"between", count("Products", "ID ge 1000 and ID le 2999 and active eq true")},
			{"in", count("Products", "category_code eq 'C001' or category_code eq 'C002'")},
			{"dates", count("Products", "released ge datetime'2005-01-01T00:00:00'")},
		} {
			if received := len(p.Records(c.topic + format)); received != c.rows || c.rows == 0 {
				t.Errorf("%s: expected %d rows, found %d", c.topic+format, c.rows, received)
			}
		}
		foundItems := 0
		foundSchedules := 0
		foundLater := 0
		for _, record := range p.Records("nested" + format) {
			for _, item := range payloadOf(t, record, "value")["Items"].([]any) {
				foundItems++
				foundSchedules += len(item.(map[string]any)["Schedule"].([]any))
			}
		}
		for _, record := range p.Records("inner" + format) {
			order := payloadOf(t, record, "value")
			for _, item := range order["Items"].([]any) {
				foundLater++
				if item := item.(map[string]any); len(item) != 2 || item["ID"] == nil {
					t.Errorf("%s: expected key and product, found %v", format, item)
				}
			}
		}
		if foundItems != items || foundSchedules != schedules || foundLater != later || later == 0 {
			t.Errorf("%s: expected %d items with %d schedule lines, %d of them behind the first, found %d with %d, %d",
				format, items, schedules, later, foundItems, foundSchedules, foundLater)
		}
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
	e2etest.NoError(t, json.Unmarshal(s.get(t, capPath+"/Orders?$format=json&$expand=Items/Schedule"), &orders))
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
