package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parts are some of the rows that transforms made of one record, by their places among them: those that its dead letter
// is about. The zero value is the record as a whole, however many rows are made of it.
//
// Invariant: where Of is not 0, spans are in order, do not touch each other, and below Of.
type Parts struct {
	// Of is how many rows were made of the record.
	Of    uint32
	spans []partSpan
}

// partSpan is places from the first to the last.
type partSpan struct{ first, last uint32 }

// PartsOf are these places among so many rows; none of them, or all, are the record as a whole.
func PartsOf(of uint32, places []uint32) Parts {
	places = slices.Compact(slices.Sorted(slices.Values(places)))
	if len(places) == 0 || len(places) == int(of) {
		return Parts{}
	}
	p := Parts{Of: of}
	for _, at := range places {
		if n := len(p.spans); n > 0 && p.spans[n-1].last+1 == at {
			p.spans[n-1].last = at
		} else {
			p.spans = append(p.spans, partSpan{at, at})
		}
	}
	return p
}

// Whole reports whether they are the record as a whole.
func (p Parts) Whole() bool { return p.Of == 0 }

// Has reports whether the row at a place is one of them.
func (p Parts) Has(at uint32) bool {
	if p.Whole() {
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

// Fits is an error where another number of rows than before is made of a record of which some are left: nobody knows
// then which of them were written.
func (p Parts) Fits(rows uint32) error {
	if p.Whole() || p.Of == rows {
		return nil
	}
	return fmt.Errorf("expected the transforms to make %d rows of it, as they did when parts %s were left, found %d: "+
		"nobody knows which of them were written", p.Of, p, rows)
}

// Both are those that two letters of one record have in common: each names what was left when it was written. !ok: they
// are of different numbers of rows.
func (p Parts) Both(other Parts) (both Parts, ok bool) {
	switch {
	case p.Whole():
		return other, true
	case other.Whole():
		return p, true
	case p.Of != other.Of:
		return p, false
	}
	both.Of = p.Of
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
func (p Parts) String() string {
	if p.Whole() {
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
	return string(text) + " of " + strconv.FormatUint(uint64(p.Of), 10)
}

// ParseParts reads what [Parts.String] has written.
func ParseParts(text string) (p Parts, err error) {
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
			return Parts{}, wrong
		}
		p.spans = append(p.spans, partSpan{uint32(first - 1), uint32(last - 1)})
		least = last + 1
	}
	p.Of = uint32(of)
	return p, nil
}
