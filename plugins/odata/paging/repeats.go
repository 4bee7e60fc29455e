package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// repeatCheck finds keys that occur on two pages. If pages are requested by counting, a row that moves to a later page
// pushes another one to where it is not read, and the count still fits. Inserted rows repeat keys too but hide no row:
// the next page then starts with the last rows of the previous one.
//
// Only the least hashes of keys are stored, so one moved row of N is found with a chance of sampled/N. While keys
// ascend, a key below the previous page's last one counts as repeated too.
type repeatCheck struct {
	sampling      bool         // false if pages are requested by key, and in a probe
	keyless       bool         // equal rows are different rows
	previous      []uint64     // the least hashes of earlier pages, ascending
	current       []uint64     // the least hashes of this page
	maxHash       uint64       // higher hashes are not stored
	tail          overlapCheck // with the last rows of the previous page
	lastHashes    []uint64     // of the last rows
	floor         []string     // the last key before the page while keys ascend, else nil
	outOfOrderKey string       // the first key below floor
	duplicateKeys bool         // the page has a key twice
	repeated      []uint64     // hashes of keys that are on an earlier page, too
}

const (
	sampled        = 1000 // keys that a load remembers, 8 KB in the offset
	maxTail        = 64   // remembered last rows of a page: if more are inserted between two pages, the load restarts
	minOrderedRows = 8    // rows in order by chance are unlikely: eight rows have 40,320 orders
)

func (r *repeatCheck) begin(set *Set, position *Position) {
	checks := position.checks
	r.keyless = set.Keys == nil
	r.sampling = position.probe.kind == "" && !position.usesKeyset()
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

// countOverlap compares rows with the last rows of the previous page, and returns how many of them overlap.
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
		keyHash := hashOf(key)
		falls := false
		if r.floor != nil && !order.watching {
			plain, folded, ok := order.keys.CompareTexts(order.keys.SortTexts(key), r.floor)
			if !checks.sorted {
				plain = folded
			}
			falls = ok && plain <= 0
		}
		switch {
		case falls && encodeHash(keyHash) == r.outOfOrderKey:
			r.floor = nil
		case falls:
			r.repeated = append(r.repeated, keyHash.bits48())
			r.floor = nil
			r.outOfOrderKey = encodeHash(keyHash)
		case encodeHash(keyHash) == r.outOfOrderKey:
			r.outOfOrderKey = ""
		}
	}
}

func (r *repeatCheck) seenBefore(row *wit.Row, data []byte) bool {
	_, isSeen := slices.BinarySearch(r.previous, rowHash(row, data))
	return isSeen
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

// save adds the page's keys to the stored checks.
func (r *repeatCheck) save(checks *checkState) {
	r.repeated = append(r.repeated, r.tail.partialMatch()...)
	r.compact()
	hashes := r.previous
	for _, keyHash := range r.current {
		if _, isRepeated := slices.BinarySearch(r.previous, keyHash); isRepeated {
			if !slices.Contains(r.repeated, keyHash) {
				r.repeated = append(r.repeated, keyHash)
			}
			continue
		}
		hashes = append(hashes, keyHash)
	}
	if !r.keyless {
		checks.addRepeats(r.repeated)
	}
	if r.sampling {
		slices.Sort(hashes)
		checks.sample = packHashes(hashes[:min(len(hashes), sampled)])
	}
}

// addRepeats counts repeated keys. The digest does not depend on their order.
func (c *checkState) addRepeats(hashes []uint64) {
	if len(hashes) == 0 {
		return
	}
	sum := uint64(0)
	for _, h := range append(unpackHashes(c.repeatDigest), hashes...) {
		sum += h
	}
	c.repeatCount += len(hashes)
	c.repeatDigest = packHashes([]uint64{sum & (1<<48 - 1)})
}

// overlapCheck compares the first rows of a page with the last ones of the previous page.
type overlapCheck struct {
	hashes   []uint64 // of the last rows of the previous page
	matching bool     // the next row may match
	complete bool     // the last row of the previous page matched
	matched  int      // number of rows that matched
	from     int      // index of the first of them in hashes
}

func (o *overlapCheck) next(keyHash uint64) {
	if o.matched == 0 {
		for o.from = len(o.hashes) - 1; o.from >= 0 && o.hashes[o.from] != keyHash; {
			o.from--
		}
	}
	if index := o.from + o.matched; o.from < 0 || o.hashes[index] != keyHash {
		o.matching = false
	} else {
		o.matched++
		o.complete = index == len(o.hashes)-1
		o.matching = !o.complete
	}
}

// partialMatch returns the hashes of rows that matched although the overlap is not complete.
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

func (o *overlapCheck) endsWith(h uint64) bool {
	return len(o.hashes) > 0 && o.hashes[len(o.hashes)-1] == h
}
