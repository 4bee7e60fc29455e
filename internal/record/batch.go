package record

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Batch is a list of rows with the bytes that they point into. Registry has the schemas by ID. A batch belongs to one
// goroutine at a time.
//
// Data only grows while a batch passes through transforms: they append what they write, so that unchanged rows keep
// their position.
type Batch struct {
	Registry *Registry
	// Topics is indexed by Row.Topic. In sources 0 is the feed's topic.
	Topics []string
	Rows   []wit.Row
	Data   []byte
	// Retained are the schemas of the rows. The registry keeps them, and copies of rows must retain them too.
	Retained []*Schema
}

// RecordIDs identify the records that a sink has read, before transforms, by the rows of a batch.
type RecordIDs struct {
	Topics []string // indexed by the IDs' topic
	IDs    []wit.RecordID
}

// Retain keeps a row's schema registered as long as the batch exists.
func (b *Batch) Retain(schema *Schema) {
	const comparedSchemas = 8 // the last ones; a schema that is listed twice does no harm
	for i := len(b.Retained) - 1; i >= 0 && i >= len(b.Retained)-comparedSchemas; i-- {
		if b.Retained[i] == schema {
			return
		}
	}
	b.Retained = append(b.Retained, schema)
}

// Bytes returns the bytes of a value.
func (b *Batch) Bytes(d wit.ValueSlice) []byte {
	return b.Data[d.Start : d.Start+d.Size : d.Start+d.Size]
}

// Subset returns a batch of some rows, by their positions. It shares topics and schemas, and may share the data.
func (b *Batch) Subset(rows []uint32) *Batch {
	subset := &Batch{Registry: b.Registry, Topics: b.Topics, Retained: b.Retained, Rows: make([]wit.Row, len(rows))}
	for n, row := range rows {
		subset.Rows[n] = b.Rows[row]
	}
	subset.Data = b.Data
	if len(rows) == len(b.Rows) {
		return subset
	}
	size := 0
	for n := range subset.Rows {
		size += subset.RowBytes(n)
	}
	if size < len(b.Data) {
		subset.copyFrom(b, size)
	}
	return subset
}

// RowBytes returns the size of a row.
func (b *Batch) RowBytes(row int) (size int) {
	for _, d := range b.valueSlices(row) {
		size += int(d.Size)
	}
	return size
}

// CopyRow returns a batch of one row that shares no memory with b.
func (b *Batch) CopyRow(row int) *Batch {
	batch := &Batch{
		Registry: b.Registry,
		Topics:   slices.Clone(b.Topics),
		Retained: slices.Clone(b.Retained),
		Rows:     []wit.Row{b.Rows[row]},
	}
	batch.copyFrom(b, b.RowBytes(row))
	return batch
}

// copyFrom copies the bytes of the rows, size in total, from another batch and sets the positions of the rows' values.
func (b *Batch) copyFrom(other *Batch, size int) {
	b.Data = make([]byte, 0, size)
	for n := range b.Rows {
		for _, d := range b.valueSlices(n) {
			start := len(b.Data)
			if d.Size > 0 {
				b.Data = append(b.Data, other.Bytes(*d)...)
			}
			d.Start = uint32(start)
		}
	}
}

// valueSlices returns the key, value and headers of a row, to read or change.
func (b *Batch) valueSlices(row int) [3]*wit.ValueSlice {
	r := &b.Rows[row]
	return [3]*wit.ValueSlice{&r.Key, &r.Value, &r.Headers}
}

// TopicIndex returns the index of a topic and adds it if it is new.
func (b *Batch) TopicIndex(name string) uint32 {
	for i, t := range b.Topics {
		if t == name {
			return uint32(i)
		}
	}
	b.Topics = append(b.Topics, name)
	return uint32(len(b.Topics) - 1)
}

// Reset empties the batch for reuse.
func (b *Batch) Reset() {
	clear(b.Retained)
	b.Topics = b.Topics[:0]
	b.Rows = b.Rows[:0]
	b.Data = b.Data[:0]
	b.Retained = b.Retained[:0]
}
