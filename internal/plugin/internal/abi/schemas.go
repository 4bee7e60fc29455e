package abi

import (
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Translator translates the schema IDs of one instance. A guest uses the host's IDs and its own; the host outside of
// package plugin uses its own only. It is for one goroutine.
type Translator struct {
	registry      *record.Registry
	received      map[uint32]*record.Schema   // the host's schemas that the instance has, pending ones included
	pending       []uint32                    // schemas that are sent with the current call
	declared      map[uint32]*record.Schema   // by the guest's ID
	distinct      map[*record.Schema]struct{} // the declared schemas, each once
	receivedBytes int
	declaredBytes int
	batch         *record.Batch     // see SetBatch
	references    []schemaReference // reused
	callerErr     func() error
}

const (
	maxDeclaredSchemas = 10_000
	// maxInstanceSchemaBytes bounds the schemas that an instance declares. An instance that has received as many, or
	// more than maxDeclaredSchemas, is replaced.
	maxInstanceSchemaBytes = 32 << 20
)

// NewTranslator returns the translator of a new instance. callerErr returns an error to stop reading; it may be nil.
func NewTranslator(registry *record.Registry, callerErr func() error) Translator {
	return Translator{registry: registry, callerErr: callerErr, received: map[uint32]*record.Schema{},
		declared: map[uint32]*record.Schema{}, distinct: map[*record.Schema]struct{}{}}
}

// SetBatch sets the batch that references the schemas of its rows, nil for none.
func (t *Translator) SetBatch(b *record.Batch) { t.batch = b }

// NeedsRecycling reports whether the instance has so many schemas that it should be replaced before it reaches a limit.
func (t *Translator) NeedsRecycling() bool {
	// Beyond its limits a guest's declaration is an error, so an instance is replaced at half of them.
	return t.receivedBytes > maxInstanceSchemaBytes || len(t.received) > maxDeclaredSchemas ||
		t.declaredBytes > maxInstanceSchemaBytes/2 || len(t.declared) > maxDeclaredSchemas/2
}

// Need adds a schema to the pending ones unless the instance has it.
func (t *Translator) Need(id uint32) error {
	if t.received[id] != nil {
		return nil
	}
	registered := t.registry.Get(id)
	if registered == nil {
		return NewRefusal("a row refers to schema %d, which is not registered", id)
	}

	t.received[id] = registered
	t.receivedBytes += registered.Size
	t.pending = append(t.pending, id)
	return nil
}

// Sent ends a call: it clears the pending schemas. Unless the call succeeded (ok), they will be sent again.
func (t *Translator) Sent(ok bool) {
	if !ok {
		for _, id := range t.pending {
			t.receivedBytes -= t.received[id].Size
			delete(t.received, id)
		}
	}
	t.pending = t.pending[:0]
}

// Pending returns the schemas to send.
func (t *Translator) Pending() []wit.Schema {
	list := make([]wit.Schema, len(t.pending))
	for i, id := range t.pending {
		list[i] = t.received[id].Wit()
	}
	return list
}

// Declare registers schemas of the guest.
func (t *Translator) Declare(list []wit.Schema) error {
	for i := range list {
		if t.callerErr != nil {
			if err := t.callerErr(); err != nil {
				return err
			}
		}
		if _, err := t.declareOne(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *Translator) declareOne(schema *wit.Schema) (uint32, error) {
	if schema.ID < wit.GuestSchemas {
		return 0, NewViolation("declares schema %d: expected an ID of at least %d, since lower ones are the "+
			"host's", schema.ID, uint32(wit.GuestSchemas))
	}
	earlier := t.declared[schema.ID]
	if earlier == nil && len(t.declared) >= maxDeclaredSchemas {
		return 0, NewViolation("declares more than %d schemas", maxDeclaredSchemas)
	}
	registered, err := t.registry.Intern(schema.Nodes)
	switch {
	case err != nil:
		return 0, NewViolation("declares schema %#x: %v", schema.ID, err)
	case earlier != nil && earlier != registered:
		return 0, NewViolation("declares schema %#x twice with different nodes", schema.ID)
	case earlier != nil:
		return earlier.ID, nil
	}
	if _, ok := t.distinct[registered]; !ok {
		if t.declaredBytes+registered.Size > maxInstanceSchemaBytes {
			return 0, NewViolation("declares schemas of more than %d bytes", maxInstanceSchemaBytes)
		}
		t.distinct[registered] = struct{}{}
		t.declaredBytes += registered.Size
	}
	t.declared[schema.ID] = registered
	return registered.ID, nil
}

// Register registers a schema outside of rows, or finds one of the host, and sets its ID.
func (t *Translator) Register(schema *wit.Schema) (err error) {
	if schema.ID < wit.GuestSchemas {
		schema.ID, err = t.Host(schema.ID)
		return err
	}
	schema.ID, err = t.declareOne(schema)
	return err
}

// Host returns the host's ID of a schema and adds the schema to the batch.
func (t *Translator) Host(id uint32) (uint32, error) {
	schema := t.declared[id]
	if id < wit.GuestSchemas {
		if schema = t.received[id]; schema == nil {
			return 0, NewViolation("refers to schema %d, which it did not receive", id)
		}
	}
	if schema == nil {
		return 0, NewViolation("refers to schema %#x, which it has not declared", id)
	}
	if t.batch != nil {
		t.batch.Retain(schema)
	}
	return schema.ID, nil
}
