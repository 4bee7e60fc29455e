package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestExpandedFeedsArePaged reads orders with expanded lines whose feeds have pages: the rows behind nested next links
// are read too.
func TestExpandedFeedsArePaged(t *testing.T) {
	for _, links := range []string{"absolute", "relative"} {
		for _, format := range []string{"json", "atom"} {
			service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{ExpandPageSize: 1,
				PageSize: 15,
				Links:    links}})
			load := whole(t, service, append(set("00", "Orders"), "sap.odata.format="+format,
				"sap.odata#00.expand=Order_Details", "sap.odata#00.select=OrderID,Order_Details/OrderID")...)
			load.same(service, "Orders")
			lines := 0
			for _, v := range load.values {
				lines += strings.Count(v, "[") - 2 // the row and the list itself
			}
			inside := 0
			for _, target := range load.targets {
				if strings.Contains(target, ")/Order_Details?") {
					inside++
				}
			}
			if expected := service.Count("Order_Details"); lines != expected || inside == 0 {
				t.Errorf("%s, %s: expected %d lines, found %d with %d nested links", links, format, expected, lines,
					inside)
			}
		}
	}
}

// Nested pages without an end fail the page soon: pages that link to an earlier one, and empty pages whose links grow.
func TestNestedPagesWithoutEnd(t *testing.T) {
	metadata := metadataOf("K", `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`+
		`<NavigationProperty Name="L" Relationship="N.R" FromRole="O" ToRole="I"/>`,
		`<EntityType Name="I"><Key><PropertyRef Name="P"/></Key><Property Name="P" Type="Edm.Int32" Nullable="false"/>`+
			`</EntityType>`, `<Association Name="R"><End Role="O" Type="N.T" Multiplicity="1"/>`+
			`<End Role="I" Type="N.I" Multiplicity="*"/></Association>`)
	for name, test := range map[string]struct {
		row   string // in each page, with its number
		link  func(n int) string
		fails string
	}{
		"to itself, without rows": {"", func(int) string { return "a" }, "was followed before"},
		"to itself, with a row":   {`{"P":%d}`, func(int) string { return "a" }, "was followed before"},
		"in a circle": {`{"P":%d}`, func(n int) string { return fmt.Sprint(n % 50) },
			"was followed before"},
		"ever further, without a row":  {"", func(n int) string { return fmt.Sprint(n) }, "1000 pages"},
		"an end, behind many with one": {`{"P":%d}`, func(n int) string { return fmt.Sprint(n) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inner := 0
			handler := described(metadata, func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/L") {
					fmt.Fprint(w, `{"d":{"__count":"1","results":[{"K":1,"L":{"results":[{"P":1}],`+
						`"__next":"X(1)/L?$skiptoken=start"}}]}}`)
					return
				}
				inner++
				next := `,"__next":"X(1)/L?$skiptoken=` + test.link(inner) + `"`
				if test.fails == "" && inner == 1200 {
					next = ""
				}
				row := test.row
				if row != "" {
					row = fmt.Sprintf(row, inner+1)
				}
				fmt.Fprintf(w, `{"d":{"results":[%s]%s}}`, row, next)
			})
			l := newLoad(t, handler, of("/s", "X", "sap.odata#00.expand=L", "sap.odata.count=none")...)
			_, err := l.some(0, nil, 1)
			if ends := test.fails == ""; !errorContains(err, test.fails) || ends && inner < 1200 || !ends &&
				inner > 1001 {
				t.Errorf("%d nested pages, %v", inner, err)
			}
		})
	}
}

const withChildren = `<Property Name="P" Type="Edm.Int32" Nullable="false"/>` +
	`<NavigationProperty Name="L" Relationship="N.R" FromRole="O" ToRole="I"/>`

// childMetadata describes a set X of T, whose L leads to more rows of T, and a type D that derives from T.
var childMetadata = metadataOf("P", withChildren, `<EntityType Name="D" BaseType="N.T"/><EntityType Name="F"><Key>`+
	`<PropertyRef Name="P"/></Key><Property Name="P" Type="Edm.Int32" Nullable="false"/></EntityType>`,
	`<Association Name="R"><End Role="O" Type="N.T" Multiplicity="1"/><End Role="I" Type="N.T" Multiplicity="*"/>`+
		`</Association>`)

// child is a row of a feed in a test. typeName and inside may be empty.
func child(format string, key int, typeName, inside string) string {
	if format == "json" {
		members := fmt.Sprintf(`"P":%d`, key)
		if typeName != "" {
			members = fmt.Sprintf(`"__metadata":{"uri":"X(%d)","type":%q},%s`, key, typeName, members)
		}
		if inside != "" {
			members += `,"L":` + inside
		}
		return "{" + members + "}"
	}
	category := ""
	if typeName != "" {
		category = `<category term="` + typeName +
			`" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>`
	}
	if inside != "" {
		inside = `<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/L"><m:inline>` + inside +
			`</m:inline></link>`
	}
	return fmt.Sprintf(`<entry>%s%s<content type="application/xml"><m:properties><d:P>%d</d:P></m:properties>`+
		`</content></entry>`, category, inside, key)
}

// children is a feed of rows with a next link, which may be empty.
func children(format string, rows []string, next string) string {
	if format == "json" {
		if next != "" {
			next = fmt.Sprintf(`,"__next":%q`, next)
		}
		return `{"results":[` + strings.Join(rows, ",") + `]` + next + `}`
	}
	if next != "" {
		next = `<link rel="next" href="` + strings.ReplaceAll(next, "&", "&amp;") + `"/>`
	}
	return `<feed xmlns="http://www.w3.org/2005/Atom" ` +
		`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
		`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` + strings.Join(rows, "") + next + `</feed>`
}

// nestedRows returns rows with ascending keys.
func nestedRows(format string, from, count int, typeName string) (rows []string) {
	for key := from; key < from+count; key++ {
		rows = append(rows, child(format, key, typeName, ""))
	}
	return rows
}

// TestNestedLinks: the rows behind a next link inside a row become part of the row only if they can belong to it. A
// link that repeats the request for the outer rows, a page that brings keys again, and rows of another type fail the
// page.
func TestNestedLinks(t *testing.T) {
	const inline = 20
	pagesOf := func(size, count int, typeName string) func(string, int) ([]string, bool) {
		return func(format string, number int) ([]string, bool) {
			return nestedRows(format, 100+inline+number*size, size, typeName), inline+(number+1)*size < count
		}
	}
	for name, test := range map[string]struct {
		link string // up to the token
		// page returns the rows of a nested page by its number from zero, and whether another page follows.
		page  func(format string, number int) (rows []string, more bool)
		lines int
		fails string
	}{
		"in pages":      {link: "X(1)/L?$skiptoken=", page: pagesOf(500, 25_020, "N.T"), lines: 25_020},
		"without types": {link: "X(1)/L?$skiptoken=", page: pagesOf(25, 45, ""), lines: 45},
		"of a set with a filter": {link: "Children?$filter=Of%20eq%201&$skiptoken=", page: pagesOf(25, 45, "N.T"),
			lines: 45},
		"of a derived type":        {link: "X(1)/L?$skiptoken=", page: pagesOf(25, 45, "N.D"), lines: 45},
		"with an alias for a name": {link: "X(1)/L?$skiptoken=", page: pagesOf(25, 45, "Self.T"), lines: 45},
		"of a foreign type": {link: "X(1)/L?$skiptoken=", page: pagesOf(25, 45, "N.F"),
			fails: `expected rows of L of type N.T, found type "N.F" behind the link "X(1)/L?$skiptoken=0"`},
		"the outer request, empty": {link: "X?$expand=L&$skiptoken=",
			page:  func(string, int) ([]string, bool) { return nil, false },
			fails: "repeats the request for the row itself"},
		"the outer request, with rows": {link: "/s/X?$expand=L&$skiptoken=", page: pagesOf(500, 25_020, "N.T"),
			fails: "row 0 of the page: the next link of the expanded L"},
		"the outer request, escaped": {link: "/s/%58?$skiptoken=", page: pagesOf(25, 45, "N.T"),
			fails: "leave L out of sap.odata#00.expand"},
		"the same page under other tokens": {link: "X(1)/L?$skiptoken=",
			page: func(format string, number int) ([]string, bool) {
				return nestedRows(format, 100+inline, 25, "N.T"), number < 9
			}, fails: `expected each key once in L, found P="120" again behind the link "X(1)/L?$skiptoken=1"`},
		"the rows of the first part": {link: "X(1)/L?$skiptoken=",
			page: func(format string, number int) ([]string, bool) {
				return nestedRows(format, 100, inline, ""), false
			},
			fails: `found P="100" again behind the link "X(1)/L?$skiptoken=0"`},
		"a key in another form": {link: "X(1)/L?$skiptoken=",
			page: func(format string, number int) ([]string, bool) {
				return []string{strings.ReplaceAll(strings.Replace(child(format, 119, "", ""), ":119", `:"119"`, 1),
					">119<", "> 1&#49;9<")}, false
			}, fails: "again behind the link"},
	} {
		for _, format := range []string{"json", "atom"} {
			t.Run(name+" "+format, func(t *testing.T) {
				document := func(rows []string, next string) string {
					body := children(format, rows, next)
					if format == "json" {
						body = `{"d":` + body + `}`
					}
					return body
				}
				handler := described(childMetadata, func(w http.ResponseWriter, r *http.Request) {
					token, err := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
					if err != nil {
						// Keys may occur twice in an expanded feed that has no next link.
						twice := children(format, []string{child(format, 7, "", children(format, nil, "")),
							child(format, 7, "", children(format, nil, ""))}, "")
						inner := children(format, nestedRows(format, 100, inline, "N.T"), test.link+"0")
						outer := []string{child(format, 1, "N.T", inner), child(format, 2, "N.T", twice)}
						fmt.Fprint(w, document(outer, ""))
						return
					}
					next := ""
					rows, more := test.page(format, token)
					if more {
						next = test.link + strconv.Itoa(token+1)
					}
					fmt.Fprint(w, document(rows, next))
				})
				l := newLoad(t, handler, of("/s", "X", "sap.odata#00.expand=L", "sap.odata.count=none",
					"sap.odata#00.format="+format)...)
				_, err := l.some(0, nil, 1)
				if !errorContains(err, test.fails) {
					t.Fatalf("expected %q, found %v", test.fails, err)
				}
				if test.fails != "" {
					if len(l.values) > 0 {
						t.Errorf("expected no row, found %d", len(l.values))
					}
					return
				}
				if len(l.values) != 2 || strings.Count(l.values[0], "[")-2 != test.lines {
					t.Errorf("expected two rows, the first with %d lines, found %d with %d", test.lines, len(l.values),
						strings.Count(l.values[0], "[")-2)
				}
			})
		}
	}
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
		handler := described(childMetadata, func(w http.ResponseWriter, r *http.Request) {
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
		follower := loaded(t, handler, tracked("/s", "X", "sap.odata#00.expand=L", "sap.odata#00.format=json")...)
		err := follower.catchUp(poll)
		if !errorContains(err, fails) {
			t.Errorf("%s: expected %q, found %v", link, fails, err)
		}
		lines := strings.Count(fmt.Sprint(follower.state["[1]"]["L"]), "[") - 1
		if fails == "" && lines != 26 {
			t.Errorf("%s: expected 26 lines, found %d in %v", link, lines, follower.state)
		}
	}
}
