package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
)

// unsorted is a service that takes $orderby and $filter and heeds neither. It has its rows in an order of its own, and
// its links count them.
type unsorted struct {
	rows []versioned
	page int
	// counts: it gives $inlinecount. seek: its links hold the last row's key in place of a number.
	counts, seek bool
	// between changes the rows before a page; number counts these from 1 on, questions left out.
	between  func(s *unsorted, number int, r *http.Request)
	pages    int
	requests []string
}

// versioned is a row: its key, and a value that each change raises.
type versioned struct{ key, version int }

func newUnsorted(rows, page int) *unsorted {
	s := &unsorted{page: page, counts: true}
	for _, key := range upFrom(1, rows) {
		s.rows = append(s.rows, versioned{key, 0})
	}
	return s
}

// change raises the version of a row and puts it at the end, as a service does that sorts by when rows were changed.
func (s *unsorted) change(key int) {
	at := slices.IndexFunc(s.rows, func(r versioned) bool { return r.key == key })
	row := s.rows[at]
	s.rows = append(slices.Delete(s.rows, at, at+1), versioned{key, row.version + 1})
}

func (s *unsorted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Write([]byte(strings.Replace(stubbornMetadata, "</EntityType>",
			`<Property Name="V" Type="Edm.Int32"/></EntityType>`, 1)))
		return
	}
	s.requests = append(s.requests, r.URL.RawQuery)
	q := r.URL.Query()
	if q.Get("$top") != "1" {
		if s.pages++; s.between != nil {
			s.between(s, s.pages, r)
		}
	}
	start, _ := strconv.Atoi(q.Get("$skip"))
	if last, err := strconv.Atoi(q.Get("$skiptoken")); err == nil {
		start = 1 + slices.IndexFunc(s.rows, func(r versioned) bool { return r.key == last })
	}
	rows := s.rows[min(start, len(s.rows)):]
	rows = rows[:min(s.page, len(rows))]
	body := `{"d":{`
	if s.counts && q.Has("$inlinecount") {
		body += `"__count":"` + strconv.Itoa(len(s.rows)) + `",`
	}
	body += `"results":[`
	for i, row := range rows {
		body += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(`{"K":%d,"V":%d}`, row.key, row.version)
	}
	body += "]"
	if end := start + len(rows); end < len(s.rows) {
		link := "$skip=" + strconv.Itoa(end)
		if s.seek {
			link = "$skiptoken=" + strconv.Itoa(rows[len(rows)-1].key)
		}
		body += `,"__next":"X?` + link + `"`
	}
	w.Write([]byte(body + "}}"))
}

// once is what changes the rows before the request of that number, and at no other time.
func once(number int, change func(s *unsorted)) func(*unsorted, int, *http.Request) {
	return func(s *unsorted, n int, _ *http.Request) {
		if n == number {
			change(s)
		}
	}
}

// loadAll loads the set, each page by an instance that knows nothing, and reports how many of its rows did not come.
func (s *unsorted) loadAll(t *testing.T, settings ...string) (l *fullLoad, offset []wit.Field, missing int, err error) {
	t.Helper()
	before := slices.Clone(s.rows)
	l = newLoad(t, s, append(set("00", "X"), settings...)...)
	for l.unfinished = true; l.unfinished && err == nil && len(s.requests) < 500; {
		l.p = &plugin{}
		offset, err = l.some(0, offset, 1)
	}
	if l.unfinished && err == nil {
		t.Fatal("the load doesn't end")
	}
	came := map[string]bool{}
	for _, row := range l.rows {
		came[row] = true
	}
	for _, row := range before {
		if !came["["+strconv.Itoa(row.key)+"]"] {
			missing++
		}
	}
	return l, offset, missing, err
}

// A row that moves behind what was read takes its neighbour to where nobody reads it, and makes up for it in the count:
// the set is read from its start again, and is whole then.
func TestRowThatMovesDuringALoad(t *testing.T) {
	reversed := func(s *unsorted) *unsorted { slices.Reverse(s.rows); return s }
	interleaved := func(s *unsorted) *unsorted {
		slices.SortFunc(s.rows, func(a, b versioned) int { return (a.key*7919)%1009 - (b.key*7919)%1009 })
		return s
	}
	ten := func(s *unsorted) { s.change(10) }
	for _, c := range []struct {
		name string
		s    func() *unsorted
		// at is the request before which the rows change.
		at     int
		change func(*unsorted)
	}{
		{"a row of page 1, to the end", func() *unsorted { return newUnsorted(300, 100) }, 2, ten},
		{"behind the first link", func() *unsorted { return newUnsorted(300, 100) }, 3, ten},
		{"of a large set", func() *unsorted { return newUnsorted(3000, 500) }, 2, ten},
		{"of a large set, later", func() *unsorted { return newUnsorted(3000, 500) }, 5, ten},
		{"the last row of a page, to the end of the next one", func() *unsorted { return newUnsorted(200, 100) }, 2,
			func(s *unsorted) { s.change(100) }},
		{"the last row of a page of a large set", func() *unsorted { return newUnsorted(2000, 1000) }, 2,
			func(s *unsorted) { s.change(1000) }},
		{"several rows", func() *unsorted { return newUnsorted(300, 100) }, 2, func(s *unsorted) {
			for _, key := range []int{99, 3, 100, 50} {
				s.change(key)
			}
		}},
		{"the keys descend", func() *unsorted { return reversed(newUnsorted(300, 100)) }, 3,
			func(s *unsorted) { s.change(250) }},
		{"the keys are in no order", func() *unsorted { return interleaved(newUnsorted(900, 100)) }, 4, ten},
		{"rows are inserted, too", func() *unsorted { return newUnsorted(300, 100) }, 3, func(s *unsorted) {
			s.change(10)
			s.rows = append([]versioned{{9001, 0}, {9002, 0}}, s.rows...)
		}},
		{"rows of a large set were inserted before", func() *unsorted {
			s := newUnsorted(3000, 500)
			s.between = once(3, func(s *unsorted) { s.rows = append([]versioned{{9001, 0}}, s.rows...) })
			return s
		}, 5, ten},
		{"pages of few rows", func() *unsorted { return newUnsorted(90, 10) }, 3, func(s *unsorted) { s.change(1) }},
		{"pages of seven rows", func() *unsorted { return newUnsorted(30, 7) }, 3, func(s *unsorted) { s.change(1) }},
		{"pages of five rows", func() *unsorted { return newUnsorted(30, 5) }, 3, func(s *unsorted) { s.change(3) }},
		{"pages of five rows, as the second is asked for", func() *unsorted { return newUnsorted(30, 5) }, 2,
			func(s *unsorted) { s.change(3) }},
		{"pages of two rows", func() *unsorted { return newUnsorted(12, 2) }, 3, func(s *unsorted) { s.change(1) }},
		{"pages of a row", func() *unsorted { return newUnsorted(12, 1) }, 3, func(s *unsorted) { s.change(1) }},
	} {
		for _, counts := range []bool{true, false} {
			for _, paging := range []string{"auto", "links"} {
				t.Run(fmt.Sprint(c.name, " counts=", counts, " ", paging), func(t *testing.T) {
					s := c.s()
					s.counts = counts
					first := s.between
					s.between = func(s *unsorted, n int, r *http.Request) {
						if first != nil {
							first(s, n, r)
						}
						if n == c.at {
							c.change(s)
						}
					}
					_, _, missing, err := s.loadAll(t, "sap.odata.paging="+paging)
					if missing > 0 || err != nil {
						t.Errorf("%d rows are missing, %v\n%s", missing, err, strings.Join(s.requests, "\n"))
					}
				})
			}
		}
	}
}

// Where rows move each time, the load fails and says so: it never ends as if it were whole.
func TestRowThatMovesDuringEachLoad(t *testing.T) {
	for _, rows := range []int{300, 3000} {
		for _, paging := range []string{"auto", "links"} {
			s := newUnsorted(rows, rows/3)
			there := slices.Clone(s.rows)
			s.between = func(s *unsorted, _ int, r *http.Request) {
				if s.rows = slices.Clone(there); r.URL.Query().Has("$skip") {
					s.change(10)
				}
			}
			_, _, missing, err := s.loadAll(t, "sap.odata.paging="+paging)
			if missing > 0 && err == nil {
				t.Errorf("%d rows, %s: %d are missing, %v", rows, paging, missing, err)
			}
		}
	}
}

// What is no sign of a row that moved reads nothing from its start again: rows that were inserted, links that lead to
// what is after a key, and an order that is not that of the keys and stays as it is. Keys that name more than one row
// do once: a second reading brings the same ones again.
func TestLoadsInWhichNoRowMoves(t *testing.T) {
	inserted := func(n int) func(*unsorted) {
		return func(s *unsorted) {
			for key := range n {
				s.rows = append([]versioned{{9000 + key, 0}}, s.rows...)
			}
		}
	}
	for _, c := range []struct {
		name   string
		s      *unsorted
		change func(*unsorted)
		keys   func(i int) int
		// again is how many rows come twice; twins: all do, since keys are not unique, which a second reading shows.
		again int
		twins bool
	}{
		{name: "nothing changes", s: newUnsorted(300, 100)},
		{name: "a row is inserted", s: newUnsorted(300, 100), change: inserted(1), again: 1},
		{name: "rows are inserted", s: newUnsorted(300, 100), change: inserted(40), again: 40},
		{name: "a row is inserted before a page of five", s: newUnsorted(30, 5), change: inserted(1), again: 1},
		{name: "rows are inserted before a page of five", s: newUnsorted(30, 5), change: inserted(3), again: 3},
		{name: "rows are inserted into a large set", s: newUnsorted(3000, 1000), change: inserted(40), again: 40},
		{name: "keys that do not tell rows apart", s: newUnsorted(300, 100), keys: func(i int) int { return i / 3 },
			twins: true},
		{name: "few keys", s: newUnsorted(300, 100), keys: func(i int) int { return i % 41 }, twins: true},
		{name: "few keys, and a row that is changed", s: newUnsorted(300, 100), keys: func(i int) int { return i % 41 },
			twins: true, change: func(s *unsorted) { s.rows[5].version += 500 }},
		{name: "a row out of order", s: newUnsorted(300, 100), keys: func(i int) int { return (i + 1) % 300 }},
		{name: "the keys descend", s: newUnsorted(3000, 500), keys: func(i int) int { return 3000 - i }},
	} {
		for _, paging := range []string{"auto", "links"} {
			t.Run(c.name+" "+paging, func(t *testing.T) {
				s := *c.s
				s.rows = slices.Clone(s.rows)
				for i := range s.rows {
					if s.rows[i].version = i; c.keys != nil {
						s.rows[i].key = c.keys(i)
					}
				}
				rows := len(s.rows)
				if c.change != nil {
					s.between = once(2, c.change)
				}
				l, _, missing, err := s.loadAll(t, "sap.odata.paging="+paging)
				if c.twins {
					rows *= 2
				}
				if missing > 0 || err != nil || len(l.rows) != rows+c.again {
					t.Errorf("%d rows are missing of %d, %d came, %v\n%s", missing, rows, len(l.rows), err,
						strings.Join(s.requests, "\n"))
				}
			})
		}
	}
}

// A large set whose keys ascend for a while, as where a service sorts by something else first, is read from its start
// again once. The load after that knows it.
func TestLargeSetInAnOrderOfItsOwn(t *testing.T) {
	s := newUnsorted(3000, 500)
	for i := range s.rows {
		s.rows[i].key = (i + 800) % 3000
	}
	l, offset, missing, err := s.loadAll(t, "sap.odata.paging=links", "sap.odata#00.exec-period=60")
	if missing > 0 || err != nil || len(l.rows) != 6000 {
		t.Fatalf("%d rows are missing, %d came, %v", missing, len(l.rows), err)
	}
	l.rows = nil
	cause := wit.Cause{Poll: wit.Chosen}
	for {
		step, err := l.p.Next(l.opened.Context, 0, offset, cause, 1_700_000_100_000)
		if err != nil {
			t.Fatal(err)
		}
		if step.Fetch == nil {
			break
		}
		if offset, err = l.page(0, step.Fetch); err != nil {
			t.Fatal(err)
		}
		cause = wit.Cause{More: wit.Chosen}
	}
	if len(l.rows) != 3000 {
		t.Errorf("expected each row once, found %d of 3000", len(l.rows))
	}
}
