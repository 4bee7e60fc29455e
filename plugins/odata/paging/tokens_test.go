package paging

import (
	"strings"
	"testing"
)

// v2 is a set without settings, which suffices to read links.
var v2 = &Set{}

func TestLinksThatCountRows(t *testing.T) {
	// Links by row number and unreadable links are both not by key.
	const afterKey, byNumber, unknown = true, false, false
	const request = "/s/X?$filter=Country%20eq%20'DE'"
	for _, test := range []struct {
		link string
		keys string
		seen int
		want bool
	}{
		{"/s/X?$skip=1000", "7", 1000, byNumber},
		{"/s/X?$skiptoken=abc&$skip=20", "7", 1000, byNumber},
		{"/s/X?%24skiptoken=1000", "7", 1000, byNumber},
		{"/s/X?$skiptoken='1001'", "7", 1000, byNumber},
		{"/s/X?$skiptoken=1000", "1000", 1000, byNumber}, // ambiguous
		{"/s/X?$skiptoken=1000", "1000", 999, byNumber},
		{"/s/X?$skiptoken=1000", "1000", 900, afterKey},
		{"/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ==", "7", 1000, byNumber},
		{"/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ%3D%3D", "7", 1000, byNumber},
		{"/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ", "7", 900, unknown},
		{"/s/X?$skiptoken=JHJvd3M9NTAwJiRvZmZzZXQ9MTAwMA%3D%3D", "7", 1000, byNumber},
		{"/s/X?$skiptoken=2", "7", 1000, unknown}, // the number of a page that was not read yet
		{"/s/X?$skiptoken=2", "2", 1000, afterKey}, {"/s/X?$skiptoken=9", "7", 1000, unknown},
		{"/s/X?$skiptoken='ALFKI'", "ALFKI", 10, afterKey}, {"/s/X?$skiptoken=alfki", "ALFKI", 10, afterKey},
		{"/s/X?$skiptoken=ALFKIS", "ALFKI", 10, unknown},
		{"/s/X?$skiptoken=xALFKI", "ALFKI", 10, unknown},
		{"/s/X?$skiptoken='O''Neil%2F1'", "O'Neil/1", 10, afterKey},
		{"/s/X?$skiptoken='A',20", "A 20", 10, afterKey}, {"/s/X?$skiptoken='A',20", "A 25", 100, unknown},
		{"/s/X?$skiptoken=10248L", "10248", 10, afterKey}, {"/s/X?$skiptoken=110248", "10248", 10, unknown},
		{"/s/X?$skiptoken=guid'01234567-89AB-cdef-0123-456789abcdef'", "01234567-89ab-cdef-0123-456789abcdef", 10,
			afterKey},
		{"/s/X?$filter=K%20gt%20500&$top=10", "500", 10, afterKey},
		// a short part of a key is contained in other texts by chance
		{"/s/X?$skiptoken=2026-11-07", "07", 1000, unknown}, {"/s/X?$skiptoken=a7.3f", "7", 1000, unknown},
		{"/s/X?$skiptoken=DE-0c7", "DE", 1000, unknown}, {"/s/X?$skiptoken=x&$top=10", "10", 1000, unknown},
		{"/s/X?$skiptoken=x&$inlinecount=all", "all", 1000, unknown},
		{"/s/X?$skiptoken=K:7,DE", "7 DE", 1000, afterKey}, {"/s/X?after='DE'", "DE", 1000, afterKey},
		{"/s/X?$skiptoken=eyJLIjo3fQ==", "7", 1000, afterKey}, // {"K":7}
		// what the request itself contained proves nothing
		{"/s/X?$filter=Country%20eq%20'DE'&page=xyz", "DE", 10, unknown},
		{"/s/X?$filter=Country+eq+'DE'&$skiptoken=DE", "DE", 10, afterKey},
		{"/s/X", "7", 10, unknown}, {"/s/X?$skiptoken=", "", 10, unknown},
		{"/s/X?$skiptoken=99999999999999999999999", "7", 10, unknown},
		{"/s/X?$skiptoken=7" + strings.Repeat(",7", maxLink), "7", 10, unknown},
	} {
		if found := v2.linkHasKey(test.link, request, strings.Fields(test.keys), test.seen); found != test.want {
			t.Errorf("%.80s after %s, %d rows: expected by key %v, found %v", test.link, test.keys, test.seen,
				test.want, found)
		}
	}
}

// A link that drops the requested order does not continue after a key: in another order other rows follow the key.
func TestLinksThatLoseTheOrder(t *testing.T) {
	const request = "/s/X?$orderby=K&$filter=K%20ne%20'DE'"
	for link, isByKey := range map[string]bool{
		"/s/X?$filter=K%20ne%20'DE'&$orderby=K&$skiptoken='ALFKI'":       true,
		"/s/X?%24filter=K+ne+'DE'&%24orderby=K%20asc&$skiptoken='ALFKI'": true,
		"/s/X?$orderby=K&$skiptoken='ALFKI'":                             true,
		"/s/X?$filter=K%20ne%20'DE'&$skiptoken='ALFKI'":                  false,
	} {
		if found := v2.linkHasKey(link, request, []string{"ALFKI"}, 10); found != isByKey {
			t.Errorf("%s: expected by key %v, found %v", link, isByKey, found)
		}
	}
}

// A link counts as one after a key only if it contains the key, and the time is linear in its length.
func FuzzLinksThatCountRows(f *testing.F) {
	f.Add("/s/X?$skiptoken='ALFKI'", "ALFKI", 10)
	f.Add("/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ==", "7", 1000)
	f.Add("/s/X?a=%zz&$skiptoken=====&'", "'", 0)
	f.Fuzz(func(t *testing.T, link, key string, seen int) {
		byKey := v2.linkHasKey(link, "/s/X", []string{key}, seen)
		if _, query, _ := strings.Cut(link, "?"); byKey && (key == "" || query == "") {
			t.Errorf("expected %q not to count as a link after the key %q", link, key)
		}
	})
}
