package odatatest

import (
	"slices"
	"sort"
	"sync"
)

// table is an entity set: rows that are generated from their number, and an overlay of written rows. Generated rows are
// in key order, on which the search by key relies.
type table struct {
	name     string
	typ      *entityType
	base     int // number of generated rows
	generate func(n int, r *row)

	mu             sync.RWMutex
	epoch          uint64       // grows when inserted changes
	deletedNumbers []int        // numbers of deleted generated rows, sorted
	changed        map[int]*row // updated generated rows
	inserted       []*row       // sorted by key
	insertedAt     []int        // number of the generated row that follows inserted[i]
	changes        []change     // all changes in their order
	next           int64        // next number for an identity key
}

// fill generates row n into r, as it was before any write.
func (t *table) fill(n int, r *row) {
	r.number = n
	r.buf = r.buf[:0]
	t.generate(n, r)
}

// search returns the number of the first generated row whose key is not less than key, deleted ones included.
func (t *table) search(key []value) int {
	r := t.typ.newRow()
	return sort.Search(t.base, func(n int) bool {
		t.fill(n, r)
		return compareKeys(r.key(t.typ)[:len(key)], key) >= 0
	})
}

func (t *table) searchInserted(key []value) int {
	return sort.Search(len(t.inserted), func(i int) bool {
		return compareKeys(t.inserted[i].key(t.typ)[:len(key)], key) >= 0
	})
}

// count returns the number of rows that exist.
func (t *table) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.base - len(t.deletedNumbers) + len(t.inserted)
}

// find returns a copy of the row with this key, or nil.
func (t *table) find(key []value) *row {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.locate(key)
	if r == nil {
		return nil
	}
	return r.clone()
}

// locate returns the row with this key. The caller holds mu, and neither keeps nor changes the row.
func (t *table) locate(key []value) *row {
	if i := t.searchInserted(key); i < len(t.inserted) && compareKeys(t.inserted[i].key(t.typ), key) == 0 {
		return t.inserted[i]
	}
	n := t.search(key)
	if n == t.base || t.isDeleted(n) {
		return nil
	}
	r := t.changed[n]
	if r == nil {
		r = t.typ.newRow()
		t.fill(n, r)
	}
	if compareKeys(r.key(t.typ), key) != 0 {
		return nil
	}
	return r
}

func (t *table) isDeleted(n int) bool {
	_, isDeleted := slices.BinarySearch(t.deletedNumbers, n)
	return isDeleted
}

// insert adds a row that the table then owns, or returns false if its key exists.
func (t *table) insert(r *row) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.typ.properties[0].identity {
		key := &r.values[0]
		if key.null {
			key.null = false
			key.num = t.next
		}
		t.next = max(t.next, key.num+1)
	}
	if t.locate(r.key(t.typ)) != nil {
		return false
	}
	r.number = -1
	i := t.searchInserted(r.key(t.typ))
	t.inserted = slices.Insert(t.inserted, i, r)
	t.insertedAt = slices.Insert(t.insertedAt, i, t.search(r.key(t.typ)))
	t.epoch++
	t.recordChange(nil, r)
	return true
}

// update replaces the row with this key by the result of change, which works on a copy.
func (t *table) update(key []value, change func(r *row) *fault) *fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.locate(key)
	if r == nil {
		return notFound(t.name)
	}
	previous := r
	r = r.clone()
	if f := change(r); f != nil {
		return f
	}
	t.recordChange(previous, r)
	if r.number >= 0 {
		t.changed[r.number] = r
		return nil
	}
	t.inserted[t.searchInserted(key)] = r
	t.epoch++
	return nil
}

// remove deletes the row with this key unless check returns an error.
func (t *table) remove(key []value, check func(r *row) *fault) *fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.locate(key)
	if r == nil {
		return notFound(t.name)
	}
	if f := check(r); f != nil {
		return f
	}
	t.recordChange(r, nil)
	if r.number >= 0 {
		i, _ := slices.BinarySearch(t.deletedNumbers, r.number)
		t.deletedNumbers = slices.Insert(t.deletedNumbers, i, r.number)
		delete(t.changed, r.number)
		return nil
	}
	i := t.searchInserted(key)
	t.inserted = slices.Delete(t.inserted, i, i+1)
	t.insertedAt = slices.Delete(t.insertedAt, i, i+1)
	t.epoch++
	return nil
}

// restore restores a removed row.
func (t *table) restore(r *row) {
	if r.number < 0 {
		t.insert(r)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, isDeleted := slices.BinarySearch(t.deletedNumbers, r.number); isDeleted {
		t.deletedNumbers = slices.Delete(t.deletedNumbers, i, i+1)
	}
	t.changed[r.number] = r
	t.epoch++
}

// cursor visits the rows of a table in key order. Rows that are written in the meantime are visited if they are ahead.
type cursor struct {
	table     *table
	at        int    // position in the generated rows
	step      int    // its change with each row
	end       int    // position after the last row
	inserted  int    // position in the inserted rows
	epoch     uint64 // of the table when the position inserted was found
	current   *row   // valid until the next call of next
	generated *row   // memory of generated rows
}

// all returns a cursor before the first row.
func (t *table) all() *cursor {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return &cursor{table: t, step: 1, end: t.base, epoch: t.epoch, generated: t.typ.newRow()}
}

// seek moves before the first row whose key begins with key or is greater.
func (c *cursor) seek(key []value) {
	c.table.mu.RLock()
	defer c.table.mu.RUnlock()
	c.at = c.table.search(key)
	c.inserted = c.table.searchInserted(key)
	c.epoch = c.table.epoch
}

// seekAfter moves after the row with this complete key, whether it exists or not.
func (c *cursor) seekAfter(key []value) {
	c.table.mu.RLock()
	defer c.table.mu.RUnlock()
	c.seekAfterLocked(key)
}

// seekAfterLocked is seekAfter; the caller holds the table's lock.
func (c *cursor) seekAfterLocked(key []value) {
	t := c.table
	c.at = t.search(key)
	c.inserted = t.searchInserted(key)
	c.epoch = t.epoch
	if c.inserted < len(t.inserted) && compareKeys(t.inserted[c.inserted].key(t.typ), key) == 0 {
		c.inserted++
	}
	if c.at < t.base {
		r := t.typ.newRow()
		t.fill(c.at, r)
		if compareKeys(r.key(t.typ), key) == 0 {
			c.at++
		}
	}
}

// skip moves over n rows without generating them; the cursor must be at the start with step 1.
func (c *cursor) skip(n int) {
	t := c.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	// rowsBefore(b) counts the rows before generated row b, without the inserted ones directly before b.
	rowsBefore := func(b int) int {
		deletedBefore, _ := slices.BinarySearch(t.deletedNumbers, b)
		return b - deletedBefore + sort.SearchInts(t.insertedAt, b)
	}
	c.at = sort.Search(t.base, func(b int) bool { return rowsBefore(b+1) > n })
	c.inserted = min(sort.SearchInts(t.insertedAt, c.at)+n-rowsBefore(c.at), len(t.inserted))
	c.epoch = t.epoch
}

// next moves to the following row, or returns false after the last one.
func (c *cursor) next() bool {
	t := c.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c.epoch != t.epoch {
		c.inserted = c.reposition()
		c.epoch = t.epoch
	}
	for {
		switch {
		case c.inserted < len(t.inserted) && (c.at >= c.end || t.insertedAt[c.inserted] <= c.at):
			c.current = t.inserted[c.inserted]
			c.inserted++
			return true
		case c.at >= c.end:
			return false
		}
		n := c.at
		c.at += c.step
		if len(t.deletedNumbers) > 0 && t.isDeleted(n) {
			continue
		}
		if len(t.changed) > 0 {
			if r := t.changed[n]; r != nil {
				c.current = r
				return true
			}
		}
		t.fill(n, c.generated)
		c.current = c.generated
		return true
	}
}

// reposition finds the position among the inserted rows again after some were added or removed.
func (c *cursor) reposition() int {
	if c.current == nil {
		return min(c.inserted, len(c.table.inserted))
	}
	key := c.current.key(c.table.typ)
	i := c.table.searchInserted(key)
	if i < len(c.table.inserted) && compareKeys(c.table.inserted[i].key(c.table.typ), key) == 0 {
		i++
	}
	return i
}
