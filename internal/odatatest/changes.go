package odatatest

import "time"

// change is a change of a row: before is nil for an insert, after for a deletion.
type change struct {
	key    []value
	before *row
	after  *row
	at     time.Time
}

// note records a change of a row. The caller holds t.mu.
func (t *table) note(before, after *row) {
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

// changesSoFar returns the number of changes.
func (t *table) changesSoFar() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.changes)
}

// between returns the changes from one number to another.
func (t *table) between(from, to int) []change {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changes[from:to:to]
}

// last returns the last change of each row from one number to another, the oldest first.
func (t *table) last(from, to int) []change {
	seen := map[string]bool{}
	var list []change
	all := t.between(from, to)
	for i := len(all) - 1; i >= 0; i-- {
		name := string(appendKey(nil, t.typ, &row{values: all[i].key}))
		if !seen[name] {
			seen[name] = true
			list = append(list, all[i])
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}
