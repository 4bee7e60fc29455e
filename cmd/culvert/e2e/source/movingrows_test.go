package source

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// moving is a load of a set whose rows move meanwhile.
type moving struct {
	e2etest.Reading
	// before are the entities as they were at the start, by key as in a URL.
	before map[string]map[string]string
}

// throughout looks whether every row that was there all the time has arrived, as it was; rows that went or came
// meanwhile may have.
func (m *moving) throughout(t *testing.T, p *e2etest.Place) {
	t.Helper()
	l := m.Service.Ledger()
	moved := map[string]bool{}
	for _, name := range append(l.Gone, l.Born...) {
		moved[strings.TrimPrefix(name, m.Set)] = true
	}
	found := map[string]map[string]any{}
	if _, keys := p.Topic(m.Name); keys == nil {
		t.Fatal("nothing has arrived")
	}
	for _, r := range p.Records(m.Name) {
		found[address(m.Set, r["key"].(map[string]any))] = r["value"].(map[string]any)
	}
	missing := 0
	for key, fields := range m.before {
		value, ok := found[key]
		switch {
		case !ok && !moved[key]:
			if missing++; missing < 5 {
				t.Errorf("%s%s was there throughout and is missing", m.Set, key)
			}
		case ok:
			// Quantities, names and keys say whether it is the row: no field of them needs a format.
			for name, text := range fields {
				if stored, ok := value[name].(string); ok && name != "UnitPrice" && name != "Freight" &&
					name != "Discount" && stored != text {
					t.Errorf("%s%s: expected %s to be %q, found %q", m.Set, key, name, text, stored)
				}
			}
		}
	}
	for key := range found {
		if m.before[key] == nil && !moved[key] {
			t.Errorf("%s%s was never there", m.Set, key)
		}
	}
	t.Logf("%d rows, %d gone, %d born, %d keys stored, %d missing", len(m.before), len(l.Gone), len(l.Born), len(found),
		missing)
}

// address is a record's key as in a URL.
func address(set string, key map[string]any) string {
	number := func(name string) string { return fmt.Sprintf("%.0f", key[name]) }
	if set == "Order_Details" {
		return "(OrderID=" + number("OrderID") + ",ProductID=" + number("ProductID") + ")"
	}
	return "(" + number("OrderID") + ")"
}

// load reads all of them in one worker.
func load(t *testing.T, all []*moving) (*e2etest.Place, e2etest.Result) {
	t.Helper()
	p := e2etest.NewPlace(t)
	var readings []*e2etest.Reading
	for _, m := range all {
		if m.Options.Rows == 0 {
			m.Options = odatatest.Options{Rows: 200, PageSize: 20}
		}
		readings = append(readings, &m.Reading)
		m.before = e2etest.Entities(odatatest.New(m.Options), m.Set)
	}
	run := read(t, p, e2etest.Plugins(t), readings)
	return p, run
}

// T15: rows are deleted and inserted between pages.
func TestRowsMoveBetweenPages(t *testing.T) {
	t.Parallel()
	var all []*moving
	for _, format := range []string{"json", "atom"} {
		for _, token := range []string{"key", "offset"} {
			for _, set := range []string{"Orders", "Order_Details"} {
				for _, links := range []string{"absolute", "relative"} {
					if (token == "key") == (links == "relative") {
						continue // one of each will do
					}
					all = append(all, &moving{Reading: e2etest.Reading{
						Name:     strings.Join([]string{format, token, set}, "-"),
						Set:      set,
						Switches: map[string]string{"churn": "6", "skiptoken": token, "links": links},
						Settings: []string{"sap.odata.format=" + format}}})
				}
			}
		}
	}
	p, _ := load(t, all)
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			if l := m.Service.Ledger(); len(l.Gone) == 0 || len(l.Born) == 0 {
				t.Errorf("expected rows to move, found %d gone and %d born", len(l.Gone), len(l.Born))
			}
			m.throughout(t, p)
		})
	}
}

// T17: a page whose answer broke off answers otherwise when it is asked for again. (A worker that was killed meanwhile:
// see TestSoakKilledWhilePagesDiffer.)
func TestPagesThatDifferTheSecondTime(t *testing.T) {
	t.Parallel()
	var all []*moving
	for _, format := range []string{"json", "atom"} {
		for _, differ := range []string{"reorder", "delete", "insert", "all"} {
			for _, how := range []string{"reset", "truncate"} {
				if (format == "json") != (how == "reset") && differ != "all" {
					continue // one of each will do
				}
				all = append(all, &moving{Reading: e2etest.Reading{Name: strings.Join([]string{format, differ, how}, "-"),
					Set:     "Order_Details",
					Options: odatatest.Options{Rows: 400, PageSize: 400},
					Switches: map[string]string{"differ": differ, "match": "Order_Details", "break": how,
						"break-after": "150000", "break-count": "1"},
					Settings: []string{"sap.odata.format=" + format}}})
			}
		}
	}
	p, run := load(t, all)
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			m.throughout(t, p)
			if !strings.Contains(run.Stderr, "page to be asked for again") {
				t.Error("expected the page to break off")
			}
		})
	}
}

// P4: a feed that ends early without a next link, while the count tells the truth, is read on; options that a service
// does not know are left out, and then too nothing is missing.
func TestFeedsThatEndEarly(t *testing.T) {
	t.Parallel()
	pages := odatatest.Options{Rows: 60} // the service pages by itself where page-size says so
	var all []*moving
	for _, format := range []string{"json", "atom"} {
		for _, set := range []string{"Orders", "Order_Details"} {
			for name, c := range map[string]struct {
				switches map[string]string
				settings []string
				says     []string
			}{
				"early": {switches: map[string]string{"end-early": "7"},
					says: []string{"rows came without a next link"}},
				"early-paged": {switches: map[string]string{"end-early": "20", "page-size": "8"},
					says: []string{"rows came without a next link"}},
				"early-links": {switches: map[string]string{"end-early": "7"},
					settings: []string{"sap.odata.paging=links"}, says: []string{"rows came without a next link"}},
				"early-unorder": {switches: map[string]string{"end-early": "7", "refuse-orderby": "true"},
					says: []string{"going on without"}},
				"no-count": {switches: map[string]string{"page-size": "8", "refuse-count": "true"}},
				"no-order": {switches: map[string]string{"page-size": "8", "refuse-orderby": "true"},
					says: []string{"going on without"}},
				"neither": {switches: map[string]string{"page-size": "8", "refuse-orderby": "true",
					"refuse-count": "true"}},
				"v1": {switches: map[string]string{"v1": "true"}},
				"offset": {switches: map[string]string{"page-size": "8", "skiptoken": "offset",
					"refuse-orderby": "true"}},
			} {
				all = append(all, &moving{Reading: e2etest.Reading{Name: strings.Join([]string{format, set, name}, "-"),
					Set:      set,
					Options:  pages,
					Switches: c.switches, Settings: append(c.settings, "sap.odata.format="+format), Says: c.says}})
			}
		}
	}
	p, _ := load(t, all)
	want := map[string]map[string]any{}
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			m.throughout(t, p)
			values, _ := p.Topic(m.Name)
			if want[m.Set] == nil {
				want[m.Set] = values
			}
			if !reflect.DeepEqual(want[m.Set], values) {
				t.Error("expected the same records as in every other way")
			}
			if n := len(p.Records(m.Name)); n != len(m.before) {
				t.Errorf("expected %d records, found %d", len(m.before), n)
			}
		})
	}
}
