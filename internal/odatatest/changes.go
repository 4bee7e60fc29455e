package odatatest

import "time"

// change is one thing that happened to a row: before is nil where it was inserted, after where it was deleted.
type change struct {
	key           []value
	before, after *row
	at            time.Time
}

// note notes what happened to a row; t.mu is held.
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

// changesSoFar is the number of changes so far.
func (t *table) changesSoFar() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.changes)
}

// between are the changes from one number to another.
func (t *table) between(from, to int) []change {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changes[from:to:to]
}

// last is the last change of each row from one number to another, the oldest first.
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
