package paging

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Keys reads and compares the keys of rows.
type Keys interface {
	// Names returns the key properties in sort order.
	Names() []string
	// IsInteger reports whether a key is a single integer, encoded as a signed varint.
	IsInteger() bool
	// Compare orders two encoded keys, texts by bytes and case-insensitively. known is false if the service may order
	// them differently.
	Compare(a, b []byte) (plain, folded int, known bool)
	// SortTexts returns the parts of a key for CompareTexts, After, UpTo and Pack, or nil if a service does not compare
	// them as written.
	SortTexts(key []byte) []string
	// LiteralTexts returns the parts as they occur in links, also for keys that cannot be sorted by.
	LiteralTexts(key []byte) []string
	CompareTexts(a, b []string) (plain, folded int, known bool)
	// FilterAfter returns the filter for rows after a key, UpTo that for the others.
	FilterAfter(key []string) string
	FilterUpTo(key []string) string
	// Pack encodes a key for an offset; Unpack returns nil for anything else.
	Pack(key []string) string
	Unpack(text string) []string
}

// Set describes an entity set to page through. A load does not change it.
type Set struct {
	Name             string
	Setting          func(name string) string
	Service, Address string
	// Ordered reports whether all key properties are sortable. Countable and Pageable are from the metadata.
	Ordered, Countable, Pageable bool
	// CountOption requests the count ("$inlinecount=allpages"), FormatOption the format ("" if a header does).
	// TokenOption is the query option of next links ("$skiptoken").
	Count                                  bool
	CountOption, FormatOption, TokenOption string
	// Paging is links, keys, auto or top. Top is the page size for $top, else zero.
	Paging    string
	Top       int
	AfterLoad string
	// ExactlyOnce makes a failed check fail the load once rows were emitted.
	ExactlyOnce bool
	// Filter merges a condition with the user's filter and returns the encoded value of $filter; nil means that the
	// user has none. Options are further options of each request.
	Filter  func(condition string) string
	Options []string
	Cursor  *Cursor
	Query   uri.Query
	Keys    Keys
}

// Label names the set in messages.
func (s *Set) Label() string { return "entity set " + s.Name + " of " + s.Service }

// First returns the start of the first load. now is in milliseconds since 1970.
func (s *Set) First(now int64) *Position {
	at := s.start(0)
	at.timestamp = int(now)
	if s.Cursor != nil && s.Cursor.Sortable {
		at.question = &probe{kind: probeHighestCursor}
	}
	return at
}

// FirstAfter returns the start of the load after a complete one, keeping what is known about the service.
func (s *Set) FirstAfter(done *Position, now int64) *Position {
	at := newPosition(done.capabilities & serviceCapabilities)
	at.previous = &previousAttempts{repeatDigest: done.previous.repeatDigest,
		outOfOrderKey: done.previous.outOfOrderKey}
	at.endMarkerPending, at.timestamp = done.endMarkerPending, int(now)
	if s.Cursor != nil {
		at.cursor = s.Cursor.nextState(done.cursor)
	}
	at.url = s.pageURL(at, "", 0)
	return at
}

func (s *Set) start(known Capabilities) *Position {
	at := newPosition(known)
	at.url = s.pageURL(at, "", 0)
	return at
}

// Request returns the path and query of a position and whether repeated responses have the same order.
func (s *Set) Request(at *Position) (target string, same bool) {
	return s.Target(at), s.Ordered && !at.capabilities.has(refusesOrderBy)
}

// Target returns the URL of the position's question, or of its page.
func (s *Set) Target(at *Position) string {
	one := *s
	one.Top = 1
	switch at.question.kind {
	case probeKeyOrder:
		return one.keyOrderURL(at)
	case probeRowCount:
		return s.pageURL(at, "", 0)
	case probePageCount:
		return one.pageURL(at, "", 0)
	case probeHighestCursor:
		return s.highestURL(at)
	}
	return at.url
}

// keyOrderURL asks whether the service sorts by key and compares keys: the first row after the second last key must be
// after it. If the service does not count, it asks for the last row up to the last key, which must be that key's,
// because a service that ignores $orderby could answer the first question correctly by chance.
func (s *Set) keyOrderURL(at *Position) string {
	uncounted := *s
	uncounted.Count = false
	if at.totalCount >= 0 {
		return uncounted.sortedURL(at, s.Keys.FilterAfter(s.unpackKey(cmp.Or(at.question.prior, at.checks.key))), "", 0)
	}
	return uncounted.sortedURL(at, s.Keys.FilterUpTo(s.unpackKey(at.checks.key)), " desc", 0)
}

// UnorderedURL returns the URL of the whole set, unordered.
func (s *Set) UnorderedURL(counted bool) string {
	facts := refusesOrderBy
	facts.set(refusesCount, !counted)
	return s.pageURL(newPosition(facts), "", 0)
}

// FilteredURL returns the URL of the rows that meet a condition, unordered and without count.
func (s *Set) FilteredURL(condition string) string {
	return s.buildURL([]string{"$filter=" + s.filter(condition)})
}

func (s *Set) pageURL(at *Position, condition string, skip int) string {
	return s.sortedURL(at, condition, "", skip)
}

func (s *Set) sortedURL(at *Position, condition, direction string, skip int) string {
	var options []string
	if from := s.Cursor.condition(at); from != "" && condition != "" {
		condition = from + " and (" + condition + ")"
	} else {
		condition += from
	}
	if filter := s.filter(condition); filter != "" {
		options = append(options, "$filter="+filter)
	}
	if s.Ordered && !at.capabilities.has(refusesOrderBy) {
		by := strings.Join(s.Keys.Names(), direction+",") + direction
		options = append(options, "$orderby="+strings.ReplaceAll(by, " ", "%20"))
	}
	if s.Top > 0 {
		options = append(options, "$top="+strconv.Itoa(s.Top))
	}
	if skip > 0 {
		options = append(options, "$skip="+strconv.Itoa(skip))
	}
	if s.requestsCount(at.capabilities) {
		options = append(options, s.CountOption)
	}
	return s.buildURL(options)
}

func (s *Set) highestURL(at *Position) string {
	options := []string{"$orderby=" + s.Cursor.Name + "%20desc", "$top=1"}
	if filter := s.filter(s.Cursor.condition(at)); filter != "" {
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

func (s *Set) requestsCount(known Capabilities) bool {
	return s.Count && s.Countable && !known.has(refusesCount)
}

func (s *Set) countName() string {
	name, _, _ := strings.Cut(s.CountOption, "=")
	return name
}

func (s *Set) canUseKeyset(known Capabilities) bool {
	return s.Keys != nil && s.Ordered && !known.has(refusesOrderBy) && !known.has(ignoresKeyFilter) &&
		s.Paging != "links"
}

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
