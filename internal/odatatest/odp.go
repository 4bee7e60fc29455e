package odatatest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A service for operational data provisioning (ODP) with the same rows. Some sets have a set FactsOf…, DeltaLinksOf…
// with the available tokens, and the functions SubscribedTo… and TerminateDeltasFor…. A GET of the set with Prefer:
// odata.track-changes opens the user's subscription and starts a job that reads everything; each such GET starts
// another. A token returns the changes since, as rows with ODQ_CHANGEMODE (C, U, D) and ODQ_ENTITYCNTR: -1 for images
// before a change, 1 for those after. A request with a token confirms what came before: older tokens then get SAP's
// error 536. Assumption: a token of a later request is higher; no document has the response to 536.

// ODPPath is the path of the ODP service.
const ODPPath = "/sap/opu/odata/sap/NORTHWIND_ODP_SRV/"

const (
	factsPrefix        = "FactsOf"
	linksPrefix        = "DeltaLinksOf" + factsPrefix
	subscribedToPrefix = "SubscribedTo" + factsPrefix
	terminatePrefix    = "TerminateDeltasFor" + factsPrefix
)

// odpSets are the sets of Northwind in the ODP service.
var odpSets = []string{"Orders", "Order_Details", "Products", "Customers"}

// odpSource is such a set.
type odpSource struct {
	base  *table
	facts *table // FactsOf…
	links *table // DeltaLinksOf…

	mu        sync.Mutex
	open      bool         // the user has a subscription
	jobs      map[int]*job // initial extractions by number; the end of a subscription removes its jobs
	jobCount  int          // number of jobs so far
	confirmed int          // highest requested token, as a number of changes
	returned  []odpToken   // tokens that were returned
}

// job is an initial extraction: the rows at its start.
type job struct {
	rows    []*row
	changes int       // number of changes at its start, -1 without tracking
	ready   time.Time // its end
}

// odpToken is a delta token of ODP.
type odpToken struct {
	changes   int // number of changes before the token
	created   time.Time
	isInitial bool // of an initial extraction
}

// name returns the token in the service's form.
func (t odpToken) name() string {
	return "D" + t.created.UTC().Format("20060102150405") + fmt.Sprintf("_%09d", t.changes)
}

func newODP(m *northwind) map[string]*odpSource {
	sources := map[string]*odpSource{}
	for _, set := range odpSets {
		base := m.byName[set]
		typ := *base.typ
		typ.name = factsPrefix + set
		typ.navigations = nil
		mode := property{name: "ODQ_CHANGEMODE", kind: stringKind, maxLength: 1,
			sap: ` sap:semantics="change-mode" sap:filterable="false"`}
		counter := property{name: "ODQ_ENTITYCNTR", kind: decimalKind, precision: 37,
			sap: ` sap:semantics="entity-counter" sap:filterable="false"`}
		typ.properties = slices.Insert(slices.Clone(typ.properties), typ.keys, mode, counter)
		typ.keys += 2
		links := &entityType{name: linksPrefix + set, keys: 1, properties: []property{key("DeltaToken", stringKind),
			column("CreatedAt", dateTimeKind), column("IsInitialLoad", booleanKind)}}
		sources[set] = &odpSource{base: base, facts: &table{name: factsPrefix + set, typ: &typ},
			links: &table{name: linksPrefix + set, typ: links}, jobs: map[int]*job{}}
	}
	return sources
}

// model returns the sets of the mount in their order.
func (ex *exchange) model() *northwind {
	if !ex.mount.odp {
		return ex.service.model
	}
	m := &northwind{}
	for _, set := range odpSets {
		s := ex.service.odp[set]
		m.tables = append(m.tables, s.facts, s.links)
	}
	return m
}

// row returns a row of the set: a base row, the kind of change, and before or after.
func (s *odpSource) row(base *row, mode string, counter int) *row {
	r := s.facts.typ.newRow()
	keys := s.base.typ.keys
	copy(r.values, cloneValues(base.values[:keys]))
	r.values[keys] = value{kind: stringKind, text: []byte(mode)}
	r.values[keys+1] = value{kind: decimalKind, text: strconv.AppendInt(nil, int64(counter), 10)}
	copy(r.values[keys+2:], cloneValues(base.values[keys:]))
	return r
}

// serveODP answers a request to the ODP service.
func (ex *exchange) serveODP(segments []string) *fault {
	name, predicate := splitKey(segments[0])
	for _, f := range []struct {
		prefix string
		answer func(s *odpSource) *fault
	}{
		{prefix: linksPrefix, answer: func(s *odpSource) *fault {
			return ex.serveODPLinks(s, predicate, segments[1:])
		}},
		{prefix: subscribedToPrefix, answer: ex.serveODPSubscribed},
		{prefix: terminatePrefix, answer: ex.terminateODP},
		{prefix: factsPrefix, answer: ex.serveODPFacts},
	} {
		if set, ok := strings.CutPrefix(name, f.prefix); ok {
			if s := ex.service.odp[set]; s != nil {
				return ex.serveRead(func() *fault { return f.answer(s) })
			}
		}
	}
	return notFound(segments[0])
}

func (ex *exchange) serveODPSubscribed(s *odpSource) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	ex.sendFlag(subscribedToPrefix+strings.TrimPrefix(s.facts.name, factsPrefix), "ChangeTrackingDetails",
		"SubscribedFlag", s.open)
	return nil
}

func (ex *exchange) terminateODP(s *odpSource) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		ex.service.book.update(func(l *Ledger) { l.Terminated++ })
	}
	s.open = false
	s.returned = nil
	s.jobs = map[int]*job{}
	ex.sendFlag(terminatePrefix+strings.TrimPrefix(s.facts.name, factsPrefix), "SubscriptionTerminationDetails",
		"ResultFlag", true)
	return nil
}

// sendFlag answers with the result of a function: a structure with one flag.
func (ex *exchange) sendFlag(function, typ, flag string, on bool) {
	ex.sendText("application/json;charset=utf-8",
		fmt.Appendf(nil, `{"d":{"%s":{"__metadata":{"type":"%s.%s"},"%s":%t}}}`, function, ex.mount.namespace, typ,
			flag, on))
}

func (ex *exchange) serveODPLinks(s *odpSource, predicate string, segments []string) *fault {
	s.mu.Lock()
	tokens := s.tokens(time.Now())
	s.mu.Unlock()
	if predicate != "" {
		if len(segments) == 1 && segments[0] == "ChangesAfter" {
			return ex.serveODPChanges(s, predicate)
		}
		return notFound(predicate)
	}
	shape, f := newShape(s.links, ex.query.selected, nil)
	if f != nil {
		return f
	}
	e := ex.mount.dialect.newEncoder(ex, ex.w, shape)
	ex.sendHeader(http.StatusOK, "feed")
	e.beginFeed(shape, s.links.name, -1)
	for _, t := range tokens {
		e.writeEntity(shape, &row{values: []value{{kind: stringKind, text: []byte(t.name())},
			{kind: dateTimeKind, num: t.created.Unix() * ticksPerSecond},
			{kind: booleanKind, num: int64(boolNumber(t.isInitial))}}})
	}
	e.endFeed("", "")
	e.flush()
	return nil
}

// tokens returns the available tokens: returned tokens, and the tokens of jobs that have ended. The caller holds s.mu.
func (s *odpSource) tokens(now time.Time) []odpToken {
	var list []odpToken
	for _, t := range s.returned {
		if t.changes >= s.confirmed {
			list = append(list, t)
		}
	}
	for _, j := range s.jobs {
		if now.After(j.ready) && j.changes >= s.confirmed {
			list = append(list, odpToken{changes: j.changes, created: j.ready, isInitial: true})
		}
	}
	slices.SortFunc(list, func(a, b odpToken) int { return a.changes - b.changes })
	return list
}

// serveODPFacts reads the set: an initial extraction, a page of one, or changes.
func (ex *exchange) serveODPFacts(s *odpSource) *fault {
	if token := ex.query.option(deltaToken); token != "" {
		return ex.serveODPChanges(s, token)
	}
	if parts := strings.Split(strings.Trim(ex.query.skipToken, "'"), "_"); len(parts) == 4 {
		// A further page of a first extraction is D…_JOB_KIND_POSITION, of changes D…_FROM_UPTO_POSITION.
		a, err1 := parseNatural(parts[1])
		pos, err2 := parseNatural(parts[3])
		if err1 != nil || err2 != nil {
			return ex.expiredToken()
		}
		if parts[2] == "i" || parts[2] == "f" {
			return ex.writeODPRows(s, a, pos, parts[2] == "i")
		}
		to, err := parseNatural(parts[2])
		if err != nil {
			return ex.expiredToken()
		}
		return ex.writeODPDelta(s, a, to, pos)
	}
	tracked := ex.tracksChanges()
	if tracked && ex.sw.Delta != "off" {
		if ex.answerAccepted() {
			return nil
		}
		// The extraction continues if the client does not wait for its end.
		n := s.startJob(true, ex.sw.Job)
		ex.service.book.update(func(l *Ledger) { l.Jobs++ })
		if ex.sw.Job > 0 {
			select {
			case <-time.After(ex.sw.Job):
			case <-ex.r.Context().Done():
				return nil
			}
		}
		return ex.writeODPRows(s, n, 0, true)
	}
	// Without tracking everything is read, and there is no token.
	n := s.startJob(false, 0)
	return ex.writeODPRows(s, n, 0, false)
}

// startJob starts a job and returns its number. A tracked job opens the subscription, and replaces earlier jobs and
// tokens.
func (s *odpSource) startJob(tracked bool, takes time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &job{changes: s.base.changeCount(), ready: time.Now().Add(takes)}
	for c := s.base.all(); c.next(); {
		j.rows = append(j.rows, s.row(c.current, "", 0))
	}
	s.jobCount++
	if !tracked {
		j.changes = -1
	} else {
		s.open = true
		s.returned = nil
		s.confirmed = 0
		s.jobs = map[int]*job{}
	}
	s.jobs[s.jobCount] = j
	return s.jobCount
}

// writeODPRows answers with a page of an initial extraction.
func (ex *exchange) writeODPRows(s *odpSource, n, pos int, tracked bool) *fault {
	s.mu.Lock()
	j := s.jobs[n]
	s.mu.Unlock()
	if j == nil {
		return ex.expiredToken()
	}
	kind := "f"
	if tracked {
		kind = "i"
	}
	return ex.writeODPFeed(s, j.rows, pos, func(next int) string { return fmt.Sprintf("D0_%d_%s_%d", n, kind, next) },
		func() string {
			if !tracked {
				return ""
			}
			return s.addToken(odpToken{changes: j.changes, created: time.Now(), isInitial: true})
		})
}

// addToken records a returned token.
func (s *odpSource) addToken(t odpToken) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.isInitial {
		s.returned = append(s.returned, t)
	}
	return t.name()
}

// serveODPChanges answers with the changes since a token.
func (ex *exchange) serveODPChanges(s *odpSource, token string) *fault {
	_, digits, _ := strings.Cut(strings.Trim(token, "'"), "_")
	from, err := parseNatural(digits)
	s.mu.Lock()
	isValid := err == nil && s.open && from <= s.base.changeCount()
	old := isValid && from < s.confirmed
	if isValid && !old {
		s.confirmed = from
	}
	s.mu.Unlock()
	switch {
	case !isValid || (ex.service.epoch() > 0 && from < ex.service.expiredBefore(s)):
		return ex.expiredToken()
	case old:
		ex.service.book.update(func(l *Ledger) { l.Refused536++ })
		return &fault{status: http.StatusInternalServerError, code: "RSODP/536",
			message: "Error 536: recovery of old requests not possible"}
	}
	if ex.answerAccepted() {
		return nil
	}
	return ex.writeODPDelta(s, from, s.base.changeCount(), 0)
}

// expiredBefore returns the number below which tokens have expired.
func (s *Service) expiredBefore(o *odpSource) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiredChanges[o.base.name]
}

func (ex *exchange) writeODPDelta(s *odpSource, from, to, pos int) *fault {
	if to > s.base.changeCount() || from > to {
		return ex.expiredToken()
	}
	var rows []*row
	for _, c := range s.base.changesBetween(from, to) {
		switch {
		case c.before == nil:
			rows = append(rows, s.row(c.after, "C", 1))
		case c.after == nil:
			rows = append(rows, s.row(c.before, "D", -1))
		default:
			rows = append(rows, s.row(c.before, "U", -1), s.row(c.after, "U", 1))
		}
	}
	ex.service.book.update(func(l *Ledger) { l.Deltas++ })
	return ex.writeODPFeed(s, rows, pos, func(next int) string { return fmt.Sprintf("D0_%d_%d_%d", from, to, next) },
		func() string {
			return s.addToken(odpToken{changes: to, created: time.Now()})
		})
}

// writeODPFeed writes a page of rows, starting at pos. skip returns the token of the page at a position, and token the
// token of the changes after the last page.
func (ex *exchange) writeODPFeed(s *odpSource, rows []*row, pos int, skip func(pos int) string,
	token func() string) *fault {
	shape, f := newShape(s.facts, ex.query.selected, nil)
	if f != nil {
		return f
	}
	w := ex.newBreaker()
	e := ex.mount.dialect.newEncoder(ex, w, shape)
	ex.setPreferenceApplied(ex.tracksChanges())
	ex.w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	ex.sendHeader(http.StatusOK, "feed")
	e.beginFeed(shape, s.facts.name, -1)
	limit, _ := ex.pageLimit()
	n := 0
	for ; pos < len(rows) && (limit == 0 || n < limit); pos++ {
		e.writeEntity(shape, rows[pos])
		n++
	}
	var next, delta string
	if pos < len(rows) {
		next = ex.link(s.facts.name + "?$skiptoken='" + skip(pos) + "'")
	} else if t := token(); t != "" {
		if ex.sw.DeltaQuotes != "off" {
			t = "'" + t + "'"
		}
		link := ex.link(s.facts.name + "?" + deltaToken + "=" + t)
		switch ex.sw.TokenIn {
		case "next":
			next = link
		case "links":
			// only the set DeltaLinksOf… has the token
		default:
			delta = link
		}
	}
	e.endFeed(next, delta)
	if e.flush() == nil {
		ex.service.book.update(func(l *Ledger) { l.Pages++; l.Rows += int64(n) })
	}
	w.finish(ex)
	return nil
}
