package decode

import (
	"github.com/culvert-project/culvert/wit"
)

// appendRow adds the row whose columns were appended to the output from start on. columns are the positions of all
// columns in the output's data. It fails if a key column is null.
func appendRow(out *Output, schema *RowSchema, rowIndex uint32, start int, columns []textRange) *conversionError {
	end := len(out.Data)
	if schema.ValueColumns < len(columns) {
		end = columns[schema.ValueColumns].start
	}
	row := wit.Row{RowIndex: rowIndex, Partition: -1, Offset: -1, Timestamp: -1,
		Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ValueSchema, Start: uint32(start),
			Size: uint32(end - start)}}
	if len(schema.Keys) > 0 {
		var problem *conversionError
		if row.Key, problem = appendKey(out, schema, columns); problem != nil {
			return problem
		}
	}
	for _, i := range schema.Tracked {
		c := columns[i]
		out.Tracked = append(out.Tracked, Span{uint32(c.start), uint32(c.end - c.start)})
	}
	out.Rows = append(out.Rows, row)
	return nil
}

// appendKey returns the key: in place if its columns are contiguous, else as a copy.
func appendKey(out *Output, schema *RowSchema, columns []textRange) (wit.ValueSlice, *conversionError) {
	first := columns[schema.Keys[0]].start
	end := first
	isInPlace := len(schema.KeyTail) == 0
	for _, i := range schema.Keys {
		column := columns[i]
		if schema.Columns[i].Optional {
			if out.Data[column.start] == 0 {
				return wit.ValueSlice{}, &conversionError{path: schema.Columns[i].Name,
					expected: "a key that is not null", found: "null"}
			}
			isInPlace = false
		}
		isInPlace = isInPlace && column.start == end
		end = column.end
	}
	if !isInPlace {
		first = len(out.Data)
		for _, i := range schema.Keys {
			c := columns[i]
			if schema.Columns[i].Optional {
				c.start++ // without the union branch: fields of a key are required
			}
			out.Data = append(out.Data, out.Data[c.start:c.end]...)
		}
		out.Data = append(out.Data, schema.KeyTail...)
		end = len(out.Data)
	}
	return wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.KeySchema, Start: uint32(first),
		Size: uint32(end - first)}, nil
}
