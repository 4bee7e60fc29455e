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
	keys, first   hash
	contents      hash // of the first rows without their keys
	errorDigest   hash
	errorCount    int
	last          []byte
	duplicateKeys bool
}

// comparedRows is the number of rows of a page whose contents are compared with those of the page before.
const comparedRows = 8

func (c *pageDigest) reset() {
	*c = pageDigest{keys: emptyHash, first: emptyHash, contents: emptyHash, errorDigest: emptyHash, last: c.last[:0]}
}

// addContents adds the first rows of a page to the digest of its contents, before they are added to the others.
func (c *pageDigest) addContents(rows []wit.Row, data []byte) {
	if c.rows == 0 {
		c.first.add(valueOf(&rows[0], data))
	}
	for i := range rows[:min(len(rows), max(0, comparedRows-c.rows))] {
		value, key := valueOf(&rows[i], data), keyOf(&rows[i], data)
		if start := bytes.Index(value, key); start >= 0 {
			c.contents.add(value[:start])
			value = value[start+len(key):]
		}
		c.contents.add(value)
	}
}

func (c *pageDigest) add(rows []wit.Row, data []byte) {
	last, keys := c.last, c.keys
	for i := range rows {
		key := identityOf(&rows[i], data)
		if c.rows > 0 && !c.duplicateKeys {
			c.duplicateKeys = string(key) == string(last)
		}
		c.rows++
		keys.add(key)
		last = key
	}
	c.last, c.keys = append(c.last[:0], last...), keys
}

func (c *pageDigest) addHashed(rows int, last []byte, keys hash) {
	c.rows, c.last, c.keys = c.rows+rows, append(c.last[:0], last...), keys
}

func (c *pageDigest) hash() (h hash, some bool) {
	if c.rows == 0 && c.errorCount > 0 {
		return c.errorDigest, true
	}
	return c.keys ^ c.first*31, c.rows > 0
}
