package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
)

// plusName is the name of products whose filter contains a plus sign. rightFilter is that filter as the plugin sends
// it.
const (
	plusName    = "A+B"
	rightFilter = "$filter=ProductName%20eq%20'A%2BB'"
)

// plusProducts returns a service with 50 products of that name. Each of its feeds has links.
func plusProducts(t *testing.T, switches odatatest.Switches) *odatatest.Service {
	switches.Delta = "links"
	s := odatatest.New(odatatest.Options{Rows: 10, Switches: switches})
	for id := range 50 {
		write(t, s, "POST", "Products", product(1000+id, plusName))
	}
	return s
}

// repeatOptions makes the links of a response repeat options of the request, or of the last request that had them. Next
// links do so only if inNext is set.
func repeatOptions(inNext bool, names ...string) func(*wit.Request, *wit.Response) {
	links := regexp.MustCompile(`<link rel="(next|delta)"[^>]*>`)
	sent := map[string]string{}
	return func(q *wit.Request, r *wit.Response) {
		_, query, _ := strings.Cut(q.Target, "?")
		for option := range strings.SplitSeq(query, "&") {
			name, _, _ := strings.Cut(option, "=")
			sent[name] = option
		}
		r.Body = links.ReplaceAllFunc(r.Body, func(link []byte) []byte {
			for _, name := range names {
				if option := sent[name]; option != "" && !strings.Contains(string(link), name) &&
					(inNext || strings.Contains(string(link), `"delta"`)) {
					link = []byte(strings.Replace(string(link), "?", "?"+option+"&amp;", 1))
				}
			}
			return link
		})
	}
}

// withWrongLinks returns an offset whose links contain a plus sign instead of %2B, as another connector may have stored
// them.
func withWrongLinks(t *testing.T, offset []wit.OffsetEntry) (wrong []wit.OffsetEntry) {
	t.Helper()
	links := 0
	for _, f := range offset {
		if f.Value.String != nil && strings.Contains(*f.Value.String, rightFilter) {
			f = wit.StringEntry(f.Name, strings.ReplaceAll(*f.Value.String, "%2B", "+"))
			links++
		}
		wrong = append(wrong, f)
	}
	require.True(t, links != 0, "no link in %v", offset)
	return wrong
}

// TestStoredLinkInAnotherForm: a link that another connector stored as the service wrote it is requested in our form
// from the first request on, and no row is missing, even if settings have changed.
func TestStoredLinkInAnotherForm(t *testing.T) {
	for _, isWrong := range []bool{true, false} {
		for _, columns := range []string{"ProductName,Discontinued", "ProductName", "Discontinued,UnitPrice"} {
			s := plusProducts(t, odatatest.Switches{PageSize: 20})
			settings := append(set("00", "Products"), append(condition("00", "ProductName", "eq", plusName),
				"sap.odata.paging=links", "sap.odata.count=none")...)
			load := newLoad(t, s, append(settings, "sap.odata#00.select=ProductName,Discontinued")...)
			offset, err := load.readPages(0, nil, 1)
			require.NoError(t, err)
			if isWrong {
				offset = withWrongLinks(t, offset)
			}
			require.NoError(t, load.open(append(settings, "sap.odata#00.query.change=keep", "sap.odata#00.select="+columns)...))
			earlier := len(load.targets)
			_, err = load.run(0, offset)
			require.NoError(t, err)
			requests := strings.Join(load.targets[earlier:], "\n")
			assert.True(t, len(load.rows) == 50 && !strings.Contains(requests, "A+B"),
				"%s: found %d rows with the requests\n%s", columns, len(load.rows), requests)
		}
	}
}

// TestStoredDeltaLinkInAnotherForm: as TestStoredLinkInAnotherForm, for each phase of delta mode, also if settings
// rewrite the link or differ from the settings of the load (query.change = keep).
func TestStoredDeltaLinkInAnotherForm(t *testing.T) {
	const regex, replacement = "sap.odata#00.delta.link.regex=", "sap.odata#00.delta.link.replacement="
	for name, changed := range map[string][]string{
		"as they were":      nil,
		"rewritten":         {regex + "(deltatoken)=", replacement + "$1="},
		"not matched":       {regex + "otherwise", replacement + "x"},
		"matched as stored": {regex + `A\+B`, replacement + "A%2BB"},
		"of other columns": {"sap.odata#00.query.change=keep",
			"sap.odata#00.select=ProductID,ProductName,Discontinued,UnitPrice"},
	} {
		for _, phase := range []string{"loading", "resting", "changing", "second", "snapshot"} {
			t.Run(name+" "+phase, func(t *testing.T) { checkStoredDeltaLink(t, phase, changed) })
		}
	}
}

// checkStoredDeltaLink stores a link in another form in a phase, changes settings, and continues.
func checkStoredDeltaLink(t *testing.T, phase string, changes []string) {
	f := followPlusProducts(t, phase)
	f.stored = withWrongLinks(t, f.stored)
	f.settings = append(f.settings[:len(f.settings):len(f.settings)], changes...)
	f.start()
	requestCount := len(f.targets)
	reason := start
	if phase == "snapshot" {
		reason = wit.PollReason{Snapshot: wit.Ptr("4711")}
	}
	for range 2 {
		require.NoError(t, f.catchUp(reason))
		reason = poll
	}
	f.change(t, 5)
	require.NoError(t, f.catchUp(poll))
	requests := f.targets[requestCount:]
	for _, target := range requests {
		assert.True(t, !strings.Contains(target, "A+B"), "unexpected request %s", target)
	}
	discontinued := 0
	for _, row := range f.state {
		if fmt.Sprint(row["Discontinued"]) == "true" {
			discontinued++
		}
	}
	assert.True(t, len(f.state) == 50 && discontinued == f.changed,
		"expected 50 rows and %d changes, found %d and %d with the requests\n%s", f.changed, len(f.state), discontinued,
		strings.Join(requests, "\n"))
}

// plusFollower follows the products of plusProducts, of which it has changed some.
type plusFollower struct {
	*follower
	service *odatatest.Service
	changed int
}

// followPlusProducts returns a follower that has reached a phase.
func followPlusProducts(t *testing.T, phase string) *plusFollower {
	t.Helper()
	switches := odatatest.Switches{PageSize: 20}
	settings := append(condition("00", "ProductName", "eq", plusName),
		"sap.odata#00.select=ProductID,ProductName,Discontinued")
	if phase == "second" {
		switches.SkipToken = "opaque"
		settings = append(settings, "sap.odata.paging=links")
	}
	service := plusProducts(t, switches)
	f := &plusFollower{follower: newFollower(t, service, deltaSet("Products", settings...)...), service: service}
	f.onResponse = repeatOptions(true, "$filter", "$select")
	switch phase {
	case "loading":
		f.readPage(t, start)
	case "second":
		for stringOf(f.stored, "phase") != "second" ||
			!strings.Contains(stringOf(f.stored, "second.url"), "skiptoken") {
			f.readPage(t, start)
		}
	default:
		require.NoError(t, f.catchUp(start))
		f.change(t, 45)
		if phase == "changing" {
			f.readPage(t, poll)
		}
	}
	return f
}

func (f *plusFollower) readPage(t *testing.T, reason wit.PollReason) {
	t.Helper()
	step, err := f.p.Next(f.opened.Context, 0, f.stored, reason, f.now)
	require.NoError(t, err)
	_, err = f.page(step.Fetch)
	require.NoError(t, err)
}

// change changes the next n products.
func (f *plusFollower) change(t *testing.T, n int) {
	t.Helper()
	for range n {
		write(t, f.service, "MERGE", fmt.Sprintf("Products(%d)", 1000+f.changed), map[string]any{"Discontinued": true})
		f.changed++
	}
}

// TestDeltaLinkRepeatsItsRequest: a delta link may repeat the options of the request that returned it, even if they
// differ from the settings: because settings changed and the offset is kept, or because the stored link is rewritten.
// Each change is read once.
func TestDeltaLinkRepeatsItsRequest(t *testing.T) {
	const earlierColumns, columns = "ProductID,ProductName,Discontinued", "ProductID,ProductName,Discontinued,UnitPrice"
	keep := []string{"sap.odata#00.query.change=keep", "sap.odata#00.select=" + columns}
	rewritten := []string{"sap.odata#00.delta.link.regex=select=[^&]*", "sap.odata#00.delta.link.replacement=select=" +
		columns}
	for name, test := range map[string]struct {
		inNext   bool
		changed  []string
		selected string
	}{
		"kept":                      {inNext: true, changed: keep, selected: earlierColumns},
		"kept, delta links alone":   {changed: keep, selected: earlierColumns},
		"rewritten":                 {inNext: true, changed: rewritten, selected: columns},
		"rewritten, in delta links": {changed: rewritten, selected: columns},
	} {
		for _, size := range []int{20, 1000} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				service := plusProducts(t, odatatest.Switches{PageSize: size})
				settings := append(condition("00", "ProductName", "eq", plusName),
					"sap.odata#00.select="+earlierColumns)
				follower := newFollower(t, service, deltaSet("Products", settings...)...)
				follower.onResponse = repeatOptions(test.inNext, "$filter", "$select")
				require.NoError(t, follower.catchUp(start))
				follower.settings = append(follower.settings, test.changed...)
				for round := range 3 {
					for id := range 45 {
						write(t, service, "MERGE", fmt.Sprintf("Products(%d)", 1000+id),
							map[string]any{"UnitPrice": fmt.Sprint(round)})
					}
					earlier := len(follower.log)
					requests := len(follower.targets)
					follower.start()
					require.NoError(t, follower.catchUp(start))
					require.NoError(t, follower.catchUp(poll))
					n := len(follower.log) - earlier
					assert.True(t, n == 45, "round %d: expected each of 45 changes once, found %d rows", round, n)
					isDelta := func(target string) bool { return strings.Contains(target, "deltatoken") }
					first := follower.targets[requests+slices.IndexFunc(follower.targets[requests:], isDelta)]
					_, query, _ := strings.Cut(first, "?")
					options, err := url.ParseQuery(query)
					assert.True(t, err == nil && options.Get("$select") == test.selected,
						"round %d: expected $select=%s in %s", round, test.selected, first)
				}
			})
		}
	}
}

// TestPreparedResponseWithWrongFilter: the URL at which a service prepares a response (202) is requested with our
// filter if only its form differs, and rejected if it is another filter.
func TestPreparedResponseWithWrongFilter(t *testing.T) {
	for plus, message := range map[string]string{"+": "", "%20": "", "-": "expected $filter="} {
		s := plusProducts(t, odatatest.Switches{})
		follower := newFollower(t, s, deltaSet("Products", condition("00", "ProductName", "eq", plusName)...)...)
		requests := len(follower.targets)
		prepared := false
		follower.onResponse = func(q *wit.Request, r *wit.Response) {
			if !prepared {
				prepared = true
				r.Status = 202
				r.Body = nil
				location := strings.ReplaceAll(q.Target, "%2B", plus)
				r.Headers = append(r.Headers, wit.Header{Name: "location", Value: location})
			}
		}
		err := follower.catchUp(start)
		if !errorContains(err, message) || (message == "" && (len(follower.state) != 50 ||
			!strings.Contains(follower.targets[requests+1], rightFilter))) {
			t.Errorf("%s: found %d rows, %v, with the requests %v", plus, len(follower.state), err,
				follower.targets[requests:])
		}
	}
}

// TestLinksWithoutSearch: the service's next links and delta links leave out search, which the service then does not
// apply. Each request contains it, so exactly the rows that were searched for are read, of the load and of the changes.
func TestLinksWithoutSearch(t *testing.T) {
	const rows, pageSize = 25_000, 500
	metadata := metadataOf("K", `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`)
	// The search selects odd keys. The changes are the first page again.
	handler := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		options := r.URL.Query()
		last, _ := strconv.Atoi(options.Get("$skiptoken"))
		var page []string
		for key := last + 1; len(page) < pageSize && key < 2*rows; key++ {
			if key%2 == 0 && options.Get("search") == "odd" {
				continue
			}
			page = append(page, fmt.Sprintf(`{"K":%d}`, key))
			last = key
		}
		link := fmt.Sprintf(`"__next":"X?$skiptoken=%d"`, last)
		if last >= 2*rows-1 || options.Has("!deltatoken") {
			link = `"__delta":"X?!deltatoken=1"`
		}
		w.Header().Set("Preference-Applied", "odata.track-changes")
		fmt.Fprintf(w, `{"d":{"results":[%s],%s}}`, strings.Join(page, ","), link)
	})
	const search = "sap.odata#00.query=search=odd"
	check := func(mode string, targets []string, keys int) {
		t.Helper()
		assert.Equal(t, rows, keys, mode, "rows")
		for _, target := range targets {
			if strings.Contains(target, "/X?") && strings.Count(target, "search=odd") != 1 {
				t.Errorf("%s: expected search=odd once in %s", mode, target)
				return
			}
		}
	}
	for _, paging := range []string{"links", "auto"} {
		load := loadSet(t, handler, setOf("/s", "X", search, "sap.odata.paging="+paging, "sap.odata.count=none")...)
		check(paging, load.targets, len(load.rows))
	}
	follower := newFollower(t, handler, deltaSetOf("/s", "X", search, "sap.odata#00.format=json")...)
	require.NoError(t, follower.catchUp(start))
	require.NoError(t, follower.catchUp(poll))
	check("delta", follower.targets, len(follower.state))
}
