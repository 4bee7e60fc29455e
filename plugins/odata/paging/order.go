package paging

import (
	"github.com/culvert-project/culvert/wit"
)

// orderCheck checks that rows ascend by key, since many services accept $orderby but ignore it. Texts may ascend by
// bytes or case-insensitively; any other collation counts as unordered.
type orderCheck struct {
	keys     *Keys
	isActive bool   // false once rows are out of order, or have keys that cannot be compared
	rows     int    // number of rows compared
	last     []byte // encoded key of the last row
	// sorted and folded mean that all rows so far ascend by bytes or case-insensitively, as in [checkState].
	sorted      bool
	folded      bool
	mustDescend bool // rows must descend instead
}

func (o *orderCheck) begin(keys *Keys, checks *checkState, rowsRead int) {
	isFirst := rowsRead == 0
	*o = orderCheck{keys: keys, last: o.last[:0], sorted: checks.sorted || isFirst, folded: checks.folded || isFirst}
	o.isActive = keys.isSortable() && (isFirst || (checks.ascending() && checks.key != ""))
}

func (o *orderCheck) ascends() bool { return o.isActive && (o.sorted || o.folded) }

// observe compares each row with the one before it. previousKey is the key before the first row of the page, or nil.
func (o *orderCheck) observe(rows []wit.Row, data []byte, previousKey []byte) {
	last := o.last
	for i := 0; i < len(rows) && o.isActive; i++ {
		key := keyOf(&rows[i], data)
		if o.rows == 0 {
			last = previousKey
		}
		if last != nil && o.mustDescend {
			o.record(o.keys.compare(key, last))
		} else if last != nil {
			o.record(o.keys.compare(last, key))
		}
		o.rows++
		last = key
	}
	o.last = append(o.last[:0], last...)
}

func (o *orderCheck) record(plain, folded int, ok bool) {
	if plain >= 0 || folded >= 0 || !ok { // rare: most services sort by key
		o.sorted = o.sorted && plain < 0
		o.folded = o.folded && folded < 0
		o.isActive = o.isActive && ok && (o.sorted || o.folded)
	}
}
