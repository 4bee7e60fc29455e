package paging

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// service answers requests for a set in memory whose rows have one integer key, K. It accepts all options. By default
// it applies $orderby and $filter and counts the filtered rows.
type service struct {
	dialect *edm.Dialect // of the set that is read
	// keys are in the service's own order. page is the number of rows of a page.
	keys []int
	page int
	// key returns the key of a row, whose value is then the number in keys. If nil, the number is the key.
	key func(row int) int
	// keyless rows have no key. generated keys number the rows of each response from 1.
	keyless   bool
	generated bool
	equal     bool // rows have equal values
	// links: skip, token, base64 (as SAP SuccessFactors), offset (as CAP with $top), page (the number of the page),
	// sealed (rows counted, encrypted), key (the last row's), grow (a number that grows while rows do not), back
	// (on each page, to the second one), fresh (as token, but always new), echo (as token, and for an empty page
	// its own URL with + for blanks), none. refuse returns the status with which a link of a page by key is
	// rejected, by the number of such requests, or zero; nil means that no link is rejected.
	links        string
	refuse       func(times int) int
	refusedCount int
	// order: heeds (applied), ignores, unfiltered (on pages without filter alone), filtered (on those with one), text
	// (numbers as texts), refused.
	order string
	// filter: heeds (applied), ignores, refused, above (ge means gt).
	filter string
	// count: filtered, whole, page (the page's rows), zero (0, always), none, refused, first (on the first page alone),
	// more (five too many), less (five too few), limit (at most as many as on a page).
	count string
	// skips and tops: $skip and $top are applied. noSkip is the status with which a request with $skip is rejected.
	// Zero means that it is accepted.
	skips  bool
	tops   bool
	noSkip int
	// feedRows is the number of rows after which feeds end without a link. Zero means no limit.
	feedRows int
	// undecodable contains the rows that cannot be decoded. circle is the number of pages by which the links after
	// them lead back. Zero means that no link leads back.
	undecodable map[int]bool
	circle      int
	// hidden contains the keys of rows that are removed from a page after it was cut.
	hidden map[int]bool
	// fault changes the answer to a request. number counts requests from 1.
	fault func(s *service, number int, target string, correct answer) answer
	// beforeRequest changes the rows before a request. number counts requests from 1.
	beforeRequest func(s *service, number int)
	deleted       map[int]bool
	requests      []string
}

// answer is the response to a request.
type answer struct {
	status  int
	keys    []int // numbers of rows
	count   int
	link    string
	message string
	isHTML  bool // from a router in front of the service
}

func (s *service) String() string {
	return fmt.Sprintf("%d rows in pages of %d, links %s, order %s, filter %s, count %s, skips %v, tops %v, ends %d, "+
		"circle %d: %v", len(s.keys), s.page, s.links, s.order, s.filter, s.count, s.skips, s.tops, s.feedRows,
		s.circle, s.keys)
}

// get answers a request, which it records.
func (s *service) get(target string) (a answer) {
	_, query, _ := strings.Cut(target, "?")
	s.requests = append(s.requests, query)
	if s.beforeRequest != nil {
		s.beforeRequest(s, len(s.requests))
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	filter := q.Get("$filter")
	order := q.Get("$orderby")
	wantsCount := q.Has(s.dialect.CountName)
	switch {
	case order != "" && s.order == "refused":
		return answer{status: 400, message: "no $orderby"}
	case wantsCount && s.count == "refused":
		return answer{status: 400, message: "no " + s.dialect.CountName}
	case filter != "" && s.filter == "refused":
		return answer{status: 400, message: "no $filter"}
	case q.Has("$skip") && s.noSkip > 0:
		return answer{status: s.noSkip, message: "no $skip"}
	}
	if s.refuse != nil && q.Has("$skiptoken") && strings.Contains(filter, " gt ") {
		s.refusedCount++
		if s.refuse(s.refusedCount) > 0 {
			return answer{status: s.refuse(s.refusedCount), message: "no such page"}
		}
	}
	rows := s.sortKeys(s.filterKeys(filter), order, filter)
	start := s.start(q, rows, order)
	remaining := rows[min(start, len(rows)):]
	page := remaining[:min(s.page, len(remaining))]
	if top, err := strconv.Atoi(q.Get("$top")); err == nil && s.tops {
		page = page[:min(top, len(page))]
	}
	a = answer{status: 200, keys: page, count: -1}
	if wantsCount {
		a.count = s.countFor(len(rows), len(page), filter, start)
	}
	end := start + len(page)
	isCircle := false
	if s.circle > 0 && end/s.page > s.circle {
		end = end - s.circle*s.page
		isCircle = true
	}
	isCut := s.feedRows > 0 && end%s.feedRows == 0
	if s.links == "grow" {
		a.link = s.link(q, end, 0)
	} else if s.links == "back" {
		a.link = s.link(q, s.page, 0)
	} else if s.links == "echo" && len(page) == 0 {
		a.link = "/s/X?" + strings.ReplaceAll(query, "%20", "+")
	} else if (len(remaining) > len(page) || isCircle) && s.links != "none" && len(page) > 0 && !isCut {
		a.link = s.link(q, end, page[len(page)-1])
	}
	a.keys = slices.DeleteFunc(slices.Clone(page), func(k int) bool { return s.hidden[k] })
	return a
}

// start returns the index of the page's first row in the filtered rows. order is the requested order.
func (s *service) start(q url.Values, rows []int, order string) (start int) {
	if text := q.Get("$skip"); text != "" && s.skips {
		start, _ = strconv.Atoi(text)
	}
	token := q.Get("$skiptoken")
	plain, _ := base64.StdEncoding.DecodeString(token)
	switch {
	case token == "", s.links == "grow": // the first page, or the next of a growing link
	case s.links == "page":
		start, _ = strconv.Atoi(token)
		start = (start - 1) * s.page
	case s.links == "key":
		last, _ := strconv.Atoi(token)
		if index := slices.Index(rows, last); index >= 0 {
			return index + 1
		}
		start = len(rows)
		if order != "" && s.order == "heeds" { // the row is missing, so its place
			start, _ = slices.BinarySearch(rows, last)
		}
	case s.links == "base64":
		fmt.Sscanf(string(plain), `{"startRow":%d,`, &start)
	case s.links == "offset":
		fmt.Sscanf(string(plain), "$rows=500&$offset=%d", &start)
	case s.links == "sealed":
		start = len(token)
	default:
		token, _, _ = strings.Cut(token, "-")
		start, _ = strconv.Atoi(token)
	}
	return start
}

// link returns the link of a page that ends at the index end with the key last.
func (s *service) link(query url.Values, end, last int) string {
	encode := base64.StdEncoding.EncodeToString
	option := "$skiptoken=" + strconv.Itoa(end)
	switch s.links {
	case "skip":
		option = "$skip=" + strconv.Itoa(end)
	case "key":
		option = "$skiptoken=" + strconv.Itoa(last)
	case "page":
		option = "$skiptoken=" + strconv.Itoa(end/s.page+1)
	case "grow":
		n, _ := strconv.Atoi(query.Get("$skiptoken"))
		option = "$skiptoken=" + strconv.Itoa(n+1)
	case "base64":
		option = "$skiptoken=" + url.QueryEscape(encode(fmt.Appendf(nil, `{"startRow":%d,"endRow":%d}`, end,
			end+s.page)))
	case "offset":
		option = "$skiptoken=" + url.QueryEscape(encode(fmt.Appendf(nil, "$rows=500&$offset=%d", end)))
	case "fresh":
		option += "-" + strconv.Itoa(len(s.requests))
	case "sealed":
		option = "$skiptoken=" + strings.Repeat("x", end)
	}
	for _, name := range []string{"$filter", "$orderby", s.dialect.CountName} {
		if query.Has(name) {
			option = name + "=" + strings.ReplaceAll(query.Get(name), " ", "%20") + "&" + option
		}
	}
	return "/s/X?" + option
}

// countFor returns the count in a response, -1 for no count.
func (s *service) countFor(filteredRows, pageRows int, filter string, start int) int {
	switch s.count {
	case "none":
		return -1
	case "first":
		if filter != "" || start > 0 {
			return -1
		}
	case "whole":
		return len(s.keys)
	case "page":
		return pageRows
	case "zero":
		return 0
	case "more":
		return filteredRows + 5
	case "less":
		return max(0, len(s.keys)-5)
	case "limit":
		return min(filteredRows, s.page)
	}
	return filteredRows
}

// usersFilter is a condition of the user that all rows meet.
const usersFilter = "U eq 1"

// filterKeys returns the rows that meet a filter, in the service's own order.
func (s *service) filterKeys(filter string) []int {
	keys := slices.Clone(s.keys)
	if _, condition, hasUserFilter := strings.Cut(filter, usersFilter); hasUserFilter {
		filter = strings.Trim(condition, "and ()")
	}
	if filter == "" || s.filter == "ignores" {
		return keys
	}
	words := strings.Fields(filter)
	bound, err := strconv.Atoi(strings.TrimSuffix(words[2], s.dialect.Form(edm.Int64).Suffix))
	if err != nil || len(words) != 3 || words[0] != "K" {
		panic(filter)
	}
	return slices.DeleteFunc(keys, func(k int) bool {
		order := s.compare(s.keyOf(k), bound)
		isFrom := order > 0 || (order == 0 && s.filter != "above")
		return !((words[1] == "gt" && order > 0) || (words[1] == "ge" && isFrom) || (words[1] == "lt" && order < 0) ||
			(words[1] == "eq" && order == 0))
	})
}

func (s *service) compare(a, b int) int {
	if s.order == "text" {
		return strings.Compare(strconv.Itoa(a), strconv.Itoa(b))
	}
	return cmp.Compare(a, b)
}

func (s *service) sortKeys(keys []int, by, filter string) []int {
	if by == "" || s.order == "ignores" || (s.order == "unfiltered" && filter != "") ||
		(s.order == "filtered" && filter == "") {
		return keys
	}
	slices.SortStableFunc(keys, func(a, b int) int { return s.compare(s.keyOf(a), s.keyOf(b)) })
	if strings.HasSuffix(by, " desc") {
		slices.Reverse(keys)
	}
	return keys
}

// remove removes rows.
func (s *service) remove(keys ...int) {
	for _, k := range keys {
		s.deleted[k] = true
		s.keys = slices.DeleteFunc(s.keys, func(other int) bool { return other == k })
	}
}

// result is the result of a load.
type result struct {
	rows   []int // keys of the rows that arrived
	errors []int // numbers of the rows that arrived as errors
	// numbers are the numbers of rows. They differ for rows with equal keys.
	numbers []int
	// missing contains the keys that existed throughout the load but did not arrive. repeated is the number of rows
	// whose keys were read more than once.
	missing  []int
	repeated int
	end      *Position
}

// load reads the set from a position on, or from the start if it is nil. Each page is requested from the stored offset,
// as after a restart. It sets defaults of the service.
func (s *service) load(t *testing.T, set *Set, from *Position) (loaded result, err error) {
	t.Helper()
	s.dialect = set.Dialect
	s.order = cmp.Or(s.order, "heeds")
	s.filter = cmp.Or(s.filter, "heeds")
	s.count = cmp.Or(s.count, "filtered")
	s.deleted = map[int]bool{}
	originalKeys := slices.Clone(s.keys)
	page := NewPage()
	position := from
	for position == nil || !position.isDone {
		if position == nil {
			position = set.First(1_700_000_000_000)
		} else if position, err = Read(position.Fields()); err != nil {
			t.Fatal(err)
		}
		if len(s.requests) > 4000 || len(loaded.rows) > 6*len(s.keys)+4000 {
			t.Fatalf("the load does not end: %v\n%s", s, strings.Join(s.requests[:min(20, len(s.requests))], "\n"))
		}
		if position, err = s.readPage(set, page, position, &loaded); err != nil {
			break
		}
	}
	loaded.end = position
	counts := map[int]int{}
	for _, k := range loaded.rows {
		counts[k]++
	}
	for _, row := range originalKeys {
		k := s.keyOf(row)
		if counts[k] == 0 && !s.deleted[k] && !s.undecodable[k] && !s.hidden[row] {
			loaded.missing = append(loaded.missing, k)
		}
		if counts[k] > 1 {
			loaded.repeated++
		}
	}
	return loaded, err
}

// expectAllRows checks that a load has returned all rows.
func (s *service) expectAllRows(t *testing.T, loaded result, err error) {
	t.Helper()
	require.True(t, err == nil && len(loaded.missing) == 0, "expected all rows, found %v, missing %v, %v\n%s",
		loaded.rows, loaded.missing, err, strings.Join(s.requests, "\n"))
}

// ordersByChance reports whether a few rows of the service's pages may be in order by chance, first ascending and then
// descending.
func (s *service) ordersByChance() bool {
	isChance := s.page == 1 || s.beforeRequest != nil || s.order == "unfiltered"
	return isChance && s.page < 8 && s.order != "heeds"
}

func (s *service) keyOf(row int) int {
	if s.key == nil {
		return row
	}
	return s.key(row)
}

// readPage requests a page, passes its rows in pieces, and returns the next position.
func (s *service) readPage(set *Set, page *Page, position *Position, loaded *result) (*Position, error) {
	target, _ := set.Request(position)
	answer := s.get(target)
	if s.fault != nil {
		answer = s.fault(s, len(s.requests), target, answer)
	}
	page.Begin(set, position)
	defer page.End()
	if answer.status != 200 {
		return page.AfterError(ErrorResponse{Status: answer.status, ReceivedAt: 1_700_000_000_000, Text: answer.message,
			TokenLost: answer.status == 410 && !answer.isHTML, FromService: !answer.isHTML,
			FromRouter: answer.isHTML && answer.status != 400,
			Err:        &wit.Error{Kind: wit.ErrorData, Message: "refused " + strconv.Itoa(answer.status)}})
	}
	origin := uint32(0)
	for remaining := answer.keys; len(remaining) > 0; {
		n := min(len(remaining), 7) // so that most pages arrive in several pieces
		var out Rows
		for _, k := range remaining[:n] {
			start := uint32(len(out.Data))
			if s.undecodable[k] {
				out.Data = fmt.Appendf(out.Data, `{"K":"no number %d"}`, k)
				out.Errors = append(out.Errors, wit.RowError{RowIndex: origin, RawStart: start,
					RawSize: uint32(len(out.Data)) - start})
			} else {
				switch {
				case s.keyless: // the row has no key
				case s.generated:
					out.Data = binary.AppendVarint(out.Data, int64(origin)+1)
				default:
					out.Data = binary.AppendVarint(out.Data, int64(s.keyOf(k)))
				}
				value := uint32(len(out.Data))
				out.Data = append(out.Data, "row "...)
				if !s.equal {
					out.Data = fmt.Append(out.Data, k)
				}
				out.Rows = append(out.Rows, wit.Row{RowIndex: origin,
					Key:   wit.ValueSlice{Start: start, Size: value - start},
					Value: wit.ValueSlice{Start: value, Size: uint32(len(out.Data)) - value}})
			}
			origin++
		}
		rows, emit := page.Observe(&out)
		if emit {
			for i := range rows {
				k, _ := binary.Varint(keyOf(&rows[i], out.Data))
				loaded.rows = append(loaded.rows, int(k))
				var number int
				fmt.Sscanf(string(valueOf(&rows[i], out.Data)), "row %d", &number)
				loaded.numbers = append(loaded.numbers, number)
			}
			for _, f := range out.Errors {
				var k int
				fmt.Sscanf(string(out.Data[f.RawStart:f.RawStart+f.RawSize]), `{"K":"no number %d"}`, &k)
				loaded.errors = append(loaded.errors, k)
			}
		}
		remaining = remaining[n:]
	}
	return page.Next(PageInfo{Rows: len(answer.keys), Count: answer.count, Link: answer.link,
		ReceivedAt: 1_700_000_000_000})
}

// setOf returns the set X of a service of v2 as settings configure it.
func setOf(paging string, top int) *Set {
	return &Set{Dialect: edm.V2, Name: "X", Service: "/s", Address: "X", Count: true, Paging: paging, Top: top,
		Support:    Support{Ordered: true, Countable: true, Pageable: true},
		LogEndings: LogEndings{AfterLoad: "nothing more", AfterRestart: "rows are delivered again"},
		Setting:    func(name string) string { return "sap.odata#00." + name }, Keys: integerKeys(edm.V2)}
}

// randomService returns a service and the set to read, and reports whether the service behaves as it declares.
func randomService(r *rand.Rand) (fake *service, set *Set, isSound bool) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	fake = &service{page: 1 + r.IntN(20), skips: r.IntN(6) > 0, tops: r.IntN(4) > 0,
		links:  pick("skip", "token", "key", "none", "skip", "token", "base64", "offset", "page", "sealed"),
		order:  pick("heeds", "heeds", "ignores", "unfiltered", "text", "refused"),
		filter: pick("heeds", "heeds", "heeds", "ignores", "refused"),
		count:  pick("filtered", "filtered", "filtered", "whole", "first", "more", "none", "refused", "page", "zero")}
	n := 1 + r.IntN(80)
	for k := range n {
		fake.keys = append(fake.keys, (k-n/4)*3)
	}
	switch r.IntN(4) {
	case 0:
		r.Shuffle(n, func(i, j int) { fake.keys[i], fake.keys[j] = fake.keys[j], fake.keys[i] })
	case 1, 2:
		for range 1 + r.IntN(3) {
			from := r.IntN(n)
			to := r.IntN(n)
			k := fake.keys[from]
			fake.keys = slices.Insert(slices.Delete(fake.keys, from, from+1), to, k)
		}
	}
	switch r.IntN(12) {
	case 0:
		fake.circle = 1 + r.IntN(4)
	case 1:
		fake.links = "grow"
	}
	set = setOf(pick("auto", "auto", "auto", "keys", "links"), 0)
	switch change := r.IntN(4); {
	case change == 0 && fake.links != "grow": // else each answer may have new rows, and the load may not end
		fake.beforeRequest = func(s *service, _ int) { s.changeRows(r) }
	case change == 1:
		fake.feedRows = fake.page * (1 + r.IntN(3))
	}
	isSound = fake.order == "heeds" && fake.filter == "heeds" && fake.skips &&
		(fake.count == "none" || fake.count == "filtered" || fake.count == "whole")
	if isUncounted := fake.count == "none" || fake.count == "refused"; isUncounted && n <= fake.page {
		isSound = true // it returns all its rows in one page, whatever it does with the options
	}
	isSound = isSound && fake.circle == 0 && fake.feedRows == 0 && fake.links != "grow" && fake.beforeRequest == nil
	return fake, set, isSound
}

// changeRows removes or inserts up to two rows.
func (s *service) changeRows(r *rand.Rand) {
	for range r.IntN(3) {
		index := r.IntN(len(s.keys))
		if len(s.keys) > 5 && r.IntN(2) == 0 {
			s.remove(s.keys[index])
		} else if key := r.IntN(4000) - 500; !slices.Contains(s.keys, key) && !s.deleted[key] {
			s.keys = slices.Insert(s.keys, index, key)
		}
	}
}

// TestOddServices: whatever a service does and declares, either every row that existed throughout arrives, or the load
// fails or ends without proof. With a service that behaves as it declares it never fails, and each row is read once.
// Some of the services are read in v4, too.
func TestOddServices(t *testing.T) {
	t.Parallel()
	rounds := 3000
	failed := 0
	restarted := 0
	maxRows := 0
	for seed := range uint64(rounds) {
		fake, result, err := loadOddService(t, seed, edm.V2, false)
		if err != nil {
			failed++
		}
		if result.repeated > 0 {
			restarted++
		}
		maxRows = max(maxRows, len(fake.requests)*fake.page)
		fakeOnce, _, _ := loadOddService(t, seed, edm.V2, true)
		if seed%dialectStep == 0 {
			fakeV4, _, _ := loadOddService(t, seed, edm.V4, false)
			checkSameRequests(t, fake, fakeV4)
			fakeV4, _, _ = loadOddService(t, seed, edm.V4, true)
			checkSameRequests(t, fakeOnce, fakeV4)
		}
	}
	t.Logf("%d of %d loads failed, %d read rows twice, at most %d rows were requested", failed, rounds, restarted,
		maxRows)
}

// loadOddService loads the service with a seed in a dialect, and checks the load.
func loadOddService(t *testing.T, seed uint64, dialect *edm.Dialect, exactlyOnce bool) (*service, result, error) {
	fake, set, isSound := randomService(rand.New(rand.NewPCG(seed, 1)))
	set.ExactlyOnce = exactlyOnce
	setDialect(set, dialect)
	description := fmt.Sprintf("seed %d, %s, paging %s: %s", seed, dialect.Name(), set.Paging, fake)
	loaded, err := fake.load(t, set, nil)
	// Numbers of pages are valid from the first page on alone.
	repeatsRows := fake.beforeRequest != nil || (fake.links == "page" && fake.feedRows > 0) ||
		(fake.links == "skip" && !fake.skips)
	fault := (*wit.Error)(nil)
	switch {
	case err != nil && (!errors.As(err, &fault) || fault.Message == ""):
		t.Fatalf("expected an error with a message, found %v: %s", err, description)
	case err == nil && loaded.end.verdict != Unproven && len(loaded.missing) > 0 && !fake.ordersByChance():
		t.Fatalf("rows %v are missing: %s\n%s", loaded.missing, description, strings.Join(fake.requests, "\n"))
	case !exactlyOnce && isSound && (err != nil || loaded.repeated > 0):
		t.Fatalf("behaves as declared: %d rows were read twice, %v: %s\n%s", loaded.repeated, err, description,
			strings.Join(fake.requests, "\n"))
	case exactlyOnce && loaded.repeated > 0 && err == nil && !repeatsRows:
		t.Fatalf("%d rows were read twice, with exactly-once: %s\n%s", loaded.repeated, description,
			strings.Join(fake.requests, "\n"))
	}
	return fake, loaded, err
}

// TestPageOfKnownRows: if rows were inserted, a page may contain only the last rows of the page before it. That is not
// a circle: the set is read again, completely.
func TestPageOfKnownRows(t *testing.T) {
	fake := &service{keys: upFrom(1, 7), page: 3, links: "base64", order: "ignores", count: "whole", skips: true}
	fake.beforeRequest = func(s *service, number int) {
		switch number {
		case 2:
			s.remove(7)
		case 3:
			s.keys = slices.Insert(s.keys, 0, 0)
		}
	}
	result, err := fake.load(t, setOf("links", 0), nil)
	fake.expectAllRows(t, result, err)
	assert.True(t, slices.Contains(result.rows, 0), "expected row 0, found %v", result.rows)
	fake.requests = nil
	fake.beforeRequest = func(s *service, number int) {
		if number == 3 { // the second page is read again
			s.remove(7)
			s.keys = slices.Insert(s.keys, 0, 20, 21, 22)
		}
	}
	fake.keys = upFrom(1, 7)
	result, err = fake.load(t, setOf("links", 0), nil)
	fake.expectAllRows(t, result, err)
	assert.True(t, slices.Contains(result.rows, 21), "expected row 21, found %v", result.rows)
}

// TestRowsInsertedBelowTheLastKey: if rows are inserted below keys that were read, while as many others are deleted,
// the data have changed and the service is right: a count that moves by as many rows shows nothing. Later loads still
// use keys.
func TestRowsInsertedBelowTheLastKey(t *testing.T) {
	fake := &service{keys: upFrom(2, 7), page: 3, links: "base64", count: "whole", skips: true}
	fake.beforeRequest = func(s *service, number int) {
		if number == 3 {
			s.remove(8)
			s.keys = slices.Insert(s.keys, 0, 0, 1)
		}
	}
	loaded, err := fake.load(t, setOf("auto", 0), nil)
	fake.expectAllRows(t, loaded, err)
	require.True(t, loaded.end.verdict == ProvenByKey && loaded.repeated <= 0,
		"expected a proof by key and each row once, found %s, %v", loaded.end.verdict, loaded.rows)
	assert.True(t, !loaded.end.known.ignoresKeyFilter && loaded.end.known.sortsByKey,
		"expected further requests by key, found %v", strings.Join(fake.requests, "\n"))
}

// TestCircleOfLinksIsLeftByKey: if next links form a circle and nothing else shows that there are more rows, the load
// continues by key, each row once. If the service does not sort or compare, it fails.
func TestCircleOfLinksIsLeftByKey(t *testing.T) {
	for _, exactlyOnce := range []bool{false, true} {
		for circle := 1; circle < 4; circle++ {
			for _, filter := range []string{"heeds", "ignores", "refused"} {
				fake := &service{
					keys:   upFrom(1, 30),
					page:   3,
					links:  "token",
					filter: filter,
					count:  "none",
					skips:  true,
					circle: circle,
				}
				set := setOf("auto", 0)
				set.ExactlyOnce = exactlyOnce
				loaded, err := fake.load(t, set, nil)
				isComplete := err == nil && len(loaded.rows) == 30
				if isComplete != (filter == "heeds") || (err == nil && !isComplete) {
					t.Errorf("circle of %d, filter %s: found %d rows, %v\n%s", circle, filter, len(loaded.rows), err,
						strings.Join(fake.requests, "\n"))
				}
			}
		}
	}
}

// integerKeys returns keys that are one integer, K.
func integerKeys(dialect *edm.Dialect) *Keys {
	return NewKeys(dialect, &edm.StructuredType{Key: []string{"K"}, Properties: []edm.Property{{Name: "K", Filterable: true,
		Sortable: true, Type: edm.Type{Primitive: edm.Int64}}}},
		&decode.RowSchema{Columns: []decode.Column{{Name: "K", Type: edm.Int64}}, Keys: []int{0}},
		[]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "K", Node: 1}}}, {Kind: wit.Int64}}, "")
}
