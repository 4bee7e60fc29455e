package rest

import (
	"cmp"
	"slices"

	"github.com/culvert-project/culvert/internal/deadletters"
)

// letterPage collects the dead letters of a page, which arrive in any order.
//
// Invariants: entries are sorted by index, and are all that were added before end. They are at most
// [deadletters.PageSize], and their JSON has at most maxPageBytes unless there is one entry. The zero value is
// ready.
type letterPage struct {
	entries []pageEntry
	end     int // the index of the first letter that did not fit; zero means that all did
}

// pageEntry is a dead letter of a page with its JSON size.
type pageEntry struct {
	DeadLetter
	index int    // in the page of the worker
	after string // selects the next page after this letter
	size  int    // bytes of JSON
}

// isPast reports whether the letter at an index did not fit. It never fits later, because letters that are added later
// only make the page end earlier.
func (p *letterPage) isPast(index int) bool { return p.end > 0 && index >= p.end }

// add adds a letter that is not past the end, and drops the last letters that do not fit.
func (p *letterPage) add(e pageEntry) {
	pos, _ := slices.BinarySearchFunc(p.entries, e.index, func(other pageEntry, index int) int {
		return cmp.Compare(other.index, index)
	})
	p.entries = slices.Insert(p.entries, pos, e)
	total := 0
	for i := range p.entries {
		total += p.entries[i].size
		if i == deadletters.PageSize || (total > maxPageBytes && i > 0) {
			p.end = p.entries[i].index
			p.entries = slices.Delete(p.entries, i, len(p.entries))
			return
		}
	}
}
