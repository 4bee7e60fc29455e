package requests

import (
	"strconv"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// rowEncoder turns one row into a request.
type rowEncoder struct {
	state       *capabilities.State
	keyReader   rowvalue.Reader
	valueReader rowvalue.Reader
	set         *entityset.EntitySet // of the row's topic, nil without one
	hint        Hint                 // of the row
	hasHint     bool                 // the hint is not zero
	rowsLeft    int                  // after this row
	undeclared  undeclaredFields
	staleReason string // why the plugin must be opened again; empty means that it need not
	encoderMemory
	sourceRow
	entityKeys
}

// encoderMemory is shared by all rows. The parts of buffer, bodies and predicates that a row uses are never written
// again.
type encoderMemory struct {
	buffer       []request
	bodies       []byte
	lastBodySize int
	predicates   []byte
	writer       encode.Writer
	nested       []encode.NestedContent // of the writer
	keyMemory    [4]encode.KeyValue     // first memory of entityKeys.keys
	identities   identityCache
}

// sourceRow is the row, and the Kafka record from which it comes.
type sourceRow struct {
	row         *wit.Row
	data        []byte
	recordID    wit.RecordID
	recordTopic string
	key         rowvalue.Value // of the record
	value       rowvalue.Value // of the record
	hasKey      bool           // the record's key is not null
	hasValue    bool           // the record's value is not null
}

// entityKeys is the key of the entity that the row concerns. Encode resets it for each row.
type entityKeys struct {
	keys   []encode.KeyValue
	keyErr error // why the key is unknown
	// needsRecordKey is true if the value lacks key properties that the record's key contains. A plain insert leaves
	// them out, the insert of an upsert writes them.
	needsRecordKey bool
}

// findKeys reads the entity's key as configured. The error is a contradiction between value and key.
func (e *rowEncoder) findKeys() error {
	switch {
	case e.state.KeyFromRecord && !e.hasKey:
		e.keyErr = odataerror.DataError("the record has no key, and " + sinkconfig.NameKeyFrom + " is record")
		return nil
	case e.state.KeyFromRecord:
		e.readKeys(&e.key, encode.RecordKey)
		return nil
	}
	e.readKeys(&e.value, encode.RecordValue)
	if e.keyErr == nil || !e.hasKey {
		return nil
	}
	return e.completeKeys()
}

func (e *rowEncoder) readKeys(rowValue *rowvalue.Value, source encode.KeySource) {
	e.keys, e.keyErr = e.set.Type.AppendKeyValues(e.keyMemory[:0], &e.state.Config, rowValue, source)
}

// completeKeys reads the key properties that the value lacks from the record's key, and clears keyErr. keyErr stays if
// a property is in neither, and is replaced if the record's key cannot be read.
func (e *rowEncoder) completeKeys() error {
	var keys []encode.KeyValue
	for _, name := range e.set.Type.Key {
		property := e.set.Type.Property(name)
		if property == nil { // $metadata does not declare it: e.keyErr stays
			return nil
		}
		var fromValue, fromKey encode.KeyValue
		isInValue, err := e.set.Type.ReadKeyValue(&fromValue, &e.state.Config, property, &e.value, encode.RecordValue)
		if err != nil {
			return nil // e.keyErr contains the reason
		}
		isInKey, err := e.set.Type.ReadKeyValue(&fromKey, &e.state.Config, property, &e.key, encode.RecordKey)
		switch {
		case isInValue && isInKey && err == nil && !fromValue.Equal(fromKey):
			return odataerror.DataError("key property " + name +
				": expected the same in the record's value and its key, found " + strconv.Quote(fromValue.Value.Text) +
				" and " + strconv.Quote(fromKey.Value.Text) + " (" + sinkconfig.NameKeyFrom +
				" = record uses the key only)")
		case isInValue: // even if the record's key cannot be read
			keys = append(keys, fromValue)
		case isInKey && err == nil:
			keys = append(keys, fromKey)
		case err != nil:
			e.keyErr = err
			return nil
		default: // neither contains it: e.keyErr stays
			return nil
		}
	}
	e.entityKeys = entityKeys{keys: keys, needsRecordKey: true}
	return nil
}

// isKeyReplaced reports whether the service replaces the key of the record in an insert.
func (e *rowEncoder) isKeyReplaced() bool {
	setCapabilities := e.state.OfSet(e.set, e.hint.Known)
	return setCapabilities.ReplacesKeys || (setCapabilities.ReplacesInitialKeys && encode.HasInitial(e.keys))
}

// newRequest returns a request to the set or, if the key is known, to the entity.
func (e *rowEncoder) newRequest(operation Operation) *request {
	if len(e.buffer) == cap(e.buffer) {
		e.buffer = make([]request, 0, min(e.rowsLeft+1, maxBuffer))
	}
	e.buffer = e.buffer[:len(e.buffer)+1]
	req := &e.buffer[len(e.buffer)-1]
	req.Operation = operation
	req.Set = e.set
	if e.hasHint {
		req.Hint = e.hint
	}
	if e.keyErr == nil {
		req.Predicate = e.predicate()
	}
	// Requests with equal keys are sent in order. An unknown entity has the key of its record, or the record's offset.
	var key string
	switch {
	case e.keyErr == nil && len(e.keys) > 0:
		key = encode.CanonicalPredicate(e.set.Model.Dialect, e.keys, req.Predicate)
	case e.hasKey:
		key = string(e.data[e.row.Key.Start : e.row.Key.Start+e.row.Key.Size])
	default:
		key = strconv.Itoa(int(e.row.Partition)) + "@" + strconv.FormatInt(e.row.Offset, 10)
	}
	req.entityHash = e.set.EntityHash(key)
	return req
}

const (
	maxBuffer          = 1000    // requests that are allocated at once
	predicateBlockSize = 1 << 10 // bytes of memory for predicates that are allocated at once
)

// predicate returns the predicate of the keys. Its memory is never written again.
func (e *rowEncoder) predicate() string {
	start := len(e.predicates)
	e.predicates = encode.AppendPredicate(e.predicates, e.set.Model.Dialect, e.keys)
	predicate := e.predicates[start:]
	if cap(e.predicates)-len(e.predicates) < len(predicate) {
		// A new block, before append would copy the old predicates.
		e.predicates = make([]byte, 0, predicateBlockSize)
	}
	return unsafe.String(unsafe.SliceData(predicate), len(predicate))
}

// newEntityRequest returns a request to the entity, or an error if the row does not identify one.
func (e *rowEncoder) newEntityRequest(operation Operation) (*request, error) {
	if e.keyErr != nil {
		return nil, e.keyErr
	}
	if err := e.state.AddressError(e.set, e.hint.Known); err != nil {
		return nil, err
	}
	return e.newRequest(operation), nil
}

func (e *rowEncoder) newRead(operation Operation) (*request, error) {
	req, err := e.newEntityRequest(operation)
	if err != nil {
		return nil, err
	}
	e.setReadHeaders(req)
	return req, nil
}

// newETagRead returns a read of the entity's ETag, with $select unless the service needs it whole.
func (e *rowEncoder) newETagRead(operation Operation) (*request, error) {
	req, err := e.newRead(operation)
	if err == nil && !e.hint.WholeEntity && !e.state.SetCapabilities[e.set.CapabilityIndex].NoETagSelect {
		req.Selects = true
		req.query = e.set.ETagSelect
	}
	return req, err
}

// setReadHeaders sets the headers of a read, and that it may be repeated.
func (e *rowEncoder) setReadHeaders(req *request) {
	req.headers = []wit.Header{{Name: "Accept", Value: e.state.MediaType()}}
	req.repeatable = true
}

// undeclaredFields collects the fields of a call's rows for which the metadata have no property.
type undeclaredFields struct {
	state      *capabilities.State // of the call
	isStale    bool                // the metadata must be read again
	undeclared map[typedField]bool // fields that the metadata certainly do not declare
}

type typedField struct {
	typ  *encode.Type
	name string
}

// needsMetadata is [encode.Writer.NeedsMetadata].
func (u *undeclaredFields) needsMetadata(typ *encode.Type, name string) bool {
	field := typedField{typ, name}
	if u.undeclared[field] {
		return false
	}
	if u.state.AddUndeclared(typ.QualifiedName(), name) {
		u.isStale = true
		return true
	}
	if u.undeclared == nil {
		u.undeclared = map[typedField]bool{}
	}
	u.undeclared[field] = true
	return false
}
