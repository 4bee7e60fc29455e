// Package paging reads an entity set whole, page by page, as far as that is the same for every way to write pages:
// which page comes next, that none is missing and none comes for ever, the order of keys, and the offset from which a
// load goes on.
//
// [Set] is what it has to know of the entity set, [Position] is the offset, [Page] an answer that is being read. The
// caller decodes the answer and shows its rows to [Page.Look]; [Page.After] then says where to go on, and
// [Page.Refused] does for an answer that is no success.
package paging

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Set is an entity set that is read page by page.
type Set struct {
	// Name of the set, and the number of its group of settings, for messages.
	Name, Number string
	// Service is the service's path, Address how its container names the set.
	Service, Address string
	// Ordered: every key property can be sorted by. Countable, Pageable: as the metadata say.
	Ordered, Countable, Pageable bool
	// Count: rows are to be counted. CountOption asks for it, FormatOption for the format of pages, "" where a header
	// does.
	Count                     bool
	CountOption, FormatOption string
	// Paging is links, keys, auto, or top, where Top is the number of rows that are asked for at a time, else 0.
	Paging string
	Top    int
	// Period is the number of seconds between two loads, -1: the set is read once, unless it is Repeated at other
	// times.
	Period   int
	Repeated bool
	// Tracked: changes are read behind a load.
	Tracked bool
	// Filter puts a condition of the connector's own, "" for none, together with those of the user into the value of
	// $filter, percent-encoded; nil: there are none of the user's. Options are what else the user wants in each
	// request.
	Filter  func(own string) string
	Options []string
	// Cursor is nil where each load reads all rows.
	Cursor *Cursor
	// Query of all requests that are built here.
	Query uri.Query
	// Type is the set's entity type; Layout and Key, the nodes of the key's schema, are those of its rows.
	Type   *edm.Structure
	Layout *decode.RowLayout
	Key    []wit.Node

	// parts are those of keys, nil where a service doesn't compare such keys as they are written; whole: they are one
	// whole number.
	parts []keyPart
	whole bool
}

// Ready works out what the fields come to, once they are set.
func (f *Set) Ready() {
	f.parts = f.keyParts()
	f.whole = len(f.parts) == 1 && f.parts[0] == wholePart
}

// What names the set in messages.
func (f *Set) What() string { return "entity set " + f.Name + " of " + f.Service }

// Page is an answer that is being read.
type Page struct {
	*Set
	Origin *uri.Origin
	At     Position
	// Answer is the response without its body; Base is what relative links stand on.
	Answer wit.Response
	Base   string
	// Out is what the last piece came to.
	Out decode.Output
	// Body of an answer that is no success.
	Body []byte

	// last is the key of the last row, structured, and the row's number.
	last   []byte
	lastAt uint32
	// faulty are the marks of the rows behind it that could not be read; known is how many of those on the page came
	// before.
	faulty []uint64
	known  int
	// order watches the rows for as long as they come in the order of their keys.
	order order
	// sampling: the rows are remembered, of marks those up to the highest; came are those of the pages before.
	sampling bool
	// same: some of the page's rows are the same; twins: some have the same key.
	same, twins bool
	marks       []sampledRow
	came        []uint64
	highest     uint64
	// again is how many of its rows came on a page before, see moved.go. floor is the last key before the page, where
	// those that are not above it may have come: falls of them did not. recent are marks of its last rows' keys.
	again, falls int
	floor        []string
	recent       []uint64
	// content is what the page holds.
	content content
	cursor  cursorPage
	// handed is the number of rows that were handed on. withheld: the page's rows aren't, from here on, since deaf, the
	// service does not heed the filter by key or the order, or since its count says that rows were left out.
	handed   int
	withheld bool
	deaf     string
	// probed is the key of the first row that came in answer to checkOrder, reverse watches all of its rows.
	probed  []string
	reverse order
}

// Reset lets go of what the page held; its memory waits for the next one.
func (pg *Page) Reset() {
	pg.Set, pg.Origin = nil, nil
	pg.Body, pg.last = pg.Body[:0], pg.last[:0]
}

// Look takes note of the rows of Out, and returns those of them to hand on; keep is false where the page is only asked
// a question, or found not to be what was asked for, and nothing that came with the rows counts.
func (pg *Page) Look() (rows []wit.Row, keep bool) {
	rows = pg.Out.Rows
	again := 0 // how many of them, at the start, are those of the page before
	pg.lookAtFaults()
	if n := len(rows); n > 0 {
		first := pg.content.rows == 0
		lap := pg.At.laps && first
		again = pg.look(rows)
		row := &rows[n-1]
		if lap {
			rows, again = pg.lap(), max(again, 1)
		} else if first && pg.At.beyond && !pg.At.keyed() && pg.leads() {
			pg.deaf = "the service doesn't heed $skip"
		}
		pg.last = append(pg.last[:0], pg.Out.Data[row.Key.Start:row.Key.Start+row.Key.Size]...)
		pg.lastAt = row.Origin
		if pg.At.check == checkHigh {
			pg.noteHighest()
		}
	}
	if pg.withholds() {
		return nil, false
	}
	pg.handed += len(rows)
	pg.sample(pg.Out.Rows[again:])
	return pg.recognise(rows), true
}

// maxFaults is how many rows a position knows again that could not be read: rows beyond that become dead letters
// a second time.
const maxFaults = 64

// lookAtFaults takes note of the rows of Out that could not be read, and leaves out those that came before.
func (pg *Page) lookAtFaults() {
	rows, faults := pg.Out.Rows, pg.Out.Faults
	if len(rows) > 0 {
		pg.faulty = pg.faulty[:0]
	}
	if len(faults) == 0 {
		return
	}
	before := unpackSample(pg.At.faults)
	end := uint32(len(before)) // where the last of them comes again, if none came in between
	if pg.At.laps {
		end++
	}
	fresh := faults[:0]
	for i := range faults {
		f := &faults[i]
		document := pg.Out.Data[f.RawStart : f.RawStart+f.RawSize]
		pg.content.faults.add(document)
		pg.content.faulty++
		mark := hashOf(document).mark()
		if n := len(rows); (n == 0 || f.Origin > rows[n-1].Origin) && len(pg.faulty) < maxFaults {
			pg.faulty = append(pg.faulty, mark)
		}
		if f.Origin < end && slices.Contains(before, mark) {
			if pg.known++; !slices.Contains(pg.Out.LeftOut, f.Origin) { // the host waits for the fault of such a row
				continue
			}
		}
		fresh = append(fresh, *f)
	}
	pg.Out.Faults = fresh
}

// Resolve turns a link of the page into a target on the connector's origin.
func (pg *Page) Resolve(link decode.Link) (string, error) {
	target, err := pg.Origin.Resolve(link.Href, link.Base, pg.Base)
	var foreign *uri.ForeignError
	switch {
	case errors.As(err, &foreign):
		return "", fault.Config("sap.odata.link.hosts", pg.What()+": "+err.Error())
	case err != nil:
		return "", &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": " + err.Error()}
	}
	return target, nil
}

// First is where a load begins, at a time in milliseconds since 1970.
func (f *Set) First(now int64) *Position {
	at := f.startOf(&Position{}, false, false)
	at.began = int(now)
	if f.Cursor != nil && f.Cursor.Property.Sortable {
		at.check = checkHigh
	}
	return at
}

// Request is the path and query that a position asks for, and whether its answer comes the same each time.
func (f *Set) Request(at *Position) (target string, repeats bool) {
	return f.PageURL(at), f.Ordered && !at.unordered
}

// Done tells whether the load is complete, and since when.
func (p *Position) Done() (done bool, at int64) { return p.done, int64(p.at) }
