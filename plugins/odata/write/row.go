package write

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

// encoding is one row on its way to a request.
type encoding struct {
	schemas schemas
	// usual is the length of the body of the row before.
	usual int
	// requests is memory for requests: the rows before have taken its part up to its length.
	requests    []request
	s           *state
	to          *entitySet
	row         *wit.Row
	data        []byte
	hint        hint
	origin      wit.RecordID
	originTopic string

	key, content     field
	hasKey, hasValue bool
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

// read finds the row's key and its value.
func (e *encoding) read() (err error) {
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
		e.missing = fault.Data("the record has no key, and " + keyFrom + " is record")
		return nil
	case e.s.keyFromRecord:
		e.keys, e.missing = e.to.entity.keys(&e.s.manner, &e.key, true)
		return nil
	}
	if e.keys, e.missing = e.to.entity.keys(&e.s.manner, &e.content, false); e.missing == nil || !e.hasKey {
		return nil
	}
	var keys []keyValue
	for _, name := range e.to.entity.Key {
		property := e.to.entity.Property(name)
		if property == nil {
			return nil
		}
		said, inValue, err := e.to.entity.key(&e.s.manner, property, &e.content, false)
		if err != nil {
			return nil // as e.missing says
		}
		other, inKey, err := e.to.entity.key(&e.s.manner, property, &e.key, true)
		switch {
		case inValue && inKey && err == nil && !said.same(other):
			return fault.Data("key property " + name + ": expected the same in the record's value and in its key, which " +
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

// start makes what all requests of the row have.
func (e *encoding) start(op operation, method string) *request {
	if len(e.requests) == cap(e.requests) {
		e.requests = make([]request, 0, 64)
	}
	e.requests = e.requests[:len(e.requests)+1]
	q := &e.requests[len(e.requests)-1]
	q.operation, q.to, q.hint, q.method = op, e.to, e.hint, method
	if e.missing == nil {
		q.predicate = predicateOf(e.keys)
	}
	q.entity = e.to.entityHash(e.laneOf(q.predicate))
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
	return laneOf(e.keys, predicate)
}

// at is start for a request of the entity itself.
func (e *encoding) at(op operation, method string) (*request, error) {
	if e.missing != nil {
		return nil, e.missing
	}
	if err := e.s.unaddressed(e.to, e.hint.known); err != nil {
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

// numbered reports whether the service gives the entity of an insert another key than the record's, as far as responses
// have shown.
func (e *encoding) numbered() bool {
	shown := e.s.shown(e.to, e.hint.known)
	return shown.numbers || shown.fills && anyInitial(e.keys)
}
