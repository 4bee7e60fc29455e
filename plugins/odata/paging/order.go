package paging

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/plugins/odata/paging/rowkey"
	"github.com/culvert-project/culvert/wit"
)

// orderCheck checks that rows ascend by key, since many services accept $orderby but ignore it. Texts may ascend by
// bytes or case-insensitively; any other collation counts as unordered.
type orderCheck struct {
	keys           *rowkey.Keys
	hasIntegerKeys bool   // keys that [orderCheck.observeAscending] can compare
	isActive       bool   // false once rows are out of order, or have keys that cannot be compared
	rows           int    // number of rows compared
	last           []byte // encoded key of the last row
	// sorted and folded mean that all rows so far ascend by bytes or case-insensitively, as in [checkState].
	sorted      bool
	folded      bool
	mustDescend bool // rows must descend instead
}

func (o *orderCheck) begin(keys *rowkey.Keys, checks *checkState, rowsRead int) {
	isFirst := rowsRead == 0
	*o = orderCheck{keys: keys, last: o.last[:0], sorted: checks.sorted || isFirst, folded: checks.folded || isFirst}
	o.hasIntegerKeys = keys != nil && keys.IsInteger()
	o.isActive = keys != nil && (isFirst || (checks.ascending() && checks.key != ""))
}

func (o *orderCheck) ascends() bool { return o.isActive && (o.sorted || o.folded) }

// observe compares each row with the one before it. previousKey is the key before the first row of the page, or nil.
func (o *orderCheck) observe(rows []wit.Row, data []byte, previousKey []string) {
	if !o.isActive || len(rows) == 0 {
		return
	}
	last := o.last
	for i := range rows {
		key := keyOf(&rows[i], data)
		if o.rows == 0 {
			o.compareFirst(previousKey, key)
		} else if o.mustDescend {
			o.record(o.keys.Compare(key, last))
		} else {
			o.record(o.keys.Compare(last, key))
		}
		o.rows++
		last = key
		if !o.isActive {
			break
		}
	}
	o.last = append(o.last[:0], last...)
}

func (o *orderCheck) compareFirst(previousKey []string, key []byte) {
	if texts := o.keys.SortTexts(key); texts == nil {
		o.isActive = false
	} else if previousKey != nil {
		o.record(o.keys.CompareTexts(previousKey, texts))
	}
}

func (o *orderCheck) record(plain, folded int, ok bool) {
	o.sorted = o.sorted && plain < 0
	o.folded = o.folded && folded < 0
	o.isActive = o.isActive && ok && (o.sorted || o.folded)
}

// observeAscending is a fast path for integer keys: it adds leading rows that ascend to the digest, too, and returns
// their number.
func (o *orderCheck) observeAscending(digest *pageDigest, rows []wit.Row, data []byte) int {
	if !o.isActive || o.mustDescend || o.rows == 0 || len(rows) == 0 || !o.hasIntegerKeys {
		return 0
	}
	previous, size := binary.Varint(o.last)
	if size <= 0 {
		return 0
	}
	keys := uint64(digest.keys)
	n := 0
	last := o.last
	for n < len(rows) {
		keySlice := &rows[n].Key
		key := data[keySlice.Start : keySlice.Start+keySlice.Size]
		if len(key) == 0 || len(key) > binary.MaxVarintLen64 {
			break
		}
		hashed := (keys ^ uint64(len(key))) * hashFactor
		bits := uint64(0)
		shift := 0
		for _, b := range key {
			hashed = (hashed ^ uint64(b)) * hashFactor
			bits |= uint64(b&0x7f) << (shift & 63)
			shift += 7
		}
		number := int64(bits>>1) ^ -int64(bits&1)
		if number <= previous {
			break
		}
		previous = number
		keys = hashed
		last = key
		n++
	}
	if n > 0 {
		o.rows += n
		o.last = append(o.last[:0], last...)
		digest.addHashed(n, last, hash(keys))
	}
	return n
}
