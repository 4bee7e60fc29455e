package main

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// begin readies the page for its rows.
func (pg *page) begin() {
	f, at := pg.feed, &pg.at
	pg.content.reset(at.tail)
	pg.handed, pg.withheld, pg.deaf, pg.probed = 0, false, "", nil
	pg.order = order{last: pg.order.last[:0], bytes: at.sorted || at.seen == 0, folds: at.folded || at.seen == 0}
	pg.order.watching = at.check == "" && f.ordered && !at.unordered && !at.links && f.paging != "links" &&
		(at.seen == 0 || at.ascending() && at.key != "") && f.key.Nodes != nil
}

// watch looks at the keys of the rows that just came: whether they are in order among themselves and behind those that came before.
// Rows of a page that was asked for by key must be.
func (pg *page) watch() {
	f, at := pg.feed, &pg.at
	if at.check == checkOrder && pg.probed == nil {
		d := pg.out.Rows[0].Key
		pg.probed = f.keyTexts(pg.out.Data[d.Start : d.Start+d.Size])
	}
	if !pg.order.watching {
		return
	}
	if pg.order.rows == 0 {
		d := pg.out.Rows[0].Key
		pg.enter(pg.out.Data[d.Start : d.Start+d.Size])
	}
	rows := pg.out.Rows
	if !pg.order.watching {
		rows = rows[:1]
	}
	pg.order.next(f, rows, pg.out.Data)
	switch {
	case !at.keyed():
	case !pg.order.watching && pg.order.rows <= 1:
		pg.deaf = "the service doesn't heed the filter"
	case !pg.order.watching:
		pg.deaf = "the service doesn't heed $orderby, row " + strconv.Itoa(pg.order.rows-1) + " isn't behind the one before"
	}
}

// lap leaves out the first row, which is to be the last one of the page before.
func (pg *page) lap() []wit.Row {
	if !pg.leads() {
		pg.deaf = "its rows come in another order when they are asked for again"
	}
	return pg.out.Rows[1:]
}

// leads tells whether the row that just came first is the last one of the page before.
func (pg *page) leads() bool {
	d := pg.out.Rows[0].Key
	return short(hashOf(pg.out.Data[d.Start:d.Start+d.Size])) == pg.at.tail
}

// enter compares the page's first row with the last before it.
func (pg *page) enter(key []byte) {
	f := pg.feed
	texts := f.keyTexts(key)
	if texts == nil {
		pg.order.watching = false
		return
	}
	if before := f.unpackKey(pg.at.key); before != nil {
		pg.order.follows(f.compareTexts(before, texts))
	}
}

// withholds tells whether rows that came aren't to be handed on.
func (pg *page) withholds() bool {
	pg.withheld = pg.withheld || pg.at.check != "" || pg.deaf != "" || pg.handed == 0 && pg.fewer()
	return pg.withheld
}

// fewer tells whether a page that was asked for by key comes with a count that, with the rows before, is below what the service
// counted so far: rows ahead were deleted, or some below the key never came.
func (pg *page) fewer() bool {
	at, count := &pg.at, pg.out.Page.Count
	if !at.keyed() || at.checked || at.count < 0 || count < 0 {
		return false
	}
	level := at.count
	if at.level > 0 {
		level = min(level, at.level)
	}
	return at.base+int(count) < level
}
