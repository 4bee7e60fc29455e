package paging

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Set describes an entity set to read. A load does not change it.
type Set struct {
	Dialect *edm.Dialect
	Name    string
	Setting func(name string) string // returns the full name of one of the set's settings
	Service string                   // path of the service
	Address string                   // name of the set in URLs, after Service
	Support
	Count        bool   // requests include the number of rows
	FormatOption string // $format with its value; empty if a header requests the format
	Paging       string // links, keys, auto or top
	Top          int    // page size for $top; zero means no $top
	LogEndings
	// Completeness is the effect of an unproven load: warn, require (the next request fails) or off (no warning).
	Completeness string
	ExactlyOnce  bool // a failed check fails the load if rows were emitted
	// Filter returns the encoded $filter of the user's filter and a condition. Nil means that the user has no filter.
	Filter  func(condition string) string
	Options []string // options that each request has, besides those of paging
	Cursor  *Cursor  // nil means that each load reads all rows
	Query   uri.Query
	Keys    *Keys // nil means that rows have no key
	Expands bool  // requests contain $expand
	// KeysAlone returns the set of the same rows with key properties only. without is a setting whose condition is
	// dropped, or "". Nil means the set itself.
	KeysAlone func(without string) *Set
	// LastRows is the $top of the probe for the last rows. Zero means 8: a service that does not sort returns them in
	// order by chance once in 40,320 times.
	LastRows int
}

// LogEndings are the ends of log lines about a load.
type LogEndings struct {
	AfterLoad    string // what follows a load that has ended
	AfterRestart string // what follows when a load starts over
}

// Support is what the service supports for a set, according to its metadata.
type Support struct {
	Ordered   bool // all key properties are sortable
	Countable bool // the number of rows can be requested
	Pageable  bool // $skip and $top work
	Partial   bool // the set does not have all rows
	Singleton bool // the set is one entity, which is complete
}

// Label names the set in messages.
func (s *Set) Label() string { return "entity set " + s.Name + " of " + s.Service }

// First returns the start of the first load. now is in milliseconds since 1970.
func (s *Set) First(now int64) *Position {
	position := newPosition(known{})
	position.timestamp = int(now)
	position.url = s.pageURL(position, "", 0)
	if s.Cursor != nil && s.Cursor.Sortable {
		position.probe = &probe{kind: probeHighestCursor}
	}
	return position
}

// FirstAfter returns the start of the load after a complete one. It keeps what was learned about the service.
func (s *Set) FirstAfter(done *Position, now int64) *Position {
	position := newPosition(done.known)
	position.previous = &previousAttempts{repeatDigest: done.previous.repeatDigest, verdict: done.verdict}
	position.snapshot.endMarkerPending = done.snapshot.endMarkerPending
	position.timestamp = int(now)
	position.SetAnswered()
	if s.Cursor != nil {
		position.cursor = s.Cursor.nextState(done.cursor)
	}
	position.url = s.pageURL(position, "", 0)
	return position
}

// Request returns the path and query of a position, and whether repeated requests return the rows in the same order.
func (s *Set) Request(position *Position) (target string, repeatable bool) {
	return s.Target(position), s.Ordered && !position.known.refusesOrderBy
}

// Target returns the path and query of a position, or of its probe.
func (s *Set) Target(position *Position) string {
	set := *s
	if position.RequestsKeysAlone() {
		if s.KeysAlone != nil {
			set = *s.KeysAlone(position.DroppedCondition())
		}
		set.Top = s.Top
		// The numbers of rows with and without a dropped condition are compared; the last rows are checked by the
		// count.
		set.Count = s.Count && (position.probe.message != "" ||
			(position.probe.kind == probeLastRows && position.totalCount >= 0))
	}
	last := s.Keys.unpack(position.checks.key)
	switch position.probe.kind {
	case probeBefore:
		return set.sortedURL(position, s.Keys.filterBefore(last), "%20desc", 0)
	case probeAfter:
		if position.pageRows == 1 { // a page from the last key on would not reach the next row
			return set.pageURL(position, s.Keys.filterAfter(last), 0)
		}
		return set.pageURL(position, s.Keys.filterFrom(last), 0)
	case probeFirstRows, probeFiltered:
		return set.pageURL(position, "", 0)
	case probeLastRows:
		set.Top = cmp.Or(s.LastRows, 8)
		return set.sortedURL(position, "", "%20desc", 0)
	case probeRank:
		set.Top = 2 // the last row, and the row after it if there is one
		return set.pageURL(position, "", position.rowsSeen()-1)
	case probeDeletedRow, probeEarlierRow:
		return set.pageURL(position, s.Keys.FilterEqual([][]byte{s.Keys.unpack(position.probe.key)}), 0)
	case probeUnfiltered:
		if position.probe.dropped == s.Setting("cursor.property") {
			set.Cursor = nil
		}
		return set.pageURL(position, "", 0)
	case probeRowCount:
		set.Top = 1
		return set.pageURL(position, "", 0)
	case probeHighestCursor:
		options := []string{"$orderby=" + s.Cursor.Name + "%20desc", "$top=1"}
		if filter := s.filter(s.Cursor.condition(position)); filter != "" {
			options = slices.Insert(options, 0, "$filter="+filter)
		}
		return s.buildURL(options)
	}
	return position.url
}

// UnorderedURL returns the URL of all rows without order. withCount requests their number, if the set is countable.
func (s *Set) UnorderedURL(withCount bool) string {
	set := *s
	set.Top = 0 // links and delta links, if any, follow a page
	return set.pageURL(newPosition(known{refusesOrderBy: true, refusesCount: !withCount}), "", 0)
}

// FilteredURL returns the URL of rows that meet a condition, without order and count.
func (s *Set) FilteredURL(condition string) string {
	return s.buildURL([]string{"$filter=" + s.filter(condition)})
}

func (s *Set) pageURL(position *Position, condition string, skip int) string {
	return s.sortedURL(position, condition, "", skip)
}

// sortedURL is pageURL with a direction behind each property of $orderby, "%20desc" or "".
func (s *Set) sortedURL(position *Position, condition, direction string, skip int) string {
	var options []string
	if cursorCondition := s.Cursor.condition(position); cursorCondition != "" && condition != "" {
		condition = cursorCondition + " and (" + condition + ")"
	} else {
		condition += cursorCondition
	}
	if filter := s.filter(condition); filter != "" {
		options = append(options, "$filter="+filter)
	}
	if s.Ordered && !position.known.refusesOrderBy {
		options = append(options, "$orderby="+strings.Join(s.Keys.names(), direction+",")+direction)
	}
	if s.Top > 0 {
		options = append(options, "$top="+strconv.Itoa(s.Top))
	}
	if skip > 0 {
		options = append(options, "$skip="+strconv.Itoa(skip))
	}
	if s.requestsCount(position.known) {
		options = append(options, s.Dialect.CountOption)
	}
	return s.buildURL(options)
}

func (s *Set) buildURL(options []string) string {
	if s.FormatOption != "" {
		options = append(options, s.FormatOption)
	}
	options = append(options, s.Options...)
	url := s.Service + "/" + s.Address
	if len(options) > 0 {
		url += "?" + strings.Join(options, "&")
	}
	return s.Query.AppendTo(url)
}

func (s *Set) filter(condition string) string {
	if s.Filter != nil {
		return s.Filter(condition)
	}
	return string(uri.AppendEscaped(nil, condition))
}

func (s *Set) requestsCount(k known) bool { return s.Count && s.Countable && !k.refusesCount }

// CanUseKeyset reports whether the set can be paged by key, as far as the configuration and the metadata show.
func (s *Set) CanUseKeyset() bool { return s.canUseKeyset(known{}) }

func (s *Set) canUseKeyset(k known) bool {
	return s.Keys != nil && s.Ordered && !k.refusesOrderBy && !k.ignoresKeyFilter && s.Paging != "links"
}

// sortedKey returns an encoded key if services compare such keys as they are written, else nil.
func (s *Set) sortedKey(key []byte) []byte {
	if s.Keys.isSortable() && len(key) > 0 {
		return key
	}
	return nil
}

// equalKeys reports whether two encoded keys are the same. Fields that were added to them are not compared.
func (s *Set) equalKeys(a, b []byte) bool {
	if s.Keys == nil || len(a) == 0 || len(b) == 0 {
		return false
	}
	plain, _, ok := s.Keys.compare(a, b)
	return ok && plain == 0
}
