package rest

import (
	"cmp"
	"slices"
)

// letterPage collects the dead letters of a page, which arrive in any order.
//
// Invariants: letters are sorted by place, and are all added ones before end. Their JSON has at most maxPageBytes,
// unless there is one letter. The zero value is ready.
type letterPage struct {
	letters []placedLetter
	end     int // the place of the first letter that did not fit; zero means that all did
}

type placedLetter struct {
	DeadLetter
	place int
	after string // selects the next page after this letter
	size  int    // bytes of JSON
}

// isPast reports whether the letter at a place did not fit. It never fits later, because more letters before it follow.
func (p *letterPage) isPast(place int) bool { return p.end > 0 && place >= p.end }

// add adds a letter that is not past the end, and drops the last letters that do not fit.
func (p *letterPage) add(l placedLetter) {
	pos, _ := slices.BinarySearchFunc(p.letters, l.place, func(other placedLetter, place int) int {
		return cmp.Compare(other.place, place)
	})
	p.letters = slices.Insert(p.letters, pos, l)
	total := 0
	for i := range p.letters {
		total += p.letters[i].size
		if total > maxPageBytes && i > 0 {
			p.end = p.letters[i].place
			p.letters = slices.Delete(p.letters, i, len(p.letters))
			return
		}
	}
}
