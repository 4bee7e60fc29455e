package paging

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
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
		{name: "$top is ignored: all rows at once", fake: service{page: 1000, links: "none", skips: true},
			paging: "top", top: 10},
		{name: "$top is ignored: pages of the service's own, without links",
			fake: service{page: 25, links: "none", skips: true}, paging: "top", top: 10},
		{name: "$top is ignored, nor is there a count",
			fake: service{page: 1000, links: "none", count: "none", skips: true}, paging: "top", top: 10},
		{name: "$skip is ignored: the same page again", fake: service{page: 10, links: "none", order: "refused"},
			paging: "auto", wantError: "X"},
		{name: "$skip is ignored, nor is there a count",
			fake: service{page: 10, links: "none", count: "none", order: "refused"}, paging: "top", top: 10,
			wantError: "10 rows were read, as many as requested"},
		{name: "the link behind each page leads to it", fake: service{page: 10, links: "skip", count: "none"},
			paging: "links", wantError: "loop"},
		{name: "$inlinecount is larger than the number of rows",
			fake: service{page: 10, links: "token", count: "more", skips: true}, paging: "auto", wantError: "100"},
		{name: "$inlinecount is that of all rows on each page by key",
			fake: service{page: 10, links: "skip", count: "whole", skips: true}, paging: "auto"},
		{name: "$inlinecount is the number of the page's rows",
			fake: service{page: 10, links: "none", count: "page", skips: true}, paging: "top", top: 10},
		{name: "$inlinecount is the number of the page's rows, and $orderby is refused",
			fake: service{page: 10, links: "none", count: "page", order: "refused", skips: true}, paging: "top",
			top: 10},
		{name: "$inlinecount is the number of the page's rows, and only the first page can be requested",
			fake: service{page: 10, links: "none", count: "page", order: "refused", filter: "refused"}, paging: "top",
			top: 10, wantError: "10 rows were read, as many as requested"},
		{name: "$inlinecount is the number of the page's rows, pages are the service's own",
			fake: service{page: 10, links: "none", count: "page", skips: true}, paging: "auto"},
		{name: "the same, and $orderby is refused",
			fake: service{page: 10, links: "none", count: "page", order: "refused", skips: true}, paging: "auto"},
		{name: "the same, and links are to be followed",
			fake:   service{page: 10, links: "none", count: "page", order: "ignores", filter: "ignores", skips: true},
			paging: "links"},
		{name: "the same, in pages of one row", fake: service{page: 1, links: "none", count: "page", skips: true},
			paging: "auto"},
		{name: "as many rows as requested at a time, and no others can be requested",
			fake: service{page: 95, links: "none", order: "refused", filter: "refused", tops: true}, paging: "top",
			top: 95},
		{name: "as many rows as requested at a time",
			fake: service{page: 95, links: "none", tops: true, skips: true}, paging: "top", top: 95},
		{name: "$inlinecount is 0", fake: service{page: 10, links: "none", count: "zero", skips: true}, paging: "top",
			top: 10},
		{name: "$inlinecount is 0, pages are the service's own",
			fake: service{page: 10, links: "none", count: "zero", skips: true}, paging: "auto"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.fake.keys = slices.Clone(rows)
			loaded, err := test.fake.load(t, setOf(test.paging, test.top), nil)
			assert.True(t, (test.wantError != "" || (err == nil && len(loaded.missing) == 0 && loaded.repeated <= 0)) &&
				(test.wantError == "" || (err != nil && strings.Contains(err.Error(), test.wantError))),
				"expected each row once, or the error %q, rows %v are missing, %d were read twice: %v\n%s",
				test.wantError, loaded.missing, loaded.repeated, err, strings.Join(test.fake.requests, "\n"))
			assert.AtMost(t, 110, len(test.fake.requests), "requests")
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
		assert.True(t, err == nil && len(loaded.missing) == 0 && loaded.repeated <= 0,
			"%s: expected each row once, rows %v are missing, %d were read twice: %v", count, loaded.missing,
			loaded.repeated, err)
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

// In a set without keys, equal pages are different rows. If as many rows were read as the service counts at the end,
// the load ends without proof, even if a row is deleted during each attempt.
func TestEqualPagesWithoutKeysAreCounted(t *testing.T) {
	s := &service{keys: upFrom(1, 300), page: 100, links: "token", keyless: true, equal: true, skips: true}
	s.beforeRequest = func(s *service, _ int) {
		switch s.requests[len(s.requests)-1] {
		case "$inlinecount=allpages":
			s.keys = append(s.keys, 301)
		case "$inlinecount=allpages&$skiptoken=200":
			s.remove(301)
		}
	}
	set := setOf("links", 0)
	set.Keys = nil
	set.Ordered = false
	loaded, err := s.load(t, set, nil)
	require.NoError(t, err, strings.Join(s.requests, "\n"))
	assert.Equal(t, Unproven, loaded.end.verdict)
	assert.Equal(t, 300, loaded.end.rowsRead, "rows")
}
