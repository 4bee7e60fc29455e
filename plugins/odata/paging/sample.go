package paging

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Where rows come in no order that can be watched, a service may have them in another order with each page: some come
// twice then, as many never, and their number is right. So a load remembers a sample of the rows that came, those with
// the least hashes, and finds those of them that come again. Of up to sampled rows it is all.

// sampled is how many rows a load remembers: 8 KB in the offset.
const sampled = 1000

// markSize is the size of a mark, in bytes.
const markSize = 6

// sampledRow has the marks of a row: of its key, and of both key and value, half of the mark each. Those of the keys
// are remembered until it shows that keys don't tell rows apart.
type sampledRow struct{ key, both uint64 }

// samples tells whether the page's rows are to be remembered: not where they come in the order of their keys, and pages
// can be asked for by key. The first few are in any case, since they show no order.
func (pg *Page) samples() bool {
	at := &pg.At
	return pg.Key != nil && at.check == "" && !at.alike &&
		(at.seen < enoughToSort || !at.keyed() && !pg.goesByKey(at))
}

// goesByKey tells whether pages behind a position can be asked for by key, as far as is known.
func (f *Set) goesByKey(at *Position) bool { return at.ascending() && f.sorts(at) }

// sorts tells whether the service is asked for rows in the order of their keys, and that is relied on.
func (f *Set) sorts(at *Position) bool {
	return f.Ordered && !at.unordered && !at.links && f.Paging != "links"
}

// sample takes note of rows that are handed on.
func (pg *Page) sample(rows []wit.Row) {
	if !pg.sampling {
		return
	}
	const half = 1<<(markSize*4) - 1
	for i := range rows {
		key := pg.keyMark(&rows[i])
		if pg.content.tail.ends(key) {
			pg.again++
		}
		if key&^half > pg.highest {
			continue
		}
		value := rows[i].Value
		both := key&^half | hashOf(pg.Out.Data[value.Start:value.Start+value.Size]).mark()&half
		pg.marks = append(pg.marks, sampledRow{key, both})
		if len(pg.marks) == 4*sampled {
			pg.sort()
			pg.marks = pg.marks[:min(len(pg.marks), sampled)]
			pg.highest = pg.marks[len(pg.marks)-1].key
		}
	}
}

// sort puts the page's marks in order, and finds rows that are the same, and others of one key.
func (pg *Page) sort() {
	slices.SortFunc(pg.marks, func(a, b sampledRow) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.both, b.both))
	})
	for i := 1; i < len(pg.marks); i++ {
		pg.same = pg.same || pg.marks[i] == pg.marks[i-1]
		pg.twins = pg.twins || pg.marks[i].key == pg.marks[i-1].key
	}
	pg.marks = slices.Compact(pg.marks)
}

// remember puts what the page holds into the sample of the load. Rows that are the same within one page are so by
// nature, and nothing can be said of such a set; nor do keys come again where some are the same within one page.
func (pg *Page) remember(next *Position) {
	if pg.content.tail.broke() {
		pg.again++
	}
	if pg.sort(); !next.twins && (pg.twins || pg.content.twins) {
		next.twins, next.twice, pg.came = true, 0, nil
	}
	if !next.twins {
		next.twice += pg.again
	}
	if pg.same {
		next.alike, next.sample, next.twice = true, "", 0
	}
	if !pg.sampling || pg.same {
		return
	}
	all := pg.came
	for _, m := range pg.marks {
		mark := m.key
		if next.twins {
			mark = m.both
		}
		if _, found := slices.BinarySearch(pg.came, mark); found {
			next.twice++
		}
		all = append(all, mark)
	}
	if next.sample = ""; next.seen < enoughToSort || !pg.goesByKey(next) {
		slices.Sort(all)
		all = slices.Compact(all)
		next.sample = packSample(all[:min(len(all), sampled)])
	}
}

// beginSample readies the page.
func (pg *Page) beginSample() {
	pg.sampling, pg.marks, pg.came, pg.highest = pg.samples(), pg.marks[:0], nil, 1<<48
	pg.same, pg.twins, pg.again = false, false, 0
	if pg.sampling {
		pg.came = unpackSample(pg.At.sample)
		slices.Sort(pg.came)
		if len(pg.came) >= sampled {
			pg.highest = pg.came[len(pg.came)-1]
		}
	}
}

func packSample(marks []uint64) string {
	b := make([]byte, 0, len(marks)*markSize)
	for _, mark := range marks {
		var eight [8]byte
		binary.BigEndian.PutUint64(eight[:], mark)
		b = append(b, eight[8-markSize:]...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// unpackSample reads what packSample wrote. What can't be read is no sample.
func unpackSample(text string) []uint64 {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	marks := make([]uint64, 0, len(b)/markSize)
	for ; len(b) >= markSize; b = b[markSize:] {
		var eight [8]byte
		copy(eight[8-markSize:], b)
		marks = append(marks, binary.BigEndian.Uint64(eight[:]))
	}
	return marks
}
