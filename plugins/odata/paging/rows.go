package paging

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"

	"github.com/culvert-project/culvert/wit"
)

// Rows is a decoded part of a page.
type Rows struct {
	Rows    []wit.Row
	Data    []byte         // the bytes of rows and errors
	Errors  []wit.RowError // [Page.Observe] removes errors that were reported before
	Skipped []uint32       // indexes of rows that the host removed. It waits for their errors.
	// Cursor returns the value of the cursor property in Atom's form. ok is false for null.
	Cursor func(row int) (text string, ok bool)
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

const packedHashSize = 6 // bytes of [hash.bits48]

func packHashes(hashes []uint64) string {
	packed := make([]byte, 0, len(hashes)*packedHashSize)
	for _, h := range hashes {
		var word [8]byte
		binary.BigEndian.PutUint64(word[:], h)
		packed = append(packed, word[8-packedHashSize:]...)
	}
	return base64.RawURLEncoding.EncodeToString(packed)
}

// unpackHashes returns the hashes in a text, nil if it is invalid.
func unpackHashes(text string) []uint64 {
	packed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	hashes := make([]uint64, 0, len(packed)/packedHashSize)
	for ; len(packed) >= packedHashSize; packed = packed[packedHashSize:] {
		var word [8]byte
		copy(word[8-packedHashSize:], packed)
		hashes = append(hashes, binary.BigEndian.Uint64(word[:]))
	}
	return hashes
}

// pageDigest identifies a page by the identities of its rows and by its first row: some keys number the rows of each
// response.
type pageDigest struct {
	rows          int
	keys          hash   // of all identities
	first         hash   // of the first row
	contents      hash   // of the first rows without their keys
	errorDigest   hash   // of undecodable rows
	errorCount    int    // number of undecodable rows
	last          []byte // identity of the last row
	duplicateKeys bool   // two consecutive rows have the same identity
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

// add adds the identities of rows.
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

// hash returns the hash of the page, or of its undecodable rows if none was decoded. ok is false for an empty page.
func (p *pageDigest) hash() (digest hash, ok bool) {
	if p.rows == 0 && p.errorCount > 0 {
		return p.errorDigest, true
	}
	return p.keys ^ p.first*31, p.rows > 0
}
