package source

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// oddService has one set, Rows, whose rows are numbered. It takes every option and does as it likes.
type oddService struct {
	mu sync.Mutex
	// rows are in the order in which the service has them, orders: $orderby is heeded.
	rows   []int
	orders bool
	page   int
	// shrinks: with each page so many rows go that were on it.
	shrinks int
	// bare: no links, no counts. deaf: $filter is not heeded.
	bare, deaf bool
	// moves is a row that is changed after the first page, which puts it at the end; 0: none is.
	moves int
	// circle is the row after which the next link leads back to the start.
	circle   int
	requests int
	// asked gets each request, by its number.
	asked func(number int)
}

const oddMetadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">` +
	`<EntityType Name="Row"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>` +
	`<EntityContainer Name="C"><EntitySet Name="Rows" EntityType="N.Row"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`

func (s *oddService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Header().Set("Content-Type", "application/xml")
		w.Write([]byte(oddMetadata))
		return
	}
	s.requests++
	q := r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	if s.asked != nil {
		s.asked(s.requests)
	}
	if s.moves > 0 && s.requests == 2 {
		s.rows = append(slices.DeleteFunc(s.rows, func(k int) bool { return k == s.moves }), s.moves)
	}
	rows := slices.Clone(s.rows)
	for part := range strings.SplitSeq(q.Get("$filter"), " and ") {
		words := strings.Fields(strings.Trim(part, "()"))
		if len(words) != 3 || s.deaf {
			continue
		}
		than, _ := strconv.Atoi(words[2])
		rows = slices.DeleteFunc(rows, func(k int) bool {
			return words[1] == "gt" && k <= than || words[1] == "le" &&
				k > than
		})
	}
	if s.orders && q.Get("$orderby") != "" {
		slices.Sort(rows)
		if strings.HasSuffix(q.Get("$orderby"), " desc") {
			slices.Reverse(rows)
		}
	}
	skip, _ := strconv.Atoi(q.Get("$skip"))
	count := len(rows)
	rows = rows[min(skip, len(rows)):]
	size := s.page
	if top, err := strconv.Atoi(q.Get("$top")); err == nil { // a question
		size = top
	}
	page := rows[:min(size, len(rows))]
	body := `{"d":{"__count":"` + strconv.Itoa(count) + `","results":[`
	if s.bare {
		body = `{"d":{"results":[`
	}
	for i, k := range page {
		body += strings.Repeat(",", min(i, 1)) + `{"ID":` + strconv.Itoa(k) + `}`
	}
	body += "]"
	if end := skip + len(page); !s.bare && len(rows) > len(page) || s.circle > 0 {
		if s.circle > 0 && end >= s.circle {
			end = s.page
		}
		keep := ""
		for _, name := range []string{"$filter", "$orderby", "$inlinecount"} {
			if v := q.Get(name); v != "" {
				keep += name + "=" + strings.ReplaceAll(v, " ", "%20") + "&"
			}
		}
		body += `,"__next":"` + r.URL.Path + "?" + keep + "$skip=" + strconv.Itoa(end) + `"`
	}
	for _, gone := range page[:min(s.shrinks, len(page)*(size/s.page))] {
		s.rows = slices.DeleteFunc(s.rows, func(k int) bool { return k == gone })
	}
	w.Write([]byte(body + "}}"))
}

// oddRows is the settings of a connector that reads Rows, of a service that is not the demo service, into a topic.
func oddRows(name, address string, settings ...string) []string {
	return append(append(e2etest.Source(name, address), "sap.odata#00.service=/s", "sap.odata#00.entityset=Rows",
		"sap.odata#00.topic=rows"), settings...)
}

// loadOdd reads the set once, and counts how often each row came.
func loadOdd(t *testing.T, s *oddService, settings ...string) (r e2etest.Result, came map[int]int) {
	t.Helper()
	p := e2etest.NewPlace(t)
	r = p.Once(p.File("odd.properties", oddRows("odd", e2etest.Serve(t, s), settings...)...))
	came = map[int]int{}
	for _, record := range p.Records("rows") {
		key := record["key"].(map[string]any)["payload"].(map[string]any)
		came[int(key["ID"].(float64))]++
	}
	return r, came
}

func numbers(first, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = first + i
	}
	return list
}

// A full load that ends with exit 0 is complete, whatever a service does with $orderby.
func TestOnceIsComplete(t *testing.T) {
	t.Parallel()
	out := numbers(1, 300)
	out[199] = 1000
	for _, c := range []struct {
		name string
		s    *oddService
		// exactly: each row comes, once.
		exactly bool
	}{
		{"the 200th row is out of order", &oddService{rows: out, page: 50}, false},
		{"the first row is out of order", &oddService{rows: append(numbers(2, 299), 1), page: 100}, false},
		{"pages without links and counts", &oddService{rows: numbers(1, 350), orders: true, page: 100, bare: true},
			true},
		{"pages without links and counts, out of order", &oddService{rows: append(numbers(2, 349), 1), page: 100,
			bare: true}, false},
		{"rows go meanwhile", &oddService{rows: numbers(1, 1000), orders: true, page: 100, shrinks: 10}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.s.rows)
			r, came := loadOdd(t, c.s)
			missing, twice := 0, 0
			for _, k := range before {
				switch n := came[k]; {
				case n == 0:
					missing++
				case n > 1:
					twice++
				}
			}
			if r.Code != 0 || missing > 0 || c.exactly && twice > 0 {
				t.Errorf("exit %d, %d rows missing, %d twice, %d requests\n%s", r.Code, missing, twice, c.s.requests,
					r.Stderr)
			}
			want := fmt.Sprintf("extraction finished: %d rows in ", len(before))
			if strings.Count(r.Stderr, want) != 1 || !strings.Contains(r.Stderr, "nothing more: exec-period=-1") {
				t.Errorf("expected one line with %q, found\n%s", want, r.Stderr)
			}
		})
	}
}

// A row that is changed while a service is read that heeds neither $orderby nor $filter, and sorts by when rows were
// changed, hides no other.
func TestRowThatMovesHidesNone(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{300, 3000} {
		for _, paging := range []string{"auto", "links"} {
			s := &oddService{rows: numbers(1, rows), page: rows / 3, deaf: true, moves: 10}
			r, came := loadOdd(t, s, "sap.odata.paging="+paging)
			said := strings.Contains(r.Stderr, "rows that moved may have hidden others") ||
				strings.Contains(r.Stderr, "the order of the service's rows changes between its pages")
			if r.Code != 0 || len(came) != rows || !said {
				t.Errorf("%s: exit %d, %d of %d rows, %d requests\n%s", paging, r.Code, len(came), rows, s.requests,
					r.Stderr)
			}
		}
	}
}

// A service whose links lead in a circle ends the load with a fault that names the link.
func TestLinksInACircle(t *testing.T) {
	t.Parallel()
	s := &oddService{rows: numbers(1, 200), page: 20, circle: 200}
	slices.Reverse(s.rows)
	r, came := loadOdd(t, s)
	if r.Code != 1 || !strings.Contains(r.LastLine(), "$skip=20 was followed before") {
		t.Errorf("expected exit 1 and the link in the last line, found %d\n%s", r.Code, r.Stderr)
	}
	if len(came) < 180 || s.requests > 12 {
		t.Errorf("%d rows, %d requests", len(came), s.requests)
	}
}

// A service that gives every page a next link, back to the start at the end, and heeds $filter: read by key the load
// ends with the empty page behind the last row, whose link is not followed.
func TestEmptyPageWithALinkEndsALoadByKey(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{true, false} {
		for _, paging := range []string{"auto", "keys"} {
			s := &oddService{rows: numbers(1, 200), page: 20, circle: 200, bare: bare, orders: bare}
			s.asked = func(number int) {
				if number > 50 {
					s.rows, s.circle = nil, 0 // else the test would never end
				}
			}
			r, came := loadOdd(t, s, "sap.odata.paging="+paging)
			if r.Code != 0 || len(came) != 200 || s.requests > 15 {
				t.Errorf("paging %s, without counts %v: exit %d, %d of 200 rows in %d requests\n%s", paging, bare,
					r.Code, len(came), s.requests, r.Stderr)
			}
		}
	}
}
