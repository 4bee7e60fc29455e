package paging

import (
	"cmp"
	"strings"
	"testing"
)

// TestOptionsOfALink: if a link repeats an option in another form, the requested form replaces it. If its value
// differs, the link is rejected. Options that it omits or adds are the service's choice.
func TestOptionsOfALink(t *testing.T) {
	const filter = "$filter=Name%20eq%20%27A%2BB%20100%25%27"
	const request = "/s/X?" + filter + "&$orderby=K,L%20desc&$select=K,Name&$expand=Items,To/Other&$format=json"
	for name, test := range map[string]struct{ query, want string }{
		"as requested":       {filter + "&$skiptoken=7", filter + "&$skiptoken=7"},
		"without any":        {"$skiptoken=7", "$skiptoken=7"},
		"plus for 2B":        {"$filter=Name%20eq%20%27A+B%20100%25%27", filter},
		"plus for blanks":    {"$filter=Name+eq+%27A%2BB+100%25%27", filter},
		"decoded":            {"$filter=Name%20eq%20'A+B%20100%'&$skiptoken=7", filter + "&$skiptoken=7"},
		"decoded as a form":  {"$filter=Name%20eq%20'A%20B%20100%25'", filter},
		"encoded twice":      {"$filter=Name%2520eq%2520%2527A%252BB%2520100%2525%2527", filter},
		"its name encoded":   {"%24filter=Name+eq+%27A%2BB+100%25%27", filter},
		"another literal":    {"$filter=Name%20eq%20%27A-B%20100%25%27", ""},
		"in lower case":      {"$filter=name%20eq%20%27a%2Bb%20100%25%27", ""},
		"cut at a character": {"$filter=Name%20eq%20%27A", ""},
		"empty":              {"$filter=", ""},
		"more":               {"$filter=(Name%20eq%20%27A%2BB%20100%25%27)%20and%20K%20gt%207", ""},
		"lists with blanks":  {"$select=K,%20Name&$expand=Items,+To/Other", "$select=K,Name&$expand=Items,To/Other"},
		"encoded lists":      {"$select=K%2CName&$expand=Items%2CTo%2FOther", "$select=K,Name&$expand=Items,To/Other"},
		"fewer properties":   {"$select=K", ""},
		"more properties":    {"$select=K,Name,L", ""},
		"fewer expanded":     {"$expand=Items", ""},
		"another order":      {"$orderby=K,L", ""},
		"swapped order":      {"$orderby=L%20desc,K", ""},
		"descending":         {"$orderby=K%20desc,L%20desc", ""},
		"ascending named":    {"$orderby=K%20asc,%20L%20desc", "$orderby=K,L%20desc"},
		"ascending, as form": {"$orderby=K+asc%2CL+desc", "$orderby=K,L%20desc"},
		"a name with asc":    {"$orderby=Kasc,L%20desc", ""},
		"selected otherwise": {"$select=Name,K", "$select=K,Name"},
		"expanded otherwise": {"$expand=To%2FOther,+Items", "$expand=Items,To/Other"},
		"filtered otherwise": {"$filter=%27A%2BB%20100%25%27%20eq%20Name", ""},
		"both":               {filter + "&$filter=K%20gt%207", ""},
	} {
		found, err := setOf("auto", 0).RestoreOptions("/s/X?"+test.query, request, "")
		if test.want == "" {
			option, _, _ := strings.Cut(test.query, "=")
			if err == nil || !strings.Contains(err.Error(), "expected "+option+"=") {
				t.Errorf("%s: expected an error that names the option, found %s, %v", name, found, err)
			}
		} else if err != nil || found != "/s/X?"+test.want {
			t.Errorf("%s: expected %s, found %s, %v", name, test.want, found, err)
		}
	}

	// A wrong option stays, the others are restored. Options that only a later request had are restored as in that
	// request.
	found, err := setOf("auto", 0).RestoreOptions("/s/X?$select=L&$filter=Name+eq+%27A+B+100%25%27", request)
	if err == nil || found != "/s/X?$select=L&"+filter {
		t.Errorf("found %s, %v", found, err)
	}
	found, err = setOf("auto", 0).RestoreOptions("/s/X?$filter=K+gt+'A+B'&$select=L", "/s/X",
		"/s/X?$filter=K%20gt%20'A%2BB'")
	if err != nil || found != "/s/X?$filter=K%20gt%20'A%2BB'&$select=L" {
		t.Errorf("found %s, %v", found, err)
	}

	// Without a requested option, the link is not changed.
	for _, link := range []string{"/s/X", "/s/X?", "/s/X?$filter=K%20gt%207&$orderby=K&$skiptoken=7"} {
		if found, err := setOf("auto", 0).RestoreOptions(link, "/s/X?$format=json", ""); found != link || err != nil {
			t.Errorf("%s: found %s, %v", link, found, err)
		}
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
		"all are lost":        {"/s/X?$skiptoken=7", "/s/X?$skiptoken=7&" + all},
		"no query":            {"/s/X", "/s/X?" + all},
		"an empty query":      {"/s/X?", "/s/X?" + all},
		"the path is escaped": {"/s/%58?$skip=7", "/s/%58?$skip=7&" + all},
		"a delta link":        {"/s/X?!deltatoken='7'", "/s/X?!deltatoken='7'&" + all},
		"none is lost":        {"/s/X?" + all + "&$skiptoken=7", "/s/X?" + all + "&$skiptoken=7"},
		"names are escaped":   {"/s/X?se%61rch=red+car&my-option='A%26B'&tag=1&flag", ""},
		"another value":       {"/s/X?search=blue&my-option=&tag=3&flag=0", ""},
		"another case": {"/s/X?Search=red%20car&my-option=1&tag=1&flag",
			"/s/X?Search=red%20car&my-option=1&tag=1&flag&search=red%20car"},
		"one is lost": {"/s/X?$skiptoken=7&search=red%20car&tag=1&flag",
			"/s/X?$skiptoken=7&search=red%20car&tag=1&flag&my%2Doption='A%26B'"},
		"the name is in a value": {"/s/X?$skiptoken='search=1'&my-option&tag&flag",
			"/s/X?$skiptoken='search=1'&my-option&tag&flag&search=red%20car"},
		"not a request of the set":  {"/s/Jobs('7')?$format=json", ""},
		"an expanded set":           {"/s/X(1)/Items?$skiptoken=7", ""},
		"an option with $ is fixed": {"/s/X?$select=K,+Name&" + all, "/s/X?$select=K,Name&" + all},
	} {
		want := cmp.Or(test.want, test.link) // "" means that the link is not changed
		found, err := set.RestoreOptions(test.link, set.UnorderedURL(false))
		if err != nil || found != want {
			t.Errorf("%s: expected %s, found %s, %v", name, want, found, err)
		}
		if again, err := set.RestoreOptions(found, set.UnorderedURL(false)); err != nil || again != found {
			t.Errorf("%s: expected no second change of %s, found %s, %v", name, found, again, err)
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
		if err != nil || !strings.Contains(restored, "search=4711") {
			t.Fatalf("%s: expected search=4711, found %s, %v", link, restored, err)
		}
		if found := set.linkHasKey(restored, request, []string{"4711"}); found != want {
			t.Errorf("%s: expected a link with the key: %t, found %t", restored, want, found)
		}
	}
}

// TestOptionsOfTheRequest: a link may repeat the options of the request that returned it instead of the first page's,
// also if that request was a link that followed a page by key.
func TestOptionsOfTheRequest(t *testing.T) {
	set := setOf("auto", 0)
	first := set.First(0)
	for query, wantError := range map[string]bool{"$filter=U+and+K+gt+1000L": false, "$filter=U": false, "": false,
		"$filter=K%20gt%201000L": true, "$filter=U%20and%20K%20gt%207L": true} {
		for _, filter := range []string{"$filter=U%20and%20K%20gt%201000L", ""} {
			for _, strategy := range []pager{{kind: keysWorked}, {kind: linksWorked}, {kind: skipWorked}} {
				set.Filter = func(condition string) string { return strings.ReplaceAll("U"+condition, " ", "%20") }
				pg := NewPage()
				position := *first
				position.url = "/s/X?" + filter + "&$skiptoken=9"
				position.pager = strategy
				pg.Begin(set, &position)
				found, err := pg.newTransition(PageInfo{}).restoreOptions("/s/X?" + query + "&$skiptoken=10")
				if (err != nil) != (wantError || (filter == "" && strings.Contains(query, "1000"))) {
					t.Errorf("%+v, request %s: link %s, found %s, %v", strategy, filter, query, found, err)
				}
			}
		}
	}
}
