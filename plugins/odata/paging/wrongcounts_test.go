package paging

import (
	"slices"
	"strings"
	"testing"
)

// TestServicesThatPretendToSort: for services that accept an option but ignore it, the load is complete with each row
// once, or it fails. It never ends early.
func TestServicesThatPretendToSort(t *testing.T) {
	rows := upFrom(1, 95)
	for _, test := range []struct {
		name   string
		fake   service
		paging string
		top    int
		// wantError is contained in the error. "" means that all rows arrive.
		wantError string
	}{
		{"$top is not heeded: all rows at once", service{page: 1000, links: "none", skips: true}, "top", 10, ""},
		{"$top is not heeded: pages of the service's own, without links",
			service{page: 25, links: "none", skips: true}, "top", 10, ""},
		{"$top is not heeded, nor is there a count",
			service{page: 1000, links: "none", count: "none", skips: true}, "top", 10, ""},
		{"$skip is not heeded: the same page again",
			service{page: 10, links: "none", order: "refused"}, "auto", 0, "X"},
		{"$skip is not heeded, nor is there a count",
			service{page: 10, links: "none", count: "none", order: "refused"},
			"top", 10, "10 rows were read, as many as requested"},
		{"the link behind each page leads to it", service{page: 10, links: "skip", count: "none"}, "links", 0, "loop"},
		{"$inlinecount says more than there is",
			service{page: 10, links: "token", count: "more", skips: true}, "auto", 0, "100"},
		{"$inlinecount is that of all rows on each page by key",
			service{page: 10, links: "skip", count: "whole", skips: true}, "auto", 0, ""},
		{"$inlinecount is the number of the page's rows",
			service{page: 10, links: "none", count: "page", skips: true}, "top", 10, ""},
		{"$inlinecount is the number of the page's rows, and $orderby is refused",
			service{page: 10, links: "none", count: "page", order: "refused", skips: true}, "top", 10, ""},
		{"$inlinecount is the number of the page's rows, and only the first one can be had",
			service{page: 10, links: "none", count: "page", order: "refused", filter: "refused"},
			"top", 10, "10 rows were read, as many as requested"},
		{"$inlinecount is the number of the page's rows, pages are the service's own",
			service{page: 10, links: "none", count: "page", skips: true}, "auto", 0, ""},
		{"the same, and $orderby is refused",
			service{page: 10, links: "none", count: "page", order: "refused", skips: true}, "auto", 0, ""},
		{"the same, and links are to be followed",
			service{page: 10, links: "none", count: "page", order: "ignores", filter: "ignores", skips: true},
			"links", 0, ""},
		{"the same, in pages of one row", service{page: 1, links: "none", count: "page", skips: true}, "auto", 0, ""},
		{"as many rows as are asked for at a time, and they can't be had otherwise",
			service{page: 95, links: "none", order: "refused", filter: "refused", tops: true},
			"top", 95, ""},
		{"as many rows as are asked for at a time",
			service{page: 95, links: "none", tops: true, skips: true}, "top", 95, ""},
		{"$inlinecount is 0", service{page: 10, links: "none", count: "zero", skips: true}, "top", 10, ""},
		{"$inlinecount is 0, pages are the service's own",
			service{page: 10, links: "none", count: "zero", skips: true}, "auto", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.fake.keys = slices.Clone(rows)
			loaded, err := test.fake.load(t, setOf(test.paging, test.top), nil)
			if (test.wantError == "" && (err != nil || len(loaded.missing) > 0 || loaded.repeated > 0)) ||
				(test.wantError != "" && (err == nil || !strings.Contains(err.Error(), test.wantError))) {
				t.Errorf("rows %v are missing, %d were read twice: %v\n%s", loaded.missing, loaded.repeated, err,
					strings.Join(test.fake.requests, "\n"))
			}
			if len(test.fake.requests) > 110 {
				t.Errorf("unexpected number of requests %d", len(test.fake.requests))
			}
		})
	}
}

// TestNextLinkWinsOverSmallCount: next links are followed to the last one, even if a page's count, or a count of 0,
// excludes further rows.
func TestNextLinkWinsOverSmallCount(t *testing.T) {
	for _, count := range []string{"page", "zero"} {
		s := &service{keys: upFrom(1, 10_600), page: 100, links: "token", order: "ignores", filter: "ignores",
			count: count, skips: true}
		loaded, err := s.load(t, setOf("links", 0), nil)
		if err != nil || len(loaded.missing) > 0 || loaded.repeated > 0 {
			t.Errorf("%s: rows %v are missing, %d were read twice: %v", count, loaded.missing, loaded.repeated, err)
		}
	}
}

// upFrom returns n ascending numbers.
func upFrom(first, n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = first + i
	}
	return keys
}
