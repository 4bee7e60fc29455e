package paging

import "github.com/culvert-project/culvert/wit"

// content is what tells one page from others: the keys of its rows, in order. Where keys don't tell rows apart (some
// views say that a property is the key, and leave it empty), the first row's value does.
type content struct {
	rows        int
	keys, first hash
	// faults is of the documents of rows that could not be read, as many as faulty.
	faults hash
	faulty int
	last   []byte
	twins  bool
	// tail are its first rows as far as they are those of the page before. tailed: the next one may be such a row.
	tail   tail
	tailed bool
}

// reset readies for the page behind a row of which tail is the hash, "" for none.
func (c *content) reset(tail string) {
	*c = content{keys: noHash, first: noHash, faults: noHash, last: c.last[:0]}
	c.tail.marks = unpackSample(tail)
	c.tailed = len(c.tail.marks) > 0
}

// add looks at each row of a load, so it copies and compares no more than it must.
func (c *content) add(rows []wit.Row, data []byte) {
	last, keys := c.last, c.keys
	for i := range rows {
		r := &rows[i]
		key := data[r.Key.Start : r.Key.Start+r.Key.Size]
		if c.rows == 0 {
			c.first.add(data[r.Value.Start : r.Value.Start+r.Value.Size])
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

// repeated is how many of the page's rows came with the page before, as far as keys tell rows apart.
func (c *content) repeated() int {
	if c.twins || !c.tail.whole {
		return 0
	}
	return c.tail.again
}
