package record

import "github.com/culvert-project/culvert/wit"

// Batch is rows and the bytes that they point into. Schema ids in rows are those of Registry. A batch belongs to one
// goroutine at a time; stages hand it on.
//
// Data only grows while a batch passes through transforms: what a transform writes is appended, so that rows which it
// left unchanged keep their place.
type Batch struct {
	Registry *Registry
	// Topics: Row.Topic is an index here. In sources 0 is the feed's topic.
	Topics []string
	Rows   []wit.Row
	Data   []byte
	// Held are the schemas that rows name, by which the registry knows that they are needed. Who copies rows into
	// another batch copies these too.
	Held []*Schema
}

// Origins are the records that the rows of a batch came of, as they were read, before transforms: what a sink
// identifies them by.
type Origins struct {
	// Topics: the topic of an ID is an index here.
	Topics []string
	IDs    []wit.RecordID
}

// Hold keeps a schema that a row of this batch names registered for as long as the batch is there.
func (b *Batch) Hold(s *Schema) {
	const back = 8
	for i := len(b.Held) - 1; i >= 0 && i >= len(b.Held)-back; i-- {
		if b.Held[i] == s {
			return
		}
	}
	b.Held = append(b.Held, s)
}

// Bytes returns the bytes of a datum of this batch.
func (b *Batch) Bytes(d wit.Datum) []byte { return b.Data[d.Start : d.Start+d.Size : d.Start+d.Size] }

// Part is a batch of some rows of this one, by their positions, with no more than their bytes.
func (b *Batch) Part(rows []uint32) *Batch {
	part := &Batch{Registry: b.Registry, Topics: b.Topics, Held: b.Held, Rows: make([]wit.Row, len(rows))}
	size := 0
	for n, row := range rows {
		part.Rows[n] = b.Rows[row]
		for _, d := range part.places(n) {
			size += int(d.Size)
		}
	}
	if len(rows) == len(b.Rows) || size >= len(b.Data) {
		part.Data = b.Data
		return part
	}
	part.Data = make([]byte, 0, size)
	for n := range part.Rows {
		for _, d := range part.places(n) {
			start := len(part.Data)
			if d.Size > 0 {
				part.Data = append(part.Data, b.Bytes(*d)...)
			}
			d.Start = uint32(start)
		}
	}
	return part
}

// places are those of a row in the batch's bytes.
func (b *Batch) places(row int) [3]*wit.Datum {
	r := &b.Rows[row]
	return [3]*wit.Datum{&r.Key, &r.Value, &r.Headers}
}

// Topic returns the index of a topic, adding it when it is new.
func (b *Batch) Topic(name string) uint32 {
	for i, t := range b.Topics {
		if t == name {
			return uint32(i)
		}
	}
	b.Topics = append(b.Topics, name)
	return uint32(len(b.Topics) - 1)
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Held)
	b.Topics, b.Rows, b.Data, b.Held = b.Topics[:0], b.Rows[:0], b.Data[:0], b.Held[:0]
}
