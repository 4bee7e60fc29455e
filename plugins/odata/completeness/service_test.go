package completeness

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// row is a row of a service.
type row struct {
	id   int // distinguishes rows of equal keys
	key  []string
	null bool // the key is null, which is shown as 0 or as an empty text
}

// service answers requests as its description demands.
type service struct {
	description
	variant
	wire         *wire
	stored       []row // in storage order
	requests     []string
	cursors      [][]row // the rows that follow a page, by token
	deleted      map[int]bool
	shown        map[int]bool // rows that an answer contained, except changes
	log          []change     // since the start
	special      int          // the first row that is hidden, or that the second node lacks. Zero means none.
	hasChanged   bool
	isSubscribed bool
	isFailing    bool // the page ends with an error
	hasNoToken   bool // no further page has a delta link
}

func newService(d description, v variant) *service {
	s := &service{description: d, variant: v, wire: wireOf(&d), deleted: map[int]bool{}, shown: map[int]bool{}}
	for i := range v.rows {
		s.stored = append(s.stored, row{id: i + 1, key: s.keyOf(i)})
	}
	if d[notShown] != "none" || d[nodeCount] != "one" {
		s.special = 1 + placeOf(v.place, v.rows)
	}
	for i := range s.stored {
		if d[notShown] == "null keys" && s.isSpecial(i+1) {
			s.stored[i] = row{id: i + 1, key: s.nullKey(), null: true}
		}
	}
	switch n := v.rows; d[storageOrder] {
	case "descending":
		slices.Reverse(s.stored)
	case "rotated":
		s.stored = append(s.stored[n/2:], s.stored[:n/2]...)
	case "arranged":
		s.stored = arrange(s.stored, v.pattern)
	}
	return s
}

func (s *service) isSpecial(id int) bool {
	return s.special > 0 && id >= s.special && id < s.special+max(1, s.specialRows)
}

// arrange returns the permutation of rows with a number.
func arrange(rows []row, number int) (arranged []row) {
	rows = slices.Clone(rows)
	for len(rows) > 0 {
		index := number % len(rows)
		number /= len(rows)
		arranged = append(arranged, rows[index])
		rows = slices.Delete(rows, index, index+1)
	}
	return arranged
}

// placeOf returns the index of a place in n rows.
func placeOf(place string, n int) int {
	switch place {
	case "middle":
		return n / 2
	case "last":
		return n - 1
	}
	return 0
}

// textOf returns the text with an index. Texts of sets of that many rows ascend.
func textOf(index, rows int) string {
	const letters = "bcdefghijklmnopqrstuvwxy"
	if rows <= len(letters) {
		return letters[index : index+1]
	}
	return textOf(index/len(letters), rows/len(letters)) + letters[index%len(letters):][:1]
}

// isUpperCase reports whether the text with an index is in upper case, in sets with keys of mixed case: as the pattern
// of a small set has it; in a large one, the first 1,000 texts, and 500 later ones.
func (s *service) isUpperCase(index int) bool {
	if s.variant.rows <= maxRows {
		return s.pattern>>index&1 == 1
	}
	return index < 1000 || index/500 == s.pattern
}

// keyOf returns the key of the row with an index.
func (s *service) keyOf(index int) []string {
	text := textOf(index, s.variant.rows)
	switch s.description[keyType] {
	case "texts":
		return []string{text}
	case "mixed case":
		if s.isUpperCase(index) {
			text = strings.ToUpper(text)
		}
		return []string{text}
	case "two components":
		return []string{strconv.Itoa(index/2 + 1), string(rune('b' + index%2))}
	case "duplicate":
		if index == 2 {
			index = 1
		}
	}
	return []string{strconv.Itoa(10 * (index + 1))}
}

func (s *service) nullKey() []string {
	switch s.description[keyType] {
	case "texts", "mixed case":
		return []string{""}
	case "two components":
		return []string{"0", ""}
	}
	return []string{"0"}
}

// insertedKey returns a key before all others, between two of them, or after all others.
func (s *service) insertedKey() []string {
	rows := s.variant.rows
	isText := s.description[keyType] == "texts" || s.description[keyType] == "mixed case"
	pick := func(first, middle, last string) string {
		return map[string]string{"first": first, "middle": middle, "last": last}[s.changed]
	}
	switch {
	case isText:
		return []string{pick("a", s.keyOf(rows / 2)[0]+"m", "z")}
	case s.description[keyType] == "two components":
		return []string{pick("0", strconv.Itoa(rows/4+1), strconv.Itoa(rows/2+9)), pick("a", "bm", "z")}
	}
	return []string{pick("5", strconv.Itoa(10*(rows/2)+5), strconv.Itoa(10*(rows+1)+5))}
}

// changeRows changes the set once.
func (s *service) changeRows() {
	index := placeOf(s.changed, len(s.stored))
	s.hasChanged = true
	switch s.description[changes] {
	case "insert":
		s.insert(s.insertedKey())
	case "delete":
		s.remove(index)
	case "move": // a row that was changed is stored elsewhere
		moved := s.stored[index]
		s.log = append(s.log, change{row: moved})
		remaining := slices.Delete(slices.Clone(s.stored), index, index+1)
		s.stored = slices.Insert(remaining, len(remaining)-min(index, len(remaining)), moved)
	case "delete and insert":
		s.remove(index)
		s.insert(s.insertedKey())
	}
}

func (s *service) insert(key []string) {
	inserted := row{id: s.variant.rows + 100 + len(s.requests), key: key}
	s.stored = append(slices.Clone(s.stored), inserted)
	s.log = append(s.log, change{row: inserted})
}

func (s *service) remove(index int) {
	s.deleted[s.stored[index].id] = true
	s.log = append(s.log, change{row: s.stored[index], isDeleted: true})
	s.stored = slices.Delete(slices.Clone(s.stored), index, index+1)
}

// resize changes the set between two loads.
func (s *service) resize() {
	switch s.description[loadCount] {
	case "grown":
		for i := range s.page + 1 {
			s.stored = append(s.stored, row{id: s.variant.rows + 200 + i, key: s.keyOf(s.variant.rows + i)})
		}
	case "shrunk":
		for range min(2, len(s.stored)) {
			s.remove(0)
		}
	}
}

// response is an answer to a request.
type response struct {
	status int
	body   string
	isHTML bool
}

// get answers a request.
func (s *service) get(target string) response {
	path, query, _ := strings.Cut(target, "?")
	s.requests = append(s.requests, target)
	s.isFailing = s.description[failures] == "error behind rows once" && len(s.requests) == s.request
	if s.description[failures] != "none" && len(s.requests) == s.request && !s.isFailing {
		return s.fail()
	}
	if s.description[changes] != "none" && !s.hasChanged && len(s.requests) == s.request && len(s.stored) > 0 {
		s.changeRows()
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		panic(target)
	}
	switch {
	case strings.HasSuffix(path, "SubscribedToX"):
		return response{status: 200, body: fmt.Sprintf(`{"d":{"SubscribedToX":{"SubscribedFlag":%v}}}`, s.isSubscribed)}
	case strings.HasSuffix(path, "DeltaLinksOfX"):
		return response{status: 200, body: `{"d":{"results":[{"DeltaToken":"D1","CreatedAt":"/Date(1700000000000)/",` +
			`"IsInitialLoad":true}]}}`}
	case s.description[version] == "v4" && path != "/s/X":
		return s.entity(path, options)
	case s.description[version] == "v4" && options.Has("$deltatoken"):
		return response{status: 200, body: s.changesSince(options)}
	case strings.Contains(query, "deltatoken="):
		token := ""
		if s.description[trackingToken] != "missing once" {
			token = "D1"
		}
		return response{status: 200, body: s.render(s.insertedRows(), -1, "", url.Values{}, token)}
	case options.Has(s.wire.countOption) && s.description[counts] == "refused",
		options.Has("$filter") && s.description[filterOrder] == "refused":
		return response{status: 400, body: s.wire.refusal}
	}
	return response{status: 200, body: s.feed(options)}
}

func (s *service) fail() response {
	switch s.description[failures] {
	case "400 once":
		return response{status: 400, body: s.wire.refusal}
	case "503 once":
		return response{status: 503, body: "busy"}
	}
	return response{status: 200, body: "<html><body>Log on</body></html>", isHTML: true}
}

// feed returns a page of rows.
func (s *service) feed(options url.Values) string {
	rows := slices.Clone(s.stored)
	if s.description[nodeCount] == "one lags" && len(s.requests)%2 == 0 {
		rows = slices.DeleteFunc(rows, func(r row) bool { return s.isSpecial(r.id) })
	}
	rows = s.filterRows(rows, options.Get("$filter"))
	filtered := len(rows)
	if s.description[notShown] == "under expand" && options.Has("$expand") {
		rows = slices.DeleteFunc(rows, func(r row) bool { return s.isSpecial(r.id) })
	}
	size := s.page
	limit, err := strconv.Atoi(options.Get("$top"))
	hasTop := err == nil && s.description[tops] == "heeded"
	skipped, _ := strconv.Atoi(options.Get("$skip"))
	if s.description[skips] == "ignored" {
		skipped = 0
	}
	if s.description[cutting] == "before sorting" {
		if hasTop {
			size = min(size, limit)
		}
		selected := size
		if s.description[skips] == "heeded" {
			selected += skipped
		}
		rows = rows[:min(selected, len(rows))]
	}
	s.sort(rows, options, false)
	if s.description[cutting] == "a total" {
		rows = rows[:min(2*s.page, len(rows))]
	}
	returned := min(len(rows), max(size, 0))
	if s.description[cutting] == "a total" {
		returned = len(rows)
	}
	start := 0
	if s.description[skips] == "heeded" {
		start = skipped
	}
	token := options.Get("$skiptoken")
	if s.beginsEmpty(options) && len(rows) > 0 {
		return s.render(nil, s.countIf(options, filtered, 0, 0), s.linkTo(firstRows, options), options, "")
	}
	rows, start = s.follow(rows, start, token, options)
	remaining := rows[min(start, len(rows)):]
	page := slices.Clone(remaining[:min(size, len(remaining))])
	hasMore := len(remaining) > len(page)
	if hasTop {
		hasMore = hasMore && limit > len(page)
		page = page[:min(limit, len(page))]
	}
	s.sort(page, options, true)
	if s.description[skips] == "after cutting" {
		page = page[min(skipped, len(page)):]
	}
	end := start + len(page)
	link := ""
	hasLink := s.description[cutting] == "page with link" || s.description[cutting] == "a total"
	if hasMore && hasLink && len(page) > 0 {
		link = s.link(rows, end, page[len(page)-1], options)
	}
	if s.description[notShown] == "by authorization" {
		page = slices.DeleteFunc(page, func(r row) bool { return s.isSpecial(r.id) })
	}
	counted := s.countIf(options, filtered, len(page), returned)
	for _, r := range page {
		s.shown[r.id] = true
	}
	deltaToken := ""
	if s.hasToken(hasMore) {
		deltaToken = "D1"
	}
	return s.render(page, counted, link, options, deltaToken)
}

// countIf returns the count of a page, or -1 for a page without.
func (s *service) countIf(options url.Values, filtered, page, returned int) int {
	if !options.Has(s.wire.countOption) {
		return -1
	}
	switch s.description[counts] {
	case "absent":
		return -1
	case "of the page":
		return page
	case "of what was cut":
		return returned
	case "too high":
		return filtered + 1
	case "too low":
		return max(0, filtered-1)
	}
	return filtered
}

// follow returns the rows of a link's token, and the index of the first one.
func (s *service) follow(rows []row, start int, token string, options url.Values) ([]row, int) {
	if token == "" || token == firstRows {
		return rows, start
	}
	switch s.description[linkForm] {
	case "token":
		number, _ := strconv.Atoi(strings.TrimPrefix(token, "T"))
		return slices.DeleteFunc(slices.Clone(s.cursors[number-1]), func(r row) bool { return s.deleted[r.id] }), 0
	case "number", "without the options":
		start, _ = strconv.Atoi(token)
		return rows, start
	}
	last := strings.Split(token, ",")
	if !s.sorts(options) || s.description[sortOrder] == "after cutting" {
		index := slices.IndexFunc(rows, func(r row) bool { return slices.Equal(r.key, last) })
		return rows, index + 1
	}
	index := slices.IndexFunc(rows, func(r row) bool { return s.compareSorted(r.key, last) > 0 })
	if index < 0 {
		return rows, len(rows)
	}
	return rows, index
}

// link returns the next link of a page. end is the index after its last row in rows, last is its last row.
func (s *service) link(rows []row, end int, last row, options url.Values) string {
	token := strings.Join(last.key, ",")
	switch s.description[linkForm] {
	case "none":
		return ""
	case "token":
		s.cursors = append(s.cursors, rows[end:])
		token = "T" + strconv.Itoa(len(s.cursors))
	case "number":
		token = strconv.Itoa(end)
	case "without the options":
		return "X?$skiptoken=" + strconv.Itoa(end)
	case "missing at one page":
		if options.Get("$skiptoken") != "" {
			return ""
		}
	}
	return s.linkTo(token, options)
}

// linkTo returns a next link with a token that repeats the options of the request.
func (s *service) linkTo(token string, options url.Values) string {
	var repeated []string
	for _, name := range []string{"$filter", "$orderby", s.wire.countOption, "$select", "$expand", "$top"} {
		if options.Has(name) {
			repeated = append(repeated, name+"="+strings.ReplaceAll(url.QueryEscape(options.Get(name)), "+", "%20"))
		}
	}
	return "X?" + strings.Join(append(repeated, "$skiptoken="+url.QueryEscape(token)), "&")
}

// filterRows returns the rows that meet a filter.
func (s *service) filterRows(rows []row, condition string) []row {
	if condition == "" || s.description[filterOrder] == "ignored" {
		return rows
	}
	return slices.DeleteFunc(rows, func(r row) bool { return r.null || !s.meets(r.key, condition) })
}

// meets evaluates a condition such as K gt 1, or (A gt 1) or (A eq 1 and B ge 2).
func (s *service) meets(key []string, condition string) bool {
	for alternative := range strings.SplitSeq(condition, " or ") {
		isMet := true
		for comparison := range strings.SplitSeq(strings.Trim(alternative, "()"), " and ") {
			words := strings.Fields(comparison)
			part := 0
			if words[0] == "B" {
				part = 1
			}
			literal := strings.Trim(words[2], "'")
			isMet = isMet && satisfies(words[1], s.compareFiltered(part, key[part], literal))
		}
		if isMet {
			return true
		}
	}
	return false
}

func satisfies(operator string, comparison int) bool {
	switch operator {
	case "gt":
		return comparison > 0
	case "ge":
		return comparison >= 0
	case "lt":
		return comparison < 0
	case "le":
		return comparison <= 0
	case "eq":
		return comparison == 0
	}
	panic(operator)
}

func (s *service) isNumber(part int) bool {
	switch s.description[keyType] {
	case "texts", "mixed case":
		return false
	case "two components":
		return part == 0
	}
	return true
}

// compareFiltered compares a part of a key with a literal, as $filter does.
func (s *service) compareFiltered(part int, a, b string) int {
	if s.isNumber(part) {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		if s.description[filterOrder] == "rounded" {
			return cmp.Compare((x+10)/20, (y+10)/20)
		}
		return cmp.Compare(x, y)
	}
	switch s.description[filterOrder] {
	case "by bytes":
		return strings.Compare(a, b)
	case "without case":
		return foldCompare(a, b)
	case "by a collation": // lower case before upper case, as EBCDIC
		return strings.Compare(swapCase(a), swapCase(b))
	}
	return s.compareTexts(a, b)
}

// compareSorted compares keys as $orderby does.
func (s *service) compareSorted(a, b []string) int {
	for part := range a {
		order := s.compareTexts(a[part], b[part])
		if s.isNumber(part) {
			x, _ := strconv.Atoi(a[part])
			y, _ := strconv.Atoi(b[part])
			order = cmp.Compare(x, y)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

func (s *service) compareTexts(a, b string) int {
	if s.description[sortOrder] == "another collation" {
		return foldCompare(a, b)
	}
	return strings.Compare(a, b)
}

func foldCompare(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func swapCase(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) {
			return c ^ 0x20
		}
		return c
	}, text)
}

// sorts reports whether a request is sorted.
func (s *service) sorts(options url.Values) bool {
	switch s.description[sortOrder] {
	case "ignored":
		return false
	case "only with a filter":
		return options.Has("$orderby") && options.Has("$filter")
	}
	return options.Has("$orderby")
}

// sort sorts rows by key if the request demands it, and the service sorts at that point.
func (s *service) sort(rows []row, options url.Values, isCut bool) {
	if !s.sorts(options) || isCut != (s.description[sortOrder] == "after cutting") {
		return
	}
	slices.SortStableFunc(rows, func(a, b row) int { return s.compareSorted(a.key, b.key) })
	if strings.Contains(options.Get("$orderby"), "desc") {
		slices.Reverse(rows)
	}
}

// render returns a page in JSON. counted is -1 for a page without count; link and token may be empty.
func (s *service) render(page []row, counted int, link string, options url.Values, token string) string {
	rows := append([]byte(s.wire.rows), '[')
	for i, r := range page {
		if i > 0 {
			rows = append(rows, ',')
		}
		rows = append(s.appendRow(append(rows, '{'), r, i, options), '}')
	}
	rows = append(rows, ']')
	if s.description[version] == "v4" {
		return s.document(rows, len(page) == 0, counted, link, token)
	}
	body := []byte(s.wire.begin)
	if counted >= 0 {
		body = append(fmt.Appendf(body, s.wire.count, counted), ',')
	}
	body = append(body, rows...)
	if link != "" {
		body = fmt.Appendf(append(body, ','), s.wire.nextLink, link)
	}
	if token != "" {
		body = fmt.Appendf(append(body, ','), s.wire.deltaLink, token)
	}
	return string(append(body, s.wire.end...))
}

// appendRow appends the members of a row, which is at an index of its page.
func (s *service) appendRow(body []byte, r row, index int, options url.Values) []byte {
	if selected := options.Get("$select"); selected == "" || strings.Contains(selected, "V") {
		if s.isSpecial(r.id) && s.description[notShown] == "undecodable" {
			body = fmt.Appendf(body, `"V":"no number %d",`, r.id)
		} else {
			body = append(strconv.AppendInt(append(body, `"V":`...), int64(r.id), 10), ',')
		}
	}
	if options.Has("$expand") {
		body = append(body, s.wire.expanded...)
	}
	return s.appendKey(body, r, index)
}

// appendKey appends the key properties of a row.
func (s *service) appendKey(body []byte, r row, index int) []byte {
	for part, name := range s.keyNames() {
		if part > 0 {
			body = append(body, ',')
		}
		text := r.key[part]
		if s.description[keyType] == "generated" {
			text = strconv.Itoa(index + 1)
		}
		if s.isNumber(part) {
			body = append(append(body, `"`+name+`":`...), text...)
		} else {
			body = append(append(append(body, `"`+name+`":"`...), text...), '"')
		}
	}
	return body
}

func (s *service) keyNames() []string {
	if s.description[keyType] == "two components" {
		return []string{"A", "B"}
	}
	return []string{"K"}
}

// hasToken reports whether a page has a delta link.
func (s *service) hasToken(hasMore bool) bool {
	if s.hasNoToken {
		return false
	}
	switch s.description[trackingToken] {
	case "last page", "missing once", "ODP last page", "ODP missing once":
		return !hasMore
	case "each page", "ODP each page":
		return true
	}
	return false
}

// isEvident reports whether an answer contained a missing row although no row with its key arrived. It returns false if
// a node lags, and for a large set, because the pager remembers only a sample of its keys.
func (s *service) isEvident(id int, arrived map[int]int) bool {
	if !s.shown[id] || s.variant.rows > maxRows || s.description[nodeCount] != "one" {
		return false
	}
	index := slices.IndexFunc(s.stored, func(r row) bool { return r.id == id })
	hasKeyArrived := slices.ContainsFunc(s.stored, func(r row) bool {
		return arrived[r.id] > 0 && slices.Equal(r.key, s.stored[index].key)
	})
	return !hasKeyArrived
}

// missing returns the rows that the user may read, that existed throughout the load, and that did not arrive.
func (s *service) missing(originals []row, arrived map[int]int) (ids []int) {
	for _, r := range originals {
		isHidden := s.isSpecial(r.id) && s.description[notShown] == "by authorization"
		if !isHidden && !s.deleted[r.id] && arrived[r.id] == 0 {
			ids = append(ids, r.id)
		}
	}
	return ids
}
