package paging

import (
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

func keyHash(row *wit.Row, data []byte) uint64 { return hashOf(keyOf(row, data)).bits48() }

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

// pageDigest identifies a page by its keys, and by its first value if keys are not unique: some views have empty keys.
type pageDigest struct {
	rows          int
	keys, first   hash
	errorDigest   hash
	errorCount    int
	last          []byte
	duplicateKeys bool
}

func (c *pageDigest) reset() {
	*c = pageDigest{keys: emptyHash, first: emptyHash, errorDigest: emptyHash, last: c.last[:0]}
}

func (c *pageDigest) add(rows []wit.Row, data []byte) {
	last, keys := c.last, c.keys
	for i := range rows {
		key := keyOf(&rows[i], data)
		if c.rows == 0 {
			value := rows[i].Value
			c.first.add(data[value.Start : value.Start+value.Size])
		} else if !c.duplicateKeys {
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
	h = c.keys
	if c.duplicateKeys || c.rows == 1 {
		h ^= c.first * 31
	}
	if c.rows == 0 && c.errorCount > 0 {
		return c.errorDigest, true
	}
	return h, c.rows > 0 && len(c.last) > 0
}
