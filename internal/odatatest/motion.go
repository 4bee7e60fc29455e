package odatatest

import (
	"io"
	"net/http"
	"strconv"
)

// Rows that change during a read, pages that differ when they are requested again, truncated responses.

// disturb changes the rows before a page that is requested again, as the switch differ specifies.
func (ex *exchange) disturb(sel *selection) *fault {
	if ex.sw.Differ == "" || !ex.countVisit() || ex.sw.Differ != "all" { // visits are counted in any mode
		return nil
	}
	next, _, f := ex.rows(sel)
	if f != nil {
		return f
	}
	var keys [][]value
	for r := next(); r != nil && len(keys) < 3; r = next() {
		keys = append(keys, cloneValues(r.key(sel.table.typ)))
	}
	for i := 0; i < len(keys); i += 2 {
		ex.service.deleteAsOther(sel.table, keys[i])
	}
	if len(keys) > 0 {
		ex.service.insertAsOther(sel.table, keys[0], true)
	}
	return nil
}

// visitID returns the identity of a page for counting visits: its address and format.
func (ex *exchange) visitID() string {
	if ex.json {
		return "json " + ex.r.URL.RequestURI()
	}
	return ex.r.URL.RequestURI()
}

// countVisit counts the visits of this address and reports whether there was one before.
func (ex *exchange) countVisit() bool {
	s := ex.service
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits[ex.visitID()]++
	return s.visits[ex.visitID()] > 1
}

// rowsToMove returns the number of rows to move from the start of a page to its end when it is requested again.
func (ex *exchange) rowsToMove() int {
	s := ex.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if visits := s.visits[ex.visitID()]; visits > 1 {
		return 1 + (visits-2)*3%50 // another number at each visit
	}
	return 0
}

// churn deletes rows that this page has just returned, or inserts rows before and after all others, alternately.
func (ex *exchange) churn(sel *selection, rows int) {
	s := ex.service
	t := sel.table
	if ex.sw.Churn == 0 || rows == 0 || sel.navigation != nil {
		return
	}
	s.mu.Lock()
	s.churns++
	deleting := s.churns%2 == 1
	s.mu.Unlock()
	next, _, f := ex.rows(sel)
	if f != nil {
		return
	}
	var keys [][]value
	for r := next(); r != nil && len(keys) < min(ex.sw.Churn, rows); r = next() {
		keys = append(keys, cloneValues(r.key(t.typ)))
	}
	for i, key := range keys {
		if deleting {
			s.deleteAsOther(t, key)
		} else {
			s.insertAsOther(t, key, i%2 == 0)
		}
	}
}

// deleteAsOther deletes a row as another client would, and records it in the ledger.
func (s *Service) deleteAsOther(t *table, key []value) {
	name := t.name + string(appendKey(nil, t.typ, &row{values: key}))
	if t.remove(key, func(*row) *fault { return nil }) == nil {
		s.book.update(func(l *Ledger) { l.Deleted = append(l.Deleted, name) })
	}
}

// insertAsOther inserts a copy of the row with this key under a new key: near it if keys have gaps (Order_Details),
// else before all others; or, if not near, after all others. Sets with text keys get no row.
func (s *Service) insertAsOther(t *table, like []value, near bool) {
	for _, key := range s.newKeys(t, like, near) {
		r := t.find(like)
		if r == nil { // deleted in the meantime
			r = t.typ.newRow()
			for i := range r.values {
				r.values[i] = zeroValue(&t.typ.properties[i])
			}
		}
		copy(r.values, key)
		if t.insert(r) {
			name := t.name + string(appendKey(nil, t.typ, r))
			s.book.update(func(l *Ledger) { l.Born = append(l.Born, name) })
			return
		}
	}
}

// newKeys returns keys to try, the best one first.
func (s *Service) newKeys(t *table, like []value, near bool) [][]value {
	if !like[len(like)-1].kind.isInteger() {
		return nil
	}
	s.mu.Lock()
	s.newKeyCount++
	n := s.newKeyCount
	s.mu.Unlock()
	keyWith := func(i int, number int64) []value {
		key := cloneValues(like)
		key[i].num = number
		return key
	}
	const firstNew = 1_000_000_000
	switch number := like[len(like)-1].num; {
	case !near:
		return [][]value{keyWith(0, firstNew+n)}
	case len(like) == 1:
		return [][]value{keyWith(0, -n)}
	default:
		return [][]value{keyWith(1, number+1), keyWith(1, number+2), keyWith(1, number+3), keyWith(1, number+4),
			keyWith(1, -n)}
	}
}

// breaker writes a number of bytes and then breaks the response, as the switch break specifies.
type breaker struct {
	io.Writer
	mode      string // a value of the switch break; "" writes everything
	remaining int    // bytes until the response breaks
	isCut     bool   // bytes are missing from the response
}

// newBreaker returns the writer for a feed, which breaks it if the switches specify it.
func (ex *exchange) newBreaker() *breaker {
	b := &breaker{Writer: ex.w}
	if ex.sw.Break == "" || !ex.isMatched() || !ex.service.useUp(func(s *Switches) *int { return &s.BreakCount }) {
		return b
	}
	b.mode = ex.sw.Break
	b.remaining = ex.sw.BreakAfter
	if b.mode == "length" {
		ex.w.Header().Set("Content-Length", strconv.Itoa(b.remaining+100_000)) // more than the response has
	}
	return b
}

// Write writes as many bytes as the response may still have. It returns io.ErrShortWrite for the others.
func (b *breaker) Write(p []byte) (int, error) {
	if b.mode == "" {
		return b.Writer.Write(p)
	}
	n := min(len(p), b.remaining)
	b.remaining -= n
	b.isCut = b.isCut || n < len(p)
	if n > 0 {
		if _, err := b.Writer.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	if b.isCut {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// finish ends a broken response. A document shorter than break-after stays complete.
func (b *breaker) finish(x *exchange) {
	if b.mode == "reset" && b.isCut {
		http.NewResponseController(x.w).Flush()
		resetConnection(x.w)
	}
}
