package transforms

import (
	"math"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// splitArray is the array to split. The value of each new record is prefix, item, suffix.
type splitArray struct {
	items           [][]byte
	prefix          []byte // the fields before the array
	suffix          []byte // the fields after the array
	encoding        wit.Encoding
	schema          uint32
	nullIsTombstone bool // an item that is null becomes a tombstone
}

// read returns the array in the record's value, nil for a tombstone.
func (s *split) read(ctx *Context, rec *record.Record, stage int) (*splitArray, *record.Failure, error) {
	part := &rec.Parts[record.Value]
	switch part.Encoding {
	case wit.Absent:
		return nil, nil, nil
	case wit.Schemaless:
		array, failure := s.readSchemaless(ctx, part.Bytes, stage)
		return array, failure, nil
	}
	reader, err := ctx.Reader(part.Schema)
	if err != nil {
		return nil, nil, err
	}
	plan, _ := s.plans.Get(&ctx.Schemas, part.Schema, func([]wit.SchemaNode) *splitPlan {
		return s.compile(ctx, reader, stage)
	})
	isNull, start, ok := reader.Null(part.Bytes)
	switch {
	case !ok:
		return nil, record.BadValue(stage, 0), nil
	case isNull:
		return nil, nil, nil
	case plan.failure != nil:
		return nil, plan.failure, nil
	}
	array := &splitArray{encoding: wit.WithSchema, schema: plan.newSchema}
	encoded := part.Bytes[start:]
	if s.field != "" {
		obj := &ctx.Object
		obj.Open(&ctx.Scratch, reader, part.Bytes, start)
		if !obj.Load(stage) {
			return nil, obj.Pending, nil
		}
		from := ctx.Ends[plan.field]
		to := ctx.Ends[plan.field+1]
		encoded = part.Bytes[from:to]
		if !s.extract {
			array.prefix = part.Bytes[start:from]
			array.suffix = part.Bytes[to:]
		}
		isNull, size, ok := connectdata.IsNull(&reader.Nodes[plan.array], encoded)
		if !ok {
			return nil, record.BadValue(stage, plan.field), nil
		}
		if isNull {
			return array, nil, nil
		}
		encoded = encoded[size:]
	}
	if array.items, ok = arrayItems(reader.Nodes, plan.element, encoded); !ok {
		return nil, record.BadValue(stage, plan.field), nil
	}
	return array, nil, nil
}

// arrayItems returns the items of an array without union branch, at most maxItems+1. As in Avro, items come in blocks,
// each after its count. A negative count is followed by the size of the block.
func arrayItems(nodes []wit.SchemaNode, element uint32, b []byte) (items [][]byte, ok bool) {
	for {
		count, size := connectdata.Number(b)
		if size <= 0 || count == math.MinInt64 {
			return nil, false
		}
		b = b[size:]
		if count < 0 {
			blockSize, size := connectdata.Number(b)
			if size <= 0 || blockSize < 0 {
				return nil, false
			}
			count = -count
			b = b[size:]
		}
		if count == 0 {
			return items, len(b) == 0
		}
		for ; count > 0; count-- {
			if len(items) > maxItems {
				return items, true
			}
			size, err := connectdata.Skip(nodes, element, b)
			if err != nil {
				return nil, false
			}
			items = append(items, b[:size:size])
			b = b[size:]
		}
	}
}

func (s *split) readSchemaless(ctx *Context, value []byte, stage int) (*splitArray, *record.Failure) {
	array := &splitArray{encoding: wit.Schemaless, nullIsTombstone: true}
	encoded := value
	if s.field != "" {
		if failure := ctx.Object.OpenMap(&ctx.Scratch, value, stage, "splitting"); failure != nil {
			return nil, failure
		}
		field := ctx.Object.Find(s.field)
		if field == nil {
			return array, nil
		}
		encoded = field.Bytes
		if !s.extract {
			array.nullIsTombstone = false
			start := cap(value) - cap(encoded) // encoded is a part of value and ends with the same capacity
			array.prefix = value[:start]
			array.suffix = value[start+len(encoded):]
		}
	}
	if encoded[0] == connectdata.TagNull {
		return array, nil
	}
	if encoded[0] != connectdata.TagArray {
		return nil, record.DataFailure(stage, "Only arrays can be split, found: "+record.TagJavaClasses[encoded[0]])
	}
	count, size := connectdata.Number(encoded[1:])
	if size <= 0 {
		return nil, record.BadSchemaless(stage)
	}
	for b := encoded[1+size:]; count > 0 && len(array.items) <= maxItems; count-- {
		size, err := connectdata.SkipSchemaless(b)
		if err != nil {
			return nil, record.BadSchemaless(stage)
		}
		array.items = append(array.items, b[:size:size])
		b = b[size:]
	}
	return array, nil
}
