package feed

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// A deleted entity is told by its address alone, and so is one that a notification names. Where the addresses of rows
// have other keys than their properties (leading zeros, another case, blanks), a delete would be of a key that no row
// in Kafka has, and the row would stay there for good: so the two are compared as they are written to Kafka.

// Addressed looks whether the rows' addresses have their keys. Rows without an address, or with one that can't be read
// as theirs, pass: a deleted entity with such an address is a fault of its own.
func (pg *Reader) Addressed(out *decode.Output) error {
	f := pg.Feed
	for i, at := range out.Addresses {
		if at.Size == 0 {
			continue
		}
		row := &out.Rows[i]
		key := out.Data[row.Key.Start : row.Key.Start+row.Key.Size]
		address := bytes.TrimSpace(out.AddressText[at.Start : at.Start+at.Size])
		pg.expected = f.appendPlain(pg.expected[:0], key)
		if pg.expected != nil && bytes.HasSuffix(address, pg.expected) {
			continue
		}
		raws, err := f.RawKeys(string(address))
		if err != nil || bytes.Equal(f.JoinKey(raws), key) || pg.alikeButForGuids(raws, key) {
			continue
		}
		own := "its properties"
		if raws := f.SplitKey(key); raws != nil {
			if text, err := f.Predicate(raws); err == nil {
				own = text
			}
		}
		return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": a row has the key " + uri.Unescape(own) +
			" and says that its address is " + strconv.Quote(Clip(uri.Unescape(string(address)))) +
			", which is another key: deleted entities are told by their addresses, and this one's row would stay in " +
			"Kafka; the service has to write both alike, or the entity set is read without " + f.deletesBy()}
	}
	return nil
}

// Another is the key predicate of a row that came for an entity which was asked for by other keys, "" for none: a cache
// may answer what was asked before. Services write texts in forms of their own, so case, blanks around them and zeros
// in front of them make no difference.
func (f *Feed) Another(asked [][]byte, key []byte) string {
	if len(key) == 0 || bytes.Equal(f.JoinKey(asked), key) {
		return ""
	}
	raws := f.SplitKey(key)
	for k := range raws {
		t := f.Layout.Columns[f.Layout.Keys[k]].Type
		loose := t == edm.String || t == edm.Guid
		if bytes.Equal(raws[k], asked[k]) || loose && strings.EqualFold(bare(raws[k]), bare(asked[k])) {
			continue
		}
		if text, err := f.Predicate(raws); err == nil {
			return uri.Unescape(text)
		}
	}
	return ""
}

// bare is an encoded text without blanks around it and zeros in front of it.
func bare(raw []byte) string {
	_, size := binary.Varint(raw)
	return strings.TrimLeft(strings.TrimSpace(string(raw[max(0, size):])), "0")
}

// deletesBy is the setting because of which deleted entities are told.
func (f *Feed) deletesBy() string {
	if f.Tracking.On {
		return f.Setting(entry.NameTrackChanges)
	}
	return f.Setting(entry.NameSubscription)
}

// appendPlain writes the key predicate of a key as services mostly write it, nil where that would take more than
// copying.
func (f *Feed) appendPlain(dst, key []byte) []byte {
	dst = append(dst, '(')
	for k, column := range f.Layout.Keys {
		c := &f.Layout.Columns[column]
		if k > 0 {
			dst = append(dst, ',')
		}
		if len(f.Layout.Keys) > 1 {
			dst = append(append(dst, c.Name...), '=')
		}
		n, size := binary.Varint(key)
		if size <= 0 {
			return nil
		}
		key = key[size:]
		switch c.Type {
		case edm.Byte, edm.SByte, edm.Int16, edm.Int32:
			dst = strconv.AppendInt(dst, n, 10)
		case edm.Int64:
			dst = append(strconv.AppendInt(dst, n, 10), 'L')
		case edm.String, edm.Guid:
			if n < 0 || n > int64(len(key)) || !plain(key[:n]) {
				return nil
			}
			if c.Type == edm.Guid {
				dst = append(dst, "guid"...)
			}
			dst = append(append(append(dst, '\''), key[:n]...), '\'')
			key = key[n:]
		default:
			return nil
		}
	}
	return append(dst, ')')
}

// plain tells whether a text has only letters, digits and what else addresses never encode.
func plain(text []byte) bool {
	for _, c := range text {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
