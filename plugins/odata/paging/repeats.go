package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// repeatCheck finds keys that occur on two pages. If pages are requested by counting, a row that moves to a later page
// pushes another one to where it is not read, and the count still fits. Inserted rows repeat keys too but hide none:
// the next page then starts with the last rows of the previous one.
//
// Only the least hashes of keys are stored, so one moved row of N is found with a chance of sampled/N. While keys
// ascend, a key below the previous page's last one counts as repeated too.
type repeatCheck struct {
	sampling   bool
	keyless    bool // equal rows are different rows
	previous   []uint64
	current    []uint64
	maxHash    uint64
	tail       overlapCheck
	lastHashes []uint64
	// floor is the last key before the page while keys ascend. outOfOrderKey is the first key below it.
	floor         []string
	outOfOrderKey string
	duplicateKeys bool
	repeated      []uint64
}

const (
	sampled        = 1000 // keys that a load remembers, 8 KB in the offset
	maxTail        = 64   // remembered last rows of a page: if more are inserted between two pages, the load restarts
	minOrderedRows = 8    // rows in order by chance are unlikely: eight rows have 40,320 orders
)

func (r *repeatCheck) begin(set *Set, position *Position) {
	checks := position.checks
	r.keyless, r.sampling = set.Keys == nil, position.probe.kind == "" && !position.usesKeyset()
	r.previous = nil
	r.current = r.current[:0]
	r.maxHash = 1 << 48
	r.repeated = r.repeated[:0]
	r.tail = overlapCheck{}
	r.lastHashes = r.lastHashes[:0]
	r.floor = nil
	r.outOfOrderKey = position.previous.outOfOrderKey
	r.duplicateKeys = false
	r.tail.hashes = unpackHashes(checks.lastHashes)
	if position.usesKeyset() { // the last rows may come from several pages
		r.lastHashes = append(r.lastHashes, r.tail.hashes...)
	}
	// Else equal keys may be different rows.
	r.tail.matching = len(r.tail.hashes) > 0 && r.sampling && !r.keyless && !position.capabilities.has(duplicateKeys)
	if r.previous = unpackHashes(checks.sample); len(r.previous) >= sampled {
		slices.Sort(r.previous)
		r.maxHash = r.previous[len(r.previous)-1]
	}
	slices.Sort(r.previous)
	if checks.ascending() && len(r.previous) < position.rowsRead {
		r.floor = set.unpackKey(checks.key)
	}
}

// isUnread reports whether a row was certainly not read: the least hashes of all rows read are known.
func (r *repeatCheck) isUnread(row *wit.Row, data []byte) bool {
	return rowHash(row, data) <= r.maxHash && !r.seenBefore(row, data)
}

func (r *repeatCheck) countOverlap(rows []wit.Row, data []byte) (n int) {
	for n < len(rows) && r.tail.matching {
		r.tail.next(rowHash(&rows[n], data))
		if r.tail.matching || r.tail.complete {
			n++
		}
	}
	return n
}

func (r *repeatCheck) observe(rows []wit.Row, data []byte, o *orderCheck, checks *checkState) {
	if r.outOfOrderKey != "" || (r.floor != nil && !o.watching) {
		r.observeBelowFloor(rows, data, o, checks)
	}
	if !r.sampling {
		return
	}
	for i := range rows {
		rowHash := rowHash(&rows[i], data)
		if r.tail.endsWith(rowHash) {
			r.repeated = append(r.repeated, rowHash)
		}
		if rowHash <= r.maxHash {
			if r.current = append(r.current, rowHash); len(r.current) == 4*sampled {
				r.compact()
			}
		}
	}
}

func (r *repeatCheck) observeBelowFloor(rows []wit.Row, data []byte, order *orderCheck, checks *checkState) {
	for i := range rows {
		key := keyOf(&rows[i], data)
		mark := hashOf(key)
		falls := false
		if r.floor != nil && !order.watching {
			plain, folded, known := order.keys.CompareTexts(order.keys.SortTexts(key), r.floor)
			if !checks.sorted {
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
			r.outOfOrderKey = ""
		}
	}
}

func (r *repeatCheck) seenBefore(row *wit.Row, data []byte) bool {
	_, some := slices.BinarySearch(r.previous, rowHash(row, data))
	return some
}

func (r *repeatCheck) rememberLast(rows []wit.Row, data []byte) {
	rows = rows[max(0, len(rows)-maxTail):]
	r.lastHashes = r.lastHashes[max(0, len(r.lastHashes)+len(rows)-maxTail):]
	for i := range rows {
		r.lastHashes = append(r.lastHashes, rowHash(&rows[i], data))
	}
}

// compact keeps the least hashes, each once: the same key twice on one page is not a repeat.
func (r *repeatCheck) compact() {
	slices.Sort(r.current)
	n := len(r.current)
	r.current = slices.Compact(r.current)
	if r.duplicateKeys = r.duplicateKeys || len(r.current) < n; len(r.current) > sampled {
		r.current = r.current[:sampled]
		r.maxHash = r.current[sampled-1]
	}
}

func (r *repeatCheck) save(checks *checkState) {
	r.repeated = append(r.repeated, r.tail.partialMatch()...)
	r.compact()
	all := r.previous
	for _, keyHash := range r.current {
		if _, again := slices.BinarySearch(r.previous, keyHash); again {
			if !slices.Contains(r.repeated, keyHash) {
				r.repeated = append(r.repeated, keyHash)
			}
			continue
		}
		all = append(all, keyHash)
	}
	if !r.keyless {
		checks.addRepeats(r.repeated)
	}
	if r.sampling {
		slices.Sort(all)
		checks.sample = packHashes(all[:min(len(all), sampled)])
	}
}

// addRepeats counts repeated keys. The digest does not depend on their order.
func (c *checkState) addRepeats(hashes []uint64) {
	if len(hashes) == 0 {
		return
	}
	sum := uint64(0)
	for _, mark := range append(unpackHashes(c.repeatDigest), hashes...) {
		sum += mark
	}
	c.repeatCount += len(hashes)
	c.repeatDigest = packHashes([]uint64{sum & (1<<48 - 1)})
}

// overlapCheck compares the first rows of a page with the last ones of the previous page.
type overlapCheck struct {
	hashes []uint64
	// matching means that the next row may match, complete that the last row of the previous page matched.
	matching bool
	complete bool
	matched  int
	from     int
}

func (o *overlapCheck) next(keyHash uint64) {
	if o.matched == 0 {
		for o.from = len(o.hashes) - 1; o.from >= 0 && o.hashes[o.from] != keyHash; {
			o.from--
		}
	}
	if at := o.from + o.matched; o.from < 0 || o.hashes[at] != keyHash {
		o.matching = false
	} else {
		o.matched++
		o.complete = at == len(o.hashes)-1
		o.matching = !o.complete
	}
}

func (o *overlapCheck) partialMatch() []uint64 {
	if o.matched == 0 || o.complete {
		return nil
	}
	return o.hashes[o.from : o.from+o.matched]
}

func (o *overlapCheck) overlap() int {
	if o.complete {
		return o.matched
	}
	return 0
}

func (o *overlapCheck) endsWith(mark uint64) bool {
	return len(o.hashes) > 0 && o.hashes[len(o.hashes)-1] == mark
}
