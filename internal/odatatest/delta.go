package odatatest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Changes since a token, like in SAP Gateway: the last page of a feed has a delta link. Its response has the rows that
// were created or changed since, the oldest change first, tombstones of deleted ones, and a delta link again.
// Assumption: no document describes the token. Here it is D, the time, and the number of changes and the epoch of
// tokens in nine digits, such as D20190708134907_000012001.

const deltaToken = "!deltatoken"

// startToken is the query option in next links of a first load that keeps the token for its delta link.
const startToken = "!since"

// mark is a decoded delta token.
type mark struct {
	changes int // number of changes before the token
	epoch   int // number of earlier actions expire-tokens
}

func (m mark) token() string {
	return "D" + time.Now().UTC().Format("20060102150405") + fmt.Sprintf("_%06d%03d", m.changes, m.epoch%1000)
}

// parseMark reads a token, quoted or not.
func parseMark(token string) (m mark, ok bool) {
	token = strings.Trim(token, "'")
	_, digits, hasDigits := strings.Cut(token, "_")
	if !hasDigits || len(digits) < 9 || !strings.HasPrefix(token, "D") {
		return m, false
	}
	n, err1 := strconv.Atoi(digits[:len(digits)-3])
	epoch, err2 := strconv.Atoi(digits[len(digits)-3:])
	return mark{changes: n, epoch: epoch}, err1 == nil && err2 == nil
}

// tracks reports whether the changes of a feed are tracked.
func (ex *exchange) tracks(src source) bool {
	isForgotten := ex.query.filter != "" && !slices.Contains(ex.query.keptByDelta, "$filter")
	if src.navigation != nil || (isForgotten && ex.sw.Delta != "links") {
		return false
	}
	switch ex.sw.Delta {
	case "links":
		return true
	case "off":
		return false
	}
	return ex.mount.tracks && ex.tracksChanges()
}

// setPreferenceApplied lists the applied preferences in the response.
func (ex *exchange) setPreferenceApplied(tracked bool) {
	var list []string
	if tracked && ex.sw.Delta != "links" {
		list = append(list, "odata.track-changes")
	}
	if p := ex.preferredPageSize(); p > 0 {
		list = append(list, "odata.maxpagesize="+strconv.Itoa(p))
	}
	if len(list) > 0 {
		ex.w.Header().Set("Preference-Applied", strings.Join(list, ","))
	}
}

// newMark returns the mark for the changes after a first load.
func (ex *exchange) newMark(t *table) mark {
	if m, ok := parseMark(ex.query.option(startToken)); ok {
		return m
	}
	return mark{changes: t.changeCount(), epoch: ex.service.epoch()}
}

// deltaLink returns the address of the changes since a mark; empty if the switch delta disables it.
func (ex *exchange) deltaLink(path string, m mark) string {
	if ex.sw.Delta == "silent" {
		return ""
	}
	token := m.token()
	if ex.query.isTokenQuoted && ex.sw.DeltaQuotes != "off" {
		token = "'" + token + "'"
	}
	query := ex.query.deltaToken + "=" + token
	for _, o := range ex.query.options {
		isCustom := !strings.HasPrefix(o.name, "$") && !strings.HasPrefix(o.name, "!")
		if isCustom || slices.Contains(ex.query.keptByDelta, o.name) {
			query += "&" + o.raw
		}
	}
	return ex.link(path + "?" + query)
}

// epoch returns how often tokens have expired.
func (s *Service) epoch() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expirations
}

// expiredToken is the error for an unknown token.
func (ex *exchange) expiredToken() *fault {
	return &fault{status: http.StatusGone, code: "/IWFND/CM_MGW/090", message: "Invalid Delta Token"}
}

// answerAccepted answers 202 while the switch accepted is on.
func (ex *exchange) answerAccepted() bool {
	if ex.sw.Accepted == 0 || !ex.service.useUp(func(s *Switches) *int { return &s.Accepted }) {
		return false
	}
	ex.w.Header().Set("Retry-After", "1")
	ex.w.WriteHeader(http.StatusAccepted)
	return true
}

// serveDelta answers with the changes since a token. Further pages are requested by $skiptoken=TOKEN_UPTO_POSITION.
func (ex *exchange) serveDelta(src source, token string) *fault {
	t := src.table
	from := mark{}
	var to, pos int
	parts := strings.Split(strings.Trim(token, "'"), "_")
	ok := len(parts) == 2 || len(parts) == 4 // a token alone has one _
	if ok {
		from, ok = parseMark(parts[0] + "_" + parts[1])
	}
	if ok && len(parts) == 4 {
		var err1, err2 error
		to, err1 = parseNatural(parts[2])
		pos, err2 = parseNatural(parts[3])
		ok = err1 == nil && err2 == nil
	} else {
		to = t.changeCount()
	}
	if !ok || from.changes > to || to > t.changeCount() || from.epoch != ex.service.epoch()%1000 {
		return ex.expiredToken()
	}
	if ex.answerAccepted() {
		return nil
	}
	shape, f := ex.mount.dialect.newShape(ex, t, ex.query)
	if f != nil {
		return f
	}
	var filter *expression
	if slices.Contains(ex.query.keptByDelta, "$filter") {
		sel, f := ex.newSelection(src, ex.query)
		if f != nil {
			return f
		}
		filter = sel.filter
	}
	list := t.lastChanges(from.changes, to)
	limit, _ := ex.pageLimit()
	if ex.sw.Differ != "" && ex.countVisit() {
		page := list[min(pos, len(list)):]
		if limit > 0 {
			page = page[:min(limit, len(page))]
		}
		slices.Reverse(page)
	}
	ex.isDelta = true
	w := ex.newBreaker()
	e := ex.mount.dialect.newEncoder(ex, w, shape)
	ex.setPreferenceApplied(ex.mount.tracks)
	ex.sendHeader(http.StatusOK, "feed")
	e.beginFeed(shape, src.path, -1)
	rows := 0
	for ; pos < len(list) && (limit == 0 || rows < limit); pos++ {
		rows++
		entry := tombstone{when: list[pos].at, reason: "deleted"}
		if r := t.find(list[pos].key); r != nil && filter.matches(r) {
			e.writeEntity(shape, r)
			continue
		} else if r != nil {
			entry.reason = "changed"
		}
		if ex.sw.Tombstones != "off" {
			entry.local = string(ex.appendLocal(nil, t, &row{values: list[pos].key}))
			e.writeTombstone(&entry)
		}
	}
	var next, link string
	if pos < len(list) {
		next = ex.link(src.path + "?$skiptoken=" + from.token() + "_" + strconv.Itoa(to) + "_" + strconv.Itoa(pos) +
			ex.query.repeat(ex.query.keptByDelta))
	} else {
		link = ex.deltaLink(src.path, mark{changes: to, epoch: ex.service.epoch()})
	}
	e.endFeed(next, link)
	if e.flush() == nil {
		ex.service.book.update(func(l *Ledger) { l.Pages++; l.Deltas++; l.Rows += int64(rows) })
	}
	w.finish(ex)
	return nil
}

// repeat returns options of the request with these names, each after an ampersand.
func (q *query) repeat(names []string) string {
	repeated := ""
	for _, o := range q.options {
		if slices.Contains(names, o.name) {
			repeated += "&" + o.raw
		}
	}
	return repeated
}

// option returns the value of a query option, or "".
func (q *query) option(name string) string {
	for _, o := range q.options {
		if o.name == name {
			return o.value
		}
	}
	return ""
}
