package rest

import (
	"cmp"
	"slices"
)

// letterPage collects the dead letters of a page, which arrive in any order.
//
// Invariants: letters are sorted by index, and are all added ones before end. Their JSON has at most maxPageBytes,
// unless there is one letter. The zero value is ready.
type letterPage struct {
	letters []pageLetter
	end     int // the index of the first letter that did not fit; zero means that all did
}

// pageLetter is a dead letter of a page with its JSON size.
type pageLetter struct {
	DeadLetter
	index int    // in the page of the worker
	after string // selects the next page after this letter
	size  int    // bytes of JSON
}

// isPast reports whether the letter at an index did not fit. It never fits later, because letters that are added later
// only make the page end earlier.
func (p *letterPage) isPast(index int) bool { return p.end > 0 && index >= p.end }

// add adds a letter that is not past the end, and drops the last letters that do not fit.
func (p *letterPage) add(l pageLetter) {
	pos, _ := slices.BinarySearchFunc(p.letters, l.index, func(other pageLetter, index int) int {
		return cmp.Compare(other.index, index)
	})
	p.letters = slices.Insert(p.letters, pos, l)
	total := 0
	for i := range p.letters {
		total += p.letters[i].size
		if total > maxPageBytes && i > 0 {
			p.end = p.letters[i].index
			p.letters = slices.Delete(p.letters, i, len(p.letters))
			return
		}
	}
}
