package main

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// watchModes finds the columns that say what happened to a row. Those of ODP are watched, with the keys, which are all
// that stays of a deleted row.
func (f *Feed) watchModes() {
	f.mode, f.deleted, f.counter, f.watch = -1, -1, -1, -1
	if !f.options.Delta {
		return
	}
	s := f.structure()
	mode, counter := edm.RecordMode, ""
	if p := s.ChangeMode(); p != nil {
		mode = p.Name
	}
	if p := s.EntityCounter(); p != nil {
		counter = p.Name
	}
	for i := range f.layout.Columns {
		switch c := &f.layout.Columns[i]; {
		case c.Name == mode && (c.Shape == decode.Blank || c.Type == edm.String):
			f.mode = i
		case c.Name == edm.DeletedAt && (c.Shape == decode.Blank || c.As == decode.AsUsual && (c.Type == edm.DateTime ||
			c.Type == edm.DateTimeOffset)):
			f.deleted = i
		case c.Name == counter && counter != "":
			f.counter = i
		}
	}
	if f.tracking.on && f.mode >= 0 && f.layout.Columns[f.mode].Shape != decode.Blank && f.controlled() {
		f.watch = len(f.layout.Watch)
		f.layout.Watch = append(append(slices.Clone(f.layout.Watch), f.mode), f.layout.Keys...)
		if f.counter >= 0 {
			f.layout.Watch = append(f.layout.Watch, f.counter)
		}
		if f.rows != nil {
			f.rows.Watched = len(f.layout.Watch)
		}
	}
}

// controlled tells whether the service says of each row what happened to it.
func (f *Feed) controlled() bool {
	p := f.structure().ChangeMode()
	return p != nil && p.Control()
}

// deletedRows appends the rows of a deleted entity, whose keys are given as encoded values, to rows and their data.
func (pg *Reader) deletedRows(data []byte, rows []wit.Row, origin uint32, raws [][]byte, when int64) ([]byte, []wit.Row) {
	f := pg.feed
	row := wit.Row{Origin: origin, Partition: -1, Offset: -1, Timestamp: -1}
	start := len(data)
	for _, raw := range raws {
		data = append(data, raw...)
	}
	data = append(data, f.layout.KeyTail...)
	row.Key = wit.Datum{Form: wit.Structured, Schema: f.layout.KeySchema, Start: uint32(start),
		Size: uint32(len(data) - start)}
	data = f.tell(&row, data, changeDeleted)
	if f.tracking.deletes != deletesTombstone {
		start = len(data)
		data = f.appendDeleted(data, raws, when)
		record := row
		record.Value = wit.Datum{Form: wit.Structured, Schema: f.layout.ValueSchema, Start: uint32(start),
			Size: uint32(len(data) - start)}
		rows = append(rows, record)
	}
	if f.tracking.deletes != deletesRecord {
		rows = append(rows, row)
	}
	return data, rows
}

// appendDeleted writes the value of a deleted entity: its keys, what happened and when, and null in all else.
func (f *Feed) appendDeleted(dst []byte, raws [][]byte, when int64) []byte {
	for i := range f.layout.Visible {
		k := slices.Index(f.layout.Keys, i)
		switch {
		case k >= 0 && f.layout.Columns[i].Optional:
			dst = append(append(dst, 2), raws[k]...)
		case k >= 0:
			dst = append(dst, raws[k]...)
		case i == f.mode:
			dst = datum.AppendText(append(dst, 2), "D")
		case i == f.deleted:
			dst = datum.AppendNumber(append(dst, 2), when)
		default:
			dst = append(dst, 0)
		}
	}
	return dst
}
