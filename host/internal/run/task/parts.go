package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RowSubset are some of the rows that transforms made of one record, by their places among them: those that its dead
// letter is about. The zero value is the record as a whole, however many rows are made of it.
//
// Invariant: where Of is not 0, spans are in order, do not touch each other, and below Of.
type RowSubset struct {
	// Of is how many rows were made of the record.
	Total uint32
	spans []partSpan
}

// partSpan is places from the first to the last.
type partSpan struct{ first, last uint32 }

// NewRowSubset are these places among so many rows; none of them, or all, are the record as a whole.
func NewRowSubset(of uint32, places []uint32) RowSubset {
	places = slices.Compact(slices.Sorted(slices.Values(places)))
	if len(places) == 0 || len(places) == int(of) {
		return RowSubset{}
	}
	p := RowSubset{Total: of}
	for _, at := range places {
		if n := len(p.spans); n > 0 && p.spans[n-1].last+1 == at {
			p.spans[n-1].last = at
		} else {
			p.spans = append(p.spans, partSpan{at, at})
		}
	}
	return p
}

// IsAll reports whether they are the record as a whole.
func (p RowSubset) IsAll() bool { return p.Total == 0 }

// Contains reports whether the row at a place is one of them.
func (p RowSubset) Contains(at uint32) bool {
	if p.IsAll() {
		return true
	}
	_, found := slices.BinarySearchFunc(p.spans, at, func(s partSpan, at uint32) int {
		switch {
		case s.last < at:
			return -1
		case s.first > at:
			return 1
		}
		return 0
	})
	return found
}

// CheckTotal is an error where another number of rows than before is made of a record of which some are left: nobody
// knows then which of them were written.
func (p RowSubset) CheckTotal(rows uint32) error {
	if p.IsAll() || p.Total == rows {
		return nil
	}
	return fmt.Errorf("expected the transforms to make %d rows of it, as they did when parts %s were left, found %d: "+
		"nobody knows which of them were written", p.Total, p, rows)
}

// Intersect are those that two letters of one record have in common: each names what was left when it was written. !ok:
// they are of different numbers of rows.
func (p RowSubset) Intersect(other RowSubset) (both RowSubset, ok bool) {
	switch {
	case p.IsAll():
		return other, true
	case other.IsAll():
		return p, true
	case p.Total != other.Total:
		return p, false
	}
	both.Total = p.Total
	for a, b := p.spans, other.spans; len(a) > 0 && len(b) > 0; {
		if s := (partSpan{max(a[0].first, b[0].first), min(a[0].last, b[0].last)}); s.first <= s.last {
			both.spans = append(both.spans, s)
		}
		if a[0].last < b[0].last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both, true
}

// String returns places counted from 1, such as "2-4,7 of 9"; "" means the record as a whole.
func (p RowSubset) String() string {
	if p.IsAll() {
		return ""
	}
	text := make([]byte, 0, 8*len(p.spans)+8)
	for i, s := range p.spans {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(s.first)+1, 10)
		if s.last > s.first {
			text = strconv.AppendUint(append(text, '-'), uint64(s.last)+1, 10)
		}
	}
	return string(text) + " of " + strconv.FormatUint(uint64(p.Total), 10)
}

// ParseRowSubset reads what [Rows.String] has written.
func ParseRowSubset(text string) (p RowSubset, err error) {
	wrong := fmt.Errorf("expected parts as 2-4,7 of 9, found %.100q", text)
	list, count, _ := strings.Cut(text, " of ")
	of, err := strconv.ParseUint(count, 10, 32)
	if err != nil || of == 0 {
		return p, wrong
	}
	least := uint64(1)
	for one := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(one, "-")
		if !ranged {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || first < least || last < first || last > of {
			return RowSubset{}, wrong
		}
		p.spans = append(p.spans, partSpan{uint32(first - 1), uint32(last - 1)})
		least = last + 1
	}
	p.Total = uint32(of)
	return p, nil
}
