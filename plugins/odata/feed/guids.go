package feed

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
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
func GuidCase(offset []wit.OffsetEntry) string { return load.Text(offset, GuidField) }

// caseOf reads a field; 0: it says nothing.
func caseOf(field string) byte {
	if field != "" && (field[0]|0x20 == lowerCase || field[0]|0x20 == upperCase) {
		return field[0] | 0x20
	}
	return 0
}

// CarryGuids puts the field of an offset into the position that follows from it.
func (f *Feed) CarryGuids(position *[]wit.OffsetEntry, offset []wit.OffsetEntry) {
	if field := GuidCase(offset); len(f.guids) > 0 && position != nil && field != "" {
		*position = append(*position, wit.StringEntry(GuidField, field))
	}
}

// WithGuids is a tag with that field.
func (f *Feed) WithGuids(tag string, offset []wit.OffsetEntry) string {
	if field := GuidCase(offset); len(f.guids) > 0 && field != "" {
		return tag + GuidTag + field
	}
	return tag
}

// caseIn is the case of the first letter of a GUID in the keys of rows, 0: none has one.
func (f *Feed) caseIn(out *decode.Output) byte {
	if len(f.guids) == 0 {
		return 0
	}
	for i := range out.Rows {
		raws := f.Keys.Split(KeyOf(&out.Rows[i], out.Data))
		for _, k := range f.guids {
			if raws == nil {
				break
			}
			text, _ := connectdata.LengthPrefixed(raws[k])
			at := bytes.IndexFunc(text, func(c rune) bool { return c >= 'A' })
			switch {
			case at < 0:
				continue
			case text[at] >= 'a':
				return lowerCase
			}
			return upperCase
		}
	}
	return 0
}

// fitKeys writes the GUIDs of encoded keys in a case, 0: as they are.
func (f *Feed) fitKeys(raws [][]byte, to byte) {
	for _, k := range f.guids {
		switch text, _ := connectdata.LengthPrefixed(raws[k]); to {
		case lowerCase:
			copy(text, bytes.ToLower(text))
		case upperCase:
			copy(text, bytes.ToUpper(text))
		}
	}
}

// KeyOf is the key of a row.
func KeyOf(row *wit.Row, data []byte) []byte { return data[row.Key.Start : row.Key.Start+row.Key.Size] }
