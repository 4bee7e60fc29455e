package main

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

// comparison compares the keys of a first load as the host does.
type comparison struct {
	*follower
	found   map[string]bool // by the keys of the rows that were handed on
	unknown map[string]bool
	at      []wit.OffsetEntry // where the comparison continues
	// last is the offset after the last page of the comparison.
	last []wit.OffsetEntry
	// ended means that the keys of all rows were compared, and the plugin accepts the result.
	ended bool
}

// compare reads a first load up to its end, or up to the changes after it.
func compare(t *testing.T, f *follower) *comparison {
	t.Helper()
	c := &comparison{follower: f, found: map[string]bool{}, unknown: map[string]bool{}}
	remembers := true
	f.passed = func(row wit.Row, data []byte) {
		key := string(feedreader.KeyOf(&row, data))
		_, isKnown := c.found[key]
		switch {
		case c.at == nil:
			c.found[key] = false
			f.take(row, data)
		case isKnown:
			c.found[key] = true
		default:
			c.unknown[key] = true
		}
	}
	reason := start
	for range 5000 {
		offset := f.stored
		if remembers && c.at == nil {
			use := f.p.Keys(f.opened.Context, 0, offset)
			remembers = use.Ignored == nil
			if use.Compared != nil {
				c.at = *use.Compared
			}
		}
		if c.at != nil {
			offset = c.at
			noError(t, f.p.CheckOffset(f.opened.Feeds[0].Partition, offset))
		}
		step, err := f.p.Next(f.opened.Context, 0, offset, reason, f.now)
		noError(t, err)
		if step.Fetch == nil {
			return c
		}
		reason = onward
		end, err := f.reader.page(0, step.Fetch)
		noError(t, err)
		switch {
		case c.at == nil:
			if f.stored = *end.Next; !end.More {
				return c
			}
		case end.More:
			c.at = *end.Next
		default:
			c.at, c.last, remembers = nil, *end.Next, false
			if next := c.result(c.last); next != nil {
				f.stored, c.ended = *next, true
			}
		}
	}
	t.Fatal("the feed does not end")
	return nil
}

func (c *comparison) result(offset []wit.OffsetEntry) *[]wit.OffsetEntry {
	for _, isFound := range c.found {
		if !isFound {
			return nil
		}
	}
	var unknown [][]byte
	for key := range c.unknown {
		unknown = append(unknown, []byte(key))
	}
	return c.p.Compared(c.opened.Context, 0, offset, unknown)
}

// A first load whose links count rows is compared by key instead of being delivered again. Rows that were hidden from
// it are read by themselves. If a row was deleted, or nothing proves that all keys were found, its rows are read again.
func TestKeysOfFirstLoadAreCompared(t *testing.T) {
	const rows = 95
	deletes := func(ids ...int) func(t *testing.T, s *odatatest.Service) {
		return func(t *testing.T, s *odatatest.Service) {
			for _, id := range ids {
				write(t, s, "DELETE", fmt.Sprintf("Orders(%d)", id), nil)
			}
		}
	}
	inserts := func(ids ...int) func(t *testing.T, s *odatatest.Service) {
		return func(t *testing.T, s *odatatest.Service) {
			for _, id := range ids {
				write(t, s, "POST", "Orders", map[string]any{"OrderID": id, "ShipName": "Inserted"})
			}
		}
	}
	for name, c := range map[string]struct {
		set      string // Orders unless it is given
		switches odatatest.Switches
		settings []string
		// during is called during the load, after before the comparison, before the first row that was hidden is read.
		during, after, before func(t *testing.T, s *odatatest.Service)
		// answered changes responses to requests for a row that was hidden.
		answered func(r *wit.Response)
		// broken is the ID of a row with a property that cannot be decoded. Zero means none.
		broken      int
		hidden      int // rows read by themselves
		repeats     int // rows that came twice, because inserted rows moved them
		isDelivered bool
		isUnproven  bool
	}{
		"JSON":                {settings: []string{"sap.odata#00.format=json"}},
		"Atom":                {settings: []string{"sap.odata#00.format=atom"}},
		"opaque links":        {switches: odatatest.Switches{SkipToken: "opaque"}},
		"a key of two parts":  {set: "Order_Details"},
		"a key that is text":  {set: "Customers"},
		"selected properties": {settings: []string{"sap.odata#00.select=ShipName,OrderID"}},
		"options of the user": {settings: []string{"sap.odata#00.query=$select=ShipName"}},
		"expanded":            {settings: []string{"sap.odata#00.expand=Customer"}},
		"more fields of keys": {settings: []string{"sap.odata#00.key.extra=System=7"}},
		"no order": {switches: odatatest.Switches{RefuseOrderBy: true}, isDelivered: true,
			isUnproven: true},
		"paging by links":         {settings: []string{"sap.odata#00.paging=links"}, isDelivered: true, isUnproven: true},
		"a deleted row":           {during: deletes(10250), isDelivered: true},
		"hidden rows":             {during: deletes(10250, 10251), after: inserts(10250, 10251), hidden: 2},
		"a row that was inserted": {during: inserts(5), hidden: 1, repeats: 1},
		"a hidden row that is deleted, or not found": {during: inserts(5), before: deletes(5),
			answered: func(*wit.Response) {}, hidden: 1, isDelivered: true},
		"another row in place of the hidden one": {during: inserts(5),
			answered: func(r *wit.Response) { r.Body = []byte(strings.ReplaceAll(string(r.Body), ":5,", ":10300,")) },
			hidden:   1, isDelivered: true},
		"a hidden row that is rejected": {during: inserts(5),
			answered: func(r *wit.Response) {
				r.Status, r.Body = 400, []byte(`{"error":{"code":"X","message":{"value":"no such option"}}}`)
			}, hidden: 1, isDelivered: true},
		"a row that cannot be decoded": {broken: 10250, hidden: 1},
		"a row that cannot be decoded, and a hidden one": {broken: 10260, during: deletes(10250),
			after: inserts(10250), hidden: 2},
	} {
		t.Run(name, func(t *testing.T) {
			if c.switches.PageSize = 10; c.switches.SkipToken == "" {
				c.switches.SkipToken = "offset"
			}
			c.switches.Tombstones = "off"
			service := odatatest.New(odatatest.Options{Rows: rows, Switches: c.switches})
			if c.set == "" {
				c.set = "Orders"
			}
			once := func(do func(*testing.T, *odatatest.Service)) {
				if do != nil {
					do(t, service)
				}
			}
			pages, hidden, keys, loaded := 0, 0, 0, -1
			var f *follower
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				query := r.URL.RawQuery
				isHidden := strings.Contains(query, "%20eq%20") && !strings.Contains(query, "%20g") &&
					!strings.Contains(query, "%20l")
				isKeys := strings.Contains(query, "$orderby") && strings.Contains(query, "$select")
				switch {
				case strings.Contains(query, "deltatoken"):
					loaded = max(loaded, len(f.log))
				case isHidden:
					if hidden++; hidden == 1 {
						once(c.before)
					}
				case isKeys:
					if keys++; keys == 1 {
						once(c.after)
					}
				case r.Method == "GET" && strings.Contains(r.URL.Path, c.set):
					if pages++; pages == 3 {
						once(c.during)
					}
				}
				if (isKeys || isHidden) && (loaded >= 0 || strings.Contains(r.Header.Get("Prefer"), "track-changes")) {
					t.Errorf("%s %v acknowledges the load", query, r.Header)
				}
				service.ServeHTTP(w, r)
			})
			settings := append([]string{"sap.odata#00.format=json"}, c.settings...)
			if slices.ContainsFunc(c.settings, func(s string) bool { return strings.Contains(s, ".format=") }) {
				settings = c.settings
			}
			f = newFollower(t, handler, tracked00(c.set, settings...)...)
			broken := regexp.MustCompile(fmt.Sprintf(`"OrderID":%d,.*?"OrderDate":"`, c.broken))
			f.answered = func(q *wit.Request, r *wit.Response) {
				if c.answered != nil && strings.Contains(q.Target, "%20eq%20") {
					c.answered(r)
				}
				r.Body = broken.ReplaceAll(r.Body, []byte("${0}x"))
			}
			got := compare(t, f)
			if (c.answered == nil && got.ended == c.isDelivered) || hidden != c.hidden {
				t.Errorf("compared: %v, rows hidden: %d", got.ended, hidden)
			}
			again := 0
			for _, event := range f.log {
				if event.headers[feedreader.HeaderSnapshot] != "" {
					again++
				}
			}
			want := service.Count(c.set)
			if c.broken > 0 {
				want--
				if len(f.faults) != 2 {
					t.Errorf("expected two faults, of the load and of the request for the row, found %v", f.faults)
				}
			}
			wantAgain := 0
			if c.isDelivered {
				wantAgain = want
			}
			if again != wantAgain || (!c.isDelivered && loaded != want+c.repeats) {
				t.Errorf("expected %d rows, %d of them again, found %d and %d", want, wantAgain, loaded, again)
			}
			service.Each(c.set, func(_ string, fields map[string]string) {
				id := fields["OrderID"]
				isRead := f.state["["+id+"]"] != nil || f.state["["+id+" 7]"] != nil
				if c.set == "Orders" && !isRead && id != strconv.Itoa(c.broken) {
					t.Errorf("row %s is missing", id)
				}
			})
			if complete := text(f.stored, "complete"); complete != "key" && !c.isUnproven {
				t.Errorf("expected the proof key, found %q in %v", complete, f.stored)
			}
			before := len(f.log)
			noError(t, f.catchUp(poll))
			if len(f.log) > before+2 {
				t.Errorf("expected no row again after the load, found %d", len(f.log)-before)
			}
		})
	}
}

// The keys of rows that were hidden are in the offset, up to 32 KiB of them. More rows are read again.
func TestHiddenKeysAreBounded(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 95, Switches: odatatest.Switches{PageSize: 10, SkipToken: "offset"}})
	c := compare(t, newFollower(t, service, tracked00("Orders")...))
	for _, size := range []int{24 << 10, 24<<10 + 1} {
		next := c.p.Compared(c.opened.Context, 0, c.last, [][]byte{make([]byte, size)})
		if isSmall := size == 24<<10; isSmall != (next != nil) {
			t.Errorf("%d bytes: found the offset %v", size, next)
		}
	}
	if next := c.p.Compared(c.opened.Context, 0, c.stored, nil); next != nil {
		t.Errorf("expected no offset after another page than one of a comparison, found %v", *next)
	}
}

// Other loads are not compared: loads of ODP services, in full mode, and those that replace a lost token.
func TestKeysOfOtherLoadsAreIgnored(t *testing.T) {
	lost := []wit.OffsetEntry{wit.StringEntry("phase", "load"), wit.StringEntry("url", "/s/A"),
		wit.IntegerEntry("snapshot", 7)}
	for name, c := range map[string]struct {
		settings []string
		offset   []wit.OffsetEntry
		want     bool
	}{
		"first load":  {settings: tracked00("Orders"), want: true},
		"full":        {settings: of(sapNorthwind, "Orders")},
		"ODP":         {settings: odpSet("Orders")},
		"lost token":  {settings: tracked00("Orders"), offset: lost},
		"not a phase": {settings: tracked00("Orders"), offset: []wit.OffsetEntry{wit.StringEntry("phase", "x")}},
	} {
		f := newFollower(t, odatatest.New(odatatest.Options{Rows: 35}), c.settings...)
		if use := f.p.Keys(f.opened.Context, 0, c.offset); (use.Remembered != nil) != c.want || use.Compared != nil {
			t.Errorf("%s: found %+v", name, use)
		}
	}
}
