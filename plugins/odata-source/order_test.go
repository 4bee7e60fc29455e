package main

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// stubborn is a service that takes $orderby and $filter and doesn't heed them, as some do. Its links count rows.
type stubborn struct {
	keys  []int
	page  int
	heeds bool // heeds the filter K gt n
	// noLinks: it gives no links; countsPage: it counts the rows of the page.
	noLinks, countsPage bool
	requests            []string
}

var stubbornMetadata = metadataOf("K", `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`)

func (s *stubborn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Write([]byte(stubbornMetadata))
		return
	}
	s.requests = append(s.requests, r.URL.RawQuery)
	q := r.URL.Query()
	keys := s.keys
	if filter, ok := strings.CutPrefix(q.Get("$filter"), "K gt "); ok && s.heeds {
		least, _ := strconv.Atoi(filter)
		keys = slices.DeleteFunc(slices.Clone(keys), func(k int) bool { return k <= least })
	}
	count := len(keys)
	start, _ := strconv.Atoi(q.Get("$skiptoken") + q.Get("$skip"))
	keys = keys[min(start, len(keys)):]
	page := keys[:min(s.page, len(keys))]
	if s.countsPage {
		count = len(page)
	}
	body := `{"d":{"__count":"` + strconv.Itoa(count) + `","results":[`
	for i, k := range page {
		body += strings.Repeat(",", min(i, 1)) + `{"K":` + strconv.Itoa(k) + `}`
	}
	body += "]"
	if len(keys) > len(page) && !s.noLinks {
		body += `,"__next":"X?$skiptoken=` + strconv.Itoa(start+len(page)) + `"`
	}
	w.Write([]byte(body + "}}"))
}

func upFrom(first, n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = first + i
	}
	return keys
}

// TestServicesThatDoNotHeed: what a service says it does and doesn't costs no row and repeats none.
func TestServicesThatDoNotHeed(t *testing.T) {
	var up, mixed []int
	for i := range 45 {
		up = append(up, i*3)
		mixed = append(mixed, i*7%45)
	}
	for _, c := range []struct {
		name     string
		service  stubborn
		settings string
		// keyed: the second page is asked for by key.
		keyed bool
	}{
		{"heeds all", stubborn{keys: up, page: 10, heeds: true}, "sap.odata.paging=auto", true},
		{"no order", stubborn{keys: mixed, page: 10, heeds: true}, "sap.odata.paging=auto", false},
		{"no order, though asked for keys", stubborn{keys: mixed, page: 10, heeds: true}, "sap.odata.paging=keys", false},
		{"no filter", stubborn{keys: up, page: 10}, "sap.odata.paging=auto", true},
		{"no filter, no links", stubborn{keys: up, page: 10, noLinks: true}, "sap.odata.paging=auto", true},
		{"no order, no links", stubborn{keys: mixed, page: 10, heeds: true, noLinks: true}, "sap.odata.paging=auto", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := whole(t, &c.service, append(set("00", "X"), c.settings)...)
			var expected []string
			for _, k := range c.service.keys {
				expected = append(expected, "["+strconv.Itoa(k)+"]")
			}
			slices.Sort(expected)
			slices.Sort(l.rows)
			if !slices.Equal(expected, l.rows) {
				t.Errorf("expected %d rows, each once, found %d: %v", len(expected), len(l.rows), l.rows)
			}
			if keyed := strings.HasPrefix(c.service.requests[1], "$filter"); keyed != c.keyed {
				t.Errorf("second page: %s", c.service.requests[1])
			}
			if len(c.service.requests) > 7 {
				t.Errorf("%d requests: %v", len(c.service.requests), c.service.requests)
			}
		})
	}
}
