package delta

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// changes is what a page of delta mode has to keep while it is read.
type changes struct {
	// merged are the portion's rows with those for deleted entities among them, in the order of the page.
	merged []wit.Row
	faults []wit.RowFault
	// entries are the hashes of the keys of rows, gone those of deleted entities; met finds the former once there are
	// such.
	entries []uint64
	met     map[uint64]bool
	gone    map[uint64]bool
	// rowsBefore and goneBefore know the same of the earlier pages of these changes.
	rowsBefore, goneBefore sieve
	// waiting is how many entities are being read again; number counts them, last is the origin of the last row handed
	// on.
	waiting, number int
	last            uint32
	// firstKey and lastKey are those of the first and the last row of a page of a load.
	firstKey, lastKey []byte
	// again are those that are being read again, by number.
	again map[string]*again
	out   decode.Output
	// marks are those of a load that takes the place of a lost token.
	marks feed.Marks
}

// again is an entity that came both as a row and as deleted: which of the two holds the service has to say (P22).
type again struct {
	keys [][]byte
	// predicate holds the keys in its address, target is what is asked for.
	predicate, target string
	when              int64
	timed             bool
	decoder           decode.Decoder
	rows              []wit.Row
	data              []byte
	// body is that of a refusal.
	body []byte
	// entities came. listed: it is asked for as a row of the set. left: it no longer meets the filter. ended: the last
	// piece of its own answer came.
	entities            int
	listed, left, ended bool
}

const rereadTag = "again "

// change makes rows of what came: entries as they are, deleted ones as the settings say.
func (pg *Page) change(portion *wit.Portion) error {
	c, f := &pg.changes, pg.set()
	c.merged, c.faults = c.merged[:0], append(c.faults[:0], pg.Out.Faults...)
	pg.Out.Data = pg.FitRows(pg.Out.Rows, pg.Out.Data)
	tombstones := pg.Out.Tombstones
	if n := len(pg.Out.Rows); n > 0 && pg.delta.phase == phaseLoad {
		if len(c.firstKey) == 0 {
			c.firstKey = append(c.firstKey, feed.KeyOf(&pg.Out.Rows[0], pg.Out.Data)...)
		}
		c.lastKey = append(c.lastKey[:0], feed.KeyOf(&pg.Out.Rows[n-1], pg.Out.Data)...)
	}
	if len(tombstones) > 0 && f.Key.Nodes == nil {
		return &wit.Fault{Kind: wit.FaultUnsupported,
			Message: pg.What() + ": deleted entities came of a type without key"}
	}
	for i := range pg.Out.Rows {
		row := &pg.Out.Rows[i]
		for len(tombstones) > 0 && tombstones[0].Origin < row.Origin {
			pg.bury(portion, &tombstones[0])
			tombstones = tombstones[1:]
		}
		pg.enter(portion, row, i)
	}
	for i := range tombstones {
		pg.bury(portion, &tombstones[i])
	}
	portion.Rows, portion.Data, portion.Faults = c.merged, pg.Out.Data, c.faults
	if pg.changes.marks.Snapshot > 0 {
		pg.hold(portion)
	} else if pg.delta.owed > 0 && len(portion.Rows) > 0 {
		pg.settle(portion)
	}
	pg.Declare(portion)
	if n := len(c.merged); n > 0 {
		c.last = c.merged[n-1].Origin
	}
	return nil
}

// enter takes an entry.
func (pg *Page) enter(portion *wit.Portion, row *wit.Row, i int) {
	c, f := &pg.changes, pg.set()
	if n := len(f.Layout.Watch); f.Watch >= 0 {
		watched := pg.Out.Watched[i*n+f.Watch : (i+1)*n]
		switch pg.kind(watched) {
		case 'B':
			if !f.Tracking.DropBefore {
				pg.Out.Data = f.Tell(row, pg.Out.Data, feed.ChangeBefore)
				c.merged = append(c.merged, *row)
			}
			return
		case 'D':
			pg.buryRow(row, watched)
			return
		}
		pg.Out.Data = f.Tell(row, pg.Out.Data, pg.changeOf(watched))
		c.merged = append(c.merged, *row)
		return
	}
	if pg.delta.phase == PhaseChanges && row.Key.Size > 0 {
		h := keyHash(feed.KeyOf(row, pg.Out.Data))
		c.entries = append(c.entries, h)
		if c.met != nil {
			c.met[h] = true
		}
		if c.gone[h] || c.goneBefore.knows(h) {
			if keys := f.SplitKey(feed.KeyOf(row, pg.Out.Data)); keys != nil {
				pg.ask(portion, keys, 0, false)
				return
			}
		}
	}
	pg.Out.Data = f.Tell(row, pg.Out.Data, pg.changeOf(nil))
	c.merged = append(c.merged, *row)
}

// remember notes in the position behind a page of changes which keys came on it, for the pages that follow.
func (c *changes) remember(next *position) {
	for _, h := range c.entries {
		c.rowsBefore.add(h)
	}
	for h := range c.gone {
		c.goneBefore.add(h)
	}
	next.rows, next.gone = c.rowsBefore.text(), c.goneBefore.text()
}

// kind is what a row of ODP is: D for a deleted one, B for the state before a change, else 0.
func (pg *Page) kind(watched []decode.Span) byte {
	f := pg.set()
	if text, ok := f.textOf(f.Mode, pg.bytes(watched[0])); ok && text == "D" {
		return 'D'
	}
	if f.Counter >= 0 && f.negative(f.Counter, pg.bytes(watched[len(watched)-1])) {
		return 'B'
	}
	return 0
}

func (pg *Page) bytes(s decode.Span) []byte { return pg.Out.Data[s.Start : s.Start+s.Size] }

// bare is a column's value without its branch number; null: there is none.
func (f Set) bare(column int, b []byte) (value []byte, null bool) {
	if !f.Layout.Columns[column].Optional {
		return b, false
	}
	if len(b) == 0 || b[0] == 0 {
		return nil, true
	}
	return b[1:], false
}

func (f Set) textOf(column int, b []byte) (string, bool) {
	b, null := f.bare(column, b)
	n, size := binary.Varint(b)
	if null || size <= 0 || int(n) != len(b)-size {
		return "", false
	}
	return string(b[size:]), true
}

// negative tells whether a column's number is below 0.
func (f Set) negative(column int, b []byte) bool {
	c := &f.Layout.Columns[column]
	b, null := f.bare(column, b)
	n, size := binary.Varint(b)
	switch {
	case null || len(b) == 0:
		return false
	case c.Type == edm.Double || c.As == decode.AsFloat64:
		return len(b) == 8 && b[7] >= 0x80
	case c.Type == edm.String:
		return size > 0 && len(b) > size && b[size] == '-'
	case c.Type == edm.Decimal && c.As == decode.AsUsual:
		return size > 0 && len(b) > size && b[size] >= 0x80
	}
	return size > 0 && n < 0
}

// buryRow takes a row of ODP that was deleted.
func (pg *Page) buryRow(row *wit.Row, watched []decode.Span) {
	c, f := &pg.changes, pg.set()
	when := pg.Answer.At
	if ms, ok := fault.Date(feed.Header(pg.headers, "Date")); ok {
		when = ms
	}
	if f.Tracking.Additive {
		gone := pg.marked(*row, when)
		pg.Out.Data = f.Tell(&gone, pg.Out.Data, feed.ChangeDeleted)
		c.merged = append(c.merged, gone)
		return
	}
	raws := make([][]byte, len(f.Layout.Keys))
	for k, column := range f.Layout.Keys {
		raws[k], _ = f.bare(column, pg.bytes(watched[1+k]))
	}
	pg.FitKeys(raws)
	pg.Out.Data, c.merged = pg.DeletedRows(pg.Out.Data, c.merged, row.Origin, raws, when)
}

// marked is a row with the time at which it was deleted, which stands at its end.
func (pg *Page) marked(row wit.Row, when int64) wit.Row {
	f, v := pg.set(), row.Value
	if f.Deleted != f.Layout.Visible-1 || f.Layout.Columns[f.Deleted].Shape != decode.Blank {
		return row
	}
	start := len(pg.Out.Data)
	pg.Out.Data = append(pg.Out.Data, pg.Out.Data[v.Start:v.Start+v.Size-1]...)
	pg.Out.Data = datum.AppendNumber(append(pg.Out.Data, 2), when)
	row.Value.Start, row.Value.Size = uint32(start), uint32(len(pg.Out.Data)-start)
	return row
}

// bury takes a tombstone.
func (pg *Page) bury(portion *wit.Portion, t *decode.Tombstone) {
	c, f := &pg.changes, pg.set()
	raws, err := f.RawKeys(t.Ref)
	if err != nil {
		c.faults = append(c.faults, wit.RowFault{Origin: t.Origin, ErrorClass: decode.ErrorClass,
			Fault: wit.Fault{Kind: wit.FaultData,
				Message: pg.What() + ": the deleted entry " + strconv.Quote(feed.Clip(t.Ref)) + ": " + err.Error()}})
		return
	}
	when := t.When
	if !t.Timed {
		when = pg.Answer.At
	}
	pg.FitKeys(raws)
	h := keyHash(f.JoinKey(raws))
	if c.met == nil {
		c.met, c.gone = make(map[uint64]bool, len(c.entries)), map[uint64]bool{}
		for _, e := range c.entries {
			c.met[e] = true
		}
	}
	c.gone[h] = true
	if c.met[h] || c.rowsBefore.knows(h) {
		pg.ask(portion, raws, when, true)
		return
	}
	pg.Out.Data, c.merged = pg.DeletedRows(pg.Out.Data, c.merged, t.Origin, raws, when)
}

// keyHash is FNV-1a: each row of the changes comes by here.
func keyHash(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// ask has an entity read again that came both as a row and as deleted.
func (pg *Page) ask(portion *wit.Portion, raws [][]byte, when int64, timed bool) {
	c, f := &pg.changes, pg.set()
	at, err := f.Predicate(raws)
	if err != nil {
		c.faults = append(c.faults, wit.RowFault{Origin: c.last, ErrorClass: decode.ErrorClass,
			Fault: wit.Fault{Kind: wit.FaultData,
				Message: pg.What() + ": an entity came as a row and as deleted, and its key can't be written: " +
					err.Error()}})
		return
	}
	c.number++
	c.waiting++
	number := strconv.Itoa(c.number)
	if c.again == nil {
		c.again = map[string]*again{}
	}
	a := &again{keys: raws, predicate: at, target: f.EntityTarget(at), when: when, timed: timed}
	tolerated := f.Tolerated()
	if a.listed = f.Asked.Selects(); a.listed {
		// By its key it comes also where it doesn't meet the user's own $filter, which only the service can tell.
		a.target, tolerated = f.Pages.Only(f.Equals(raws)), nil
	}
	c.again[number] = a
	sdk.Log(wit.LevelInfo, pg.What()+": "+at+" came as a row and as deleted, or may have: reading it again")
	portion.Follow = append(portion.Follow, wit.Follow{Request: f.Request(rereadTag+number, a.target),
		Tolerate: tolerated})
}

// reread takes a piece of an entity that is read again, or of a further page of a feed expanded in it, whose tag stands
// behind the entity's.
func (pg *Page) reread(tag string, status uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
	err error) {
	c, f := &pg.changes, pg.set()
	number, nested, _ := strings.Cut(strings.TrimPrefix(tag, rereadTag), " ")
	a := c.again[number]
	if a == nil {
		return portion, true, &wit.Fault{Kind: wit.FaultInternal, Message: "no entity is read again under " + tag}
	}
	what := pg.What() + ": the entity " + a.predicate + ", read again"
	deleted := status < 200 || status > 299
	if deleted {
		a.body = append(a.body, piece[:min(len(piece), feed.MaxErrorBody-len(a.body))]...)
		switch {
		case !last:
			return portion, false, nil
		case !f.Gone(status, a.body):
			return portion, true, feed.NotRead(what, &wit.Response{Status: status, At: pg.Answer.At}, a.body)
		}
	} else {
		if a.decoder == nil {
			if len(piece) == 0 && !last {
				return portion, false, nil
			}
			a.decoder = f.NewDecoder(piece)
		}
		a.ended = a.ended || nested == "" && last
		within := rereadTag + number + " "
		if waits, err := pg.Take(a.decoder, &c.out, feed.Part{Within: within, Tag: nested, Piece: piece, Last: last},
			&portion); waits || err != nil {
			return portion, err != nil, err
		}
		if err := pg.keep(a); err != nil {
			return portion, true, err
		}
		if portion.Follow, err = pg.further(a, within); err != nil {
			return portion, true, err
		}
		if !a.ended || !c.out.Page.Done {
			return portion, false, nil
		}
		if a.left = a.left || a.listed && a.entities == 0; a.entities != 1 && !a.left {
			return portion, true, &wit.Fault{Kind: wit.FaultData, Message: what + ": expected one entity, found " +
				strconv.Itoa(a.entities)}
		}
		deleted = a.left
	}
	delete(c.again, number)
	c.waiting--
	if portion.Data, portion.Rows = a.data, a.rows; deleted {
		if !a.timed {
			a.when = pg.Answer.At
		}
		portion.Data, portion.Rows = pg.DeletedRows(nil, nil, c.last, a.keys, a.when)
	}
	pg.Declare(&portion)
	ended, err = pg.endDelta(&portion)
	return portion, ended, err
}

// keep takes what was decoded of an entity that is read again.
func (pg *Page) keep(a *again) error {
	c, f := &pg.changes, pg.set()
	if len(c.out.Faults) > 0 {
		failed := c.out.Faults[0].Fault
		return &failed
	}
	if err := pg.Addressed(&c.out); err != nil {
		return err
	}
	// It was asked for by its key, which takes no filter: one that no longer meets it is not in the set that is read.
	switch outside := f.Rows.Check(&c.out, nil); {
	case outside != nil && outside.Kind != wit.FaultData:
		return outside
	case outside != nil:
		a.left = true
	}
	if err := pg.Reader.Rewrite(&c.out); err != nil {
		return err
	}
	a.entities += len(c.out.Rows)
	c.out.Data = pg.FitRows(c.out.Rows, c.out.Data)
	for _, row := range c.out.Rows {
		if found := pg.set().Another(a.keys, c.out.Data[row.Key.Start:row.Key.Start+row.Key.Size]); found != "" {
			return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": the entity " + a.predicate +
				", read again: expected it, found " + found}
		}
		for _, d := range []*wit.Datum{&row.Key, &row.Value} {
			from := c.out.Data[d.Start : d.Start+d.Size]
			d.Start = uint32(len(a.data))
			a.data = append(a.data, from...)
		}
		row.Origin = c.last
		a.data = f.Tell(&row, a.data, feed.ChangeChanged)
		a.rows = append(a.rows, row)
	}
	return nil
}

// further are the requests for further pages of feeds expanded in an entity that is read again.
func (pg *Page) further(a *again, tag string) (follows []wit.Follow, err error) {
	base := pg.Base
	defer func() { pg.Base = base }()
	pg.Base = a.target
	for _, follow := range pg.changes.out.Follow {
		target, err := pg.Resolve(follow.Link)
		if err != nil {
			return nil, err
		}
		follows = append(follows, wit.Follow{Request: pg.set().Request(tag+follow.Tag, target)})
	}
	return follows, nil
}

// changeOf is what happened to a row of delta mode that is not deleted; watched is what the service says of it, nil
// where it says nothing.
func (pg *Page) changeOf(watched []decode.Span) feed.Change {
	f := pg.set()
	switch {
	case pg.document:
		return feed.ChangeUnknown
	case pg.delta.phase != PhaseChanges:
		return feed.ChangeRead
	case watched == nil:
		return feed.ChangeChanged
	}
	if text, ok := f.textOf(f.Mode, pg.bytes(watched[0])); ok && text == "C" {
		return feed.ChangeCreated
	}
	return feed.ChangeChanged
}

// unfiltered tells which rows need not meet a filter: deleted ones of ODP, of which the keys alone may have come, and
// states before a change that are left out.
func (pg *Page) unfiltered() func(row int) bool {
	f := pg.set()
	if f.Watch < 0 {
		return nil
	}
	return func(row int) bool {
		n := len(f.Layout.Watch)
		kind := pg.kind(pg.Out.Watched[row*n+f.Watch : (row+1)*n])
		return kind == 'D' || kind == 'B' && f.Tracking.DropBefore
	}
}

// hold marks the portion's rows, if they are of a load that takes the place of a lost token.
func (pg *Page) hold(portion *wit.Portion) {
	if c := &pg.changes; c.marks.Snapshot > 0 && len(portion.Rows) > 0 {
		portion.Rows, portion.Data = c.marks.Hold(portion.Rows, portion.Data)
		pg.Out.Data, c.merged = portion.Data, portion.Rows
	}
}

// settle says in the first row after such a load that it has ended, where its last page had no row to say so.
func (pg *Page) settle(portion *wit.Portion) {
	data := feed.Ended(&portion.Rows[0], portion.Data, pg.delta.owed)
	portion.Data, pg.Out.Data, pg.delta.owed = data, data, 0
}
