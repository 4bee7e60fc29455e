package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/wit"
)

// take makes rows of what came: entries as they are, deleted ones as the settings say.
func (pg *Page) take(portion *wit.DecodeResult) error {
	c, f := pg.rows, pg.Feed
	c.merged, c.faults = c.merged[:0], append(c.faults[:0], pg.Out.Faults...)
	tombstones := pg.Out.Tombstones
	if len(tombstones) > 0 && f.Key.Nodes == nil {
		return &wit.Error{Kind: wit.ErrorUnsupported,
			Message: pg.What() + ": deleted entities came of a type without key"}
	}
	for i := range pg.Out.Rows {
		row := &pg.Out.Rows[i]
		for len(tombstones) > 0 && tombstones[0].Origin < row.RowIndex {
			pg.takeTombstone(portion, &tombstones[0])
			tombstones = tombstones[1:]
		}
		pg.takeRow(portion, row, i)
	}
	for i := range tombstones {
		pg.takeTombstone(portion, &tombstones[i])
	}
	portion.Rows, portion.Data, portion.Errors = c.merged, pg.Out.Data, c.faults
	pg.mark(portion)
	pg.Declare(portion)
	if n := len(c.merged); n > 0 {
		c.origin = c.merged[n-1].RowIndex
	}
	return nil
}

// mark marks the rows of a load with marks, or says in the first row after one that it has ended, where its last page
// had no row to say so.
func (pg *Page) mark(portion *wit.DecodeResult) {
	if len(portion.Rows) == 0 {
		return
	}
	portion.Rows, portion.Data = pg.rows.marks.Hold(portion.Rows, portion.Data)
	if at, ok := pg.at.(*changing); ok && at.unmarked > 0 {
		portion.Data = feed.MarkEnded(&portion.Rows[0], portion.Data, at.unmarked)
		at.unmarked = 0
	}
	pg.rows.merged, pg.Out.Data = portion.Rows, portion.Data
}

// takeRow takes an entry. One whose tombstone came on the page before it is read again (P22).
func (pg *Page) takeRow(portion *wit.DecodeResult, row *wit.Row, i int) {
	c, f := pg.rows, pg.Feed
	key := feed.KeyOf(row, pg.Out.Data)
	if _, loads := pg.at.(*loading); loads {
		if len(c.first) == 0 {
			c.first = append(c.first, key...)
		}
		c.last = append(c.last[:0], key...)
	}
	if f.Watch >= 0 {
		pg.takeImage(row, pg.watched(i))
		return
	}
	if _, changes := pg.at.(*changing); changes {
		h := hashOf(key)
		if c.gone[h] {
			if keys := f.Keys.Split(key); keys != nil {
				pg.ask(portion, keys, 0)
				return
			}
		}
		if c.came == nil {
			c.came = map[uint64]bool{}
		}
		c.came[h] = true
	}
	pg.Out.Data = f.Tell(row, pg.Out.Data, pg.changeOf(nil))
	c.merged = append(c.merged, *row)
}

// takeTombstone takes a deleted entity. One that came as a row on the page is read again, and so is each on a further
// page of an answer: it may have come as a row on a page before (P22).
func (pg *Page) takeTombstone(portion *wit.DecodeResult, t *decode.Tombstone) {
	c, f := pg.rows, pg.Feed
	raws, err := f.Keys.Read(t.Ref)
	if err != nil {
		c.faults = append(c.faults, wit.RowError{RowIndex: t.Origin, ErrorClass: decode.ErrorClass,
			Error: wit.Error{Kind: wit.ErrorData, Message: pg.What() + ": the deleted entry " +
				strconv.Quote(feed.Clip(t.Ref)) + ": " + err.Error()}})
		return
	}
	when := t.When
	if !t.Timed {
		when = pg.Answer.ReceivedAt
	}
	pg.FitKeys(raws)
	h := hashOf(f.JoinKey(raws))
	if c.gone == nil {
		c.gone = map[uint64]bool{}
	}
	c.gone[h] = true
	if at, ok := pg.at.(*changing); c.came[h] || ok && at.inside {
		pg.ask(portion, raws, when)
		return
	}
	pg.Out.Data, c.merged = pg.DeletedRows(pg.Out.Data, c.merged, t.Origin, raws, when)
}

// hashOf is FNV-1a: each row of changes comes by here.
func hashOf(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
