package requests

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

type rowEncoder struct {
	schemas      rowvalue.Schemas
	lastBodySize int
	// buffer is shared by the rows. Previous rows use it up to its length.
	buffer      []request
	state       *capabilities.State
	set         *entityset.EntitySet
	row         *wit.Row
	data        []byte
	hint        Hint
	recordID    wit.RecordID
	recordTopic string

	key, value       rowvalue.Value
	hasKey, hasValue bool
	keys             []encode.KeyValue
	keyErr           error
	// needsRecordKey is true if the value lacks key properties that the record's key contains. A plain insert leaves
	// them out, the insert of an upsert writes them.
	needsRecordKey bool
}

func (e *rowEncoder) setSourceRecord(row int, origins []wit.RecordID, topics []string) {
	if row < len(origins) && int(origins[row].Topic) < len(topics) {
		e.recordID, e.recordTopic = origins[row], topics[origins[row].Topic]
	}
}

func (e *rowEncoder) readValues() (err error) {
	if e.key, e.hasKey, err = e.schemas.Read(e.row.Key, e.data); err != nil {
		return err
	}
	e.value, e.hasValue, err = e.schemas.Read(e.row.Value, e.data)
	return err
}

// findKeys reads the entity's key as configured. The error is a contradiction between value and key.
func (e *rowEncoder) findKeys() error {
	switch {
	case e.state.KeyFromRecord && !e.hasKey:
		e.keyErr = odataerror.DataError("the record has no key, and " + sinkconfig.NameKeyFrom + " is record")
		return nil
	case e.state.KeyFromRecord:
		e.keys, e.keyErr = e.set.Type.KeyValues(&e.state.Config, &e.key, true)
		return nil
	}
	if e.keys, e.keyErr = e.set.Type.KeyValues(&e.state.Config, &e.value, false); e.keyErr == nil || !e.hasKey {
		return nil
	}
	var keys []encode.KeyValue
	for _, name := range e.set.Type.Key {
		property := e.set.Type.Property(name)
		if property == nil {
			return nil
		}
		fromValue, inValue, err := e.set.Type.KeyValue(&e.state.Config, property, &e.value, false)
		if err != nil {
			return nil // e.keyErr contains the reason
		}
		fromKey, inKey, err := e.set.Type.KeyValue(&e.state.Config, property, &e.key, true)
		switch {
		case inValue && inKey && err == nil && !fromValue.Equal(fromKey):
			return odataerror.DataError("key property " + name +
				": expected the same in the record's value and its key, found " +
				strconv.Quote(fromValue.Value.Text) + " and " +
				strconv.Quote(fromKey.Value.Text) + " (" + sinkconfig.NameKeyFrom + " = record uses the key only)")
		case inValue:
			keys = append(keys, fromValue)
		case inKey && err == nil:
			keys = append(keys, fromKey)
		case err != nil:
			e.keyErr = err
			return nil
		default:
			return nil
		}
	}
	e.keys, e.keyErr, e.needsRecordKey = keys, nil, true
	return nil
}

// isNumbered reports whether the service replaces the key of the record in an insert.
func (e *rowEncoder) isNumbered() bool {
	shown := e.state.OfSet(e.set, e.hint.Known)
	return shown.Numbers || shown.FillsInitial && encode.HasInitial(e.keys)
}

func (e *rowEncoder) newRequest(op Operation, method string) *request {
	if len(e.buffer) == cap(e.buffer) {
		e.buffer = make([]request, 0, 64)
	}
	e.buffer = e.buffer[:len(e.buffer)+1]
	q := &e.buffer[len(e.buffer)-1]
	q.Operation, q.Set, q.Hint, q.method = op, e.set, e.hint, method
	if e.keyErr == nil {
		q.Predicate = encode.Predicate(e.keys)
	}
	q.entityHash = e.set.EntityHash(e.entityKey(q.Predicate))
	return q
}

func (e *rowEncoder) entityKey(predicate string) string {
	if e.keyErr != nil || len(e.keys) == 0 {
		// The entity is unknown: use the record's key, or its offset.
		if e.hasKey {
			return string(e.data[e.row.Key.Start : e.row.Key.Start+e.row.Key.Size])
		}
		return strconv.Itoa(int(e.row.Partition)) + "@" + strconv.FormatInt(e.row.Offset, 10)
	}
	return encode.CanonicalPredicate(e.keys, predicate)
}

func (e *rowEncoder) newEntityRequest(op Operation, method string) (*request, error) {
	if e.keyErr != nil {
		return nil, e.keyErr
	}
	if err := e.state.AddressError(e.set, e.hint.Known); err != nil {
		return nil, err
	}
	return e.newRequest(op, method), nil
}

func (e *rowEncoder) newRead(op Operation) (*request, error) {
	q, err := e.newEntityRequest(op, "GET")
	if err != nil {
		return nil, err
	}
	e.makeRead(q)
	return q, nil
}

func (e *rowEncoder) makeRead(q *request) {
	q.repeatable, q.headers = true, []wit.Header{{Name: "Accept", Value: e.state.MediaType()}}
}
