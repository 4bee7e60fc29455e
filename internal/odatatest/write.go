package odatatest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// create answers a POST to a collection.
func (ex *exchange) create(src source) *fault {
	t := src.table
	if f := ex.checkLock(t); f != nil {
		return f
	}
	if isDone, f := ex.answerRepeated(); isDone || f != nil {
		return f
	}
	values, f := ex.readBody(t.typ)
	if f != nil {
		return f
	}
	if t.name == subscriptions { // SAP Gateway sets the ID of a subscription
		values[0] = &value{kind: stringKind, text: []byte(strings.ToUpper(newSecret()))}
		ex.onCommit(func() { ex.service.book.update(func(l *Ledger) { l.Subscribed++ }) })
	}
	r := t.typ.newRow()
	for i := range t.typ.properties {
		if f := setInitial(t.typ, r, i, values, src); f != nil {
			return f
		}
	}
	if src.navigation != nil {
		for i, foreign := range src.navigation.association.foreign {
			r.values[foreign] = src.parent.values[i].clone()
		}
	}
	if !t.insert(r) {
		return ex.duplicateKey(t, r)
	}
	key := slices.Clone(r.key(t.typ))
	ex.onRollback(func() { t.remove(key, func(*row) *fault { return nil }) })
	ex.countWrite(t, key, func(w *Write) { w.Created++ })
	ex.notify(t, key, "created")
	ex.remember(t, r.clone())
	if ex.loseAnswer() {
		return nil
	}
	return ex.sendCreated(t, r.clone())
}

// setInitial sets property i of a new row: as given, else null, else the initial value of its type.
func setInitial(typ *entityType, r *row, i int, values map[int]*value, src source) *fault {
	p := &typ.properties[i]
	v := values[i]
	foreign := src.navigation != nil && slices.Contains(src.navigation.association.foreign, i)
	switch {
	case p.version:
		r.setNumber(i, 1)
	case v != nil && !v.null:
		r.values[i] = *v
	case p.identity || p.nullable:
		r.setNull(i)
	case i < typ.keys && !foreign:
		return &fault{status: http.StatusBadRequest, message: "Key property '" + p.name + "' is missing",
			target: p.name}
	default:
		r.values[i] = zeroValue(p)
	}
	return nil
}

// zeroValue returns the initial value of a type, which ABAP uses for missing values.
func zeroValue(p *property) value {
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

// duplicateKey is the error for an existing key. Assumption: SAP applications answer 400 with a message of their own,
// Microsoft's services 409 or 500.
func (ex *exchange) duplicateKey(t *table, r *row) *fault {
	f := &fault{status: http.StatusConflict, message: "Entity " + t.name + string(appendKey(nil, t.typ, r)) +
		" already exists"}
	if ex.mount.sap {
		f.status = http.StatusBadRequest
		f.code = sapCodes[http.StatusConflict]
	}
	return f
}

// update answers PUT, and MERGE or PATCH if partial.
func (ex *exchange) update(t *table, key []value, partial bool) *fault {
	if f := ex.checkLock(t); f != nil {
		return f
	}
	values, f := ex.readBody(t.typ)
	if f != nil {
		return f
	}
	etag := ""
	f = t.update(key, func(r *row) *fault {
		if f := ex.checkETag(t, r); f != nil {
			return f
		}
		old := r.clone()
		ex.onRollback(func() {
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
				r.setNull(i)
			default:
				r.values[i] = zeroValue(p)
			}
		}
		etag = string(appendETag(nil, t.typ, r))
		return nil
	})
	if f != nil {
		return f
	}
	ex.countWrite(t, key, func(w *Write) { w.Updated++ })
	ex.notify(t, key, "updated")
	if !ex.loseAnswer() {
		ex.noContent(etag)
	}
	return nil
}

func (ex *exchange) delete(t *table, key []value) *fault {
	f := ex.checkLock(t)
	if f != nil {
		return f
	}
	f = t.remove(key, func(r *row) *fault {
		if f := ex.checkETag(t, r); f != nil {
			return f
		}
		old := r.clone()
		ex.onRollback(func() { t.restore(old) })
		return nil
	})
	if f != nil {
		return f
	}
	ex.countWrite(t, key, func(w *Write) { w.Deleted++ })
	ex.notify(t, key, "deleted")
	if !ex.loseAnswer() {
		ex.noContent("")
	}
	return nil
}

func (ex *exchange) noContent(etag string) {
	ex.setPlainVersion()
	if etag != "" {
		ex.w.Header().Set("ETag", etag)
	}
	ex.w.WriteHeader(http.StatusNoContent)
}

// checkETag compares If-Match with the ETag; entities without one need no header.
func (ex *exchange) checkETag(t *table, r *row) *fault {
	etag := string(appendETag(nil, t.typ, r))
	match := ex.r.Header.Get("If-Match")
	switch {
	case etag == "" && match != "" && ex.sw.RefuseMatch:
		return badRequest("If-Match or If-None-Match headers cannot be specified if the target type does not have " +
			"etag properties defined.")
	case etag == "" || match == "*":
		return nil
	case match == "" && ex.mount.sap:
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

// countWrite counts a write of an entity in the ledger when it is final.
func (ex *exchange) countWrite(t *table, key []value, count func(w *Write)) {
	name := t.name + string(appendKey(nil, t.typ, &row{values: key}))
	ex.onCommit(func() {
		ex.service.book.update(func(l *Ledger) {
			w := l.Writes[name]
			count(&w)
			l.Writes[name] = w
		})
	})
}

// onCommit runs done when a write is final: at once, or with its changeset.
func (ex *exchange) onCommit(done func()) {
	if ex.set != nil {
		ex.set.done = append(ex.set.done, done)
		return
	}
	done()
}

// onRollback registers the undo of a write in a changeset.
func (ex *exchange) onRollback(undo func()) {
	if ex.set != nil {
		ex.set.undo = append(ex.set.undo, undo)
	}
}

// sendCreated answers for a created row.
func (ex *exchange) sendCreated(t *table, r *row) *fault {
	if ex.sw.Repeatability && ex.r.Header.Get("RequestID") != "" {
		ex.w.Header().Set("RepeatabilityResult", "accepted")
	}
	ex.w.Header().Set("Location", string(ex.appendURI(nil, t, r)))
	if wanted, _ := ex.preference("return"); wanted == "minimal" {
		ex.w.Header().Set("OData-EntityId", ex.w.Header().Get("Location"))
		ex.noContent(string(appendETag(nil, t.typ, r)))
		return nil
	}
	return ex.sendSingle(t, r, http.StatusCreated)
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

// answerRepeated answers a POST again if its RequestID was used before.
func (ex *exchange) answerRepeated() (isDone bool, f *fault) {
	id := ex.r.Header.Get("RequestID")
	if !ex.sw.Repeatability || id == "" {
		return false, nil
	}
	if ex.r.Header.Get("RepeatabilityCreation") == "" {
		return false, badRequest("A RequestID needs RepeatabilityCreation")
	}
	s := &ex.service.repeats
	s.mu.Lock()
	original, ok := s.rows[id]
	s.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, ex.sendCreated(original.table, original.row.clone())
}

// remember keeps the row that a POST with a RequestID has created.
func (ex *exchange) remember(t *table, r *row) {
	id := ex.r.Header.Get("RequestID")
	if !ex.sw.Repeatability || id == "" {
		return
	}
	ex.onCommit(func() {
		s := &ex.service.repeats
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.rows == nil {
			s.rows = map[string]repeat{}
		}
		s.rows[id] = repeat{table: t, row: r}
	})
}

// loseAnswer drops the connection after a write was applied, if a switch specifies it.
func (ex *exchange) loseAnswer() bool {
	if ex.isWrite() && ex.isMatched() && ex.service.rollDice(ex.sw.FailAfter) {
		ex.failRequest()
		return true
	}
	if ex.sw.LoseAnswer == 0 || !ex.isMatched() || !ex.service.useUp(func(s *Switches) *int { return &s.LoseAnswer }) {
		return false
	}
	resetConnection(ex.w)
	return true
}
