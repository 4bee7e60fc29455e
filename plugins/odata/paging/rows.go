package paging

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"

	"github.com/culvert-project/culvert/wit"
)

// Rows is a decoded part of a page.
type Rows struct {
	Rows []wit.Row
	// Data holds the bytes of rows and errors. [Page.Observe] removes Errors that were reported before. Skipped are the
	// indexes of rows that the host had removed.
	Data    []byte
	Errors  []wit.RowError
	Skipped []uint32
	Cursor  func(row int) (text string, ok bool) // in Atom's form, false for null
}

func keyOf(row *wit.Row, data []byte) []byte {
	return data[row.Key.Start : row.Key.Start+row.Key.Size]
}

// identityOf returns the bytes that identify a row: its key, or the whole row if its type has no key.
func identityOf(row *wit.Row, data []byte) []byte {
	if row.Key.Size == 0 {
		return valueOf(row, data)
	}
	return keyOf(row, data)
}

func valueOf(row *wit.Row, data []byte) []byte {
	return data[row.Value.Start : row.Value.Start+row.Value.Size]
}

func rowHash(row *wit.Row, data []byte) uint64 { return hashOf(identityOf(row, data)).bits48() }

const packedHashSize = 6

func packHashes(marks []uint64) string {
	b := make([]byte, 0, len(marks)*packedHashSize)
	for _, mark := range marks {
		var eight [8]byte
		binary.BigEndian.PutUint64(eight[:], mark)
		b = append(b, eight[8-packedHashSize:]...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func unpackHashes(text string) []uint64 {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	hashes := make([]uint64, 0, len(b)/packedHashSize)
	for ; len(b) >= packedHashSize; b = b[packedHashSize:] {
		var eight [8]byte
		copy(eight[8-packedHashSize:], b)
		hashes = append(hashes, binary.BigEndian.Uint64(eight[:]))
	}
	return hashes
}

// pageDigest identifies a page by the identities of its rows and by its first row: some keys number the rows of each
// response.
type pageDigest struct {
	rows          int
	keys          hash
	first         hash
	contents      hash // of the first rows without their keys
	errorDigest   hash
	errorCount    int
	last          []byte
	duplicateKeys bool
}

// comparedRows is the number of rows of a page whose contents are compared with those of the page before.
const comparedRows = 8

func (p *pageDigest) reset() {
	*p = pageDigest{keys: emptyHash, first: emptyHash, contents: emptyHash, errorDigest: emptyHash, last: p.last[:0]}
}

// addContents adds the first rows of a page to the digest of its contents, before they are added to the others.
func (p *pageDigest) addContents(rows []wit.Row, data []byte) {
	if p.rows == 0 {
		p.first.add(valueOf(&rows[0], data))
	}
	for i := range rows[:min(len(rows), max(0, comparedRows-p.rows))] {
		value := valueOf(&rows[i], data)
		key := keyOf(&rows[i], data)
		if start := bytes.Index(value, key); start >= 0 {
			p.contents.add(value[:start])
			value = value[start+len(key):]
		}
		p.contents.add(value)
	}
}

func (p *pageDigest) add(rows []wit.Row, data []byte) {
	last := p.last
	keys := p.keys
	for i := range rows {
		key := identityOf(&rows[i], data)
		if p.rows > 0 && !p.duplicateKeys {
			p.duplicateKeys = string(key) == string(last)
		}
		p.rows++
		keys.add(key)
		last = key
	}
	p.last = append(p.last[:0], last...)
	p.keys = keys
}

func (p *pageDigest) addHashed(rows int, last []byte, keys hash) {
	p.rows = p.rows + rows
	p.last = append(p.last[:0], last...)
	p.keys = keys
}

func (p *pageDigest) hash() (h hash, some bool) {
	if p.rows == 0 && p.errorCount > 0 {
		return p.errorDigest, true
	}
	return p.keys ^ p.first*31, p.rows > 0
}
