package main

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/quick"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/wit"
)

// odd is a service that says yes to everything and does what it likes. Its rows have one key, K.
type odd struct {
	t *testing.T
	// keys are in the order in which the service has them.
	keys []int
	page int
	// links: skip, token (rows counted from the start), key (behind the last row), none, grow (a number that grows,
	// rows that don't); base64 (rows counted as SAP SuccessFactors writes them), offset (as CAP does beside $top), page
	// (the number of the page), sealed (rows counted, so that nobody can read the number).
	links string
	// gap are keys that go between the first page of rows and the second.
	gap []int
	// poison are keys of rows that can't be read.
	poison map[int]bool
	// order: heeds, ignores, unfiltered (heeds it on pages without filter only), text (sorts and compares numbers as
	// texts), refused (400).
	order string
	// filter: heeds, ignores, refused.
	filter string
	// count: filtered, whole, page (the page's rows), zero (0, always), none, refused, first (on the first page alone),
	// more (five too many).
	count string
	// late: the count stands behind the rows.
	late bool
	// skips: $skip is heeded; tops: $top is.
	skips, tops bool
	// noSkip is the status with which a request with $skip is refused, 0: none is.
	noSkip int
	// unpageable: the metadata say that the set can't be paged.
	unpageable bool
	// circle is the page whose link leads back to the page before by so many; 0: none.
	circle int
	// restarts: each page is asked for by an instance that knows nothing.
	restarts bool
	// moves: between requests rows come and go.
	moves *rand.Rand
	// fresh is the next key that a row that comes may have.
	gone     map[int]bool
	requests []string
}

func (s *odd) String() string {
	return fmt.Sprintf("%d rows in pages of %d, links %s, order %s, filter %s, count %s, skips %v, tops %v, "+
		"circle %d, moves %v, order of keys %v", len(s.keys), s.page, s.links, s.order, s.filter, s.count,
		s.skips, s.tops, s.circle, s.moves != nil, s.keys)
}

func (s *odd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		metadata := stubbornMetadata
		if s.unpageable {
			metadata = strings.Replace(metadata, `<EntitySet `, `<EntitySet p:pageable="false" `+
				`xmlns:p="http://www.sap.com/Protocols/SAPData" `, 1)
		}
		w.Write([]byte(metadata))
		return
	}
	s.requests = append(s.requests, r.URL.RawQuery)
	if len(s.requests) == 2 {
		for _, key := range s.gap {
			s.gone[key] = true
			s.keys = slices.DeleteFunc(s.keys, func(k int) bool { return k == key })
		}
	}
	if s.moves != nil {
		s.move()
	}
	q := r.URL.Query()
	refuse := func(status int, what string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":"SY/530","message":{"value":"%s"}}}`, what)
	}
	filter, by := q.Get("$filter"), q.Get("$orderby")
	switch {
	case by != "" && s.order == "refused":
		refuse(400, "no $orderby")
		return
	case q.Get("$inlinecount") != "" && s.count == "refused":
		refuse(400, "no $inlinecount")
		return
	case filter != "" && s.filter == "refused":
		refuse(400, "no $filter")
		return
	case q.Has("$skip") && s.noSkip > 0:
		refuse(s.noSkip, "no $skip")
		return
	}
	all := s.choose(filter)
	keys := s.sorted(all, by, filter)
	start, circled := 0, false
	if text := q.Get("$skip"); text != "" && s.skips {
		start, _ = strconv.Atoi(text)
	}
	switch token := q.Get("$skiptoken"); {
	case token == "":
	case s.links == "key":
		last, _ := strconv.Atoi(token)
		start = 1 + slices.IndexFunc(keys, func(k int) bool { return k == last })
		if start == 0 { // the row is gone: where it would be, in an order of its own
			start = len(keys)
			if by != "" && s.order == "heeds" {
				start, _ = slices.BinarySearch(keys, last)
			}
		}
	case s.links != "grow":
		start = s.position(token)
	}
	keys = keys[min(start, len(keys)):]
	page := keys[:min(s.page, len(keys))]
	if top, err := strconv.Atoi(q.Get("$top")); err == nil && s.tops {
		page = page[:min(top, len(page))]
	}
	counted := s.counted(q.Get("$inlinecount") != "", len(all), len(page), filter, start)
	body := `{"d":{`
	if !s.late {
		body += counted
	}
	body += `"results":[`
	for i, k := range page {
		row := strconv.Itoa(k)
		if s.poison[k] {
			row = `"no number ` + row + `"`
		}
		body += strings.Repeat(",", min(i, 1)) + `{"K":` + row + `}`
	}
	body += "]"
	if s.late && counted != "" {
		body += "," + strings.TrimSuffix(counted, ",")
	}
	end := start + len(page)
	if s.circle > 0 && end/s.page > s.circle {
		end, circled = end-s.circle*s.page, true
	}
	keep := ""
	for _, name := range []string{"$filter", "$orderby", "$inlinecount"} {
		if v := q.Get(name); v != "" {
			keep += name + "=" + strings.ReplaceAll(v, " ", "%20") + "&"
		}
	}
	if more := len(keys) > len(page) || circled; more && s.links != "none" && len(page) > 0 || s.links == "grow" {
		link := "$skip=" + strconv.Itoa(end)
		switch s.links {
		case "token", "base64", "offset", "page", "sealed":
			link = "$skiptoken=" + s.token(end)
		case "key":
			link = "$skiptoken=" + strconv.Itoa(page[len(page)-1])
		case "grow":
			n, _ := strconv.Atoi(q.Get("$skiptoken"))
			link = "$skiptoken=" + strconv.Itoa(n+1)
		}
		body += `,"__next":"X?` + keep + link + `"`
	}
	w.Write([]byte(body + "}}"))
}

// token is a $skiptoken that leads to the row at a position.
func (s *odd) token(at int) string {
	coded := base64.StdEncoding.EncodeToString
	text := strconv.Itoa(at)
	switch s.links {
	case "base64":
		text = coded(fmt.Appendf(nil, `{"startRow":%d,"endRow":%d}`, at, at+s.page))
	case "offset":
		text = coded(fmt.Appendf(nil, "$rows=500&$offset=%d", at))
	case "page":
		text = strconv.Itoa(at/s.page + 1)
	case "sealed":
		text = strings.Repeat("x", at)
	}
	return url.QueryEscape(text)
}

// position reads a token.
func (s *odd) position(token string) (at int) {
	plain, _ := base64.StdEncoding.DecodeString(token)
	switch s.links {
	case "base64":
		fmt.Sscanf(string(plain), `{"startRow":%d,`, &at)
	case "offset":
		fmt.Sscanf(string(plain), "$rows=500&$offset=%d", &at)
	case "page":
		at, _ = strconv.Atoi(token)
		at = (at - 1) * s.page
	case "sealed":
		at = len(token)
	default:
		at, _ = strconv.Atoi(token)
	}
	return at
}

func (s *odd) counted(asked bool, all, page int, filter string, start int) string {
	n := all
	switch s.count {
	case "none":
		return ""
	case "first":
		if filter != "" || start > 0 {
			return ""
		}
	case "whole":
		n = len(s.keys)
	case "page":
		n = page
	case "zero":
		n = 0
	case "more":
		n += 5
	}
	if !asked {
		return ""
	}
	return `"__count":"` + strconv.Itoa(n) + `",`
}

// choose takes the rows that a filter leaves, in the service's own order.
func (s *odd) choose(filter string) []int {
	keys := slices.Clone(s.keys)
	if filter == "" || s.filter == "ignores" {
		return keys
	}
	for part := range strings.SplitSeq(filter, " and ") {
		words := strings.Fields(strings.Trim(part, "()"))
		if len(words) != 3 || words[0] != "K" {
			s.t.Fatalf("filter %s", filter)
		}
		than, err := strconv.Atoi(words[2])
		if err != nil {
			s.t.Fatal(err)
		}
		keys = slices.DeleteFunc(keys, func(k int) bool {
			c := s.compare(k, than)
			return !(words[1] == "gt" && c > 0 || words[1] == "le" && c <= 0)
		})
	}
	return keys
}

func (s *odd) compare(a, b int) int {
	if s.order == "text" {
		return strings.Compare(strconv.Itoa(a), strconv.Itoa(b))
	}
	return cmp.Compare(a, b)
}

func (s *odd) sorted(keys []int, by, filter string) []int {
	if by == "" || s.order == "ignores" || s.order == "unfiltered" && filter != "" {
		return keys
	}
	slices.SortFunc(keys, s.compare)
	if strings.HasSuffix(by, " desc") {
		slices.Reverse(keys)
	}
	return keys
}

// move takes a row away, or brings one.
func (s *odd) move() {
	for range s.moves.IntN(3) {
		at := s.moves.IntN(len(s.keys))
		if len(s.keys) > 5 && s.moves.IntN(2) == 0 {
			s.gone[s.keys[at]] = true
			s.keys = slices.Delete(s.keys, at, at+1)
			continue
		}
		key := s.moves.IntN(4000) - 500
		if !slices.Contains(s.keys, key) && !s.gone[key] {
			s.keys = slices.Insert(s.keys, at, key)
		}
	}
}

// read loads the set and reports how many of the rows that were there all the time are missing, and how many came more
// than once.
func (s *odd) read(t *testing.T, settings ...string) (missing, twice int, err error) {
	s.t, s.gone = t, map[int]bool{}
	before := slices.Clone(s.keys)
	l := newLoad(t, s, append(set("00", "X"), settings...)...)
	l.piece = 100
	offset := []wit.Field(nil)
	for l.unfinished = true; l.unfinished && err == nil && len(s.requests) < 2000; {
		n := 2000
		if s.restarts {
			n, l.p = 1, &plugin{}
		}
		offset, err = l.some(0, offset, n)
	}
	if l.unfinished && err == nil {
		t.Fatal("the load doesn't end")
	}
	came := map[string]int{}
	for _, r := range l.rows {
		came[r]++
	}
	for _, k := range before {
		n := came["["+strconv.Itoa(k)+"]"]
		if n == 0 && !s.gone[k] {
			missing++
		}
		if n > 1 {
			twice++
		}
	}
	return missing, twice, err
}

func upFrom(first, n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = first + i
	}
	return keys
}

// A service that takes $orderby and doesn't heed it: rows out of order arrive like all others, each once.
func TestRowsOutOfOrder(t *testing.T) {
	displaced := func(from, to int) []int {
		keys := upFrom(1000, 300)
		k := keys[from]
		return slices.Insert(slices.Delete(keys, from, from+1), to, k)
	}
	for _, links := range []string{"skip", "token"} {
		for _, order := range []string{"ignores", "unfiltered"} {
			for _, count := range []string{"filtered", "whole", "first", "none"} {
				for name, keys := range map[string][]int{"the first row late": displaced(0, 250),
					"the 200th first":           displaced(199, 0),
					"the 200th last":            displaced(199, 299),
					"a row of page 2 on page 3": displaced(150, 210), "the last row early": displaced(299, 120),
					"two": append(displaced(5, 250), 7)} {
					t.Run(fmt.Sprint(links, order, count, name), func(t *testing.T) {
						s := &odd{keys: keys, page: 100, links: links, order: order, filter: "heeds", count: count,
							skips: true}
						missing, twice, err := s.read(t)
						if err != nil || missing > 0 {
							t.Fatalf("%d rows are missing (%v), %v", missing, err, s.requests)
						}
						if len(s.requests) > 12 { // it is read once more at most
							t.Errorf("%d rows came twice, %v", twice, s.requests)
						}
					})
				}
			}
		}
	}
}

// However a service writes the number of rows in its links, also so that nobody can read it, a row that goes before
// them hides no other: the pages go by key, and where the service doesn't sort the load begins again.
func TestRowsThatGoBeforeLinksThatCount(t *testing.T) {
	for _, links := range []string{"token", "base64", "offset", "page", "sealed"} {
		for _, first := range []int{1, 5000} {
			for _, order := range []string{"heeds", "refused"} {
				t.Run(fmt.Sprint(links, first, order), func(t *testing.T) {
					s := &odd{keys: upFrom(first, 3000), page: 1000, links: links, order: order, filter: "heeds",
						count: "filtered", skips: true, gap: []int{first + 5}}
					missing, twice, err := s.read(t)
					if err != nil || missing > 0 {
						t.Fatalf("%d rows are missing, %v, %v", missing, err, s.requests)
					}
					if order == "heeds" && twice > 0 {
						t.Errorf("%d rows came twice, %v", twice, s.requests)
					}
				})
			}
		}
	}
}

// A page that ends with rows that can't be read is not the last one, however pages are asked for; such a row is a fault
// once, and ends no load.
func TestRowsThatCannotBeRead(t *testing.T) {
	for name, poison := range map[string][]int{"the last of page 2": {20}, "two": {19, 20}, "the first of page 3": {21},
		"across pages": {19, 20, 21, 22}, "the last of all": {40}, "the last two": {39, 40}, "of page 1": {10},
		"a whole page": upFrom(11, 10), "a page and more": upFrom(9, 15), "the first page": upFrom(1, 10),
		"all but one": upFrom(2, 39), "two whole pages at the end": upFrom(21, 20)} {
		for _, c := range []struct{ count, order, links, paging string }{
			{"none", "heeds", "none", "top"}, {"filtered", "heeds", "none", "top"}, {"first", "heeds", "none", "top"},
			{"none", "heeds", "none", "auto"}, {"filtered", "heeds", "none", "auto"},
			{"none", "refused", "none", "top"}, {"filtered", "refused", "none", "auto"},
			{"filtered", "heeds", "token", "auto"}, {"none", "heeds", "token", "auto"},
			{"filtered", "heeds", "key", "auto"},
		} {
			t.Run(fmt.Sprint(name, c), func(t *testing.T) {
				s := &odd{t: t, keys: upFrom(1, 40), page: 10, links: c.links, order: c.order, filter: "heeds",
					count: c.count, skips: true, tops: true, gone: map[int]bool{}, poison: map[int]bool{}}
				for _, k := range poison {
					s.poison[k] = true
				}
				l := newLoad(t, s, append(set("00", "X"), "sap.odata.paging="+c.paging, "sap.odata.page.size=10")...)
				offset := []wit.Field(nil)
				var err error
				for l.unfinished = true; l.unfinished && err == nil && len(s.requests) < 100; {
					l.p = &plugin{} // one that knows nothing
					offset, err = l.some(0, offset, 1)
				}
				came := map[string]int{}
				for _, r := range l.rows {
					came[r]++
				}
				faults := map[string]int{}
				for _, f := range l.faults {
					_, row, _ := strings.Cut(f.Fault.Message, "no number ")
					row, _, _ = strings.Cut(row, "\"")
					row = strings.TrimRight(row, "\\")
					faults[row]++
				}
				for k := range maps.Keys(came) {
					if came[k] > 1 {
						t.Errorf("row %s came %d times", k, came[k])
					}
				}
				for row, n := range faults {
					if n > 1 {
						t.Errorf("row %s is a fault %d times", row, n)
					}
				}
				if err != nil || l.unfinished || len(came) != 40-len(poison) || len(faults) != len(poison) {
					t.Errorf("%d rows came, %d faults, %v, in %d requests:\n%s", len(came), len(faults), err,
						len(s.requests), strings.Join(s.requests, "\n"))
				}
			})
		}
	}
}

// Where the rows of the last page can't be read and nothing says that there are others, a service that ignores or
// refuses $skip, or whose metadata say that it can't be paged, ends the load. Each row is a fault once.
func TestRowsThatCannotBeReadWithoutSkip(t *testing.T) {
	for _, c := range []struct {
		rows    int
		poison  []int
		count   string
		settled bool // the load ends, else it fails since there may be more rows
	}{
		{1, upFrom(1, 1), "none", true}, {1, upFrom(1, 1), "page", true}, {10, upFrom(1, 10), "none", true},
		{10, upFrom(1, 10), "page", true}, {10, upFrom(1, 10), "filtered", true}, {10, []int{10}, "none", true},
		{10, upFrom(4, 7), "none", true}, {10, []int{10}, "page", true}, {10, []int{10}, "first", true},
		{70, upFrom(7, 64), "none", true}, {40, upFrom(21, 20), "none", false},
	} {
		for _, way := range []string{"ignored", "400", "501", "unpageable"} {
			for _, tops := range []bool{true, false} {
				t.Run(fmt.Sprint(c, way, tops), func(t *testing.T) {
					s := &odd{t: t, keys: upFrom(1, c.rows), page: max(10, c.rows/2), links: "none", order: "heeds",
						filter: "heeds", count: c.count, tops: tops, gone: map[int]bool{}, poison: map[int]bool{},
						unpageable: way == "unpageable"}
					if c.rows == 70 {
						s.page = 70
					}
					s.noSkip, _ = strconv.Atoi(way)
					for _, k := range c.poison {
						s.poison[k] = true
					}
					l := newLoad(t, s, set("00", "X")...)
					offset := []wit.Field(nil)
					var err error
					for l.unfinished = true; l.unfinished && err == nil && len(s.requests) < 100; {
						l.p = &plugin{} // one that knows nothing
						offset, err = l.some(0, offset, 1)
					}
					if l.unfinished && err == nil {
						t.Fatalf("the load doesn't end:\n%s", strings.Join(s.requests, "\n"))
					}
					if !c.settled {
						if err == nil {
							t.Errorf("the load ends after %d rows:\n%s", len(l.rows), strings.Join(s.requests, "\n"))
						}
						return
					}
					if err != nil || len(l.rows) != c.rows-len(c.poison) || len(l.faults) != len(c.poison) {
						t.Errorf("%d rows came, %d faults, %v:\n%s", len(l.rows), len(l.faults), err,
							strings.Join(s.requests, "\n"))
					}
				})
			}
		}
	}
}

// A page of rows that can't be read, behind as many as the service counted at first: by the page's own count others are
// behind it, since rows were inserted meanwhile.
func TestRowsThatCannotBeReadBeforeInsertedOnes(t *testing.T) {
	s := &odd{t: t, keys: upFrom(1, 40), page: 10, links: "none", order: "heeds", filter: "heeds", count: "filtered",
		skips: true, gone: map[int]bool{}, poison: map[int]bool{}}
	for k := 41; k <= 50; k++ {
		s.poison[k] = true
	}
	inserting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(s.requests) == 1 {
			s.keys = upFrom(1, 70)
		}
		s.ServeHTTP(w, r)
	})
	l := newLoad(t, inserting, set("00", "X")...)
	if _, err := l.run(0, nil); err != nil || l.different() != 60 || len(l.rows) != 60 || len(l.faults) != 10 {
		t.Errorf("%d rows came, %d faults, %v:\n%s", len(l.rows), len(l.faults), err, strings.Join(s.requests, "\n"))
	}
}

// A row that the host has left out is a fault of its page, also where it was one of the page before and comes again:
// the host says in the next fault that comes why the row was left out.
func TestRowThatIsLeftOutAgain(t *testing.T) {
	s := &odd{t: t, keys: upFrom(1, 10), page: 10, links: "none", order: "heeds", filter: "heeds", count: "none",
		skips: true, gone: map[int]bool{}, poison: map[int]bool{10: true}}
	l := newLoad(t, s, set("00", "X")...)
	offset, err := l.some(0, nil, 1)
	if err != nil || len(l.faults) != 1 {
		t.Fatalf("faults %v, %v", l.faults, err)
	}
	l.faults = nil
	step, err := l.p.Next(l.opened.Context, 0, offset, wit.Cause{More: wit.Chosen}, 1_700_000_000_000)
	if err != nil {
		t.Fatal(err)
	}
	answer := l.exchange(&step.Fetch.Request)
	body := answer.Body
	answer.Body = nil
	page, err := l.p.Begin(l.opened.Context, 0, step.Fetch.Position, answer)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(body), `{"K":"no number 10"`)
	if at < 0 {
		t.Fatalf("the row doesn't come again: %s", body)
	}
	for _, c := range []struct {
		tag   string
		piece []byte
		last  bool
	}{{"", body[:at], false}, {wit.TagComplete, nil, false}, {wit.TagLeaveOut, nil, false}, {"", body[at:], true}} {
		portion, err := l.p.Decode(page, c.tag, 200, slices.Clone(c.piece), c.last)
		if err != nil {
			t.Fatal(err)
		}
		l.take(&portion)
	}
	if len(l.faults) != 1 || l.faults[0].Origin != 0 {
		t.Errorf("expected a fault for the row, found %v", l.faults)
	}
}

// Whatever a service does and says: either every row that was there throughout arrives, or the load fails.
func TestOddServices(t *testing.T) {
	rounds, failed, requests, seen := 2000, 0, 0, map[string]int{}
	if testing.Short() {
		rounds = 500
	}
	check := func(seed uint64) bool {
		s, settings := randomService(rand.New(rand.NewPCG(seed, 1)))
		what, honest := s.String(), s.honest()
		missing, _, err := s.read(t, settings...)
		requests = max(requests, len(s.requests)*s.page)
		if err == nil && missing > 0 {
			t.Logf("seed %d: %d of %d rows are missing: %s, %v\n%s", seed, missing, len(s.keys), what, settings,
				strings.Join(s.requests, "\n"))
			return false
		}
		if err != nil {
			failed++
			if honest {
				t.Logf("seed %d: a service that does what it says, whose rows move %v: %v: %s\n%s", seed,
					s.moves != nil, err, what, strings.Join(s.requests, "\n"))
				return false
			}
		}
		seen[s.links+" "+s.order]++
		return true
	}
	if err := quick.Check(check, &quick.Config{MaxCount: rounds}); err != nil {
		t.Error(err)
	}
	t.Logf("%d of %d loads failed, %d rows were asked for at most: %v", failed, rounds, requests, seen)
}

// A service that caps its pages, without link and count, is read whole where it heeds the key or $skip, also after
// restarts; one that gives all its rows is asked once more.
func TestPagesWithoutLinkAndCount(t *testing.T) {
	for _, count := range []string{"none", "refused"} {
		for _, paging := range []string{"auto", "keys", "links"} {
			for _, filter := range []string{"heeds", "ignores", "refused"} {
				for _, order := range []string{"heeds", "ignores", "refused"} {
					for _, skips := range []bool{true, false} {
						for _, cap := range []int{1, 100, 350, 1000} {
							s := &odd{keys: upFrom(1, 350), page: cap, links: "none", order: order, filter: filter,
								count: count, skips: skips, restarts: cap < 1000}
							if cap == 1 {
								s.keys = s.keys[:5]
							}
							missing, twice, err := s.read(t, "sap.odata.paging="+paging)
							hopeless := cap < 350 && !skips && (filter != "heeds" || paging == "links" ||
								order == "refused" || cap == 1 ||
								order == "ignores")
							if err != nil && !hopeless || missing > 0 && !hopeless || err == nil && twice > 0 &&
								order == "heeds" {
								t.Errorf("%s: %d missing, %d twice, %v: %v\n%s", paging, missing, twice, err, s,
									strings.Join(s.requests, "\n"))
							}
							most := 2
							if count == "refused" {
								most++
							}
							if cap >= 350 && order == "heeds" && filter == "heeds" && skips && len(s.requests) > most {
								t.Errorf("%s: %d requests: %v", paging, len(s.requests), s.requests)
							}
						}
					}
				}
			}
		}
	}
}

// honest: it does all that it says, so that the load must not fail.
func (s *odd) honest() bool {
	if uncounted := s.count == "none" || s.count == "refused"; uncounted && len(s.keys) <= s.page && s.circle == 0 &&
		s.links != "grow" && s.moves == nil {
		return true // it gives all its rows in one page, whatever it does with what it's asked besides
	}
	return s.order == "heeds" && s.filter == "heeds" && (s.count == "none" || s.count == "filtered" ||
		s.count == "whole") && s.skips && s.circle == 0 && s.links != "grow" && s.moves == nil
}

func randomService(r *rand.Rand) (*odd, []string) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	s := &odd{page: 1 + r.IntN(20), links: pick("skip", "token", "key", "none", "skip", "token", "base64", "page",
		"sealed"), order: pick("heeds",
		"heeds", "ignores", "unfiltered", "text", "refused"),
		filter: pick("heeds", "heeds", "heeds", "ignores", "refused"), count: pick("filtered", "filtered", "filtered",
			"whole", "first", "more", "none", "refused", "page", "zero"), skips: r.IntN(6) > 0}
	s.late, s.restarts, s.tops = r.IntN(2) == 0, r.IntN(4) == 0, r.IntN(4) > 0
	n := 1 + r.IntN(80)
	for k := range n {
		s.keys = append(s.keys, (k-n/4)*3)
	}
	switch r.IntN(4) {
	case 0:
		r.Shuffle(n, func(i, j int) { s.keys[i], s.keys[j] = s.keys[j], s.keys[i] })
	case 1, 2:
		for range 1 + r.IntN(3) {
			from, to := r.IntN(n), r.IntN(n)
			k := s.keys[from]
			s.keys = slices.Insert(slices.Delete(s.keys, from, from+1), to, k)
		}
	}
	switch r.IntN(12) {
	case 0:
		s.circle = 1 + r.IntN(4)
	case 1:
		s.links = "grow"
	}
	settings := []string{"sap.odata.paging=" + pick("auto", "auto", "auto", "keys", "links")}
	counted := s.count == "filtered" || s.count == "whole" || s.count == "first"
	if !counted && s.links == "none" && (s.order != "heeds" || !s.skips && (s.filter != "heeds" ||
		strings.HasSuffix(settings[0], "links"))) {
		s.links = "key" // nothing tells that rows are missing
	}
	if !counted && !s.skips && s.links == "skip" {
		s.skips = true
	}
	if counted && s.links != "grow" && s.order == "heeds" && s.filter == "heeds" && !strings.HasSuffix(settings[0],
		"links") && r.IntN(2) == 0 {
		s.moves = r // following links that count rows, nobody can notice a row that comes for one that goes
	}
	return s, settings
}

// A service that goes in a circle is found out, whatever the circle's length, and after a restart.
func TestCircles(t *testing.T) {
	for _, c := range []struct {
		circle, page, restart int
		links, want           string
	}{{1, 10, 0, "token", "leads to itself"}, {2, 10, 0, "skip", "followed before"}, {7, 10, 3, "token",
		"followed before"}, {50, 10, 0, "token", "followed before"}, {50, 10, 30, "skip", "followed before"},
		{150, 4, 0, "token", "circle"}, {150, 4, 200, "token", "circle"}, {0, 10, 0, "grow", "brings the rows"}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s := &odd{t: t, keys: upFrom(0, 1000), page: c.page, links: c.links, order: "ignores", filter: "ignores",
				count: "filtered",
				skips: true, circle: c.circle}
			slices.Reverse(s.keys)
			l := newLoad(t, s, set("00", "X")...)
			offset, err := l.some(0, nil, c.restart)
			if err != nil {
				t.Fatal(err)
			}
			l.p = &plugin{} // an instance that knows nothing
			_, err = l.run(0, offset)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "X?") {
				t.Fatalf("expected a fault that names a link and says %q, found %v after %d requests", c.want, err,
					len(s.requests))
			}
			most := c.circle + 2
			if c.circle > 64 {
				most = 3 * c.circle
			}
			if len(s.requests) > most+100/c.page {
				t.Errorf("%d requests for a circle of %d", len(s.requests), c.circle)
			}
		})
	}
}

// deleting deletes a row that is still to come before it answers the second page.
type deleting struct {
	inner http.Handler
	row   string
	feeds int
}

func (d *deleting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "$metadata") {
		if d.feeds++; d.feeds == 2 {
			gone := httptest.NewRecorder()
			d.inner.ServeHTTP(gone, httptest.NewRequest(http.MethodDelete, "http://127.0.0.1:8080"+northwind+d.row,
				nil))
			if gone.Code != http.StatusNoContent {
				panic(gone.Body.String())
			}
		}
	}
	d.inner.ServeHTTP(w, r)
}

// A row that is deleted ahead of the load is told from one that was left out by one question, for keys of several parts
// too: paging by key goes on, and nothing comes twice.
func TestRowsThatGoAhead(t *testing.T) {
	for _, name := range []string{"Orders", "Order_Details"} {
		s := service.New(service.Options{Switches: service.Switches{PageSize: 200, SkipToken: "offset"}})
		last := ""
		s.Each(name, func(key string, _ map[string]string) { last = key })
		l := newLoad(t, &deleting{inner: s, row: "/" + name + last}, set("00", name)...)
		l.targets = nil
		if _, err := l.run(0, nil); err != nil {
			t.Fatal(err)
		}
		l.same(s, name)
		pages := (len(l.rows) + 199) / 200
		if len(l.targets) != pages+2 { // the question, and the count at the end
			t.Errorf("%s: expected %d requests, found\n%s", name, pages+2, strings.Join(l.targets, "\n"))
		}
	}
}
