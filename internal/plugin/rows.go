package plugin

import (
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// rowCheck checks a guest's rows and translates them: data offsets to the batch's, schemas to the host's IDs.
type rowCheck struct {
	instance *Instance
	batch    *record.Batch
	base     uint32 // the offset of the guest's data in the batch's
	size     uint32 // the size of the guest's data
	// limit bounds the bytes that all rows refer to, counted in counted. Rows can share bytes, so that a few megabytes
	// could cause any amount of work.
	limit     uint64
	counted   uint64
	lastInput *wit.Row // the input of the previous row
	// guest and host are the last schema IDs of keys, values and headers, which are often the same in all rows.
	guest [3]uint32
	host  [3]uint32
}

// translateRow checks and translates a row. input is the row that it was made from, nil if there is no such row.
func (c *rowCheck) translateRow(index int, row, input *wit.Row) error {
	if index%checkEvery == checkEvery-1 {
		if err := c.instance.clock.callerErr(); err != nil {
			return err
		}
	}
	if int(row.Topic) >= len(c.instance.buffers.topics) {
		return abi.NewViolation("row %d: expected a topic below %d, found %d", index, len(c.instance.buffers.topics),
			row.Topic)
	}
	row.Topic = c.instance.buffers.topics[row.Topic]
	if row.Partition < -1 {
		return abi.NewViolation("row %d: expected a partition of -1 or above, found %d", index, row.Partition)
	}
	if input == nil {
		input = &noRow
	}
	if row.Timestamp < -1 && row.Timestamp != input.Timestamp { // unless the record already had it
		return abi.NewViolation("row %d: expected a timestamp of -1 or above, found %d", index, row.Timestamp)
	}
	// The first output row of an input row shares bytes with it, which are not counted.
	isRepeated := input == c.lastInput
	c.lastInput = input
	inputs := [...]*wit.ValueSlice{&input.Key, &input.Value, &input.Headers}
	for n, out := range [...]*wit.ValueSlice{&row.Key, &row.Value, &row.Headers} {
		switch {
		case out.Encoding == wit.Absent: // has no bytes
		case out.Encoding != wit.Unchanged:
			c.counted += uint64(out.Size)
		case isRepeated:
			c.counted += uint64(inputs[n].Size)
		}
	}
	if c.counted > c.limit {
		return abi.NewTooLarge("rows refer to %d bytes in total: at most %d are allowed", c.counted, c.limit)
	}

	if err := c.translateValue(0, &row.Key, &input.Key); err != nil {
		return rowViolation(index, "key", err)
	}
	if err := c.translateValue(1, &row.Value, &input.Value); err != nil {
		return rowViolation(index, "value", err)
	}
	if err := c.translateValue(2, &row.Headers, &input.Headers); err != nil {
		return rowViolation(index, "headers", err)
	}
	return nil
}

func rowViolation(index int, column string, err error) error {
	if canceledBy(err) != nil {
		return err
	}
	return abi.NewViolation("row %d, %s: %v", index, column, err)
}

// noRow is the input of a row that has no input row: its values cannot be kept unchanged.
var noRow = wit.Row{Key: wit.ValueSlice{Encoding: wit.Unchanged}, Value: wit.ValueSlice{Encoding: wit.Unchanged},
	Headers: wit.ValueSlice{Encoding: wit.Unchanged}}

// translateValue translates a value of a row: the key (0), value (1) or headers (2).
func (c *rowCheck) translateValue(column int, value, input *wit.ValueSlice) (err error) {
	const headers = 2
	switch value.Encoding {
	case wit.Absent:
		*value = wit.ValueSlice{}
		return nil
	case wit.Unchanged: // with the schema that the plugin has specified
		schema := input.Schema
		switch input.Encoding {
		case wit.Unchanged:
			return abi.NewViolation("unchanged: there is no input row")
		case wit.WithSchema:
			if schema, err = c.hostSchema(column, value.Schema); err != nil {
				return err
			}
		}
		*value = *input
		value.Schema = schema
		return nil
	case wit.WithSchema, wit.Schemaless, wit.Raw:
		if (value.Encoding == wit.Raw) != (column == headers) {
			return abi.NewViolation("encoding %d is not allowed here", value.Encoding)
		}
	default:
		return abi.NewViolation("expected an encoding from 0 to %d, found %d", value.Encoding.Cases()-1, value.Encoding)
	}
	if uint64(value.Start)+uint64(value.Size) > uint64(c.size) {
		return abi.NewViolation("%d bytes at %d exceed the data (%d bytes)", value.Size, value.Start, c.size)
	}
	value.Start += c.base
	if value.Encoding == wit.WithSchema {
		value.Schema, err = c.hostSchema(column, value.Schema)
		return err
	}
	value.Schema = 0
	data, isChanged, err := c.instance.schemas.TranslateReferences(c.batch.Data, value.Encoding, c.batch.Bytes(*value))
	if err == nil && isChanged {
		value.Start = uint32(len(c.batch.Data))
		value.Size = uint32(len(data) - len(c.batch.Data))
		c.batch.Data = data
	}
	return err
}

func (c *rowCheck) hostSchema(column int, id uint32) (uint32, error) {
	if id == c.guest[column] && id != 0 { // 0 means that no ID is kept yet
		return c.host[column], nil
	}
	host, err := c.instance.schemas.Host(id)
	if err != nil {
		return 0, err
	}
	c.guest[column] = id
	c.host[column] = host
	return host, nil
}
