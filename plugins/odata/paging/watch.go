package paging

import (
	"encoding/binary"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Begin readies the page for its rows.
func (pg *Page) Begin() {
	f, at := pg.Set, &pg.At
	pg.content.reset(at.tail)
	pg.beginCursor()
	pg.beginSample()
	pg.beginMoved()
	pg.handed, pg.withheld, pg.deaf, pg.probed = 0, false, "", nil
	pg.faulty, pg.known = pg.faulty[:0], 0
	pg.reverse = order{last: pg.reverse.last[:0], bytes: true, folds: true, watching: at.check == checkOrder}
	pg.order = order{last: pg.order.last[:0], bytes: at.sorted || at.seen == 0, folds: at.folded || at.seen == 0}
	pg.order.watching = at.check == "" && (at.seen == 0 || at.ascending() && at.key != "") && f.Key != nil
}

// look takes note of rows that just came: of their keys, what they say of the page, and of their order. Each row of a
// load comes by here. It returns how many of them, at the start, are the last ones of the page before.
func (pg *Page) look(rows []wit.Row) (again int) {
	again = pg.repeats(rows)
	pg.content.add(rows[:again], pg.Out.Data)
	pg.lookInOrder(rows[again:])
	pg.fall(rows[again:])
	pg.remind(rows)
	return again
}

func (pg *Page) lookInOrder(rows []wit.Row) {
	if len(rows) > 0 && pg.content.rows == 0 {
		pg.watch(rows[:1])
		pg.content.add(rows[:1], pg.Out.Data)
		rows = rows[1:]
	}
	rows = rows[pg.ascending(rows):]
	if len(rows) > 0 {
		pg.watch(rows)
		pg.content.add(rows, pg.Out.Data)
	}
}

// ascending is watch and content.add in one for rows that are as most are: behind others that came in order, with a key
// that is one whole number and greater than the one before. It returns how many rows at the start are like that.
func (pg *Page) ascending(rows []wit.Row) int {
	if !pg.order.watching || pg.order.rows == 0 || !pg.Set.whole || pg.content.tailed || len(rows) == 0 {
		return 0
	}
	before, size := binary.Varint(pg.order.last)
	if size <= 0 {
		return 0
	}
	data, keys, n := pg.Out.Data, uint64(pg.content.keys), 0
	var last []byte
	for n < len(rows) {
		d := &rows[n].Key
		key := data[d.Start : d.Start+d.Size]
		if len(key) == 0 || len(key) > binary.MaxVarintLen64 {
			break
		}
		hashed, bits, shift := (keys^uint64(len(key)))*hashFactor, uint64(0), 0
		for _, b := range key {
			hashed = (hashed ^ uint64(b)) * hashFactor
			bits |= uint64(b&0x7f) << (shift & 63)
			shift += 7
		}
		v := int64(bits>>1) ^ -int64(bits&1)
		if v <= before {
			break
		}
		before, keys, last = v, hashed, key
		n++
	}
	if n == 0 {
		return 0
	}
	pg.order.seen(n, last)
	pg.content.seen(n, last, hash(keys))
	return n
}

// watch looks at the keys of rows that just came: whether they are in order among themselves and behind those that came
// before. Rows of a page that was asked for by key must be.
func (pg *Page) watch(rows []wit.Row) {
	f, at := pg.Set, &pg.At
	if at.check == checkOrder && pg.probed == nil {
		d := rows[0].Key
		pg.probed = f.keyTexts(pg.Out.Data[d.Start : d.Start+d.Size])
	}
	if pg.reverse.watching {
		pg.watchReverse(rows)
	}
	if !pg.order.watching {
		return
	}
	if pg.order.rows == 0 {
		d := rows[0].Key
		pg.enter(pg.Out.Data[d.Start : d.Start+d.Size])
	}
	if !pg.order.watching {
		rows = rows[:1]
	}
	pg.order.next(f, rows, pg.Out.Data)
	switch {
	case !at.keyed():
	case !pg.order.watching && pg.order.rows <= 1:
		pg.deaf = "the service doesn't heed the filter"
	case !pg.order.watching:
		pg.deaf = "the service doesn't heed $orderby, row " + strconv.Itoa(pg.order.rows-1) +
			" isn't behind the one before"
	}
}

// watchReverse looks whether the rows of the reverse order come in it.
func (pg *Page) watchReverse(rows []wit.Row) {
	o := &pg.reverse
	for i := range rows {
		d := &rows[i].Key
		key := pg.Out.Data[d.Start : d.Start+d.Size]
		if o.rows > 0 {
			o.follows(pg.compareKeys(key, o.last))
		}
		if o.seen(1, key); !o.watching {
			return
		}
	}
}

// lap leaves out the first row, which is to be the last one of the page before.
func (pg *Page) lap() []wit.Row {
	if !pg.leads() {
		pg.deaf = "its rows come in another order when they are asked for again"
	}
	return pg.Out.Rows[1:]
}

// leads tells whether the row that just came first is the last one of the page before.
func (pg *Page) leads() bool {
	return short(hashOf(pg.keyOf(&pg.Out.Rows[0]))) == pg.At.tail
}

// enter compares the page's first row with the last before it.
func (pg *Page) enter(key []byte) {
	f := pg.Set
	texts := f.keyTexts(key)
	if texts == nil {
		pg.order.watching = false
		return
	}
	if before := f.unpackKey(pg.At.key); before != nil {
		pg.order.follows(f.compareTexts(before, texts))
	}
}

// withholds tells whether rows that came aren't to be handed on.
func (pg *Page) withholds() bool {
	pg.withheld = pg.withheld || pg.At.check != "" || pg.deaf != "" || pg.handed == 0 && pg.fewer()
	return pg.withheld
}

// fewer tells whether a page that was asked for by key comes with a count that, with the rows before, is below what the
// service counted so far: rows ahead were deleted, or some below the key never came.
func (pg *Page) fewer() bool {
	at, count := &pg.At, pg.Out.Page.Count
	if !at.keyed() || at.checked || at.count < 0 || count < 0 {
		return false
	}
	level := at.count
	if at.level > 0 {
		level = min(level, at.level)
	}
	return at.base+int(count) < level
}
