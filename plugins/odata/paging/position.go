package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// Position is where a full load stands: the page to ask for next, and what is known of the load so far. Its fields are
// the plugin's part of a stored offset.
type Position struct {
	// url is the page's path and query, as it is or was asked for.
	url string
	// seen is the number of rows in the pages before. count is the number that the service said there are, of the whole
	// set and on its first page; -1: it didn't say. A page that is asked for by key never changes it.
	seen, count int
	// base is the number of rows before the filter by key that url holds, 0: it holds none.
	base int
	// unordered, uncounted: the service refused $orderby, $inlinecount. links: pages aren't asked for by key, since the
	// service refused it or doesn't do what it says.
	unordered, uncounted, links bool
	// sorted, folded: all rows so far came in the order of their keys, texts by bytes or without regard to case.
	sorted, folded bool
	// key is the last key before the page, as a key predicate, for as long as the rows are in order.
	key string
	// link is the next link in whose place the page is asked for by key, to be followed if the service doesn't do that.
	link string
	// sound: as far as the service's counts say, no row before the page was left out, so that link leads to all the
	// others.
	sound bool
	// floor is the key from which the page before was asked for, "" if it wasn't by key; floorSeen are the rows up to
	// it.
	floor     string
	floorSeen int
	// mixed: rows came by key, so that $skip doesn't count what was seen. shifts: rows came by counting, so that rows
	// that went may have hidden others.
	mixed, shifts bool
	// again is the number of rows behind the last one that could be read, which come again with the page; faults are
	// their marks, so that they are no dead letters twice.
	again  int
	faults string
	// passed is the number of rows behind the key that the page leaves out by $skip, since none of them could be read.
	passed int
	// beyond: the page is behind the one that the service gave as its last, without a count; further: rows came from
	// such pages.
	beyond, further bool
	// least is the number of rows that came in a pass before, some of them from pages beyond.
	least int
	// laps: the page begins with the last row that came, which shows whether rows without $orderby come in the same
	// order again.
	laps bool
	// tail is the hash of the last row's key where pages are asked for by counting, run those of the rows before it
	// where these are in no order: where the next page begins with them, rows were inserted before.
	tail, run string
	// sample are marks of rows that came, see sampled; twice is how many rows came again, see moved.go. twins: keys
	// don't tell rows apart. alike: the set has rows that are the same, so that none are remembered.
	sample       string
	twice        int
	twins, alike bool
	// fell is the mark of the first key that came below those of a page before, in this reading of the set or in the
	// one before.
	fell string
	// check is a question that goes before the page, one of those below.
	check string
	// level is the number of rows, those seen and those to come, that the service counts since it was found that rows
	// were deleted and none left out; 0: as many as count.
	level int
	// checked: that was found out for this page, which is taken as it comes.
	checked bool
	// probed is how often the service brought the last row first in the reverse order.
	probed int
	// followed are the links that the load came by, pages what they held.
	followed, pages Trail
	// empty is the number of pages without a row, one after another.
	empty int
	// pass counts the times that the load began anew, tries those that every option was left out in vain.
	pass, tries int
	// claimed is the count of a first page that had as many rows, and no link: it may be the page's alone. proven: the
	// service counted more rows than it gave, so that its count is the set's. verified: that was asked (checkCount)
	// behind a load that would fail else.
	claimed          int
	proven, verified bool
	// refused is the answer with which the service declined the page, which may be of the moment; without: the service
	// does answer without $orderby.
	refused string
	without bool
	// warned: it was said that more rows came than the service counted.
	warned bool
	// cursor is what loads by a cursor remember.
	cursor cursorPosition
	// done: the load is complete; at is when its last page came, began when it was begun, in milliseconds since 1970.
	done      bool
	at, began int
}

// Questions that go before a page, whose rows aren't handed on. checkRows: how many rows are there between floor and
// key? checkEnd: how many are there in all? checkOrder: is the row of key the first in the reverse order of those up to
// it? checkWithout: is there an answer without $orderby? checkHigh: what is the highest value of the cursor?
// checkCount: does a page of one row have the count of all?
const (
	checkRows    = "rows"
	checkEnd     = "end"
	checkOrder   = "order"
	checkWithout = "without"
	checkHigh    = "high"
	checkCount   = "count"
)

// Item is a field of an offset: one of its pointers leads to the value.
type Item struct {
	Name   string
	Text   *string
	Number *int
	Flag   *bool
	Trail  *Trail
	// Least is the least number that is written.
	Least int
}

func (p *Position) items() []Item {
	return []Item{
		{Name: "url", Text: &p.url}, {Name: "seen", Number: &p.seen}, {Name: "count", Number: &p.count},
		{Name: "base", Number: &p.base,
			Least: 1},
		{Name: "unordered", Flag: &p.unordered}, {Name: "uncounted", Flag: &p.uncounted},
		{Name: "links", Flag: &p.links},
		{Name: "sorted", Flag: &p.sorted}, {Name: "folded", Flag: &p.folded}, {Name: "sound", Flag: &p.sound},
		{Name: "mixed", Flag: &p.mixed},
		{Name: "shifts", Flag: &p.shifts}, {Name: "again", Number: &p.again, Least: 1},
		{Name: "faults", Text: &p.faults}, {Name: "passed", Number: &p.passed, Least: 1}, {Name: "checked", Flag: &p.checked},
		{Name: "warned", Flag: &p.warned},
		{Name: "done", Flag: &p.done},
		{Name: "key", Text: &p.key}, {Name: "floor", Text: &p.floor}, {Name: "floorseen", Number: &p.floorSeen,
			Least: 1},
		{Name: "next", Text: &p.link},
		{Name: "check", Text: &p.check}, {Name: "level", Number: &p.level, Least: 1},
		{Name: "probed", Number: &p.probed, Least: 1}, {Name: "laps", Flag: &p.laps}, {Name: "beyond", Flag: &p.beyond},
		{Name: "further", Flag: &p.further}, {Name: "least", Number: &p.least, Least: 1}, {Name: "tail", Text: &p.tail},
		{Name: "run", Text: &p.run},
		{Name: "sample", Text: &p.sample}, {Name: "twice", Number: &p.twice, Least: 1}, {Name: "alike", Flag: &p.alike},
		{Name: "twins", Flag: &p.twins}, {Name: "fell", Text: &p.fell},
		{Name: "followed", Trail: &p.followed}, {Name: "pages", Trail: &p.pages},
		{Name: "empty", Number: &p.empty, Least: 1}, {Name: "pass", Number: &p.pass, Least: 1},
		{Name: "tries", Number: &p.tries, Least: 1},
		{Name: "claimed", Number: &p.claimed, Least: 1}, {Name: "proven", Flag: &p.proven},
		{Name: "verified", Flag: &p.verified},
		{Name: "refused", Text: &p.refused}, {Name: "without", Flag: &p.without}, {Name: "from", Text: &p.cursor.from},
		{Name: "high", Text: &p.cursor.high}, {Name: "low", Text: &p.cursor.base},
		{Name: "lowless", Flag: &p.cursor.lowless},
		{Name: "known", Text: &p.cursor.known}, {Name: "fresh", Text: &p.cursor.fresh},
		{Name: "began", Number: &p.began, Least: 1},
		{Name: "at", Number: &p.at, Least: 1},
	}
}

// Fields writes a position as fields of an offset.
func (p *Position) Fields() []wit.Field { return Write(p.items()) }

// Write makes fields of an offset; what is not the case is left out.
func Write(items []Item) []wit.Field {
	var fields []wit.Field
	for _, i := range items {
		switch {
		case i.Text != nil && *i.Text != "":
			fields = append(fields, wit.TextField(i.Name, *i.Text))
		case i.Number != nil && *i.Number >= i.Least:
			fields = append(fields, wit.IntegerField(i.Name, int64(*i.Number)))
		case i.Flag != nil && *i.Flag:
			fields = append(fields, wit.BooleanField(i.Name, true))
		case i.Trail != nil && i.Trail.steps > 0:
			fields = append(fields, wit.TextField(i.Name, i.Trail.String()))
		}
	}
	return fields
}

// Read reads a stored offset; nil if it is empty. Fields that aren't the plugin's are the host's.
func Read(offset []wit.Field) (*Position, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	p := &Position{count: -1}
	if err := ReadItems(offset, p.items()); err != nil {
		return nil, err
	}
	if len(p.url) == 0 || p.url[0] != '/' {
		return nil, &wit.Fault{Kind: wit.FaultIncompatible,
			Message: "offset: expected field url with a path, found \"" + p.url + "\""}
	}
	return p, nil
}

// ReadItems reads what [Write] wrote. Fields that are none of the items are left alone.
func ReadItems(offset []wit.Field, items []Item) error {
	for _, f := range offset {
		for _, i := range items {
			if i.Name == f.Name && !i.read(f.Value) {
				return &wit.Fault{Kind: wit.FaultIncompatible, Message: "offset: field " + f.Name +
					" isn't of the form that this connector writes"}
			}
		}
	}
	return nil
}

func (i *Item) read(v wit.Scalar) bool {
	switch {
	case i.Text != nil && v.Text != nil:
		*i.Text = string([]byte(*v.Text))
	case i.Number != nil && v.Integer != nil && *v.Integer >= 0:
		*i.Number = int(*v.Integer)
	case i.Flag != nil && v.Boolean != nil:
		*i.Flag = *v.Boolean
	case i.Trail != nil && v.Text != nil:
		return i.Trail.parse(*v.Text)
	default:
		return false
	}
	return true
}

// URL is the page's path and query.
func (p *Position) URL() string { return p.url }

// At is the position with the page at another path and query.
func (p *Position) At(url string) *Position {
	moved := *p
	moved.url = url
	return &moved
}

// keyed tells whether the page is asked for by key.
func (p *Position) keyed() bool { return p.base > 0 && p.base == p.seen && p.key != "" }

// ascending tells whether all rows so far came in the order of their keys.
func (p *Position) ascending() bool { return p.sorted || p.folded }
