package load

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// repeats is the auditor of keys that come on two pages. Where pages are asked for by counting, a row that moves from a
// page that was read to one that is still to come takes the row after it to where nobody reads it, and makes up for it
// in the count; where the order of rows changes from page to page some come twice, as many never. A key that comes
// again on another page shows it. Rows that were inserted make keys come again too, and hide none: the next page begins
// with exactly the last rows of the page before.
//
// The keys of as many rows as sampled are all remembered, so that no repeat of theirs is missed. Of more rows a sample
// is, those with the least hashes, which finds one row of N that moved with a chance of sampled/N. Where all keys
// ascended until then, also one that is not above the last key before its page has come before, or may have.
type repeats struct {
	// sampling: the rows are remembered. came are the marks of those on the pages before, marks those of the page's, up
	// to the highest that is kept.
	sampling    bool
	came, marks []uint64
	highest     uint64
	// tail compares the page's first rows with the last ones of the page before; recent are marks of its last rows.
	tail   tail
	recent []uint64
	// floor is the last key before the page, where those that are not above it may have come. fell is the mark of the
	// first such key of the reading before, "" once it came elsewhere.
	floor []string
	fell  string
	// twins: the page held a key twice.
	twins bool
	// found are the keys that came again.
	found []uint64
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
func (r *repeats) begin(s *Set, at *Position) {
	m := at.memory
	counting := at.walk != nil && at.walk.counting()
	r.sampling = s.Keys != nil && at.ask.kind == "" &&
		(at.seen < enoughToSort || counting || !m.ascending())
	r.came, r.marks, r.highest, r.found = nil, r.marks[:0], 1<<48, r.found[:0]
	r.tail, r.recent, r.floor, r.fell, r.twins = tail{}, r.recent[:0], nil, at.earlier.fell, false
	if _, keyed := at.walk.(byKey); keyed || s.Keys == nil || at.ask.kind != "" {
		return
	}
	if !at.facts.has(twins) { // else the same key need not be the same row
		r.tail.begin(m.last)
	}
	if r.came = unpackMarks(m.sample); len(r.came) >= sampled {
		slices.Sort(r.came)
		r.highest = r.came[len(r.came)-1]
	}
	slices.Sort(r.came)
	if m.ascending() && len(r.came) < at.seen {
		r.floor = s.unpack(m.key)
	}
}

// leading reports how many of the rows, which came at the page's start or after others that were leading, are the last
// ones of the page before.
func (r *repeats) leading(rows []wit.Row, data []byte) (n int) {
	for n < len(rows) && r.tail.watching {
		r.tail.next(markOf(&rows[n], data))
		if r.tail.watching || r.tail.whole {
			n++
		}
	}
	return n
}

// observe looks at rows that are none of the page before. order is the auditor that looked at them first.
func (r *repeats) observe(rows []wit.Row, data []byte, o *order, m *memory) {
	if r.fell != "" || r.floor != nil && !o.watching {
		r.below(rows, data, o, m)
	}
	if !r.sampling {
		return
	}
	for i := range rows {
		mark := markOf(&rows[i], data)
		if r.tail.endsWith(mark) {
			r.found = append(r.found, mark)
		}
		if mark <= r.highest {
			if r.marks = append(r.marks, mark); len(r.marks) == 4*sampled {
				r.sort()
			}
		}
	}
}

// below looks for the first row that is not above the last one before the page, up to which all keys ascended.
func (r *repeats) below(rows []wit.Row, data []byte, o *order, m *memory) {
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
		case falls && short(mark) == r.fell:
			r.floor = nil
		case falls:
			r.found, r.floor, r.fell = append(r.found, mark.mark()), nil, short(mark)
		case short(mark) == r.fell:
			r.fell = "" // it came where others are below it: where it is below others, it comes again
		}
	}
}

// cameBefore reports whether a row came on a page before, as far as is remembered.
func (r *repeats) cameBefore(row *wit.Row, data []byte) bool {
	_, some := slices.BinarySearch(r.came, markOf(row, data))
	return some
}

// recall remembers the marks of the page's last rows.
func (r *repeats) recall(rows []wit.Row, data []byte) {
	rows = rows[max(0, len(rows)-maxTail):]
	r.recent = r.recent[max(0, len(r.recent)+len(rows)-maxTail):]
	for i := range rows {
		r.recent = append(r.recent, markOf(&rows[i], data))
	}
}

// sort leaves as many marks of the page as can be kept, each once: the same key twice on a page is no repeat.
func (r *repeats) sort() {
	slices.Sort(r.marks)
	n := len(r.marks)
	r.marks = slices.Compact(r.marks)
	if r.twins = r.twins || len(r.marks) < n; len(r.marks) > sampled {
		r.marks = r.marks[:sampled]
		r.highest = r.marks[sampled-1]
	}
}

// end puts what the page held into the memory of the load.
func (r *repeats) end(m *memory) {
	r.found = append(r.found, r.tail.broken()...)
	r.sort()
	all := r.came
	for _, mark := range r.marks {
		if _, again := slices.BinarySearch(r.came, mark); again {
			if !slices.Contains(r.found, mark) {
				r.found = append(r.found, mark)
			}
			continue
		}
		all = append(all, mark)
	}
	m.repeated(r.found)
	if r.sampling {
		slices.Sort(all)
		m.sample = packMarks(all[:min(len(all), sampled)])
	}
}

// repeated notes keys that came again; the digest of them does not depend on their order.
func (m *memory) repeated(marks []uint64) {
	if len(marks) == 0 {
		return
	}
	sum := uint64(0)
	for _, mark := range append(unpackMarks(m.againKeys), marks...) {
		sum += mark
	}
	m.again, m.againKeys = m.again+len(marks), packMarks([]uint64{sum & (1<<48 - 1)})
}

// tail compares the first rows of a page with the last ones of the page before.
type tail struct {
	// marks are those of the keys of these, in their order.
	marks []uint64
	// watching: the next row may be one of them. came are as many as did, the first one of them at `from`. whole: the
	// last row of the page before came again.
	watching, whole bool
	came, from      int
}

func (t *tail) begin(last string) {
	t.marks = unpackMarks(last)
	t.watching = len(t.marks) > 0
}

// next looks at the next row.
func (t *tail) next(mark uint64) {
	if t.came == 0 {
		for t.from = len(t.marks) - 1; t.from >= 0 && t.marks[t.from] != mark; {
			t.from--
		}
	}
	if at := t.from + t.came; t.from < 0 || t.marks[at] != mark {
		t.watching = false
	} else {
		t.came++
		t.whole = at == len(t.marks)-1
		t.watching = !t.whole
	}
}

// broken are the marks of rows that came again, where they are not exactly the last ones of the page before.
func (t *tail) broken() []uint64 {
	if t.came == 0 || t.whole {
		return nil
	}
	return t.marks[t.from : t.from+t.came]
}

// repeated is how many of the page's rows are the last ones of the page before.
func (t *tail) repeated() int {
	if t.whole {
		return t.came
	}
	return 0
}

// endsWith reports whether a row is the last one before the page.
func (t *tail) endsWith(mark uint64) bool { return len(t.marks) > 0 && t.marks[len(t.marks)-1] == mark }
