package main

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// stubborn is a service that takes $orderby and $filter and doesn't heed them, as some do. Its links count rows.
type stubborn struct {
	keys     []int
	heeds    bool // heeds the filter K gt n
	noLinks  bool
	requests []string
}

const stubbornMetadata = `<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="K"/></Key><Property Name="K" Type="Edm.Int32" Nullable="false"/></EntityType>` +
	`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`

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
	body := `{"d":{"__count":"` + strconv.Itoa(count) + `","results":[`
	for i, k := range keys[:min(10, len(keys))] {
		if i > 0 {
			body += ","
		}
		body += `{"K":` + strconv.Itoa(k) + `}`
	}
	body += "]"
	if len(keys) > 10 && !s.noLinks {
		body += `,"__next":"X?$skiptoken=` + strconv.Itoa(start+10) + `"`
	}
	w.Write([]byte(body + "}}"))
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
		{"heeds all", stubborn{keys: up, heeds: true}, "sap.odata.paging=auto", true},
		{"no order", stubborn{keys: mixed, heeds: true}, "sap.odata.paging=auto", false},
		{"no order, though asked for keys", stubborn{keys: mixed, heeds: true}, "sap.odata.paging=keys", false},
		{"no filter", stubborn{keys: up}, "sap.odata.paging=auto", true},
		{"no filter, no links", stubborn{keys: up, noLinks: true}, "sap.odata.paging=auto", true},
		{"no order, no links", stubborn{keys: mixed, heeds: true, noLinks: true}, "sap.odata.paging=auto", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoad(t, &c.service, append(set("00", "X"), c.settings)...)
			if _, err := l.run(0, nil); err != nil {
				t.Fatal(err)
			}
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

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		typ  edm.Primitive
		a, b string
		fold bool
	}{
		{edm.Int64, "-10", "9", false}, {edm.Byte, "9", "10", false}, {edm.Decimal, "-1.5", "-1.25", false}, {edm.Decimal, "9.9", "10", false},
		{edm.DateTime, "2016-07-08T12:34:56", "2016-07-08T12:34:56.5", false}, {edm.DateTimeOffset, "2016-07-08T12:34:56Z", "2016-07-08T12:34:56.5Z", false},
		{edm.Time, "PT12H34M56S", "PT12H34M56.5S", false}, {edm.String, "B", "a", false}, {edm.String, "a", "B", true}, {edm.Guid, "0A", "0b", false},
		{edm.Boolean, "false", "true", false}, {edm.String, "Ä", "äb", true},
	} {
		if compareLiterals(c.typ, c.a, c.b, c.fold) >= 0 || compareLiterals(c.typ, c.b, c.a, c.fold) <= 0 || compareLiterals(c.typ, c.a, c.a, c.fold) != 0 {
			t.Errorf("%v: expected %s before %s", c.typ, c.a, c.b)
		}
	}
}

func TestCompareWhole(t *testing.T) {
	for x := int64(-70_000); x < 70_000; x += 77 {
		for _, y := range []int64{-65536, -257, -256, -129, -128, -1, 0, 1, 127, 128, 255, 256, 65536} {
			if got := compareWhole(twosComplement(x), twosComplement(y)); got != cmp.Compare(x, y) {
				t.Fatalf("%d and %d: found %d", x, y, got)
			}
		}
	}
}

// twosComplement is a number as decimals have it: as few bytes as hold it.
func twosComplement(n int64) []byte {
	b := []byte{byte(n)}
	for n>>7 != 0 && n>>7 != -1 {
		n >>= 8
		b = append([]byte{byte(n)}, b...)
	}
	return b
}
