package feedreader

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// DeletedRows appends the rows of a deleted entity with these encoded keys. change is [ChangeDeleted] or [ChangeLeft].
func (r *Reader) DeletedRows(data []byte, rows []wit.Row, rowIndex uint32, keyParts [][]byte, change Change,
	deletedAt int64) ([]byte, []wit.Row) {
	feed := r.Feed
	row := wit.Row{RowIndex: rowIndex, Partition: -1, Offset: -1, Timestamp: -1}
	start := len(data)
	for _, part := range keyParts {
		data = append(data, part...)
	}
	data = append(data, feed.RowSchema.KeyTail...)
	row.Key = wit.ValueSlice{Encoding: wit.WithSchema, Schema: feed.RowSchema.KeySchema, Start: uint32(start),
		Size: uint32(len(data) - start)}
	data = feed.AddHeaders(&row, data, change)
	if feed.Tracking.Deletes != sourceconfig.DeletesTombstone {
		start = len(data)
		data = feed.appendDeleted(data, keyParts, deletedAt)
		record := row
		record.Value = wit.ValueSlice{Encoding: wit.WithSchema, Schema: feed.RowSchema.ValueSchema,
			Start: uint32(start), Size: uint32(len(data) - start)}
		rows = append(rows, record)
	}
	if feed.Tracking.Deletes != sourceconfig.DeletesRecord {
		rows = append(rows, row)
	}
	return data, rows
}

const branchValue = 2 // the union branch of an optional value, as a zigzag varint; 0 is null

// appendDeleted appends the value of a deleted entity: its key and, in other columns, null or an empty array.
func (f *Feed) appendDeleted(dst []byte, keyParts [][]byte, deletedAt int64) []byte {
	for i := range f.RowSchema.ValueColumns {
		k := slices.Index(f.RowSchema.Keys, i)
		switch {
		case k >= 0 && f.RowSchema.Columns[i].Optional:
			dst = append(append(dst, branchValue), keyParts[k]...)
		case k >= 0:
			dst = append(dst, keyParts[k]...)
		case i == f.ModeColumn:
			dst = connectdata.AppendString(append(dst, branchValue), "D")
		case i == f.DeletedAtColumn:
			dst = connectdata.AppendNumber(append(dst, branchValue), deletedAt)
		default:
			dst = append(dst, 0)
		}
	}
	return dst
}
