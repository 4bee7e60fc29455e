package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// Where pages are asked for by counting, a row that moves from a page that was read to one that is still to come takes
// the row behind it to where nobody reads it, and makes up for it in the count. Its key comes again then, whatever its
// values. Rows that were inserted have keys come again, too, and hide none: the next page begins with exactly the last
// rows of the page before, see tail. The keys of as many rows as sampled are all remembered. Of more rows, whose keys
// ascended so far, one that is below the last key before the page may have come; of others a sample is remembered,
// which finds one row that moved among N with a chance of about sampled/N.
//
// The same first key is below others in each reading where it is so by the service's own order: a reading that finds
// it as the one before did, and did not come by it meanwhile, goes on.

// tail compares the first rows of a page with the last ones of the page before.
type tail struct {
	// marks are those of the keys of these, in their order.
	marks []uint64
	// again rows came, the one at `from` first. whole: the last row of the page before came again.
	again, from int
	whole       bool
}

// maxRun is how many rows before the last one of a page are remembered where rows are in no order: if more were
// inserted between two pages, the set is read from its start again.
const maxRun = 63

// beginMoved readies the page.
func (pg *Page) beginMoved() {
	at, c := &pg.At, &pg.content
	pg.floor, pg.falls, pg.recent = nil, 0, pg.recent[:0]
	if pg.Key == nil || at.check != "" || at.keyed() || at.seen == 0 || at.twins {
		c.tailed = false
		return
	}
	c.tail.marks = append(unpackSample(at.run), c.tail.marks...)
	if at.ascending() && len(pg.came) < at.seen {
		pg.floor = pg.unpackKey(at.key)
	}
}

// repeats returns how many of the rows that just came, at the start, are the last ones of the page before.
func (pg *Page) repeats(rows []wit.Row) (again int) {
	c := &pg.content
	if pg.floor != nil && c.rows == 0 && !c.tailed && len(rows) > 0 {
		c.tail.again = pg.rises(rows)
		c.tail.whole = c.tail.again > 0
		return c.tail.again
	}
	for again < len(rows) && c.tailed {
		if c.tailed = c.tail.finds(pg.keyMark(&rows[again])); c.tailed || c.tail.whole {
			again++
			c.tail.again++
		}
	}
	return again
}

// rises returns how many of a page's first rows ascend up to the last one before the page, where nothing is known of
// that but its key: 0 where they don't.
func (pg *Page) rises(rows []wit.Row) int {
	var last []string
	for i := range rows {
		key := pg.keyTexts(pg.keyOf(&rows[i]))
		order, known := pg.compareAscending(key, pg.floor)
		if !known || order > 0 {
			return 0
		}
		if before, known := pg.compareAscending(last, key); i > 0 && (!known || before >= 0) {
			return 0
		}
		if order == 0 {
			return i + 1
		}
		last = key
	}
	return 0
}

// finds tells whether others are to be compared behind a row.
func (t *tail) finds(mark uint64) bool {
	if t.again == 0 {
		for t.from = len(t.marks) - 1; t.from >= 0 && t.marks[t.from] != mark; {
			t.from--
		}
	}
	at := t.from + t.again
	if t.from < 0 || t.marks[at] != mark {
		return false
	}
	t.whole = at == len(t.marks)-1
	return !t.whole
}

// broke tells whether the page began with rows of the page before, and not with exactly its last ones.
func (t *tail) broke() bool { return t.again > 0 && !t.whole }

// ends tells whether a row is the last one before the page.
func (t *tail) ends(mark uint64) bool { return len(t.marks) > 0 && t.marks[len(t.marks)-1] == mark }

// compareAscending compares two keys in the way in which those of the load ascended so far.
func (pg *Page) compareAscending(a, b []string) (order int, known bool) {
	plain, folded, known := pg.compareTexts(a, b)
	if pg.At.sorted {
		return plain, known
	}
	return folded, known
}

func (pg *Page) keyOf(row *wit.Row) []byte {
	return pg.Out.Data[row.Key.Start : row.Key.Start+row.Key.Size]
}

func (pg *Page) keyMark(row *wit.Row) uint64 { return hashOf(pg.keyOf(row)).mark() }

// remind remembers the marks of the page's last rows.
func (pg *Page) remind(rows []wit.Row) {
	rows = rows[max(0, len(rows)-maxRun-1):]
	pg.recent = pg.recent[max(0, len(pg.recent)+len(rows)-maxRun-1):]
	for i := range rows {
		pg.recent = append(pg.recent, pg.keyMark(&rows[i]))
	}
}

// fall looks for rows that are not above those of the pages before. As many as the service counted below the key from
// which it was last asked by key, and had not given, did not come before.
func (pg *Page) fall(rows []wit.Row) {
	at := &pg.At
	if at.check != "" || at.fell == "" && (pg.floor == nil || pg.order.watching) {
		return
	}
	owed := 0
	if at.level > 0 {
		owed = at.count - at.level
	}
	for i := range rows {
		key := pg.keyOf(&rows[i])
		mark := short(hashOf(key))
		below := false
		if pg.floor != nil && !pg.order.watching {
			order, known := pg.compareAscending(pg.keyTexts(key), pg.floor)
			below = known && order <= 0
		}
		switch {
		case below && pg.falls < owed:
			pg.falls++
		case below:
			if pg.floor = nil; mark != at.fell {
				pg.again++
			}
			at.fell = mark
			return
		case mark == at.fell:
			at.fell = "" // it came where others are above it: where it is below others, it comes again
		}
	}
}
