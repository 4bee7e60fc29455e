package feedreader

import (
	"bytes"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// GuidField is the field of the offset with the case of GUIDs in rows: l or u, missing until a GUID had a letter. Keys
// of deleted entities use it, since Kafka compares bytes although GUIDs are equal in both cases (MS-ODATA, 2.2.2).
// Earlier versions stored a character for each GUID.
const GuidField = "guids"

const (
	lowerCase = 'l'
	upperCase = 'u'
)

// GuidTag precedes the field in a tag.
const GuidTag = " " + GuidField + "="

// GuidCase returns the field of an offset.
func GuidCase(offset []wit.OffsetEntry) string { return paging.LookupText(offset, GuidField) }

// AddGuidCase copies the field to the next position.
func (f *Feed) AddGuidCase(position *[]wit.OffsetEntry, offset []wit.OffsetEntry) {
	if field := GuidCase(offset); len(f.guids) > 0 && position != nil && field != "" {
		*position = append(*position, wit.StringEntry(GuidField, field))
	}
}

// TagWithGuidCase appends the field to a tag.
func (f *Feed) TagWithGuidCase(tag string, offset []wit.OffsetEntry) string {
	if field := GuidCase(offset); len(f.guids) > 0 && field != "" {
		return tag + GuidTag + field
	}
	return tag
}

// guidCaseOf returns the case of the first GUID with a letter in keys, zero if there is none.
func (f *Feed) guidCaseOf(out *decode.Output) byte {
	if len(f.guids) == 0 {
		return 0
	}
	for i := range out.Rows {
		keyParts := f.Keys.EncodedParts(KeyOf(&out.Rows[i], out.Data))
		for _, k := range f.guids {
			if keyParts == nil {
				break
			}
			guid, _ := connectdata.LengthPrefixed(keyParts[k])
			letter := bytes.IndexFunc(guid, func(c rune) bool { return c >= 'A' })
			switch {
			case letter < 0:
				continue
			case guid[letter] >= 'a':
				return lowerCase
			}
			return upperCase
		}
	}
	return 0
}

// KeyOf returns the encoded key of a row.
func KeyOf(row *wit.Row, data []byte) []byte { return data[row.Key.Start : row.Key.Start+row.Key.Size] }

// JoinKey returns the encoded key of these parts, with the extra fields of the key.
func (f *Feed) JoinKey(keyParts [][]byte) []byte {
	return append(slices.Concat(keyParts...), f.RowSchema.KeyTail...)
}

// Clip shortens a text for messages.
func Clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }
