package paging

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/paging/rowkey"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Set describes an entity set to read. A load does not change it.
type Set struct {
	Name    string
	Setting func(name string) string // returns the full name of one of the set's settings
	Service string                   // path of the service
	Address string                   // name of the set in URLs, after Service
	Support
	Count        bool   // requests include $inlinecount
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
	Keys    *rowkey.Keys // nil means that rows have no key
}

// LogEndings are the ends of log lines about a load.
type LogEndings struct {
	AfterLoad    string // what follows a load that has ended
	AfterRestart string // what follows when a load starts over
}

// Support is what the service supports for a set, according to its metadata.
type Support struct {
	Ordered   bool // all key properties are sortable
	Countable bool // $inlinecount works
	Pageable  bool // $skip and $top work
}

const (
	countOption = "$inlinecount"
	tokenOption = "$skiptoken"
)

// Label names the set in messages.
func (s *Set) Label() string { return "entity set " + s.Name + " of " + s.Service }

// First returns the start of the first load. now is in milliseconds since 1970.
func (s *Set) First(now int64) *Position {
	position := s.start(0)
	position.timestamp = int(now)
	if s.Cursor != nil && s.Cursor.Sortable {
		position.probe = &probe{kind: probeHighestCursor}
	}
	return position
}

// FirstAfter returns the start of the load after a complete one. It keeps what was learned about the service.
func (s *Set) FirstAfter(done *Position, now int64) *Position {
	position := newPosition(done.capabilities & serviceCapabilities)
	position.previous = &previousAttempts{repeatDigest: done.previous.repeatDigest,
		outOfOrderKey: done.previous.outOfOrderKey}
	position.endMarkerPending = done.endMarkerPending
	position.timestamp = int(now)
	position.SetAnswered()
	position.previous.verdict = done.verdict
	position.previous.provenRows = done.previous.provenRows
	if s.Cursor != nil {
		position.cursor = s.Cursor.nextState(done.cursor)
	}
	position.url = s.pageURL(position, "", 0)
	return position
}

func (s *Set) start(capabilities Capabilities) *Position {
	position := newPosition(capabilities)
	position.url = s.pageURL(position, "", 0)
	return position
}

// Request returns the path and query of a position, and whether repeated requests return the rows in the same order.
func (s *Set) Request(position *Position) (target string, repeatable bool) {
	return s.Target(position), s.Ordered && !position.capabilities.has(refusesOrderBy)
}

// Target returns the path and query of a position, or of its probe.
func (s *Set) Target(position *Position) string {
	oneRow := *s
	oneRow.Top = 1
	switch position.probe.kind {
	case probeKeyOrder:
		if position.requestsLastRows() {
			return s.lastRowsURL(position, "", minOrderedRows)
		}
		return s.lastRowsURL(position, s.Keys.FilterUpTo(s.unpackKey(position.checks.key)), minOrderedRows)
	case probePageCount, probeRowCount:
		return oneRow.pageURL(position, "", 0)
	case probeDeletedRow:
		return s.lastRowsURL(position, s.Keys.FilterUpTo(s.unpackKey(position.probe.lastKey)), 1)
	case probeKnownRows, probeKnownEnd:
		return s.pageURL(position, "", position.suspectFrom)
	case probeFurtherRows:
		return oneRow.pageURL(position, "", position.rowsRead)
	case probeHighestCursor:
		return s.highestURL(position)
	}
	return position.url
}

// lastRowsURL returns the URL of the last rows that meet a condition, in descending order. An empty condition means all
// rows. A service that ignores $orderby or the filter returns other rows, even if they are stored in the order of keys.
func (s *Set) lastRowsURL(position *Position, condition string, rows int) string {
	lastRows := *s
	lastRows.Top = rows
	lastRows.Count = false
	return lastRows.sortedURL(position, condition, " desc", 0)
}

// UnorderedURL returns the URL of all rows without order. withCount requests their number, if the set is countable.
func (s *Set) UnorderedURL(withCount bool) string {
	capabilities := refusesOrderBy
	capabilities.set(refusesCount, !withCount)
	return s.pageURL(newPosition(capabilities), "", 0)
}

// FilteredURL returns the URL of rows that meet a condition, without order and count.
func (s *Set) FilteredURL(condition string) string {
	return s.buildURL([]string{"$filter=" + s.filter(condition)})
}

func (s *Set) pageURL(position *Position, condition string, skip int) string {
	return s.sortedURL(position, condition, "", skip)
}

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
	if s.Ordered && !position.capabilities.has(refusesOrderBy) {
		properties := strings.Join(s.Keys.Names(), direction+",") + direction
		options = append(options, "$orderby="+strings.ReplaceAll(properties, " ", "%20"))
	}
	if s.Top > 0 {
		options = append(options, "$top="+strconv.Itoa(s.Top))
	}
	if skip > 0 {
		options = append(options, "$skip="+strconv.Itoa(skip))
	}
	if s.requestsCount(position.capabilities) {
		options = append(options, countOption+"=allpages")
	}
	return s.buildURL(options)
}

func (s *Set) highestURL(position *Position) string {
	options := []string{"$orderby=" + s.Cursor.Name + "%20desc", "$top=1"}
	if filter := s.filter(s.Cursor.condition(position)); filter != "" {
		options = slices.Insert(options, 0, "$filter="+filter)
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

func (s *Set) requestsCount(capabilities Capabilities) bool {
	return s.Count && s.Countable && !capabilities.has(refusesCount)
}

// CanUseKeyset reports whether the set can be paged by key, as far as the configuration and the metadata show.
func (s *Set) CanUseKeyset() bool { return s.canUseKeyset(0) }

func (s *Set) canUseKeyset(capabilities Capabilities) bool {
	return s.Keys != nil && s.Ordered && !capabilities.has(refusesOrderBy) && !capabilities.has(ignoresKeyFilter) &&
		s.Paging != "links"
}

// sortTexts returns the parts of an encoded key as [rowkey.Keys.CompareTexts] compares them, or nil without key.
func (s *Set) sortTexts(key []byte) []string {
	if s.Keys == nil || len(key) == 0 {
		return nil
	}
	return s.Keys.SortTexts(key)
}

func (s *Set) literalTexts(key []byte) []string {
	if s.Keys == nil || len(key) == 0 {
		return nil
	}
	return s.Keys.LiteralTexts(key)
}

func (s *Set) unpackKey(key string) []string {
	if s.Keys == nil || key == "" {
		return nil
	}
	return s.Keys.Unpack(key)
}
