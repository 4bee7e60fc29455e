package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// inlineLines is the number of expanded rows in front of a nested link.
const inlineLines = 20

// nestedPages returns pages of a size, up to a count of rows with the inline ones.
func nestedPages(size, count int, typeName string) func(format string, number int) (rows []string, more bool) {
	return func(format string, number int) ([]string, bool) {
		rows := nestedRows(format, 100+inlineLines+number*size, size, typeName)
		return rows, inlineLines+(number+1)*size < count
	}
}

// nestedLinkCase is a row with a next link inside.
type nestedLinkCase struct {
	name string
	link string // up to the token
	// page returns the rows of a nested page by its number from zero, and whether another page follows.
	page func(format string, number int) (rows []string, more bool)
	// lines is the number of expanded rows, if the row is read.
	lines int
	fails string // part of the error. "" means that the row is read.
}

func checkNestedLinks(t *testing.T, links []nestedLinkCase) {
	t.Helper()
	for _, test := range links {
		for _, format := range []string{"json", "atom"} {
			t.Run(test.name+" "+format, func(t *testing.T) {
				test.check(t, test.service(format), sourceconfig.V2, "sap.odata#00.format="+format)
			})
		}
		t.Run(test.name+" v4", func(t *testing.T) {
			test.check(t, documentsAsV4(t, childMetadata4, test.service("json")), sourceconfig.V4)
		})
	}
}

func (c *nestedLinkCase) check(t *testing.T, service http.Handler, class *sourceconfig.Component, settings ...string) {
	l := newUnopened(t, service)
	l.class = class
	settings = append(settings, "sap.odata#00.expand=L", "sap.odata.count=none")
	require.NoError(t, l.open(setOf("/s", "X", settings...)...))
	_, err := l.readPages(0, nil, 1)
	require.ErrorOrNone(t, err, c.fails)
	if c.fails != "" {
		assert.Equal(t, 0, len(l.values), "row")
		return
	}
	assert.True(t, len(l.values) == 2 && strings.Count(l.values[0], "[")-2 == c.lines,
		"expected two rows, the first with %d lines, found %d with %d", c.lines, len(l.values),
		strings.Count(l.values[0], "[")-2)
}

// service returns a service of two rows. The first has the link.
func (c *nestedLinkCase) service(format string) http.Handler {
	document := func(rows []string, next string) string {
		body := children(format, rows, next)
		if format == "json" {
			body = `{"d":` + body + `}`
		}
		return body
	}
	return withMetadata(childMetadata, func(w http.ResponseWriter, r *http.Request) {
		token, err := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
		if err != nil {
			// Keys may occur twice in an expanded feed that has no next link.
			twice := children(format, []string{child(format, 7, "", children(format, nil, "")),
				child(format, 7, "", children(format, nil, ""))}, "")
			inner := children(format, nestedRows(format, 100, inlineLines, "N.T"), c.link+"0")
			outer := []string{child(format, 1, "N.T", inner), child(format, 2, "N.T", twice)}
			fmt.Fprint(w, document(outer, ""))
			return
		}
		next := ""
		rows, more := c.page(format, token)
		if more {
			next = c.link + strconv.Itoa(token+1)
		}
		fmt.Fprint(w, document(rows, next))
	})
}

// The rows behind a next link inside a row become part of the row if they can belong to it.
func TestNestedLinksAreFollowed(t *testing.T) {
	checkNestedLinks(t, []nestedLinkCase{
		{name: "in pages", link: "X(1)/L?$skiptoken=", page: nestedPages(500, 25_020, "N.T"), lines: 25_020},
		{name: "without types", link: "X(1)/L?$skiptoken=", page: nestedPages(25, 45, ""), lines: 45},
		{name: "of a set with a filter", link: "Children?$filter=Of%20eq%201&$skiptoken=",
			page: nestedPages(25, 45, "N.T"), lines: 45},
		{name: "of a derived type", link: "X(1)/L?$skiptoken=", page: nestedPages(25, 45, "N.D"), lines: 45},
		{name: "with an alias for a name", link: "X(1)/L?$skiptoken=", page: nestedPages(25, 45, "Self.T"), lines: 45},
	})
}

// A link that repeats the request for the outer rows, a page that brings keys again, and rows of another type fail the
// page.
func TestNestedLinks(t *testing.T) {
	checkNestedLinks(t, []nestedLinkCase{
		{name: "of a foreign type", link: "X(1)/L?$skiptoken=", page: nestedPages(25, 45, "N.F"),
			fails: `expected rows of L of type N.T, found type "N.F" behind the link "X(1)/L?$skiptoken=0"`},
		{name: "the outer request, empty", link: "X?$expand=L&$skiptoken=",
			page:  func(string, int) ([]string, bool) { return nil, false },
			fails: "repeats the request for the row itself"},
		{name: "the outer request, with rows", link: "/s/X?$expand=L&$skiptoken=",
			page: nestedPages(500, 25_020, "N.T"), fails: "row 0 of the page: the next link of the expanded L"},
		{name: "the outer request, escaped", link: "/s/%58?$skiptoken=", page: nestedPages(25, 45, "N.T"),
			fails: "leave L out of sap.odata#00.expand"},
		{name: "the same page under other tokens", link: "X(1)/L?$skiptoken=",
			page: func(format string, number int) ([]string, bool) {
				return nestedRows(format, 100+inlineLines, 25, "N.T"), number < 9
			}, fails: `expected each key once in L, found P="120" again behind the link "X(1)/L?$skiptoken=1"`},
		{name: "the rows of the first part", link: "X(1)/L?$skiptoken=",
			page: func(format string, number int) ([]string, bool) {
				return nestedRows(format, 100, inlineLines, ""), false
			},
			fails: `found P="100" again behind the link "X(1)/L?$skiptoken=0"`},
		{name: "a key in another form", link: "X(1)/L?$skiptoken=",
			page: func(format string, number int) ([]string, bool) {
				row := strings.Replace(child(format, 119, "", ""), ":119", `:"119"`, 1)
				return []string{strings.ReplaceAll(row, ">119<", "> 1&#49;9<")}, false
			}, fails: "again behind the link"},
	})
}

// TestNestedLinkOfReread: an entity that delta mode reads again has the same checks as a row. Its own URL and the URL
// of its set are no links to expanded rows.
func TestNestedLinkOfReread(t *testing.T) {
	for link, fails := range map[string]string{
		"X(1)/L?$skiptoken=0":           "",
		"X(1)?$expand=L&$skiptoken=0":   "repeats the request for the row itself (/s/X(1))",
		"/s/X?$expand=L&$skiptoken=0":   "repeats the request for the row itself (/s/X)",
		"X(1)/L?$skiptoken=0&repeats=1": `expected each key once in L, found P="100" again`,
	} {
		handler := withMetadata(childMetadata, func(w http.ResponseWriter, r *http.Request) {
			options := r.URL.Query()
			w.Header().Set("Preference-Applied", "odata.track-changes")
			const delta = `"__delta":"X?!deltatoken=1"`
			switch {
			case options.Has("$skiptoken"):
				from := 101
				if options.Has("repeats") {
					from = 100
				}
				fmt.Fprintf(w, `{"d":%s}`, children("json", nestedRows("json", from, 25, ""), ""))
			case options.Has("!deltatoken"):
				fmt.Fprintf(w, `{"d":{"results":[%s,{"@odata.context":"$metadata#X/$deletedEntity","id":"X(1)"}],%s}}`,
					child("json", 1, "N.T", `{"results":[]}`), delta)
			case strings.HasSuffix(r.URL.Path, "X(1)"):
				inner := children("json", nestedRows("json", 100, 1, ""), link)
				fmt.Fprintf(w, `{"d":%s}`, child("json", 1, "N.T", inner))
			default:
				fmt.Fprintf(w, `{"d":{"results":[],%s}}`, delta)
			}
		})
		follower := followSet(t, handler, deltaSetOf("/s", "X", "sap.odata#00.expand=L", "sap.odata#00.format=json")...)
		err := follower.catchUp(poll)
		assert.ErrorOrNone(t, err, fails, link)
		lines := strings.Count(fmt.Sprint(follower.state["[1]"]["L"]), "[") - 1
		assert.True(t, fails != "" || lines == 26, "%s: expected 26 lines, found %d in %v", link, lines, follower.state)
	}
}
