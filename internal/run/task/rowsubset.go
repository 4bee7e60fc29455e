package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RowSubset is a subset of the rows that transforms created from one record. A row is identified by its index in that
// order; texts count from 1 and call a row a part. The zero value means all rows. A subset is empty if dead letters of
// one record have no row in common: then no row must be written.
//
// Invariant: unless Total is 0, spans are sorted, not adjacent, and below Total.
type RowSubset struct {
	Total uint32 // the number of rows of the record
	spans []rowSpan
}

// rowSpan is a range of indexes that includes both ends.
type rowSpan struct{ first, last uint32 }

// NewRowSubset returns the rows with these indexes of total rows, or all rows if there are no indexes.
func NewRowSubset(total uint32, indexes []uint32) RowSubset {
	indexes = slices.Compact(slices.Sorted(slices.Values(indexes)))
	if len(indexes) == 0 || len(indexes) == int(total) {
		return RowSubset{}
	}
	subset := RowSubset{Total: total}
	for _, index := range indexes {
		if n := len(subset.spans); n > 0 && subset.spans[n-1].last+1 == index {
			subset.spans[n-1].last = index
		} else {
			subset.spans = append(subset.spans, rowSpan{first: index, last: index})
		}
	}
	return subset
}

// IsAll reports whether the subset contains all rows.
func (r RowSubset) IsAll() bool { return r.Total == 0 }

// Contains reports whether the subset contains the row with this index.
func (r RowSubset) Contains(index uint32) bool {
	if r.IsAll() {
		return true
	}
	_, ok := slices.BinarySearchFunc(r.spans, index, func(s rowSpan, index uint32) int {
		switch {
		case s.last < index:
			return -1
		case s.first > index:
			return 1
		}
		return 0
	})
	return ok
}

// CheckTotal returns an error if the transforms now create another number of rows: then the indexes are meaningless.
func (r RowSubset) CheckTotal(total uint32) error {
	if r.IsAll() || r.Total == total {
		return nil
	}
	return fmt.Errorf("expected the transforms to create %d rows, as when parts %s were left, found %d: "+
		"it is unknown which of them were written", r.Total, r, total)
}

// Intersect returns the rows that are in both subsets. If the totals differ, it returns r, and ok is false.
func (r RowSubset) Intersect(other RowSubset) (common RowSubset, ok bool) {
	switch {
	case r.IsAll():
		return other, true
	case other.IsAll():
		return r, true
	case r.Total != other.Total:
		return r, false
	}
	common.Total = r.Total
	for a, b := r.spans, other.spans; len(a) > 0 && len(b) > 0; {
		span := rowSpan{first: max(a[0].first, b[0].first), last: min(a[0].last, b[0].last)}
		if span.first <= span.last {
			common.spans = append(common.spans, span)
		}
		if a[0].last < b[0].last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return common, true
}

const noRows = "none" // replaces the indexes in the text of an empty subset

// String returns the indexes, counted from 1, and the total: "2-4,7 of 9", or "none of 9". It is "" for all rows.
func (r RowSubset) String() string {
	if r.IsAll() {
		return ""
	}
	out := make([]byte, 0, 8*len(r.spans)+8)
	if len(r.spans) == 0 {
		out = append(out, noRows...)
	}
	for i, s := range r.spans {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(s.first)+1, 10)
		if s.last > s.first {
			out = strconv.AppendUint(append(out, '-'), uint64(s.last)+1, 10)
		}
	}
	return string(out) + " of " + strconv.FormatUint(uint64(r.Total), 10)
}

// ParseRowSubset parses a [RowSubset.String] that is not empty.
func ParseRowSubset(text string) (subset RowSubset, err error) {
	invalid := fmt.Errorf("expected parts as 2-4,7 of 9, found %.100q", text)
	list, count, _ := strings.Cut(text, " of ")
	total, err := strconv.ParseUint(count, 10, 32)
	if err != nil || total == 0 {
		return subset, invalid
	}
	subset.Total = uint32(total)
	if list == noRows {
		return subset, nil
	}
	minFirst := uint64(1)
	for span := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(span, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || first < minFirst || last < first || last > total {
			return RowSubset{}, invalid
		}
		subset.spans = append(subset.spans, rowSpan{first: uint32(first - 1), last: uint32(last - 1)})
		minFirst = last + 1
	}
	return subset, nil
}
