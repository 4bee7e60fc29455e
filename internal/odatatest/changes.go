package odatatest

import (
	"slices"
	"time"
)

// change is a change of a row: before is nil for an insert, after for a deletion.
type change struct {
	key    []value
	before *row
	after  *row
	at     time.Time
}

// recordChange records a change of a row. The caller holds t.mu.
func (t *table) recordChange(before, after *row) {
	r := after
	if r == nil {
		r = before
	}
	c := change{key: cloneValues(r.key(t.typ)), at: time.Now().UTC()}
	if before != nil {
		c.before = before.clone()
	}
	if after != nil {
		c.after = after.clone()
	}
	t.changes = append(t.changes, c)
}

// changeCount returns the number of changes.
func (t *table) changeCount() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.changes)
}

// changesBetween returns the changes from one number to another.
func (t *table) changesBetween(from, to int) []change {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changes[from:to:to]
}

// lastChanges returns the last change of each row from one number to another, the oldest first.
func (t *table) lastChanges(from, to int) []change {
	seen := map[string]bool{}
	var list []change
	changes := t.changesBetween(from, to)
	for i := len(changes) - 1; i >= 0; i-- {
		name := string(appendKey(nil, t.typ, &row{values: changes[i].key}))
		if !seen[name] {
			seen[name] = true
			list = append(list, changes[i])
		}
	}
	slices.Reverse(list)
	return list
}
