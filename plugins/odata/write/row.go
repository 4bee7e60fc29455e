package write

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// memory is what an instance keeps from call to call.
type memory struct {
	// schemas are all that were declared.
	schemas schemas
	// requests are those of one call.
	requests []request
	// The others are for one row.
	bodies     *bodyMemory
	ofKey      *keyMemory
	identities *identityMemory
}

// reuse makes room for another call: what the one before made was the host's until now.
func (m *memory) reuse() {
	if !reused || cap(m.bodies.chunk) > maxChunk {
		m.bodies.chunk = nil
	}
	if !reused || cap(m.ofKey.texts) > maxChunk {
		m.ofKey.texts = nil
	}
	m.bodies.chunk, m.ofKey.texts = m.bodies.chunk[:0], m.ofKey.texts[:0]
}

// encoding is one row on its way to a request.
type encoding struct {
	*memory
	s           *state
	to          *entitySet
	row         *wit.Row
	data        []byte
	hint        hint
	origin      wit.RecordID
	originTopic string

	key, content     tree
	hasKey, hasValue bool
	// direct: the row goes the short way (kernel.go), of which the keys are done, and has no trees yet.
	direct bool
	// keys are the values of all key properties; missing is why there are none.
	keys    []keyValue
	missing error
	// onlyInRecordKey: the value lacks at least one of the key's properties, which the record's key has; a plain insert
	// leaves those to the service, the insert of an upsert writes them.
	onlyInRecordKey bool
}

// came says which record the row came of, where that is known.
func (e *encoding) came(row int, origins []wit.RecordID, topics []string) {
	if row < len(origins) && int(origins[row].Topic) < len(topics) {
		e.origin, e.originTopic = origins[row], topics[origins[row].Topic]
	}
}

// makeTrees makes trees of the row, of its key and its value.
func (e *encoding) makeTrees() (err error) {
	if e.key, e.hasKey, err = e.schemas.read(e.row.Key, e.data); err != nil {
		return err
	}
	e.content, e.hasValue, err = e.schemas.read(e.row.Value, e.data)
	return err
}

// findKeys takes the key from where the settings want it. The error is that value and key contradict each other where
// both are needed.
func (e *encoding) findKeys() error {
	switch {
	case e.s.keyFromRecord && !e.hasKey:
		e.missing = refuse("the record has no key, and " + keyFrom + " is record")
		return nil
	case e.s.keyFromRecord:
		e.keys, e.missing = e.s.keys(e.to.entity, e.key, true)
		return nil
	}
	if e.keys, e.missing = e.s.keys(e.to.entity, e.content, false); e.missing == nil || !e.hasKey {
		return nil
	}
	var keys []keyValue
	for _, name := range e.to.entity.Key {
		property := e.to.entity.properties[name]
		if property == nil {
			return nil
		}
		said, inValue, err := e.s.key(e.to.entity, property, e.content, false)
		if err != nil {
			return nil // as e.missing says
		}
		other, inKey, err := e.s.key(e.to.entity, property, e.key, true)
		switch {
		case inValue && inKey && err == nil && canonicalLiteral(said.value.Type, said.value.Text) !=
			canonicalLiteral(other.value.Type, other.value.Text):
			return refuse("key property " + name + ": expected the same in the record's value and in its key, which " +
				"has what the value lacks of the entity's key, found " + strconv.Quote(said.value.Text) + " and " +
				strconv.Quote(other.value.Text) + " (" + keyFrom + " = record takes all from the key)")
		case inValue:
			keys = append(keys, said)
		case inKey && err == nil:
			keys = append(keys, other)
		case err != nil:
			e.missing = err
			return nil
		default:
			return nil
		}
	}
	e.keys, e.missing, e.onlyInRecordKey = keys, nil, true
	return nil
}

// mayGoDirect tells whether the row may go the short way.
func (e *encoding) mayGoDirect() bool {
	m := &e.s.manner
	return !e.hint.uncertain() && !e.hint.address && !e.to.flat.mapped && !m.lossy && !m.keyFromRecord &&
		!m.deleteRecords && m.mode != modeDynamic
}

// walk begins at the first field of the value. ok is false where the row must go the long way.
func (e *encoding) walk() (w walk, ok bool) {
	return newWalk(e.to.flat, &e.s.manner, e.schemas, &e.row.Value, e.data)
}

// directKeys finds the values of all key properties. ok is false where the row must go the long way; err is that of a
// value which is not one of its property's.
func (e *encoding) directKeys() (ok bool, err error) {
	w, ok := e.walk()
	if !ok || w.f.keys == 0 {
		return false, nil
	}
	e.keys = e.ofKey.ofRow[:0]
	for range w.f.keys {
		e.keys = append(e.keys, keyValue{})
	}
	e.ofKey.ofRow = e.keys
	for found := 0; found < w.f.keys; {
		if w.done() || !w.field() {
			return false, nil
		}
		c := w.slot
		if c == nil || c.key < 0 || e.keys[c.key].property != nil {
			continue
		}
		k := &e.keys[c.key]
		k.property = c.property
		switch {
		case w.kind == kindNull:
			return false, nil
		case w.kind == kindNumber && c.bounded && !w.timed() && w.number >= c.least && w.number <= c.most:
			k.value = value.Converted{Type: c.property.Type.Primitive, Text: strconv.FormatInt(w.number, 10)}
		default:
			if k.value, err = w.converted(); err == errUnread {
				return false, nil
			}
			if err != nil {
				return false, e.unfit(&w, err)
			}
		}
		found++
	}
	return true, nil
}

// unfit is the refusal of a row by the value that it has for a key property, in the words of what would have taken it;
// nil where the long way has them. The record's key may contradict the others of several key properties.
func (e *encoding) unfit(w *walk, err error) error {
	name := w.slot.property.Name
	switch {
	case w.f.keys > 1:
		return nil
	case e.s.mode != modeInsert:
		return refuse("key property " + name + ": " + err.Error())
	case w.next > 1: // a field before it may be the first that does not fit
		_, _, err := e.directBody(false)
		return err
	}
	return refuse(name + ": " + err.Error())
}

// directBody writes the row's value. ok is false where the row must go the long way; err is that of a value which is
// not one of its property's.
func (e *encoding) directBody(updates bool) (body []byte, ok bool, err error) {
	w, ok := e.walk()
	if !ok {
		return nil, false, nil
	}
	if body, ok = e.bodies.write(&w, updates); !ok && w.misfit != nil {
		return nil, false, refuse(w.slot.property.Name + ": " + w.misfit.Error())
	}
	return body, ok, nil
}

// start makes what all requests of the row have.
func (e *encoding) start(op operation, method string) *request {
	e.requests = append(e.requests, request{})
	q := &e.requests[len(e.requests)-1]
	*q = request{target: target{operation: op, to: e.to, hint: e.hint}, method: method}
	if e.missing == nil {
		q.predicate = e.ofKey.predicateOf(e.keys)
	}
	q.lane = e.laneOf(q.predicate)
	return q
}

// laneOf is what tells the entity from others: the same however its key is written.
func (e *encoding) laneOf(predicate string) string {
	if e.missing != nil || len(e.keys) == 0 {
		// A key of its own making: the record's bytes, or its place where there are none.
		if e.hasKey {
			return string(e.data[e.row.Key.Start : e.row.Key.Start+e.row.Key.Size])
		}
		return strconv.Itoa(int(e.row.Partition)) + "@" + strconv.FormatInt(e.row.Offset, 10)
	}
	return e.ofKey.laneOf(e.keys, predicate)
}

// at is start for a request of the entity itself.
func (e *encoding) at(op operation, method string) (*request, error) {
	if e.missing != nil {
		return nil, e.missing
	}
	if err := e.s.unaddressed(e.to, e.hint); err != nil {
		return nil, err
	}
	return e.start(op, method), nil
}

// readEntity is a request that reads the entity.
func (e *encoding) readEntity(op operation) (*request, error) {
	q, err := e.at(op, "GET")
	if err != nil {
		return nil, err
	}
	e.asRead(q)
	return q, nil
}

// asRead has a request sent as one that only reads: it may be sent twice.
func (e *encoding) asRead(q *request) {
	q.repeatable, q.headers = true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
}
