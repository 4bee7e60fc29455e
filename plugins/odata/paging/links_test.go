package paging

import (
	"cmp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// TestOptionsOfALink: if a link repeats an option in another form, the requested form replaces it. If its value
// differs, the link is rejected. Options that it omits or adds are the service's choice.
func TestOptionsOfALink(t *testing.T) {
	const filter = "$filter=Name%20eq%20%27A%2BB%20100%25%27"
	const request = "/s/X?" + filter + "&$orderby=K,L%20desc&$select=K,Name&$expand=Items,To/Other&$format=json"
	for name, test := range map[string]struct{ query, want string }{
		"as requested":       {query: filter + "&$skiptoken=7", want: filter + "&$skiptoken=7"},
		"without any":        {query: "$skiptoken=7", want: "$skiptoken=7"},
		"plus for 2B":        {query: "$filter=Name%20eq%20%27A+B%20100%25%27", want: filter},
		"plus for blanks":    {query: "$filter=Name+eq+%27A%2BB+100%25%27", want: filter},
		"decoded":            {query: "$filter=Name%20eq%20'A+B%20100%'&$skiptoken=7", want: filter + "&$skiptoken=7"},
		"decoded as a form":  {query: "$filter=Name%20eq%20'A%20B%20100%25'", want: filter},
		"encoded twice":      {query: "$filter=Name%2520eq%2520%2527A%252BB%2520100%2525%2527", want: filter},
		"its name encoded":   {query: "%24filter=Name+eq+%27A%2BB+100%25%27", want: filter},
		"another literal":    {query: "$filter=Name%20eq%20%27A-B%20100%25%27"},
		"in lower case":      {query: "$filter=name%20eq%20%27a%2Bb%20100%25%27"},
		"cut at a character": {query: "$filter=Name%20eq%20%27A"},
		"empty":              {query: "$filter="},
		"more":               {query: "$filter=(Name%20eq%20%27A%2BB%20100%25%27)%20and%20K%20gt%207"},
		"lists with blanks": {query: "$select=K,%20Name&$expand=Items,+To/Other",
			want: "$select=K,Name&$expand=Items,To/Other"},
		"encoded lists": {query: "$select=K%2CName&$expand=Items%2CTo%2FOther",
			want: "$select=K,Name&$expand=Items,To/Other"},
		"fewer properties":   {query: "$select=K"},
		"more properties":    {query: "$select=K,Name,L"},
		"fewer expanded":     {query: "$expand=Items"},
		"another order":      {query: "$orderby=K,L"},
		"swapped order":      {query: "$orderby=L%20desc,K"},
		"descending":         {query: "$orderby=K%20desc,L%20desc"},
		"ascending named":    {query: "$orderby=K%20asc,%20L%20desc", want: "$orderby=K,L%20desc"},
		"ascending, as form": {query: "$orderby=K+asc%2CL+desc", want: "$orderby=K,L%20desc"},
		"a name with asc":    {query: "$orderby=Kasc,L%20desc"},
		"selected otherwise": {query: "$select=Name,K", want: "$select=K,Name"},
		"expanded otherwise": {query: "$expand=To%2FOther,+Items", want: "$expand=Items,To/Other"},
		"filtered otherwise": {query: "$filter=%27A%2BB%20100%25%27%20eq%20Name"},
		"both":               {query: filter + "&$filter=K%20gt%207"},
	} {
		got, err := setOf("auto", 0).RestoreOptions("/s/X?"+test.query, request, "")
		if test.want == "" {
			option, _, _ := strings.Cut(test.query, "=")
			assert.True(t, err != nil && strings.Contains(err.Error(), "expected "+option+"="),
				"%s: expected an error that names the option, found %s, %v", name, got, err)
		} else if err != nil || got != "/s/X?"+test.want {
			t.Errorf("%s: expected %s, found %s, %v", name, test.want, got, err)
		}
	}

	// A wrong option stays, the others are restored. Options that only a later request had are restored as in that
	// request.
	got, err := setOf("auto", 0).RestoreOptions("/s/X?$select=L&$filter=Name+eq+%27A+B+100%25%27", request)
	want := "/s/X?$select=L&" + filter
	assert.True(t, err != nil && got == want, "expected an error and %s, found %s, %v", want, got, err)
	got, err = setOf("auto", 0).RestoreOptions("/s/X?$filter=K+gt+'A+B'&$select=L", "/s/X",
		"/s/X?$filter=K%20gt%20'A%2BB'")
	want = "/s/X?$filter=K%20gt%20'A%2BB'&$select=L"
	assert.True(t, err == nil && got == want, "expected %s, found %s, %v", want, got, err)

	// Without a requested option, the link is not changed.
	for _, link := range []string{"/s/X", "/s/X?", "/s/X?$filter=K%20gt%207&$orderby=K&$skiptoken=7"} {
		got, err := setOf("auto", 0).RestoreOptions(link, "/s/X?$format=json", "")
		assert.True(t, got == link && err == nil, "%s: expected the unchanged link, found %s, %v", link, got, err)
	}
}

// TestLostOptionsOfALink: an option without $ that a link lacks is appended as it was sent, since only options with $
// may be in the service's token.
func TestLostOptionsOfALink(t *testing.T) {
	set := setOf("auto", 0)
	set.Options = []string{"$select=K,Name", "search=red%20car", "!x=1", "my%2Doption='A%26B'",
		"tag=1", "tag=2", "flag"}
	const all = "search=red%20car&my%2Doption='A%26B'&tag=1&tag=2&flag"
	for name, test := range map[string]struct{ link, want string }{
		"all are lost":        {link: "/s/X?$skiptoken=7", want: "/s/X?$skiptoken=7&" + all},
		"no query":            {link: "/s/X", want: "/s/X?" + all},
		"an empty query":      {link: "/s/X?", want: "/s/X?" + all},
		"the path is escaped": {link: "/s/%58?$skip=7", want: "/s/%58?$skip=7&" + all},
		"a delta link":        {link: "/s/X?!deltatoken='7'", want: "/s/X?!deltatoken='7'&" + all},
		"none is lost":        {link: "/s/X?" + all + "&$skiptoken=7", want: "/s/X?" + all + "&$skiptoken=7"},
		"names are escaped":   {link: "/s/X?se%61rch=red+car&my-option='A%26B'&tag=1&flag"},
		"another value":       {link: "/s/X?search=blue&my-option=&tag=3&flag=0"},
		"another case": {link: "/s/X?Search=red%20car&my-option=1&tag=1&flag",
			want: "/s/X?Search=red%20car&my-option=1&tag=1&flag&search=red%20car"},
		"one is lost": {link: "/s/X?$skiptoken=7&search=red%20car&tag=1&flag",
			want: "/s/X?$skiptoken=7&search=red%20car&tag=1&flag&my%2Doption='A%26B'"},
		"the name is in a value": {link: "/s/X?$skiptoken='search=1'&my-option&tag&flag",
			want: "/s/X?$skiptoken='search=1'&my-option&tag&flag&search=red%20car"},
		"not a request of the set":  {link: "/s/Jobs('7')?$format=json"},
		"an expanded set":           {link: "/s/X(1)/Items?$skiptoken=7"},
		"an option with $ is fixed": {link: "/s/X?$select=K,+Name&" + all, want: "/s/X?$select=K,Name&" + all},
	} {
		want := cmp.Or(test.want, test.link) // "" means that the link is not changed
		got, err := set.RestoreOptions(test.link, set.UnorderedURL(false))
		assert.True(t, err == nil && got == want, "%s: expected %s, found %s, %v", name, want, got, err)
		if restored, err := set.RestoreOptions(got, set.UnorderedURL(false)); err != nil || restored != got {
			t.Errorf("%s: expected no second change of %s, found %s, %v", name, got, restored, err)
		}
	}
}

// TestRestoredOptionsAreNoKey: an option that was restored is one that was sent, so a key in it does not prove that the
// link continues after that key.
func TestRestoredOptionsAreNoKey(t *testing.T) {
	set := setOf("auto", 0)
	set.Options = []string{"search=4711"}
	request := set.UnorderedURL(false)
	for link, want := range map[string]bool{"/s/X?$skiptoken=A": false, "/s/X?$skiptoken=4711": true} {
		restored, err := set.RestoreOptions(link, request)
		require.True(t, err == nil && strings.Contains(restored, "search=4711"),
			"%s: expected search=4711, found %s, %v", link, restored, err)
		got := set.linkHasKey(restored, request, []string{"4711"})
		assert.True(t, got == want, "%s: expected a link with the key: %t, found %t", restored, want, got)
	}
}

// TestOptionsOfTheRequest: a link may repeat the options of the request that returned it instead of the first page's,
// also if that request was a link that followed a page by key.
func TestOptionsOfTheRequest(t *testing.T) {
	set := setOf("auto", 0)
	first := set.First(0)
	for query, isErr := range map[string]bool{
		"$filter=U+and+K+gt+1000L":      false,
		"$filter=U":                     false,
		"":                              false,
		"$filter=K%20gt%201000L":        true,
		"$filter=U%20and%20K%20gt%207L": true,
	} {
		for _, filter := range []string{"$filter=U%20and%20K%20gt%201000L", ""} {
			for _, strategy := range []pager{{kind: byKey}, {kind: byLink}, {kind: bySkip}} {
				set.Filter = func(condition string) string { return strings.ReplaceAll("U"+condition, " ", "%20") }
				pg := NewPage()
				position := *first
				position.url = "/s/X?" + filter + "&$skiptoken=9"
				position.pager = strategy
				pg.Begin(set, &position)
				got, err := pg.newTransition(PageInfo{}).restoreOptions("/s/X?" + query + "&$skiptoken=10")
				wantErr := isErr || (filter == "" && strings.Contains(query, "1000"))
				assert.True(t, (err != nil) == wantErr, "%+v, request %s, link %s: expected an error: %t, found %s, %v",
					strategy, filter, query, wantErr, got, err)
			}
		}
	}
}
