package paging

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/wit"
)

// orderCheck is the auditor of the order of rows: many services take $orderby and don't heed it, and going on after the
// last key would lose rows then. Texts may ascend by bytes or without regard to case; another collation counts as none.
type orderCheck struct {
	keys Keys
	// watching: nothing has come yet that isn't in order, or can't be compared.
	watching bool
	// rows is the number of those looked at, prior and last are the keys of the last two.
	rows        int
	prior, last []byte
	// bytes, folds: all rows so far ascend, texts by bytes, without regard to case.
	bytes, folded bool
}

// begin readies it for a page after the rows of a memory; seen is how many these are.
func (o *orderCheck) begin(keys Keys, m *checkState, seen int) {
	*o = orderCheck{keys: keys, prior: o.prior[:0], last: o.last[:0], bytes: m.sorted || seen == 0,
		folded: m.folded || seen == 0}
	o.watching = keys != nil && (seen == 0 || m.ascending() && m.key != "")
}

// ascends reports whether the rows came in order, if any came.
func (o *orderCheck) ascends() bool { return o.watching && (o.bytes || o.folded) }

// observe looks at rows that came one after another. The first one of a page is compared with the key before the page,
// nil for none.
func (o *orderCheck) observe(rows []wit.Row, data []byte, before []string) {
	if !o.watching || len(rows) == 0 {
		return
	}
	prior, last := o.prior, o.last
	for i := range rows {
		key := keyOf(&rows[i], data)
		if o.rows == 0 {
			o.compareFirst(before, key)
		} else {
			o.record(o.keys.Compare(last, key))
		}
		o.rows++
		if prior, last = last, key; !o.watching {
			break
		}
	}
	o.saveKeys(prior, last)
}

// keep copies the last two keys, which may be in memory that is used again.
func (o *orderCheck) saveKeys(prior, last []byte) {
	o.prior = append(o.prior[:0], prior...)
	o.last = append(o.last[:0], last...)
}

// compareFirst compares the page's first row with the last one before it.
func (o *orderCheck) compareFirst(before []string, key []byte) {
	texts := o.keys.Texts(key)
	if texts == nil {
		o.watching = false
	} else if before != nil {
		o.record(o.keys.CompareTexts(before, texts))
	}
}

// record notes how the key before compares with the one after it, by bytes and without regard to case.
func (o *orderCheck) record(plain, folded int, known bool) {
	o.bytes, o.folded = o.bytes && plain < 0, o.folded && folded < 0
	o.watching = o.watching && known && (o.bytes || o.folded)
}

// observeAscending is observe of the auditors of order and of circles in one, for rows that are as most are: after
// others that came in order, with a key that is one whole number and greater than the one before. It returns how many
// rows at the start are like that.
func (o *orderCheck) observeAscending(c *pageDigest, rows []wit.Row, data []byte) int {
	if !o.watching || o.rows == 0 || len(rows) == 0 || !o.keys.Whole() {
		return 0
	}
	before, size := binary.Varint(o.last)
	if size <= 0 {
		return 0
	}
	keys, n := uint64(c.keys), 0
	prior, last := o.prior, o.last
	for n < len(rows) {
		d := &rows[n].Key
		key := data[d.Start : d.Start+d.Size]
		if len(key) == 0 || len(key) > binary.MaxVarintLen64 {
			break
		}
		hashed, bits, shift := (keys^uint64(len(key)))*hashFactor, uint64(0), 0
		for _, b := range key {
			hashed = (hashed ^ uint64(b)) * hashFactor
			bits |= uint64(b&0x7f) << (shift & 63)
			shift += 7
		}
		v := int64(bits>>1) ^ -int64(bits&1)
		if v <= before {
			break
		}
		before, keys, prior, last = v, hashed, last, key
		n++
	}
	if n > 0 {
		o.rows += n
		o.saveKeys(prior, last)
		c.addHashed(n, last, hash(keys))
	}
	return n
}
