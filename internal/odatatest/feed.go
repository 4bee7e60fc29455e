package odatatest

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// source is a collection: an entity set, or the related entities of one parent.
type source struct {
	table      *table
	navigation *navigation // from the parent, nil for an entity set
	parent     *row
	path       string
}

// cursor returns a cursor over the rows that the collection may have.
func (s source) cursor() *cursor {
	if s.navigation != nil {
		return s.navigation.rows(s.parent)
	}
	return s.table.all()
}

// contains reports whether a row belongs to the collection.
func (s source) contains(r *row) bool {
	return s.navigation == nil || s.navigation.isRelated(s.parent, r)
}

// serveCollection answers a request to a collection: a POST creates an entity, others read.
func (ex *exchange) serveCollection(src source, segments []string) *fault {
	switch {
	case len(segments) > 0:
		return notFound(segments[0])
	case ex.method == http.MethodPost:
		return ex.create(src)
	}
	return ex.serveRead(func() *fault { return ex.serveFeed(src) })
}

// newEncoder returns an encoder of v2.
func newEncoder(ex *exchange, w io.Writer, s *shape) encoder {
	if ex.json {
		e := &jsonEncoder{output: output{to: w}, x: ex}
		e.encodeNames(s)
		return e
	}
	e := &atomEncoder{x: ex, p: usualPrefixes, typed: !ex.mount.sap}
	if ex.sw.Prefixes {
		e.p = otherPrefixes
	}
	e.preface = `<?xml version="1.0" encoding="utf-8"`
	if !ex.mount.sap {
		e.preface += ` standalone="yes"`
	}
	e.preface += `?>`
	e.to = w
	e.encodeNames(s)
	return e
}

// selection is the effect of $filter, $orderby, $skip, $top and $skiptoken.
type selection struct {
	source
	filter     *expression
	order      []order
	isKeyOrder bool // in the order of the keys, which needs no sorting
	query      *query
}

func (ex *exchange) newSelection(src source, q *query) (*selection, *fault) {
	s := &selection{source: src, query: q}
	if q.filter != "" {
		e, err := q.parseFilter(q.filter, src.table.typ)
		if err != nil {
			return nil, badRequest("Invalid $filter: %v", err)
		}
		s.filter = e
	}
	if q.orderBy != "" && ex.sw.RefuseOrderBy {
		return nil, badRequest("System query option '$orderby' is not supported for entity set '%s'", src.table.name)
	}
	var f *fault
	s.order, f = parseOrder(q.orderBy, src.table.typ)
	s.isKeyOrder = isKeyOrder(s.order, src.table.typ)
	return s, f
}

// narrow moves the cursor to the first row that can match.
func (s *selection) narrow(c *cursor) {
	if s.navigation == nil && s.filter != nil && s.filter.low != nil {
		c.seek([]value{*s.filter.low})
	}
}

// isAfter reports whether no later row can match.
func (s *selection) isAfter(r *row) bool {
	return s.navigation == nil && s.filter != nil && s.filter.high != nil && mustCompare(&r.values[0],
		s.filter.high) > 0
}

// total counts the rows that match the filter, without paging.
func (s *selection) total() int {
	if s.navigation == nil && s.filter == nil {
		return s.table.count()
	}
	c := s.cursor()
	n := 0
	for s.narrow(c); c.next() && !s.isAfter(c.current); {
		if s.contains(c.current) && s.filter.matches(c.current) {
			n++
		}
	}
	return n
}

// rows returns the rows of a page one by one, and the position of the page if positions are counted.
func (ex *exchange) rows(s *selection) (next func() *row, start int, f *fault) {
	skip := max(0, s.query.skip)
	c := s.cursor()
	token := s.query.skipToken
	if counted := !s.isKeyOrder || ex.sw.SkipToken == "offset" || ex.sw.SkipToken == "opaque"; counted && token != "" {
		n, err := parseNatural(strings.TrimPrefix(decodeOpaque(token), "@"))
		if err != nil {
			return nil, 0, badRequest("Invalid $skiptoken '%s'", token)
		}
		skip = n // the token holds what $skip said
	} else if token != "" {
		key, f := ex.query.parseToken(s.table.typ, token)
		if f != nil {
			return nil, 0, f
		}
		first := c.at
		end := c.end
		c.seekAfter(key)
		if s.navigation != nil && c.step > 1 {
			c.at += ((first-c.at)%c.step + c.step) % c.step // back onto the rows of this parent
		}
		c.at = max(c.at, first)
		c.end = end
		skip = 0
	} else {
		s.narrow(c)
	}
	start = skip
	if !s.isKeyOrder {
		return s.sorted(skip), start, nil
	}
	if s.navigation == nil && s.filter == nil && skip > 0 && c.at == 0 && c.inserted == 0 {
		c.skip(skip)
		skip = 0
	}
	return func() *row {
		for c.next() {
			switch r := c.current; {
			case s.isAfter(r):
				return nil
			case !s.contains(r) || !s.filter.matches(r):
				// not in the collection, or not selected
			case skip > 0:
				skip--
			default:
				return r
			}
		}
		return nil
	}, start, nil
}

// parseToken reads a $skiptoken with the key of the last row.
func (s *syntax) parseToken(typ *entityType, token string) ([]value, *fault) {
	invalid := badRequest("Error processing the $skiptoken '%s': expected the key of the last row.", token)
	l, err := s.newLexer(token)
	if err != nil {
		return nil, invalid
	}
	var key []value
	for i := range typ.keys {
		if l.token.literal == nil {
			return nil, invalid
		}
		v, ok := coerce(l.token.literal, typ.properties[i].kind)
		if !ok || v.null || l.next() != nil {
			return nil, invalid
		}
		key = append(key, *v)
		if l.token.sign == ',' && l.next() != nil {
			return nil, invalid
		}
	}
	if !l.token.end {
		return nil, invalid
	}
	return key, nil
}

// sorted collects the sort values of every matching row; rows are computed again when they are due.
func (s *selection) sorted(skip int) func() *row {
	type place struct{ values, key []value }
	var places []place
	c := s.cursor()
	for s.narrow(c); c.next() && !s.isAfter(c.current); {
		if s.contains(c.current) && s.filter.matches(c.current) {
			p := place{key: cloneValues(c.current.key(s.table.typ))}
			for _, o := range s.order {
				p.values = append(p.values, c.current.values[o.property].clone())
			}
			places = append(places, p)
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		for i, o := range s.order {
			n := compareNullable(&a.values[i], &b.values[i])
			if o.descending {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return compareKeys(a.key, b.key)
	})
	return func() *row {
		for skip < len(places) {
			r := s.table.find(places[skip].key)
			skip++
			if r != nil {
				return r
			}
		}
		return nil
	}
}

// compareNullable sorts null first, like SQL Server.
func compareNullable(a, b *value) int {
	if a.null || b.null {
		return cmp.Compare(boolNumber(!a.null), boolNumber(!b.null))
	}
	return mustCompare(a, b)
}

func boolNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pageLimit returns the number of rows after which this feed ends, zero for no limit; hasNext reports whether a next
// link follows.
func (ex *exchange) pageLimit() (limit int, hasNext bool) {
	limit = ex.sw.PageSize
	hasNext = true
	if wanted := ex.preferredPageSize(); wanted > 0 && (limit == 0 || wanted < limit) {
		limit = wanted
	}
	if ex.sw.EndEarly > 0 {
		return ex.sw.EndEarly, false
	}
	if ex.sw.V1 && ex.json {
		return 0, false
	}
	return limit, hasNext
}

// serveFeed writes one page of a collection.
func (ex *exchange) serveFeed(src source) *fault {
	if token := ex.query.option(ex.query.deltaToken); token != "" && src.navigation == nil {
		return ex.serveDelta(src, token)
	}
	if token := strings.Trim(ex.query.skipToken, "'"); strings.HasPrefix(token, "D") &&
		strings.Count(token, "_") == 3 && src.navigation == nil {
		return ex.serveDelta(src, token)
	}
	tracked := ex.tracks(src)
	var from mark
	if tracked {
		if from = ex.newMark(src.table); from.epoch != ex.service.epoch()%1000 {
			return ex.expiredToken()
		}
		if ex.answerAccepted() {
			return nil
		}
	}
	sel, f := ex.newSelection(src, ex.query)
	if f != nil {
		return f
	}
	shape, f := ex.mount.dialect.newShape(ex, src.table, ex.query)
	if f != nil {
		return f
	}
	if ex.query.count && ex.sw.RefuseCount {
		return badRequest("System query option '%s' is not supported", ex.query.countOption)
	}
	if f := ex.disturb(sel); f != nil {
		return f
	}
	count := -1
	if ex.query.count {
		count = sel.total()
	}
	next, start, f := ex.rows(sel)
	if f != nil {
		return f
	}
	w := ex.newBreaker()
	e := ex.mount.dialect.newEncoder(ex, w, shape)
	ex.setPreferenceApplied(tracked)
	ex.sendHeader(http.StatusOK, "feed")
	e.beginFeed(shape, src.path, count)
	isEmpty := ex.canRepeat() && ex.service.useUp(func(s *Switches) *int { return &s.EmptyPages })
	if isEmpty {
		next = func() *row { return nil }
	}
	p := ex.writePage(sel, e, shape, next)
	var link, delta string
	if p.more || isEmpty {
		query := ex.query.follow(ex.query.top-p.rows, ex.nextToken(sel, start+p.rows, p.last))
		if tracked && ex.query.option(startToken) == "" {
			query += "&" + startToken + "=" + from.token()
		}
		if isEmpty || (ex.canRepeat() && ex.service.useUp(func(s *Switches) *int { return &s.RepeatPages })) {
			// The next page is this one again; again=1 keeps it from being repeated once more.
			query = ex.query.follow(ex.query.top, ex.query.skipToken) + "&again=1"
		}
		link = ex.link(src.path + "?" + strings.Replace(query, "again=1&", "", 1))
	}
	if tracked && (link == "" || ex.sw.BothLinks) {
		delta = ex.deltaLink(src.path, from)
	}
	e.endFeed(link, delta)
	if e.flush() == nil {
		ex.service.book.update(func(l *Ledger) { l.Pages++; l.Rows += int64(p.rows) })
		ex.churn(sel, p.rows)
	}
	w.finish(ex)
	return nil
}

// canRepeat reports whether the next link of a page may lead to the page again, if the switches specify it.
func (ex *exchange) canRepeat() bool {
	return ex.query.skipToken != "" && ex.query.option("again") == "" && ex.isMatched()
}

// page is the written part of a feed.
type page struct {
	rows int
	more bool
	last []value // key of the last row in the order of the service
}

// writePage writes the rows of a page. It moves the first rows to the end if the switches specify it.
func (ex *exchange) writePage(sel *selection, e encoder, shape *shape, next func() *row) page {
	limit, hasNext := ex.pageLimit()
	top := ex.query.top
	moveCount := ex.rowsToMove()
	var moved []*row
	var p page
	for {
		if top >= 0 && p.rows == top {
			break
		}
		r := next()
		if r == nil {
			break
		}
		if limit > 0 && p.rows == limit {
			p.more = hasNext
			break
		}
		p.rows++
		if p.rows == limit {
			p.last = cloneValues(r.key(sel.table.typ))
		}
		if len(moved) < moveCount {
			moved = append(moved, r.clone())
			continue
		}
		e.writeEntity(shape, r)
	}
	for _, r := range moved {
		e.writeEntity(shape, r)
	}
	return p
}

// nextToken returns the $skiptoken after a page.
func (ex *exchange) nextToken(sel *selection, position int, last []value) string {
	if !sel.isKeyOrder {
		return "@" + strconv.Itoa(position)
	}
	switch ex.sw.SkipToken {
	case "offset":
		return strconv.Itoa(position)
	case "opaque":
		return encodeOpaque(strconv.Itoa(position))
	}
	return ex.query.keyToken(last)
}

// encodeOpaque writes a number's digits as letters, so that clients do not take it for a number. decodeOpaque is its
// inverse.
func encodeOpaque(number string) string {
	return "x" + strings.Map(func(c rune) rune { return c - '0' + 'a' }, number)
}

func decodeOpaque(token string) string {
	letters, ok := strings.CutPrefix(token, "x")
	if !ok {
		return token
	}
	return strings.Map(func(c rune) rune { return c - 'a' + '0' }, letters)
}

func (s *syntax) keyToken(key []value) string {
	var b []byte
	for i := range key {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendLiteral(b, &key[i])
	}
	return string(b)
}

// writeInner writes the rows of an expanded collection and returns the link after its first page.
func (ex *exchange) writeInner(e *expansion, s *shape, parent *row, write func(child *row)) (next string) {
	sel := *e.rows
	sel.source = source{table: e.navigation.target, navigation: e.navigation, parent: parent}
	nextRow, start, f := ex.rows(&sel)
	if f != nil {
		return "" // a nested query has no token, which alone could be invalid
	}
	limit := ex.sw.ExpandPageSize
	if ex.sw.V1 {
		limit = 0
	}
	rows := 0
	var last []value
	for child := nextRow(); child != nil && rows != sel.query.top; child = nextRow() {
		if limit > 0 && rows == limit {
			path := string(ex.appendLocal(nil, s.table, parent)) + "/" + e.navigation.name
			return ex.link(path + "?" + ex.outerOptions() + sel.query.follow(sel.query.top-rows,
				ex.nextToken(&sel, start+rows, last)))
		}
		rows++
		if rows == limit {
			last = cloneValues(child.key(e.navigation.target.typ))
		}
		write(child)
	}
	return ""
}

// outerOptions returns the options of the request that links of inner pages repeat.
func (ex *exchange) outerOptions() string {
	var b strings.Builder
	for _, o := range ex.query.options {
		if o.name == "$format" || !strings.HasPrefix(o.name, "$") {
			b.WriteString(o.raw + "&")
		}
	}
	return b.String()
}
