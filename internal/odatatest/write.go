package odatatest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// create answers a POST to a collection.
func (x *exchange) create(src source) *fault {
	t := src.table
	if f := x.locked(t); f != nil {
		return f
	}
	if done, f := x.repeated(); done || f != nil {
		return f
	}
	values, f := x.body(t.typ)
	if f != nil {
		return f
	}
	x.setSubscriptionID(t, values)
	r := t.typ.newRow()
	for i := range t.typ.properties {
		if f := initial(t.typ, r, i, values, src); f != nil {
			return f
		}
	}
	if src.navigation != nil {
		for i, foreign := range src.navigation.join.foreign {
			r.values[foreign] = src.parent.values[i].clone()
		}
	}
	if !t.insert(r) {
		return x.duplicate(t, r)
	}
	key := slices.Clone(r.key(t.typ))
	x.undoing(func() { t.remove(key, func(*row) *fault { return nil }) })
	x.applied(t, key, func(w *Write) { w.Created++ })
	x.tell(t, key, "created")
	x.remember(t, r.clone())
	if x.lost() {
		return nil
	}
	return x.created(t, r.clone())
}

// initial sets property i of a new row: as given, else null, else the initial value of its type.
func initial(typ *entityType, r *row, i int, values map[int]*value, src source) *fault {
	p := &typ.properties[i]
	v := values[i]
	foreign := src.navigation != nil && slices.Contains(src.navigation.join.foreign, i)
	switch {
	case p.version:
		r.setNumber(i, 1)
	case v != nil && !v.null:
		r.values[i] = *v
	case p.identity || p.nullable:
		r.null(i)
	case i < typ.keys && !foreign:
		return &fault{status: http.StatusBadRequest, message: "Key property '" + p.name + "' is missing",
			target: p.name}
	default:
		r.values[i] = zero(p)
	}
	return nil
}

// zero returns the initial value of a type, which ABAP uses for missing values.
func zero(p *property) value {
	v := value{kind: p.kind}
	switch p.kind {
	case decimalKind:
		v.text = appendScaled(nil, 0, p.scale)
	case guidKind:
		v.text = edgeGuids[0]
	case complexKind:
		v.null = true
	}
	return v
}

// duplicate is the error for an existing key. Assumption: SAP applications answer 400 with a message of their own,
// Microsoft's services 409 or 500.
func (x *exchange) duplicate(t *table, r *row) *fault {
	f := &fault{status: http.StatusConflict, message: "Entity " + t.name + string(appendKey(nil, t.typ, r)) +
		" already exists"}
	if x.mount.sap {
		f.status = http.StatusBadRequest
		f.code = sapCodes[http.StatusConflict]
	}
	return f
}

// update answers PUT, and MERGE or PATCH if partial.
func (x *exchange) update(t *table, key []value, partial bool) *fault {
	if f := x.locked(t); f != nil {
		return f
	}
	values, f := x.body(t.typ)
	if f != nil {
		return f
	}
	etag := ""
	f = t.update(key, func(r *row) *fault {
		if f := x.unchanged(t, r); f != nil {
			return f
		}
		old := r.clone()
		x.undoing(func() {
			t.update(key, func(r *row) *fault {
				r.values = old.values
				return nil
			})
		})
		for i := t.typ.keys; i < len(r.values); i++ {
			p := &t.typ.properties[i]
			v := values[i]
			switch {
			case p.version:
				r.values[i].num++
			case v != nil:
				r.values[i] = *v
			case partial:
				// MERGE keeps missing properties
			case p.nullable:
				r.null(i)
			default:
				r.values[i] = zero(p)
			}
		}
		etag = string(appendETag(nil, t.typ, r))
		return nil
	})
	if f != nil {
		return f
	}
	x.applied(t, key, func(w *Write) { w.Updated++ })
	x.tell(t, key, "updated")
	if !x.lost() {
		x.noContent(etag)
	}
	return nil
}

func (x *exchange) delete(t *table, key []value) *fault {
	f := x.locked(t)
	if f != nil {
		return f
	}
	f = t.remove(key, func(r *row) *fault {
		if f := x.unchanged(t, r); f != nil {
			return f
		}
		old := r.clone()
		x.undoing(func() { t.revive(old) })
		return nil
	})
	if f != nil {
		return f
	}
	x.applied(t, key, func(w *Write) { w.Deleted++ })
	x.tell(t, key, "deleted")
	if !x.lost() {
		x.noContent("")
	}
	return nil
}

func (x *exchange) noContent(etag string) {
	h := x.w.Header()
	h.Set("DataServiceVersion", "1.0")
	if etag != "" {
		h.Set("ETag", etag)
	}
	x.w.WriteHeader(http.StatusNoContent)
}

// unchanged compares If-Match with the ETag; entities without one need no header.
func (x *exchange) unchanged(t *table, r *row) *fault {
	etag := string(appendETag(nil, t.typ, r))
	match := x.r.Header.Get("If-Match")
	switch {
	case etag == "" && match != "" && x.sw.RefuseMatch:
		return badRequest("If-Match or If-None-Match headers cannot be specified if the target type does not have " +
			"etag properties defined.")
	case etag == "" || match == "*":
		return nil
	case match == "" && x.mount.sap:
		return &fault{status: http.StatusPreconditionRequired, message: "Precondition required: send If-Match"}
	case match == "":
		return badRequest("Since entity type '%s' has one or more ETag properties, If-Match HTTP header must be "+
			"specified for DELETE/PUT operations on this type.", t.typ.name)
	}
	for candidate := range strings.SplitSeq(match, ",") {
		if strings.TrimSpace(candidate) == etag {
			return nil
		}
	}
	return &fault{status: http.StatusPreconditionFailed,
		message: "The etag value in the request header does not match with the current etag value of the object."}
}

// applied counts a write of an entity in the ledger when it is final.
func (x *exchange) applied(t *table, key []value, count func(w *Write)) {
	name := t.name + string(appendKey(nil, t.typ, &row{values: key}))
	x.committed(func() {
		x.service.book.note(func(l *Ledger) {
			w := l.Writes[name]
			count(&w)
			l.Writes[name] = w
		})
	})
}

// committed runs done when a write is final: at once, or with its changeset.
func (x *exchange) committed(done func()) {
	if x.set != nil {
		x.set.done = append(x.set.done, done)
		return
	}
	done()
}

// undoing registers the undo of a write in a changeset.
func (x *exchange) undoing(undo func()) {
	if x.set != nil {
		x.set.undo = append(x.set.undo, undo)
	}
}

// created answers for a created row.
func (x *exchange) created(t *table, r *row) *fault {
	if x.sw.Repeatability && x.r.Header.Get("RequestID") != "" {
		x.w.Header().Set("RepeatabilityResult", "accepted")
	}
	x.w.Header().Set("Location", string(x.appendURI(nil, t, r)))
	return x.single(t, r, http.StatusCreated)
}

// repeats are the rows that POSTs with a RequestID have created.
type repeats struct {
	mu   sync.Mutex
	rows map[string]repeat
}

type repeat struct {
	table *table
	row   *row
}

// repeated answers a POST again if its RequestID was used before.
func (x *exchange) repeated() (done bool, f *fault) {
	id := x.r.Header.Get("RequestID")
	if !x.sw.Repeatability || id == "" {
		return false, nil
	}
	if x.r.Header.Get("RepeatabilityCreation") == "" {
		return false, badRequest("A RequestID needs RepeatabilityCreation")
	}
	s := &x.service.repeats
	s.mu.Lock()
	original, ok := s.rows[id]
	s.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, x.created(original.table, original.row.clone())
}

// remember keeps the row that a POST with a RequestID has created.
func (x *exchange) remember(t *table, r *row) {
	id := x.r.Header.Get("RequestID")
	if !x.sw.Repeatability || id == "" {
		return
	}
	x.committed(func() {
		s := &x.service.repeats
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.rows == nil {
			s.rows = map[string]repeat{}
		}
		s.rows[id] = repeat{t, r}
	})
}

// lost drops the connection after a write was applied, if a switch says so.
func (x *exchange) lost() bool {
	if x.writes() && x.matched() && x.service.hits(x.sw.FailAfter) {
		x.interfere()
		return true
	}
	if x.sw.LoseAnswer == 0 || !x.matched() || !x.service.take(func(s *Switches) *int { return &s.LoseAnswer }) {
		return false
	}
	reset(x.w)
	return true
}
