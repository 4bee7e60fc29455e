package load

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/culvert-project/culvert/wit"
)

// Rows are what a piece of a page came to.
type Rows struct {
	Rows []wit.Row
	// Data is the arena of rows and faults. Faults are rows that could not be read: those that came before are taken
	// out. LeftOut are the origins of those that the host had left out.
	Data    []byte
	Faults  []wit.RowError
	LeftOut []uint32
	// Cursor reads the cursor's property of a row by its place, as Atom writes it; false: it is null.
	Cursor func(row int) (text string, ok bool)
}

func keyOf(row *wit.Row, data []byte) []byte {
	return data[row.Key.Start : row.Key.Start+row.Key.Size]
}

func markOf(row *wit.Row, data []byte) uint64 { return hashOf(keyOf(row, data)).mark() }

// markSize is the size of a mark, in bytes.
const markSize = 6

func packMarks(marks []uint64) string {
	b := make([]byte, 0, len(marks)*markSize)
	for _, mark := range marks {
		var eight [8]byte
		binary.BigEndian.PutUint64(eight[:], mark)
		b = append(b, eight[8-markSize:]...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// unpackMarks reads what packMarks wrote. What can't be read is no marks.
func unpackMarks(text string) []uint64 {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	marks := make([]uint64, 0, len(b)/markSize)
	for ; len(b) >= markSize; b = b[markSize:] {
		var eight [8]byte
		copy(eight[8-markSize:], b)
		marks = append(marks, binary.BigEndian.Uint64(eight[:]))
	}
	return marks
}

// content tells one page from another by the keys of its rows, in order. Where keys don't tell rows apart (some views
// say that a property is the key, and leave it empty), the first row's value does.
type content struct {
	rows        int
	keys, first hash
	// faults is of the documents of rows that could not be read, as many as faulty.
	faults hash
	faulty int
	last   []byte
	twins  bool
}

func (c *content) reset() {
	*c = content{keys: noHash, first: noHash, faults: noHash, last: c.last[:0]}
}

// add looks at each row of a load, so it copies and compares no more than it must.
func (c *content) add(rows []wit.Row, data []byte) {
	last, keys := c.last, c.keys
	for i := range rows {
		key := keyOf(&rows[i], data)
		if c.rows == 0 {
			value := rows[i].Value
			c.first.add(data[value.Start : value.Start+value.Size])
		} else if !c.twins {
			c.twins = string(key) == string(last)
		}
		c.rows++
		keys.add(key)
		last = key
	}
	c.last, c.keys = append(c.last[:0], last...), keys
}

// seen notes rows of which each has another key than the one before: the last one's key, and what hash all keys came
// to.
func (c *content) seen(rows int, last []byte, keys hash) {
	c.rows, c.last, c.keys = c.rows+rows, append(c.last[:0], last...), keys
}

// hash is the page's; some: it holds rows with keys, or none but rows that could not be read.
func (c *content) hash() (h hash, some bool) {
	h = c.keys
	if c.twins || c.rows == 1 {
		h ^= c.first * 31
	}
	if c.rows == 0 && c.faulty > 0 {
		return c.faults, true
	}
	return h, c.rows > 0 && len(c.last) > 0
}
