package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// repeatCheck is the auditor of keys that come on two pages. Where pages are asked for by counting, a row that moves
// from a page that was read to one that is still to come takes the row after it to where nobody reads it, and makes up
// for it in the count; where the order of rows changes from page to page some come twice, as many never. A key that
// comes again on another page shows it. Rows that were inserted make keys come again too, and hide none: the next page
// begins with exactly the last rows of the page before.
//
// The keys of as many rows as sampled are all remembered, so that no repeat of theirs is missed. Of more rows a sample
// is, those with the least hashes, which finds one row of N that moved with a chance of sampled/N. Where all keys
// ascended until then, also one that is not above the last key before its page has come before, or may have.
type repeatCheck struct {
	// sampling: the rows are remembered. came are the marks of those on the pages before, marks those of the page's, up
	// to the highest that is kept.
	sampling          bool
	previous, current []uint64
	maxHash           uint64
	// tail compares the page's first rows with the last ones of the page before; recent are marks of its last rows.
	tail       tail
	lastHashes []uint64
	// floor is the last key before the page, where those that are not above it may have come. fell is the mark of the
	// first such key of the reading before, "" once it came elsewhere.
	floor         []string
	outOfOrderKey string
	// duplicateKeys: the page held a key twice.
	duplicateKeys bool
	// repeated are the keys that came again.
	repeated []uint64
}

const (
	// sampled is how many rows a load remembers: 8 KB in the offset.
	sampled = 1000
	// maxTail is how many last rows of a page are remembered: if more were inserted between two pages, the set is read
	// from its start again.
	maxTail = 64
	// enoughToSort is how many rows in order show that the service sorts: by chance one of 40,320 orders of eight rows
	// is that one. The first ones are remembered in any case.
	enoughToSort = 8
)

// begin readies it for a page.
func (r *repeatCheck) begin(s *Set, at *Position) {
	m := at.checks
	counting := at.pager != nil && at.pager.countsRows()
	r.sampling = s.Keys != nil && at.question.kind == "" &&
		(at.rowsRead < enoughToSort || counting || !m.ascending())
	r.previous, r.current, r.maxHash, r.repeated = nil, r.current[:0], 1<<48, r.repeated[:0]
	r.tail, r.lastHashes, r.floor, r.outOfOrderKey, r.duplicateKeys = tail{}, r.lastHashes[:0], nil,
		at.previous.outOfOrderKey, false
	if _, keyed := at.pager.(keysetPager); keyed || s.Keys == nil || at.question.kind != "" {
		return
	}
	if !at.capabilities.has(duplicateKeys) { // else the same key need not be the same row
		r.tail.begin(m.lastHashes)
	}
	if r.previous = unpackHashes(m.sample); len(r.previous) >= sampled {
		slices.Sort(r.previous)
		r.maxHash = r.previous[len(r.previous)-1]
	}
	slices.Sort(r.previous)
	if m.ascending() && len(r.previous) < at.rowsRead {
		r.floor = s.unpack(m.key)
	}
}

// countOverlap reports how many of the rows, which came at the page's start or after others that were leading, are the
// last ones of the page before.
func (r *repeatCheck) countOverlap(rows []wit.Row, data []byte) (n int) {
	for n < len(rows) && r.tail.matching {
		r.tail.next(keyHash(&rows[n], data))
		if r.tail.matching || r.tail.complete {
			n++
		}
	}
	return n
}

// observe looks at rows that are none of the page before. order is the auditor that looked at them first.
func (r *repeatCheck) observe(rows []wit.Row, data []byte, o *orderCheck, m *checkState) {
	if r.outOfOrderKey != "" || r.floor != nil && !o.watching {
		r.observeBelowFloor(rows, data, o, m)
	}
	if !r.sampling {
		return
	}
	for i := range rows {
		mark := keyHash(&rows[i], data)
		if r.tail.endsWith(mark) {
			r.repeated = append(r.repeated, mark)
		}
		if mark <= r.maxHash {
			if r.current = append(r.current, mark); len(r.current) == 4*sampled {
				r.sort()
			}
		}
	}
}

// observeBelowFloor looks for the first row that is not above the last one before the page, up to which all keys
// ascended.
func (r *repeatCheck) observeBelowFloor(rows []wit.Row, data []byte, o *orderCheck, m *checkState) {
	for i := range rows {
		key := keyOf(&rows[i], data)
		mark, falls := hashOf(key), false
		if r.floor != nil && !o.watching {
			plain, folded, known := o.keys.CompareTexts(o.keys.Texts(key), r.floor)
			if !m.sorted {
				plain = folded
			}
			falls = known && plain <= 0
		}
		switch {
		case falls && encodeHash(mark) == r.outOfOrderKey:
			r.floor = nil
		case falls:
			r.repeated, r.floor, r.outOfOrderKey = append(r.repeated, mark.bits48()), nil, encodeHash(mark)
		case encodeHash(mark) == r.outOfOrderKey:
			r.outOfOrderKey = "" // it came where others are below it: where it is below others, it comes again
		}
	}
}

// seenBefore reports whether a row came on a page before, as far as is remembered.
func (r *repeatCheck) seenBefore(row *wit.Row, data []byte) bool {
	_, some := slices.BinarySearch(r.previous, keyHash(row, data))
	return some
}

// rememberLast remembers the marks of the page's last rows.
func (r *repeatCheck) rememberLast(rows []wit.Row, data []byte) {
	rows = rows[max(0, len(rows)-maxTail):]
	r.lastHashes = r.lastHashes[max(0, len(r.lastHashes)+len(rows)-maxTail):]
	for i := range rows {
		r.lastHashes = append(r.lastHashes, keyHash(&rows[i], data))
	}
}

// sort leaves as many marks of the page as can be kept, each once: the same key twice on a page is no repeat.
func (r *repeatCheck) sort() {
	slices.Sort(r.current)
	n := len(r.current)
	r.current = slices.Compact(r.current)
	if r.duplicateKeys = r.duplicateKeys || len(r.current) < n; len(r.current) > sampled {
		r.current = r.current[:sampled]
		r.maxHash = r.current[sampled-1]
	}
}

// save puts what the page held into the memory of the load.
func (r *repeatCheck) save(m *checkState) {
	r.repeated = append(r.repeated, r.tail.partialMatch()...)
	r.sort()
	all := r.previous
	for _, mark := range r.current {
		if _, again := slices.BinarySearch(r.previous, mark); again {
			if !slices.Contains(r.repeated, mark) {
				r.repeated = append(r.repeated, mark)
			}
			continue
		}
		all = append(all, mark)
	}
	m.addRepeats(r.repeated)
	if r.sampling {
		slices.Sort(all)
		m.sample = packHashes(all[:min(len(all), sampled)])
	}
}

// repeated notes keys that came again; the digest of them does not depend on their order.
func (m *checkState) addRepeats(marks []uint64) {
	if len(marks) == 0 {
		return
	}
	sum := uint64(0)
	for _, mark := range append(unpackHashes(m.repeatDigest), marks...) {
		sum += mark
	}
	m.repeatCount, m.repeatDigest = m.repeatCount+len(marks), packHashes([]uint64{sum & (1<<48 - 1)})
}

// tail compares the first rows of a page with the last ones of the page before.
type tail struct {
	// marks are those of the keys of these, in their order.
	hashes []uint64
	// matching: the next row may be one of them. came are as many as did, the first one of them at `from`. whole: the
	// last row of the page before came again.
	matching, complete bool
	matched, from      int
}

func (t *tail) begin(last string) {
	t.hashes = unpackHashes(last)
	t.matching = len(t.hashes) > 0
}

// next looks at the next row.
func (t *tail) next(mark uint64) {
	if t.matched == 0 {
		for t.from = len(t.hashes) - 1; t.from >= 0 && t.hashes[t.from] != mark; {
			t.from--
		}
	}
	if at := t.from + t.matched; t.from < 0 || t.hashes[at] != mark {
		t.matching = false
	} else {
		t.matched++
		t.complete = at == len(t.hashes)-1
		t.matching = !t.complete
	}
}

// partialMatch are the marks of rows that came again, where they are not exactly the last ones of the page before.
func (t *tail) partialMatch() []uint64 {
	if t.matched == 0 || t.complete {
		return nil
	}
	return t.hashes[t.from : t.from+t.matched]
}

// overlap is how many of the page's rows are the last ones of the page before.
func (t *tail) overlap() int {
	if t.complete {
		return t.matched
	}
	return 0
}

// endsWith reports whether a row is the last one before the page.
func (t *tail) endsWith(mark uint64) bool {
	return len(t.hashes) > 0 && t.hashes[len(t.hashes)-1] == mark
}
