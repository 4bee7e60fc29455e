package paging

import (
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

// markSize is the size of a mark, in bytes: the first half is of the key, the second of the value.
const markSize = 6

// samples tells whether the page's rows are to be remembered: not where they come in the order of their keys.
func (pg *Page) samples() bool {
	at := &pg.At
	return pg.Key != nil && at.check == "" && !at.keyed() && !at.alike && (at.seen == 0 || !at.ascending())
}

// sample takes note of rows that are handed on.
func (pg *Page) sample(rows []wit.Row) {
	if !pg.sampling {
		return
	}
	const half = 1<<(markSize*4) - 1
	for i := range rows {
		key, value := rows[i].Key, rows[i].Value
		mark := hashOf(pg.Out.Data[key.Start:key.Start+key.Size]).mark() &^ half
		if mark > pg.highest {
			continue
		}
		pg.marks = append(pg.marks, mark|hashOf(pg.Out.Data[value.Start:value.Start+value.Size]).mark()&half)
		if len(pg.marks) == 4*sampled {
			pg.sort()
			pg.marks = pg.marks[:min(len(pg.marks), sampled)]
			pg.highest = pg.marks[len(pg.marks)-1]
		}
	}
}

// sort puts the page's marks in order, and finds rows that are the same.
func (pg *Page) sort() {
	slices.Sort(pg.marks)
	all := len(pg.marks)
	pg.marks = slices.Compact(pg.marks)
	pg.same = pg.same || len(pg.marks) < all
}

// remember puts what the page holds into the sample of the load. Rows that are the same within one page are so by
// nature, and nothing can be said of such a set.
func (pg *Page) remember(next *Position) {
	if !pg.sampling {
		return
	}
	if pg.sort(); pg.same {
		next.alike, next.sample, next.twice = true, "", 0
		return
	}
	again := 0
	for _, mark := range pg.marks {
		if _, found := slices.BinarySearch(pg.came, mark); found {
			again++
		}
	}
	// Rows that were inserted shift others to the next page's start: those are not counted as seen.
	shifted := pg.content.repeated()
	if pg.At.laps {
		shifted = max(shifted-1, 0)
	}
	next.twice += max(again-shifted, 0)
	if next.sample = ""; !next.ascending() {
		all := append(pg.marks, pg.came...)
		slices.Sort(all)
		all = slices.Compact(all)
		next.sample = packSample(all[:min(len(all), sampled)])
	}
}

// beginSample readies the page.
func (pg *Page) beginSample() {
	pg.sampling, pg.same, pg.marks, pg.came, pg.highest = pg.samples(), false, pg.marks[:0], nil, 1<<48
	if pg.sampling {
		if pg.came = unpackSample(pg.At.sample); len(pg.came) >= sampled {
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

// unpackSample reads what packSample wrote, in ascending order. What can't be read is no sample.
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
	slices.Sort(marks)
	return marks
}
