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
	factsOf      = "FactsOf"
	linksOf      = "DeltaLinksOf" + factsOf
	subscribedTo = "SubscribedTo" + factsOf
	terminateFor = "TerminateDeltasFor" + factsOf
)

// odpSets are the sets of Northwind in the ODP service.
var odpSets = []string{"Orders", "Order_Details", "Products", "Customers"}

// odpSource is such a set.
type odpSource struct {
	base  *table
	facts *table // FactsOf…
	links *table // DeltaLinksOf…

	mu    sync.Mutex
	open  bool         // the user has a subscription
	jobs  map[int]*job // initial extractions by number; the end of a subscription removes its jobs
	begun int          // number of jobs so far
	asked int          // highest requested token, as a number of changes
	kept  []odpToken   // tokens that were returned
}

// job is an initial extraction: the rows at its start.
type job struct {
	rows    []*row
	changes int       // number of changes at its start, -1 without tracking
	ready   time.Time // its end
}

// odpToken is a delta token of ODP.
type odpToken struct {
	changes int // number of changes before the token
	created time.Time
	initial bool // of an initial extraction
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
		typ.name = factsOf + set
		typ.navigations = nil
		mode := property{name: "ODQ_CHANGEMODE", kind: stringKind, maxLength: 1,
			sap: ` sap:semantics="change-mode" sap:filterable="false"`}
		counter := property{name: "ODQ_ENTITYCNTR", kind: decimalKind, precision: 37,
			sap: ` sap:semantics="entity-counter" sap:filterable="false"`}
		typ.properties = slices.Insert(slices.Clone(typ.properties), typ.keys, mode, counter)
		typ.keys += 2
		links := &entityType{name: linksOf + set, keys: 1, properties: []property{key("DeltaToken", stringKind),
			column("CreatedAt", dateTimeKind), column("IsInitialLoad", booleanKind)}}
		sources[set] = &odpSource{base: base, facts: &table{name: factsOf + set, typ: &typ},
			links: &table{name: linksOf + set, typ: links}, jobs: map[int]*job{}}
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

// odp answers a request to the ODP service.
func (ex *exchange) odp(segments []string) *fault {
	name, predicate := splitKey(segments[0])
	for _, f := range []struct {
		prefix string
		answer func(s *odpSource) *fault
	}{
		{linksOf, func(s *odpSource) *fault { return ex.odpLinks(s, predicate, segments[1:]) }},
		{subscribedTo, ex.odpSubscribed}, {terminateFor, ex.odpTerminate},
		{factsOf, func(s *odpSource) *fault { return ex.odpFacts(s) }},
	} {
		if set, ok := strings.CutPrefix(name, f.prefix); ok {
			if s := ex.service.odp[set]; s != nil {
				return ex.reading(func() *fault { return f.answer(s) })
			}
		}
	}
	return notFound(segments[0])
}

func (ex *exchange) odpSubscribed(s *odpSource) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	ex.complex(subscribedTo+strings.TrimPrefix(s.facts.name, factsOf), "ChangeTrackingDetails", "SubscribedFlag", s.open)
	return nil
}

func (ex *exchange) odpTerminate(s *odpSource) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		ex.service.book.note(func(l *Ledger) { l.Terminated++ })
	}
	s.open = false
	s.kept = nil
	s.jobs = map[int]*job{}
	ex.complex(terminateFor+strings.TrimPrefix(s.facts.name, factsOf), "SubscriptionTerminationDetails", "ResultFlag",
		true)
	return nil
}

// complex answers with the result of a function: a structure with one flag.
func (ex *exchange) complex(function, typ, flag string, on bool) {
	ex.text("application/json;charset=utf-8",
		fmt.Appendf(nil, `{"d":{"%s":{"__metadata":{"type":"%s.%s"},"%s":%t}}}`, function, ex.mount.namespace, typ,
			flag, on))
}

func (ex *exchange) odpLinks(s *odpSource, predicate string, segments []string) *fault {
	s.mu.Lock()
	tokens := s.tokens(time.Now())
	s.mu.Unlock()
	if predicate != "" {
		if len(segments) == 1 && segments[0] == "ChangesAfter" {
			return ex.odpChanges(s, predicate)
		}
		return notFound(predicate)
	}
	shape, f := newShape(s.links, ex.query.selected, nil)
	if f != nil {
		return f
	}
	e := ex.encoder(ex.w, shape)
	ex.send(http.StatusOK, "feed")
	e.begin(shape, s.links.name, -1)
	for _, t := range tokens {
		e.entity(shape, &row{values: []value{{kind: stringKind, text: []byte(t.name())},
			{kind: dateTimeKind, num: t.created.Unix() * ticksPerSecond},
			{kind: booleanKind, num: int64(truth(t.initial))}}})
	}
	e.end("", "")
	e.flush()
	return nil
}

// tokens returns the available tokens: returned tokens, and the tokens of jobs that have ended. The caller holds s.mu.
func (s *odpSource) tokens(now time.Time) []odpToken {
	var list []odpToken
	for _, t := range s.kept {
		if t.changes >= s.asked {
			list = append(list, t)
		}
	}
	for _, j := range s.jobs {
		if now.After(j.ready) && j.changes >= s.asked {
			list = append(list, odpToken{j.changes, j.ready, true})
		}
	}
	slices.SortFunc(list, func(a, b odpToken) int { return a.changes - b.changes })
	return list
}

// odpFacts reads the set: an initial extraction, a page of one, or changes.
func (ex *exchange) odpFacts(s *odpSource) *fault {
	if token := ex.query.option(deltaToken); token != "" {
		return ex.odpChanges(s, token)
	}
	if parts := strings.Split(strings.Trim(ex.query.skipToken, "'"), "_"); len(parts) == 4 {
		return ex.odpPage(s, parts)
	}
	tracked := prefers(ex.r.Header.Get("Prefer"), "odata.track-changes")
	if tracked && ex.sw.Delta != "off" {
		if ex.accepted() {
			return nil
		}
		return ex.odpInitial(s)
	}
	// Without tracking everything is read, and there is no token.
	n := s.begin(false, 0)
	return ex.odpRows(s, n, 0, false)
}

// begin starts a job and returns its number. A tracked job opens the subscription, and replaces earlier jobs and
// tokens.
func (s *odpSource) begin(tracked bool, takes time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &job{changes: s.base.changesSoFar(), ready: time.Now().Add(takes)}
	for c := s.base.all(); c.next(); {
		j.rows = append(j.rows, s.row(c.current, "", 0))
	}
	s.begun++
	if !tracked {
		j.changes = -1
	} else {
		s.open = true
		s.kept = nil
		s.asked = 0
		s.jobs = map[int]*job{}
	}
	s.jobs[s.begun] = j
	return s.begun
}

// odpInitial starts an initial extraction and answers when it has ended; it continues if the client does not wait.
func (ex *exchange) odpInitial(s *odpSource) *fault {
	n := s.begin(true, ex.sw.Job)
	ex.service.book.note(func(l *Ledger) { l.Jobs++ })
	if ex.sw.Job > 0 {
		select {
		case <-time.After(ex.sw.Job):
		case <-ex.r.Context().Done():
			return nil
		}
	}
	return ex.odpRows(s, n, 0, true)
}

// odpPage answers a further page: $skiptoken=D…_JOB_KIND_POSITION of a first extraction, or D…_FROM_UPTO_POSITION of
// changes.
func (ex *exchange) odpPage(s *odpSource, parts []string) *fault {
	a, err1 := natural(parts[1])
	pos, err2 := natural(parts[3])
	if err1 != nil || err2 != nil {
		return ex.expired()
	}
	if parts[2] == "i" || parts[2] == "f" {
		return ex.odpRows(s, a, pos, parts[2] == "i")
	}
	to, err := natural(parts[2])
	if err != nil {
		return ex.expired()
	}
	return ex.odpDelta(s, a, to, pos)
}

// odpRows answers with a page of an initial extraction.
func (ex *exchange) odpRows(s *odpSource, n, pos int, tracked bool) *fault {
	s.mu.Lock()
	j := s.jobs[n]
	s.mu.Unlock()
	if j == nil {
		return ex.expired()
	}
	kind := "f"
	if tracked {
		kind = "i"
	}
	return ex.odpFeed(s, j.rows, pos, func(next int) string { return fmt.Sprintf("D0_%d_%s_%d", n, kind, next) },
		func() string {
			if !tracked {
				return ""
			}
			return s.hand(odpToken{j.changes, time.Now(), true})
		})
}

// hand records a returned token.
func (s *odpSource) hand(t odpToken) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.initial {
		s.kept = append(s.kept, t)
	}
	return t.name()
}

// odpChanges answers with the changes since a token.
func (ex *exchange) odpChanges(s *odpSource, token string) *fault {
	_, digits, _ := strings.Cut(strings.Trim(token, "'"), "_")
	from, err := natural(digits)
	s.mu.Lock()
	isValid := err == nil && s.open && from <= s.base.changesSoFar()
	old := isValid && from < s.asked
	if isValid && !old {
		s.asked = from
	}
	s.mu.Unlock()
	switch {
	case !isValid || (ex.service.epoch() > 0 && from < ex.service.odpDead(s)):
		return ex.expired()
	case old:
		ex.service.book.note(func(l *Ledger) { l.Refused536++ })
		return &fault{status: http.StatusInternalServerError, code: "RSODP/536",
			message: "Error 536: recovery of old requests not possible"}
	}
	if ex.accepted() {
		return nil
	}
	return ex.odpDelta(s, from, s.base.changesSoFar(), 0)
}

// odpDead returns the number below which tokens have expired.
func (s *Service) odpDead(o *odpSource) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead[o.base.name]
}

func (ex *exchange) odpDelta(s *odpSource, from, to, pos int) *fault {
	if to > s.base.changesSoFar() || from > to {
		return ex.expired()
	}
	var rows []*row
	for _, c := range s.base.between(from, to) {
		switch {
		case c.before == nil:
			rows = append(rows, s.row(c.after, "C", 1))
		case c.after == nil:
			rows = append(rows, s.row(c.before, "D", -1))
		default:
			rows = append(rows, s.row(c.before, "U", -1), s.row(c.after, "U", 1))
		}
	}
	ex.service.book.note(func(l *Ledger) { l.Deltas++ })
	return ex.odpFeed(s, rows, pos, func(next int) string { return fmt.Sprintf("D0_%d_%d_%d", from, to, next) },
		func() string {
			return s.hand(odpToken{to, time.Now(), false})
		})
}

// odpFeed writes a page of rows, starting at pos. skip returns the token of the page at a position, and token the token
// of the changes after the last page.
func (ex *exchange) odpFeed(s *odpSource, rows []*row, pos int, skip func(pos int) string, token func() string) *fault {
	shape, f := newShape(s.facts, ex.query.selected, nil)
	if f != nil {
		return f
	}
	w := ex.breaking()
	e := ex.encoder(w, shape)
	ex.preferencesApplied(prefers(ex.r.Header.Get("Prefer"), "odata.track-changes"))
	ex.w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	ex.send(http.StatusOK, "feed")
	e.begin(shape, s.facts.name, -1)
	limit, _ := ex.pageLimit()
	n := 0
	for ; pos < len(rows) && (limit == 0 || n < limit); pos++ {
		e.entity(shape, rows[pos])
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
	e.end(next, delta)
	if e.flush() == nil {
		ex.service.book.note(func(l *Ledger) { l.Pages++; l.Rows += int64(n) })
	}
	w.finish(ex)
	return nil
}

// odpTypes writes the results of the functions into $metadata.
func (e *edmx) odpTypes() {
	for _, t := range [][2]string{{"ChangeTrackingDetails", "SubscribedFlag"}, {"SubscriptionTerminationDetails",
		"ResultFlag"}} {
		e.f("<%sComplexType Name=\"%s\"><%sProperty Name=\"%s\" Type=\"Edm.Boolean\" "+
			"Nullable=\"false\"/></%sComplexType>\n", e.edm, t[0], e.edm, t[1], e.edm)
	}
}

func (e *edmx) odpFunctions() {
	for _, set := range odpSets {
		for _, f := range [][2]string{{subscribedTo, "ChangeTrackingDetails"},
			{terminateFor, "SubscriptionTerminationDetails"}} {
			e.f("<%sFunctionImport Name=\"%s%s\" ReturnType=\"%s.%s\" %s:HttpMethod=\"GET\"/>\n", e.edm, f[0], set,
				e.x.mount.namespace, f[1], e.m)
		}
	}
}
