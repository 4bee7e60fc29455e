package feed

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// A GUID means the same in upper and in lower case (MS-ODATA, 2.2.2), and Kafka compares keys by their bytes: a delete
// by a key in the other case would leave its row in Kafka for good. So, where deletes can come, the offset says in
// which case the service writes GUIDs in rows, and deleted entities are written so.

// GuidField is the field of the offset that says it: l or u, and none as long as no GUID of a row had a letter.
// Versions before wrote a letter for each GUID of a key, among them some that stand for neither.
const GuidField = "guids"

// The values of the field.
const (
	lowerCase = 'l'
	upperCase = 'u'
)

// GuidTag stands in the tags of requests without a position before what the field of the standing offset is.
const GuidTag = " " + GuidField + "="

// GuidCase is the field of an offset, "" where there is none.
func GuidCase(offset []wit.Field) string { return load.Text(offset, GuidField) }

// caseOf reads a field; 0: it says nothing.
func caseOf(field string) byte {
	if field != "" && (field[0]|0x20 == lowerCase || field[0]|0x20 == upperCase) {
		return field[0] | 0x20
	}
	return 0
}

// findGuids finds out which members of the key are GUIDs whose case matters.
func (f *Feed) findGuids() {
	f.guids = nil
	if !f.Options.Delta {
		return
	}
	for k, column := range f.Layout.Keys {
		if f.Layout.Columns[column].Type == edm.Guid {
			f.guids = append(f.guids, k)
		}
	}
}

// CarryGuids puts the field of an offset into the position that follows from it.
func (f *Feed) CarryGuids(position *[]wit.Field, offset []wit.Field) {
	if field := GuidCase(offset); len(f.guids) > 0 && position != nil && field != "" {
		*position = append(*position, wit.TextField(GuidField, field))
	}
}

// WithGuids is a tag with that field.
func (f *Feed) WithGuids(tag string, offset []wit.Field) string {
	if field := GuidCase(offset); len(f.guids) > 0 && field != "" {
		return tag + GuidTag + field
	}
	return tag
}

// endGuids puts the field into the offset after the page.
func (r *Reader) endGuids(portion *wit.Portion) {
	if portion.Next == nil || r.guidCase == 0 {
		return
	}
	next := append(slices.Clone(*portion.Next), wit.TextField(GuidField, string(r.guidCase)))
	portion.Next = &next
}

// learnGuids takes note of the case of the first letter of a GUID, if it is not known yet.
func (r *Reader) learnGuids(out *decode.Output) {
	if r.guidCase != 0 || len(r.Feed.guids) == 0 {
		return
	}
	for i := range out.Rows {
		raws := r.Feed.Keys.Split(KeyOf(&out.Rows[i], out.Data))
		for _, k := range r.Feed.guids {
			if raws == nil {
				break
			}
			text, _ := datum.Block(raws[k])
			at := bytes.IndexFunc(text, func(c rune) bool { return c >= 'A' })
			switch {
			case at < 0:
				continue
			case text[at] >= 'a':
				r.guidCase = lowerCase
			default:
				r.guidCase = upperCase
			}
			return
		}
	}
}

// Learn takes over what another reader has learned of the service.
func (r *Reader) Learn(of *Reader) {
	r.Unformatted = of.Unformatted
	if r.guidCase == 0 {
		r.guidCase = of.guidCase
	}
}

// FitKeys writes the encoded keys of a deleted entity as rows have them.
func (r *Reader) FitKeys(raws [][]byte) {
	for _, k := range r.Feed.guids {
		switch text, _ := datum.Block(raws[k]); r.guidCase {
		case lowerCase:
			copy(text, bytes.ToLower(text))
		case upperCase:
			copy(text, bytes.ToUpper(text))
		}
	}
}

// KeyOf is the key of a row.
func KeyOf(row *wit.Row, data []byte) []byte { return data[row.Key.Start : row.Key.Start+row.Key.Size] }
