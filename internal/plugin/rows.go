package plugin

import (
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// rowCheck checks a guest's rows and translates them: data offsets to the batch's, schemas to the host's IDs.
type rowCheck struct {
	i          *Instance
	b          *record.Batch
	base, size uint32
	// limit bounds the bytes that all rows refer to, spent counts them. Rows can share bytes, so that a few megabytes
	// cause any amount of work.
	limit, spent uint64
	last         *wit.Row
	guest, host  [3]uint32
}

func (c *rowCheck) row(n int, r, in *wit.Row) error {
	if n%watchEvery == watchEvery-1 {
		if err := c.i.clock.callerErr(); err != nil {
			return err
		}
	}
	if int(r.Topic) >= len(c.i.scratch.topics) {
		return abi.Violated("row %d: expected a topic below %d, found %d", n, len(c.i.scratch.topics), r.Topic)
	}
	r.Topic = c.i.scratch.topics[r.Topic]
	if r.Partition < -1 {
		return abi.Violated("row %d: expected a partition of -1 or above, found %d", n, r.Partition)
	}
	if in == nil {
		in = &noRow
	}
	if r.Timestamp < -1 && r.Timestamp != in.Timestamp { // a record may have come with one
		return abi.Violated("row %d: expected a timestamp of -1 or above, found %d", n, r.Timestamp)
	}
	if err := c.spend(r, in); err != nil {
		return err
	}
	if err := c.datum(0, &r.Key, &in.Key); err != nil {
		return rowViolation(n, "key", err)
	}
	if err := c.datum(1, &r.Value, &in.Value); err != nil {
		return rowViolation(n, "value", err)
	}
	if err := c.datum(2, &r.Headers, &in.Headers); err != nil {
		return rowViolation(n, "headers", err)
	}
	return nil
}

func rowViolation(n int, column string, err error) error {
	if canceledBy(err) != nil {
		return err
	}
	return abi.Violated("row %d, %s: %v", n, column, err)
}

// spend adds up referenced bytes. The first output row of an input row may refer to its bytes for free.
func (c *rowCheck) spend(r, in *wit.Row) error {
	repeated := in == c.last
	c.last = in
	for _, d := range [...]struct{ out, in *wit.ValueSlice }{{&r.Key, &in.Key}, {&r.Value, &in.Value},
		{&r.Headers, &in.Headers}} {
		switch {
		case d.out.Encoding == wit.Absent:
		case d.out.Encoding != wit.Unchanged:
			c.spent += uint64(d.out.Size)
		case repeated:
			c.spent += uint64(d.in.Size)
		}
	}
	if c.spent > c.limit {
		return abi.TooMuch("rows that name %d bytes in all: at most %d are allowed", c.spent, c.limit)
	}
	return nil
}

var noRow = wit.Row{Key: wit.ValueSlice{Encoding: wit.Unchanged}, Value: wit.ValueSlice{Encoding: wit.Unchanged},
	Headers: wit.ValueSlice{Encoding: wit.Unchanged}}

func (c *rowCheck) datum(column int, d, in *wit.ValueSlice) (err error) {
	const headers = 2
	switch d.Encoding {
	case wit.Absent:
		*d = wit.ValueSlice{}
		return nil
	case wit.Unchanged:
		return c.unchanged(column, d, in)
	case wit.WithSchema, wit.Schemaless, wit.Raw:
		if (d.Encoding == wit.Raw) != (column == headers) {
			return abi.Violated("form %d does not belong here", d.Encoding)
		}
	default:
		return abi.Violated("expected a form from 0 to %d, found %d", d.Encoding.Cases()-1, d.Encoding)
	}
	if uint64(d.Start)+uint64(d.Size) > uint64(c.size) {
		return abi.Violated("%d bytes at %d lie past the end of data (%d bytes)", d.Size, d.Start, c.size)
	}
	d.Start += c.base
	if d.Encoding == wit.WithSchema {
		d.Schema, err = c.schema(column, d.Schema)
		return err
	}
	d.Schema = 0
	data, changed, err := c.i.schemas.TranslateInside(c.b.Data, d.Encoding, c.b.Bytes(*d))
	if err == nil && changed {
		d.Start, d.Size = uint32(len(c.b.Data)), uint32(len(data)-len(c.b.Data))
		c.b.Data = data
	}
	return err
}

func (c *rowCheck) unchanged(column int, d, in *wit.ValueSlice) (err error) {
	switch in.Encoding {
	case wit.Unchanged:
		return abi.Violated("unchanged: there is no input row")
	case wit.WithSchema:
		schema, err := c.schema(column, d.Schema)
		if err != nil {
			return err
		}
		*d = *in
		d.Schema = schema
		return nil
	}
	*d = *in
	return nil
}

func (c *rowCheck) schema(column int, id uint32) (uint32, error) {
	if id == c.guest[column] && id != 0 {
		return c.host[column], nil
	}
	h, err := c.i.schemas.Host(id)
	if err != nil {
		return 0, err
	}
	c.guest[column], c.host[column] = id, h
	return h, nil
}
