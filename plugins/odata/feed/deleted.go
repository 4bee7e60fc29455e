package feed

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// watchModes finds the columns that say what happened to a row. Those of ODP are watched, with the keys, which are all
// that stays of a deleted row.
func (f *Feed) watchModes() {
	f.Mode, f.Deleted, f.Counter, f.Watch = -1, -1, -1, -1
	if !f.Options.Delta {
		return
	}
	s := f.Structure()
	mode, counter := edm.RecordMode, ""
	if p := s.ChangeMode(); p != nil {
		mode = p.Name
	}
	if p := s.EntityCounter(); p != nil {
		counter = p.Name
	}
	for i := range f.Layout.Columns {
		switch c := &f.Layout.Columns[i]; {
		case c.Name == mode && (c.Shape == decode.Blank || c.Type == edm.String):
			f.Mode = i
		case c.Name == edm.DeletedAt && (c.Shape == decode.Blank || c.As == decode.AsUsual && (c.Type == edm.DateTime ||
			c.Type == edm.DateTimeOffset)):
			f.Deleted = i
		case c.Name == counter && counter != "":
			f.Counter = i
		}
	}
	if f.Tracking.On && f.Mode >= 0 && f.Layout.Columns[f.Mode].Shape != decode.Blank && f.controlled() {
		f.Watch = len(f.Layout.Watch)
		f.Layout.Watch = append(append(slices.Clone(f.Layout.Watch), f.Mode), f.Layout.Keys...)
		if f.Counter >= 0 {
			f.Layout.Watch = append(f.Layout.Watch, f.Counter)
		}
		if f.Rows != nil {
			f.Rows.Watched = len(f.Layout.Watch)
		}
	}
}

// controlled reports whether the service says of each row what happened to it.
func (f *Feed) controlled() bool {
	p := f.Structure().ChangeMode()
	return p != nil && p.Control()
}

// DeletedRows appends the rows of a deleted entity, whose keys are given as encoded values, to rows and their data.
func (r *Reader) DeletedRows(data []byte, rows []wit.Row, origin uint32, raws [][]byte, when int64) ([]byte,
	[]wit.Row) {
	f := r.Feed
	row := wit.Row{Origin: origin, Partition: -1, Offset: -1, Timestamp: -1}
	start := len(data)
	for _, raw := range raws {
		data = append(data, raw...)
	}
	data = append(data, f.Layout.KeyTail...)
	row.Key = wit.Datum{Form: wit.Structured, Schema: f.Layout.KeySchema, Start: uint32(start),
		Size: uint32(len(data) - start)}
	data = f.Tell(&row, data, ChangeDeleted)
	if f.Tracking.Deletes != entry.DeletesTombstone {
		start = len(data)
		data = f.appendDeleted(data, raws, when)
		record := row
		record.Value = wit.Datum{Form: wit.Structured, Schema: f.Layout.ValueSchema, Start: uint32(start),
			Size: uint32(len(data) - start)}
		rows = append(rows, record)
	}
	if f.Tracking.Deletes != entry.DeletesRecord {
		rows = append(rows, row)
	}
	return data, rows
}

// appendDeleted writes the value of a deleted entity: its keys, what happened and when, and null in all else.
func (f *Feed) appendDeleted(dst []byte, raws [][]byte, when int64) []byte {
	for i := range f.Layout.Visible {
		k := slices.Index(f.Layout.Keys, i)
		switch {
		case k >= 0 && f.Layout.Columns[i].Optional:
			dst = append(append(dst, 2), raws[k]...)
		case k >= 0:
			dst = append(dst, raws[k]...)
		case i == f.Mode:
			dst = datum.AppendText(append(dst, 2), "D")
		case i == f.Deleted:
			dst = datum.AppendNumber(append(dst, 2), when)
		default:
			dst = append(dst, 0)
		}
	}
	return dst
}
