package load

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Keys is what a load knows of the keys of rows, nil where a set has none.
type Keys interface {
	// Names of the key's properties, in the order in which a service sorts by them.
	Names() []string
	// Whole reports whether a key is one whole number, encoded as a signed varint.
	Whole() bool
	// Compare orders two encoded keys, texts by bytes and without regard to case; known is false where the service may
	// order them in another way.
	Compare(a, b []byte) (plain, folded int, known bool)
	// Texts are the parts of a key, as CompareTexts, After, UpTo and Pack take them; nil where a service doesn't
	// compare them as they are written.
	Texts(key []byte) []string
	// Plain are the parts as they may stand in a link, also of keys by which no service is asked to sort.
	Plain(key []byte) []string
	CompareTexts(a, b []string) (plain, folded int, known bool)
	// After is the condition for the rows after a key, UpTo that for all others.
	After(key []string) string
	UpTo(key []string) string
	// Pack writes a key into an offset, Unpack reads it, nil if it is something else.
	Pack(key []string) string
	Unpack(text string) []string
}

// Set is an entity set that is read page by page. It is configuration: a load changes nothing of it.
type Set struct {
	// Name of the set, and the whole name of a setting that is the set's own, for messages.
	Name    string
	Setting func(name string) string
	// Service is the service's path, Address how its container names the set.
	Service, Address string
	// Ordered: every key property can be sorted by. Countable, Pageable: as the metadata say.
	Ordered, Countable, Pageable bool
	// Count: rows are to be counted. CountOption asks for it ("$inlinecount=allpages"), FormatOption for the format of
	// pages, "" where a header does. TokenOption is the name of the option by which links lead on ("$skiptoken").
	Count                                  bool
	CountOption, FormatOption, TokenOption string
	// Paging is links, keys, auto, or top, where Top is the number of rows that are asked for at a time, else 0.
	Paging string
	Top    int
	// Next says what follows a complete load, for the log.
	Next string
	// Once: no row may come twice, so that a verdict after rows were handed on fails the load.
	Once bool
	// Filter puts a condition of the connector's own, "" for none, together with those of the user into the value of
	// $filter, percent-encoded; nil: there are none of the user's. Options are what else the user wants in each
	// request.
	Filter  func(own string) string
	Options []string
	// Cursor is nil where each load reads all rows.
	Cursor *Cursor
	// Query of all requests that are built here.
	Query uri.Query
	// Keys of the rows; nil: they have none.
	Keys Keys
}

// What names the set in messages.
func (s *Set) What() string { return "entity set " + s.Name + " of " + s.Service }

// First is where a load begins, at a time in milliseconds since 1970.
func (s *Set) First(now int64) *Position {
	at := s.start(0)
	at.when = int(now)
	if s.Cursor != nil && s.Cursor.Sortable {
		at.ask = &question{kind: askHighest}
	}
	return at
}

// FirstAfter is where a load begins after a complete one: with all rows, or where there is a cursor with those from it
// on. What is known of the service stays known.
func (s *Set) FirstAfter(done *Position, now int64) *Position {
	at := newPosition(done.facts & ofService)
	at.earlier = &earlier{repeated: done.earlier.repeated, fell: done.earlier.fell}
	at.unmarked, at.when = done.unmarked, int(now)
	if s.Cursor != nil {
		at.cursor = s.Cursor.following(done.cursor)
	}
	at.url = s.page(at, "", 0)
	return at
}

// start is the first page of a load by what is known of the service.
func (s *Set) start(known Facts) *Position {
	at := newPosition(known)
	at.url = s.page(at, "", 0)
	return at
}

// Request is the path and query that a position asks for, and whether its answer comes the same each time.
func (s *Set) Request(at *Position) (target string, same bool) {
	return s.Target(at), s.Ordered && !at.facts.has(unordered)
}

// Target is what is asked for at a position: its page, or the question that goes before it.
func (s *Set) Target(at *Position) string {
	one := *s
	one.Top = 1
	switch at.ask.kind {
	case askKeys:
		return one.keysHeld(at)
	case askRows:
		return s.page(at, "", 0)
	case askCount:
		return one.page(at, "", 0)
	case askHighest:
		return s.highest(at)
	}
	return at.url
}

// keysHeld asks whether the service sorts by keys and compares them, by the last two keys that came: the first row
// after the first of them, of the only one after that, must be after it. A service that does not sort would answer the
// same where its own order begins as that of the keys, and its count shows that at the end. Where it gives none, the
// last row up to the second key is asked for, which must be that of the key.
func (s *Set) keysHeld(at *Position) string {
	uncounted := *s
	uncounted.Count = false
	if at.count >= 0 {
		return uncounted.sorted(at, s.Keys.After(s.unpack(cmp.Or(at.ask.prior, at.memory.key))), "", 0)
	}
	return uncounted.sorted(at, s.Keys.UpTo(s.unpack(at.memory.key)), " desc", 0)
}

// Plain is path and query of the whole set, in no order, with a count or without one.
func (s *Set) Plain(counted bool) string {
	facts := unordered
	facts.set(uncounted, !counted)
	return s.page(newPosition(facts), "", 0)
}

// Only is path and query of the rows of the set that meet a condition, in no order and without a count.
func (s *Set) Only(condition string) string {
	return s.asked([]string{"$filter=" + s.filter(condition)})
}

// page is path and query of a page of ours: the first one, that of the rows that meet a condition, or the one after so
// many rows.
func (s *Set) page(at *Position, condition string, skip int) string {
	return s.sorted(at, condition, "", skip)
}

// sorted is page in the order of the keys, or with " desc" in the reverse one.
func (s *Set) sorted(at *Position, condition, direction string, skip int) string {
	var options []string
	if from := s.Cursor.above(at); from != "" && condition != "" {
		condition = from + " and (" + condition + ")"
	} else {
		condition += from
	}
	if filter := s.filter(condition); filter != "" {
		options = append(options, "$filter="+filter)
	}
	if s.Ordered && !at.facts.has(unordered) {
		by := strings.Join(s.Keys.Names(), direction+",") + direction
		options = append(options, "$orderby="+strings.ReplaceAll(by, " ", "%20"))
	}
	if s.Top > 0 {
		options = append(options, "$top="+strconv.Itoa(s.Top))
	}
	if skip > 0 {
		options = append(options, "$skip="+strconv.Itoa(skip))
	}
	if s.counts(at.facts) {
		options = append(options, s.CountOption)
	}
	return s.asked(options)
}

// highest asks for the row with the highest value of the cursor.
func (s *Set) highest(at *Position) string {
	options := []string{"$orderby=" + s.Cursor.Name + "%20desc", "$top=1"}
	if filter := s.filter(s.Cursor.above(at)); filter != "" {
		options = slices.Insert(options, 0, "$filter="+filter)
	}
	return s.asked(options)
}

// asked is path and query with the options that all requests have, after others.
func (s *Set) asked(options []string) string {
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

// filter is the value of $filter for a condition of the connector's own, "" for none.
func (s *Set) filter(own string) string {
	if s.Filter != nil {
		return s.Filter(own)
	}
	return string(uri.AppendEscaped(nil, own))
}

// counts reports whether first pages ask for the count.
func (s *Set) counts(known Facts) bool { return s.Count && s.Countable && !known.has(uncounted) }

// countName is the name of the option that asks for the count.
func (s *Set) countName() string {
	name, _, _ := strings.Cut(s.CountOption, "=")
	return name
}

// sorts reports whether the service is asked for rows in the order of their keys, and that is relied on.
func (s *Set) sorts(known Facts) bool {
	return s.Keys != nil && s.Ordered && !known.has(unordered) && !known.has(ignoresKeys) && s.Paging != "links"
}

func (s *Set) texts(key []byte) []string {
	if s.Keys == nil || len(key) == 0 {
		return nil
	}
	return s.Keys.Texts(key)
}

func (s *Set) plainKey(key []byte) []string {
	if s.Keys == nil || len(key) == 0 {
		return nil
	}
	return s.Keys.Plain(key)
}

func (s *Set) unpack(key string) []string {
	if s.Keys == nil || key == "" {
		return nil
	}
	return s.Keys.Unpack(key)
}
