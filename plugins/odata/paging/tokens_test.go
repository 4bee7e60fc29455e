package paging

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// plainSet is a set without settings, which suffices to read links.
var plainSet = &Set{Dialect: edm.V2}

// A link continues after a key if it contains the parts of the last key and does not count rows.
func TestLinksThatCountRows(t *testing.T) {
	// Links by row number and unreadable links are both not by key.
	const afterKey, byNumber, unknown = true, false, false
	const request = "/s/X?$filter=Country%20eq%20'DE'"
	for _, test := range []struct {
		link     string
		keys     string // of the last row, separated by blanks
		rowsRead int
		isByKey  bool
	}{
		{link: "/s/X?$skip=1000", keys: "7", rowsRead: 1000, isByKey: byNumber},
		{link: "/s/X?$skiptoken=abc&$skip=20", keys: "7", rowsRead: 1000, isByKey: byNumber},
		{link: "/s/X?%24skiptoken=1000", keys: "7", rowsRead: 1000, isByKey: byNumber},
		{link: "/s/X?$skiptoken='1001'", keys: "7", rowsRead: 1000, isByKey: byNumber},
		{link: "/s/X?$skiptoken=1000", keys: "1000", rowsRead: 1000, isByKey: byNumber}, // ambiguous
		{link: "/s/X?$skiptoken=1000", keys: "1000", rowsRead: 999, isByKey: byNumber},
		{link: "/s/X?$skiptoken=1000", keys: "1000", rowsRead: 900, isByKey: afterKey},
		{link: "/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ==",
			keys: "7", rowsRead: 1000, isByKey: byNumber},
		{link: "/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ%3D%3D", keys: "7", rowsRead: 1000,
			isByKey: byNumber},
		{link: "/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ",
			keys: "7", rowsRead: 900, isByKey: unknown},
		{link: "/s/X?$skiptoken=JHJvd3M9NTAwJiRvZmZzZXQ9MTAwMA%3D%3D", keys: "7", rowsRead: 1000, isByKey: byNumber},
		{link: "/s/X?$skiptoken=2",
			keys: "7", rowsRead: 1000, isByKey: unknown}, // the number of a page that was not read yet
		{link: "/s/X?$skiptoken=2", keys: "2", rowsRead: 1000, isByKey: afterKey},
		{link: "/s/X?$skiptoken=9", keys: "7", rowsRead: 1000, isByKey: unknown},
		{link: "/s/X?$skiptoken='ALFKI'", keys: "ALFKI", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X?$skiptoken=alfki", keys: "ALFKI", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X?$skiptoken=ALFKIS", keys: "ALFKI", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$skiptoken=xALFKI", keys: "ALFKI", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$skiptoken='O''Neil%2F1'", keys: "O'Neil/1", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X?$skiptoken='A',20", keys: "A 20", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X?$skiptoken='A',20", keys: "A 25", rowsRead: 100, isByKey: unknown},
		{link: "/s/X?$skiptoken=10248L", keys: "10248", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X?$skiptoken=110248", keys: "10248", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$skiptoken=guid'01234567-89AB-cdef-0123-456789abcdef'",
			keys: "01234567-89ab-cdef-0123-456789abcdef", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X?$filter=K%20gt%20500&$top=10", keys: "500", rowsRead: 10, isByKey: afterKey},
		// a short part of a key is contained in other texts by chance
		{link: "/s/X?$skiptoken=2026-11-07", keys: "07", rowsRead: 1000, isByKey: unknown},
		{link: "/s/X?$skiptoken=a7.3f", keys: "7", rowsRead: 1000, isByKey: unknown},
		{link: "/s/X?$skiptoken=DE-0c7", keys: "DE", rowsRead: 1000, isByKey: unknown},
		{link: "/s/X?$skiptoken=x&$top=10", keys: "10", rowsRead: 1000, isByKey: unknown},
		{link: "/s/X?$skiptoken=x&$inlinecount=all", keys: "all", rowsRead: 1000, isByKey: unknown},
		{link: "/s/X?$skiptoken=K:7,DE", keys: "7 DE", rowsRead: 1000, isByKey: afterKey},
		{link: "/s/X?after='DE'", keys: "DE", rowsRead: 1000, isByKey: afterKey},
		{link: "/s/X?$skiptoken=eyJLIjo3fQ==", keys: "7", rowsRead: 1000, isByKey: afterKey}, // {"K":7}
		// what the request itself contained proves nothing
		{link: "/s/X?$filter=Country%20eq%20'DE'&page=xyz", keys: "DE", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$filter=Country+eq+'DE'&$skiptoken=DE", keys: "DE", rowsRead: 10, isByKey: afterKey},
		{link: "/s/X", keys: "7", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$skiptoken=", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$skiptoken=99999999999999999999999", keys: "7", rowsRead: 10, isByKey: unknown},
		{link: "/s/X?$skiptoken=7" + strings.Repeat(",7", maxLink), keys: "7", rowsRead: 10, isByKey: unknown},
	} {
		isByKey := plainSet.linkHasKey(test.link, request, strings.Fields(test.keys), test.rowsRead)
		assert.True(t, isByKey == test.isByKey, "%.80s after %s, %d rows: expected by key %t, found %t", test.link,
			test.keys, test.rowsRead, test.isByKey, isByKey)
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
		got := plainSet.linkHasKey(link, request, []string{"ALFKI"}, 10)
		assert.True(t, got == isByKey, "%s: expected by key %t, found %t", link, isByKey, got)
	}
}

// A link counts as one after a key only if it contains the key, and the time is linear in its length.
func FuzzLinksThatCountRows(f *testing.F) {
	f.Add("/s/X?$skiptoken='ALFKI'", "ALFKI", 10)
	f.Add("/s/X?$skiptoken=eyJzdGFydFJvdyI6MTAwMCwiZW5kUm93IjoyMDAwfQ==", "7", 1000)
	f.Add("/s/X?a=%zz&$skiptoken=====&'", "'", 0)
	f.Fuzz(func(t *testing.T, link, key string, rowsRead int) {
		isByKey := plainSet.linkHasKey(link, "/s/X", []string{key}, rowsRead)
		if _, query, _ := strings.Cut(link, "?"); isByKey && (key == "" || query == "") {
			t.Errorf("expected %q not to count as a link after the key %q", link, key)
		}
	})
}
