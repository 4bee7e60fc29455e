package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// repeatCheck finds keys that occur on two pages. If pages are requested by counting, a row that moves to a later page
// pushes another one to where it is not read, and the count still fits. Inserted rows repeat keys too but hide no row:
// the next page then starts with the last rows of the previous one.
//
// Only the least hashes of keys are stored, so one moved row of N is found with a chance of sampleSize/N. While keys
// ascend, the first key below the previous page's last one counts as repeated, too.
type repeatCheck struct {
	isSampling     bool         // false if pages are requested by key, and in a probe
	isKeyless      bool         // equal rows are different rows
	previous       []uint64     // the least hashes of earlier pages, ascending
	current        []uint64     // the least hashes of this page
	maxHash        uint64       // higher hashes are not stored
	tail           overlapCheck // compares with the last rows of the previous page
	lastHashes     []uint64     // hashes of the last rows of this page
	floor          []byte       // the last key before the page while keys ascend, else nil
	duplicateKeys  bool         // the page has a key twice
	repeatedHashes []uint64     // hashes of keys that are on an earlier page, too
}

const (
	sampleSize = 1000 // hashes of keys that a load stores, 8 KB in the offset
	maxTail    = 64   // remembered last rows of a page: if more are inserted between two pages, the load restarts
)

// begin resets the check for the page of a position.
func (r *repeatCheck) begin(set *Set, position *Position) {
	checks := position.checks
	r.isKeyless = set.Keys == nil
	r.isSampling = position.probe.kind == "" && !position.usesKeyset()
	r.previous = nil
	r.current = r.current[:0]
	r.maxHash = 1 << 48 // above all hashes
	r.repeatedHashes = r.repeatedHashes[:0]
	r.tail = overlapCheck{}
	r.lastHashes = r.lastHashes[:0]
	r.floor = nil
	r.duplicateKeys = false
	r.tail.hashes = unpackHashes(checks.lastHashes)
	if position.usesKeyset() { // the last rows may come from several pages
		r.lastHashes = append(r.lastHashes, r.tail.hashes...)
	}
	isUnique := !r.isKeyless && !position.seen.duplicateKeys // else equal hashes may be different rows
	r.tail.isMatching = len(r.tail.hashes) > 0 && r.isSampling && isUnique
	r.previous = unpackHashes(checks.sample)
	slices.Sort(r.previous)
	if len(r.previous) >= sampleSize {
		r.maxHash = r.previous[len(r.previous)-1]
	}
	if checks.ascending() && len(r.previous) < position.rowsRead { // else the sample has all keys
		r.floor = set.Keys.unpack(checks.key)
	}
}

// isUnread reports whether a row was certainly not read: the least hashes of all rows read are known.
func (r *repeatCheck) isUnread(row *wit.Row, data []byte) bool {
	return rowHash(row, data) <= r.maxHash && !r.seenBefore(row, data)
}

// observe records the keys of rows, without the first rows that overlap the previous page.
func (r *repeatCheck) observe(rows []wit.Row, data []byte, order *orderCheck, checks *checkState) {
	if r.floor != nil && !order.isActive {
		r.observeBelowFloor(rows, data, order, checks)
	}
	if !r.isSampling {
		return
	}
	for i := range rows {
		h := rowHash(&rows[i], data)
		if r.tail.endsWith(h) {
			r.repeatedHashes = append(r.repeatedHashes, h)
		}
		if h <= r.maxHash {
			r.current = append(r.current, h)
		}
		if len(r.current) == 4*sampleSize { // not for each row, since compact sorts
			r.compact()
		}
	}
}

// observeBelowFloor records the first key that is not above the last key of the page before.
func (r *repeatCheck) observeBelowFloor(rows []wit.Row, data []byte, order *orderCheck, checks *checkState) {
	for i := range rows {
		key := keyOf(&rows[i], data)
		plain, folded, ok := order.keys.compare(key, r.floor)
		if !checks.sorted {
			plain = folded
		}
		if ok && plain <= 0 {
			r.repeatedHashes = append(r.repeatedHashes, hashOf(key).bits48())
			r.floor = nil
			return
		}
	}
}

func (r *repeatCheck) seenBefore(row *wit.Row, data []byte) bool {
	_, isSeen := slices.BinarySearch(r.previous, rowHash(row, data))
	return isSeen
}

// rememberLast keeps the hashes of the last rows. A row that repeats the last one of the page before is kept once.
func (r *repeatCheck) rememberLast(rows []wit.Row, data []byte) {
	if n := len(r.lastHashes); n > 0 && len(rows) > 0 && r.lastHashes[n-1] == rowHash(&rows[0], data) {
		rows = rows[1:]
	}
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
	r.duplicateKeys = r.duplicateKeys || len(r.current) < n
	if len(r.current) > sampleSize {
		r.current = r.current[:sampleSize]
		r.maxHash = r.current[sampleSize-1]
	}
}

// save adds the page's keys to the stored checks. It is called once, at the end of the page.
func (r *repeatCheck) save(checks *checkState) {
	if tail := &r.tail; tail.matchCount > 0 && !tail.isComplete { // rows that matched
		r.repeatedHashes = append(r.repeatedHashes, tail.hashes[tail.start:tail.start+tail.matchCount]...)
	}
	r.compact()
	hashes := r.previous
	for _, keyHash := range r.current {
		if _, isRepeated := slices.BinarySearch(r.previous, keyHash); isRepeated {
			if !slices.Contains(r.repeatedHashes, keyHash) {
				r.repeatedHashes = append(r.repeatedHashes, keyHash)
			}
			continue
		}
		hashes = append(hashes, keyHash)
	}
	if !r.isKeyless && len(r.repeatedHashes) > 0 {
		sum := uint64(0) // does not depend on the order of keys
		for _, h := range append(unpackHashes(checks.repeatDigest), r.repeatedHashes...) {
			sum += h
		}
		checks.repeatCount += len(r.repeatedHashes)
		checks.repeatDigest = packHashes([]uint64{sum & (1<<48 - 1)})
	}
	if r.isSampling {
		slices.Sort(hashes)
		checks.sample = packHashes(hashes[:min(len(hashes), sampleSize)])
	}
}

// overlapCheck compares the first rows of a page with the last ones of the previous page.
type overlapCheck struct {
	hashes     []uint64 // of the last rows of the previous page
	isMatching bool     // the next row may match
	isComplete bool     // the last row of the previous page matched
	matchCount int      // number of rows that matched
	start      int      // index in hashes of the first of these rows
}

// match compares the next row. The first row may match any of the hashes, and each row after it the next hash.
func (o *overlapCheck) match(h uint64) {
	if o.matchCount == 0 {
		for o.start = len(o.hashes) - 1; o.start >= 0 && o.hashes[o.start] != h; {
			o.start--
		}
	}
	if index := o.start + o.matchCount; o.start < 0 || o.hashes[index] != h {
		o.isMatching = false
	} else {
		o.matchCount++
		o.isComplete = index == len(o.hashes)-1
		o.isMatching = !o.isComplete
	}
}

// overlap returns how many first rows of the page are the last ones of the previous page.
func (o *overlapCheck) overlap() int {
	if o.isComplete {
		return o.matchCount
	}
	return 0
}

func (o *overlapCheck) endsWith(h uint64) bool {
	return len(o.hashes) > 0 && o.hashes[len(o.hashes)-1] == h
}
