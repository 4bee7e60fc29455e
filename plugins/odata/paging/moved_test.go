package paging

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// versions divides a row's number: the remainder is its key, and each change of the row adds one to the quotient.
const versions = 10_000

// unsorted is a service that accepts $orderby and $filter but ignores both. It has its own order of rows, and its links
// count them.
func unsorted(rows, page int) *service {
	return &service{keys: upFrom(1, rows), page: page, links: "skip", order: "ignores", filter: "ignores",
		count: "whole", skips: true, key: func(row int) int { return row % versions }}
}

// moveToEnd changes a row and moves it to the end, like a service that sorts by the time of the change.
func (s *service) moveToEnd(key int) {
	index := slices.IndexFunc(s.keys, func(row int) bool { return s.key(row) == key })
	row := s.keys[index]
	s.keys = append(slices.Delete(s.keys, index, index+1), row+versions)
}

// beforePage returns a function that changes the rows before a page, but not before other requests. number counts pages
// from 1.
func beforePage(change func(s *service, number int)) func(*service, int) {
	pages := 0
	return func(s *service, _ int) {
		if !strings.Contains(s.requests[len(s.requests)-1], "$top=1") {
			pages++
			change(s, pages)
		}
	}
}

// insertFirst inserts rows with keys from 9000 before all others.
func (s *service) insertFirst(rows int) {
	for key := range rows {
		s.keys = slices.Insert(s.keys, 0, 9000+key)
	}
}

// A row that moves behind the pages already read shifts its neighbor onto one of them, and the count stays right: the
// set is read again from its start, completely.
func TestRowThatMovesDuringALoad(t *testing.T) {
	reversed := func(s *service) *service { slices.Reverse(s.keys); return s }
	interleaved := func(s *service) *service {
		slices.SortFunc(s.keys, func(a, b int) int { return (a*7919)%1009 - (b*7919)%1009 })
		return s
	}
	moveTenth := func(s *service) { s.moveToEnd(10) }
	for _, test := range []struct {
		name       string
		new        func() *service
		changePage int // number of the page before which the rows change
		insertPage int // number of the page before which a row is inserted. Zero means never.
		change     func(*service)
	}{
		{name: "a row of page 1, to the end", new: func() *service { return unsorted(300, 100) }, changePage: 2,
			change: moveTenth},
		{name: "behind the first link", new: func() *service { return unsorted(300, 100) }, changePage: 3,
			change: moveTenth},
		{name: "of a large set", new: func() *service { return unsorted(3000, 500) }, changePage: 2, change: moveTenth},
		{name: "of a large set, later", new: func() *service { return unsorted(3000, 500) }, changePage: 5,
			change: moveTenth},
		{name: "the last row of a page, to the end of the next one", new: func() *service { return unsorted(200, 100) },
			changePage: 2, change: func(s *service) { s.moveToEnd(100) }},
		{name: "the last row of a page of a large set", new: func() *service { return unsorted(2000, 1000) },
			changePage: 2, change: func(s *service) { s.moveToEnd(1000) }},
		{name: "several rows", new: func() *service { return unsorted(300, 100) }, changePage: 2,
			change: func(s *service) {
				for _, key := range []int{99, 3, 100, 50} {
					s.moveToEnd(key)
				}
			}},
		{name: "the keys descend", new: func() *service { return reversed(unsorted(300, 100)) }, changePage: 3,
			change: func(s *service) { s.moveToEnd(250) }},
		{name: "the keys are in no order", new: func() *service { return interleaved(unsorted(900, 100)) },
			changePage: 4, change: moveTenth},
		{name: "rows are inserted, too", new: func() *service { return unsorted(300, 100) }, changePage: 3,
			change: func(s *service) {
				s.moveToEnd(10)
				s.insertFirst(2)
			}},
		{name: "rows of a large set were inserted before", new: func() *service { return unsorted(3000, 500) },
			changePage: 5, insertPage: 3, change: moveTenth},
		{name: "pages of few rows", new: func() *service { return unsorted(90, 10) }, changePage: 3,
			change: func(s *service) { s.moveToEnd(1) }},
		{name: "pages of seven rows", new: func() *service { return unsorted(30, 7) }, changePage: 3,
			change: func(s *service) { s.moveToEnd(1) }},
		{name: "pages of five rows", new: func() *service { return unsorted(30, 5) }, changePage: 3,
			change: func(s *service) { s.moveToEnd(3) }},
		{name: "pages of five rows, when the second is requested", new: func() *service { return unsorted(30, 5) },
			changePage: 2, change: func(s *service) { s.moveToEnd(3) }},
		{name: "pages of two rows", new: func() *service { return unsorted(12, 2) }, changePage: 3,
			change: func(s *service) { s.moveToEnd(1) }},
		{name: "pages of a row", new: func() *service { return unsorted(12, 1) }, changePage: 3,
			change: func(s *service) { s.moveToEnd(1) }},
	} {
		for _, count := range []string{"whole", "none"} {
			for _, paging := range []string{"auto", "links"} {
				t.Run(fmt.Sprint(test.name, " count ", count, " ", paging), func(t *testing.T) {
					fake := test.new()
					fake.count = count
					fake.beforeRequest = beforePage(func(s *service, n int) {
						if n == test.insertPage {
							s.insertFirst(1)
						}
						if n == test.changePage {
							test.change(s)
						}
					})
					loaded, err := fake.load(t, setOf(paging, 0), nil)
					fake.expectAllRows(t, loaded, err)
				})
			}
		}
	}
}

// If rows move during each load, the load fails with an error. It never ends as if it were complete.
func TestRowThatMovesDuringEachLoad(t *testing.T) {
	for _, rows := range []int{300, 3000} {
		for _, paging := range []string{"auto", "links"} {
			fake := unsorted(rows, rows/3)
			original := slices.Clone(fake.keys)
			fake.beforeRequest = func(s *service, _ int) {
				s.keys = slices.Clone(original)
				if strings.Contains(s.requests[len(s.requests)-1], "$skip=") {
					s.moveToEnd(10)
				}
			}
			loaded, err := fake.load(t, setOf(paging, 0), nil)
			assert.True(t, len(loaded.missing) == 0 || err != nil || loaded.end.verdict == Unproven,
				"%d rows, %s: expected an error or no proof, rows %v are missing", rows, paging, loaded.missing)
		}
	}
}

// The set is not read again from its start for other reasons: rows that were inserted, links that point to rows after a
// key, and a stable order that is not by key. Keys that identify several rows cause one repetition, in which the same
// keys are repeated.
func TestLoadsInWhichNoRowMoves(t *testing.T) {
	for _, test := range []struct {
		name          string
		rows          int
		page          int
		change        func(*service)
		key           func(i int) int
		repeatedRows  int  // number of rows that are read twice
		hasDuplicates bool // all rows are read twice, since a second reading shows that keys are not unique
	}{
		{name: "nothing changes", rows: 300, page: 100},
		{name: "a row is inserted", rows: 300, page: 100, change: func(s *service) { s.insertFirst(1) },
			repeatedRows: 1},
		{name: "rows are inserted", rows: 300, page: 100, change: func(s *service) { s.insertFirst(40) },
			repeatedRows: 40},
		{name: "a row is inserted before a page of five", rows: 30, page: 5, repeatedRows: 1,
			change: func(s *service) { s.insertFirst(1) }},
		{name: "rows are inserted before a page of five", rows: 30, page: 5, repeatedRows: 3,
			change: func(s *service) { s.insertFirst(3) }},
		{name: "rows are inserted into a large set", rows: 3000, page: 1000, repeatedRows: 40,
			change: func(s *service) { s.insertFirst(40) }},
		{name: "keys that are not unique", rows: 300, page: 100, key: func(i int) int { return i / 3 },
			hasDuplicates: true},
		{name: "few keys", rows: 300, page: 100, key: func(i int) int { return i % 41 }, hasDuplicates: true},
		{name: "few keys, and a row that is changed", rows: 300, page: 100, key: func(i int) int { return i % 41 },
			hasDuplicates: true, change: func(s *service) { s.keys[5] += 500 * versions }},
		{name: "a row out of order", rows: 300, page: 100, key: func(i int) int { return (i + 1) % 300 }},
		{name: "the keys descend", rows: 3000, page: 500, key: func(i int) int { return 3000 - i }},
	} {
		for _, paging := range []string{"auto", "links"} {
			t.Run(test.name+" "+paging, func(t *testing.T) {
				fake := unsorted(test.rows, test.page)
				for i := range fake.keys {
					if test.key != nil {
						fake.keys[i] = test.key(i)
					}
					fake.keys[i] += i * versions
				}
				rows := len(fake.keys)
				if test.change != nil {
					fake.beforeRequest = beforePage(func(s *service, n int) {
						if n == 2 {
							test.change(s)
						}
					})
				}
				loaded, err := fake.load(t, setOf(paging, 0), nil)
				if test.hasDuplicates {
					rows *= 2
				}
				fake.expectAllRows(t, loaded, err)
				assert.Equal(t, rows+test.repeatedRows, len(loaded.rows), "rows")
			})
		}
	}
}

// A large set whose keys ascend for a while, because the service sorts by another property first, is read again from
// its start once. The next load uses that knowledge.
func TestLargeSetInOtherOrder(t *testing.T) {
	service := unsorted(3000, 500)
	set := setOf("links", 0)
	for i := range service.keys {
		service.keys[i] = (i + 800) % 3000
	}
	result, err := service.load(t, set, nil)
	service.expectAllRows(t, result, err)
	require.Equal(t, 6000, len(result.rows), "each of 3000 rows twice")
	result, err = service.load(t, set, set.FirstAfter(result.end, 1_700_000_100_000))
	assert.True(t, err == nil && len(result.rows) == 3000,
		"expected each row once, found %d of 3000, %v", len(result.rows), err)
}
