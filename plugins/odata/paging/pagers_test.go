package paging

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A service that accepts $orderby but ignores it: rows out of order arrive like all others, each once.
func TestRowsOutOfOrder(t *testing.T) {
	displaced := func(from, to int) []int {
		keys := upFrom(1000, 300)
		k := keys[from]
		return slices.Insert(slices.Delete(keys, from, from+1), to, k)
	}
	for _, links := range []string{"skip", "token"} {
		for _, order := range []string{"ignores", "unfiltered"} {
			for _, count := range []string{"filtered", "whole", "first", "none"} {
				for name, keys := range map[string][]int{
					"the first row late":        displaced(0, 250),
					"the 200th first":           displaced(199, 0),
					"the 200th last":            displaced(199, 299),
					"a row of page 2 on page 3": displaced(150, 210),
					"the last row early":        displaced(299, 120),
					"two":                       append(displaced(5, 250), 7),
				} {
					t.Run(fmt.Sprint(links, order, count, name), func(t *testing.T) {
						s := &service{keys: keys, page: 100, links: links, order: order, count: count, skips: true}
						loaded, err := s.load(t, setOf("auto", 0), nil)
						s.expectAllRows(t, loaded, err)
						if len(s.requests) > 14 { // it is read again at most once
							t.Errorf("expected at most 14 requests, found %v, with %d rows read twice", s.requests,
								loaded.repeated)
						}
					})
				}
			}
		}
	}
}

// In whatever form the links of a service contain the number of rows, even encrypted, a row that was deleted ahead of
// them hides no other row: pages are read by key, and if the service does not sort, the load restarts.
func TestRowDeletedAheadOfCountingLinks(t *testing.T) {
	for _, links := range []string{"token", "base64", "offset", "page", "sealed"} {
		for _, first := range []int{1, 5000} {
			for _, order := range []string{"heeds", "refused"} {
				t.Run(fmt.Sprint(links, first, order), func(t *testing.T) {
					fake := &service{keys: upFrom(first, 3000), page: 1000, links: links, order: order, skips: true}
					fake.beforeRequest = func(s *service, number int) {
						if number == 2 {
							s.remove(first + 5)
						}
					}
					loaded, err := fake.load(t, setOf("auto", 0), nil)
					fake.expectAllRows(t, loaded, err)
					assert.True(t, order != "heeds" || loaded.repeated <= 0,
						"expected each row once, found %d twice, %v", loaded.repeated, fake.requests)
				})
			}
		}
	}
}

// expectEachOnce checks that a load has returned each decodable row once, and each of the others as an error once.
func (s *service) expectEachOnce(t *testing.T, loaded result, err error) {
	t.Helper()
	slices.Sort(loaded.errors)
	faults := len(slices.Compact(slices.Clone(loaded.errors)))
	isEachOnce := len(loaded.missing) == 0 && loaded.repeated == 0
	assert.True(t, err == nil && isEachOnce && len(loaded.rows) == len(s.keys)-len(s.undecodable) &&
		faults == len(s.undecodable) && len(loaded.errors) == faults,
		"expected %d rows and %d errors, found %d rows, %d twice, %v missing, errors %v; %v, in\n%s",
		len(s.keys)-len(s.undecodable), len(s.undecodable), len(loaded.rows), loaded.repeated, loaded.missing,
		loaded.errors, err, strings.Join(s.requests, "\n"))
}

// setFrom returns a map in which the keys are true.
func setFrom(keys []int) map[int]bool {
	set := map[int]bool{}
	for _, k := range keys {
		set[k] = true
	}
	return set
}

// A page that ends with unreadable rows is not the last one, however pages are requested. Such a row is an error once,
// and does not end the load.
func TestUnreadableRows(t *testing.T) {
	for name, undecodable := range map[string][]int{
		"the last of page 2":         {20},
		"two":                        {19, 20},
		"the first of page 3":        {21},
		"across pages":               {19, 20, 21, 22},
		"the last of all":            {40},
		"the last two":               {39, 40},
		"of page 1":                  {10},
		"a whole page":               upFrom(11, 10),
		"a page and more":            upFrom(9, 15),
		"the first page":             upFrom(1, 10),
		"all but one":                upFrom(2, 39),
		"two whole pages at the end": upFrom(21, 20),
	} {
		for _, test := range []struct{ count, order, links, paging string }{
			{count: "none", order: "heeds", links: "none", paging: "top"},
			{count: "filtered", order: "heeds", links: "none", paging: "top"},
			{count: "first", order: "heeds", links: "none", paging: "top"},
			{count: "none", order: "heeds", links: "none", paging: "auto"},
			{count: "filtered", order: "heeds", links: "none", paging: "auto"},
			{count: "none", order: "refused", links: "none", paging: "top"},
			{count: "filtered", order: "refused", links: "none", paging: "auto"},
			{count: "filtered", order: "heeds", links: "token", paging: "auto"},
			{count: "none", order: "heeds", links: "token", paging: "auto"},
			{count: "filtered", order: "heeds", links: "key", paging: "auto"},
		} {
			t.Run(fmt.Sprint(name, test), func(t *testing.T) {
				fake := &service{
					keys:        upFrom(1, 40),
					page:        10,
					links:       test.links,
					order:       test.order,
					count:       test.count,
					skips:       true,
					tops:        true,
					undecodable: setFrom(undecodable),
				}
				top := 0
				if test.paging == "top" {
					top = 10
				}
				loaded, err := fake.load(t, setOf(test.paging, top), nil)
				fake.expectEachOnce(t, loaded, err)
				assert.True(t, len(fake.requests) < 100,
					"expected fewer than 100 requests, found %d", len(fake.requests))
			})
		}
	}
}

// If the rows of the last page are unreadable and nothing shows that there are more, the load ends for a service that
// ignores or rejects $skip, or whose metadata do not allow paging. Each row is an error once.
func TestUnreadableRowsWithoutSkip(t *testing.T) {
	for _, test := range []struct {
		rows        int
		undecodable []int
		count       string
		isEnd       bool // the load ends, otherwise it fails or is unproven, since there may be more rows
	}{
		{rows: 1, undecodable: upFrom(1, 1), count: "none", isEnd: true},
		{rows: 1, undecodable: upFrom(1, 1), count: "page", isEnd: true},
		{rows: 10, undecodable: upFrom(1, 10), count: "none", isEnd: true},
		{rows: 10, undecodable: upFrom(1, 10), count: "page", isEnd: true},
		{rows: 10, undecodable: upFrom(1, 10), count: "filtered", isEnd: true},
		{rows: 10, undecodable: []int{10}, count: "none", isEnd: true},
		{rows: 10, undecodable: upFrom(4, 7), count: "none", isEnd: true},
		{rows: 10, undecodable: []int{10}, count: "page", isEnd: true},
		{rows: 10, undecodable: []int{10}, count: "first", isEnd: true},
		{rows: 70, undecodable: upFrom(7, 64), count: "none", isEnd: true},
		{rows: 40, undecodable: upFrom(21, 20), count: "none"},
	} {
		for _, way := range []string{"ignored", "400", "501", "unpageable"} {
			for _, tops := range []bool{true, false} {
				t.Run(fmt.Sprint(test, way, tops), func(t *testing.T) {
					fake := &service{
						keys:        upFrom(1, test.rows),
						page:        max(10, test.rows/2),
						links:       "none",
						count:       test.count,
						tops:        tops,
						undecodable: setFrom(test.undecodable),
					}
					if test.rows == 70 {
						fake.page = 70
					}
					fake.noSkip, _ = strconv.Atoi(way)
					set := setOf("auto", 0)
					set.Pageable = way != "unpageable"
					loaded, err := fake.load(t, set, nil)
					if test.isEnd {
						fake.expectEachOnce(t, loaded, err)
					} else if err == nil && loaded.end.verdict != Unproven {
						t.Errorf("expected no proof, found a load with %d rows:\n%s", len(loaded.rows),
							strings.Join(fake.requests, "\n"))
					}
					assert.True(t, len(fake.requests) < 100,
						"expected fewer than 100 requests, found %d", len(fake.requests))
				})
			}
		}
	}
}

// A singleton is read by one request without options, and its load is proven.
func TestSingletonIsOneRow(t *testing.T) {
	fake := &service{keys: []int{1}, page: 1, links: "none", count: "refused", order: "refused", filter: "refused",
		noSkip: 404}
	set := setOf("auto", 0)
	set.Support = Support{Singleton: true}
	loaded, err := fake.load(t, set, nil)
	fake.expectEachOnce(t, loaded, err)
	assert.True(t, set.CanProve() && loaded.end.Verdict() == ProvenByCount,
		"expected the verdict %s, found %s", ProvenByCount, loaded.end.Verdict())
	assert.Equal(t, []string{""}, fake.requests, "queries")
}

// A page of unreadable rows follows after as many rows as the service counted at first. The page's own count shows that
// more follow, since rows were inserted in the meantime.
func TestUnreadableRowsBeforeInsertedRows(t *testing.T) {
	fake := &service{keys: upFrom(1, 40), page: 10, links: "none", skips: true, undecodable: setFrom(upFrom(41, 10))}
	fake.beforeRequest = func(s *service, number int) {
		if number == 2 {
			s.keys = upFrom(1, 70)
		}
	}
	loaded, err := fake.load(t, setOf("auto", 0), nil)
	fake.expectEachOnce(t, loaded, err)
}

// A service that limits its pages, without link and count, is read completely if it supports filters by key or $skip,
// also after restarts. A service that returns all rows receives one more request.
func TestPagesWithoutLinkAndCount(t *testing.T) {
	for _, count := range []string{"none", "refused"} {
		for _, paging := range []string{"auto", "keys", "links"} {
			for _, filter := range []string{"heeds", "ignores", "refused"} {
				for _, order := range []string{"heeds", "ignores", "refused"} {
					for _, skips := range []bool{true, false} {
						for _, pageSize := range []int{1, 100, 350, 1000} {
							fake := &service{
								keys:   upFrom(1, 350),
								page:   pageSize,
								links:  "none",
								order:  order,
								filter: filter,
								count:  count,
								skips:  skips,
							}
							if pageSize == 1 {
								fake.keys = fake.keys[:5]
							}
							loaded, err := fake.load(t, setOf(paging, 0), nil)
							isHopeless := pageSize < 350 && !skips && (filter != "heeds" || paging == "links" ||
								order != "heeds" || pageSize == 1)
							isIncomplete := err != nil || len(loaded.missing) > 0
							isRepeated := err == nil && loaded.repeated > 0
							assert.True(t, (isHopeless || !isIncomplete) && (!isRepeated || order != "heeds"),
								"%s: rows %v are missing, %d twice, %v: %v\n%s", paging, loaded.missing,
								loaded.repeated, err, fake, strings.Join(fake.requests, "\n"))
							maxRequests := 3
							if count == "refused" {
								maxRequests++
							}
							isOnePage := pageSize >= 350 && order == "heeds" && filter == "heeds" && skips
							assert.True(t, !isOnePage || len(fake.requests) <= maxRequests,
								"%s: expected at most %d requests, found %v", paging, maxRequests, fake.requests)
						}
					}
				}
			}
		}
	}
}

// A circle of pages is detected, whatever its length, and after a restart.
func TestCircles(t *testing.T) {
	for _, test := range []struct {
		circle int
		page   int
		links  string
		want   string
	}{
		{circle: 1, page: 10, links: "token", want: "is its own URL"},
		{circle: 2, page: 10, links: "skip", want: "followed before"},
		{circle: 7, page: 10, links: "token", want: "followed before"},
		{circle: 50, page: 10, links: "token", want: "followed before"},
		{circle: 50, page: 10, links: "skip", want: "followed before"},
		{circle: 150, page: 4, links: "token", want: "loop"},
		{circle: 0, page: 10, links: "grow", want: "has the same rows"},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			fake := &service{
				keys:   upFrom(0, 1000),
				page:   test.page,
				links:  test.links,
				order:  "ignores",
				filter: "ignores",
				skips:  true,
				circle: test.circle,
			}
			slices.Reverse(fake.keys)
			_, err := fake.load(t, setOf("auto", 0), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "X?") {
				t.Fatalf("expected an error that names a link and contains %q, found %v after %d requests", test.want,
					err, len(fake.requests))
			}
			maxRequests := test.circle + 2
			if test.circle > 64 {
				maxRequests = 3 * test.circle
			}
			assert.AtMost(t, maxRequests+100/test.page, len(fake.requests), "a circle of", test.circle, "requests")
		})
	}
}

// If the order of rows changes between pages that are requested by number, some rows are read twice and as many are
// missing, while the count is right. The load is never proven. If the order changes only once, the set is read again.
func TestRowsInAnotherOrderOnEachPage(t *testing.T) {
	shuffledService := func(links, order string, swaps, requests int) *service {
		fake := &service{keys: upFrom(1, 200), page: 20, links: links, order: order, skips: true}
		r := rand.New(rand.NewPCG(1, 2))
		fake.beforeRequest = func(s *service, number int) {
			for i := 0; i < swaps && number <= requests; i++ {
				i := r.IntN(len(s.keys))
				j := r.IntN(len(s.keys))
				s.keys[i], s.keys[j] = s.keys[j], s.keys[i]
			}
		}
		return fake
	}
	for _, links := range []string{"skip", "token", "none", "key"} {
		for _, order := range []string{"ignores", "refused"} {
			for _, swaps := range []int{3, 100} {
				s := shuffledService(links, order, swaps, 400)
				loaded, err := s.load(t, setOf("auto", 0), nil)
				isProven := err == nil && loaded.end.verdict != Unproven
				assert.True(t, len(s.requests) <= 400 && (!isProven || len(loaded.missing) == 0),
					"links %s, order %s, %d swaps: rows %v are missing in %d requests, %v", links, order, swaps,
					loaded.missing, len(s.requests), err)
			}
		}
	}
	s := shuffledService("skip", "ignores", 50, 5)
	loaded, err := s.load(t, setOf("auto", 0), nil)
	s.expectAllRows(t, loaded, err)
	assert.True(t, len(loaded.rows) > 200,
		"expected that the set is read again, found %d rows in all loads", len(loaded.rows))
}

// Keys that identify several rows, as in a view without a real key, are not a sign of a changed order: a second reading
// returns the same keys again, and the load is complete. Later loads use that knowledge.
func TestKeysOfSeveralRows(t *testing.T) {
	fake := &service{keys: slices.Concat([]int{7, 7}, upFrom(50, 95), upFrom(1, 95), upFrom(1, 20)), page: 30,
		links: "skip", order: "ignores", skips: true}
	set := setOf("auto", 0)
	loaded, err := fake.load(t, set, nil)
	require.True(t, err == nil && len(loaded.rows) == 2*len(fake.keys),
		"expected %d rows twice, found %d, %v", len(fake.keys), len(loaded.rows), err)
	loaded, err = fake.load(t, set, set.FirstAfter(loaded.end, 1_700_000_100_000))
	assert.True(t, err == nil && len(loaded.rows) == len(fake.keys),
		"the next load: expected %d rows, found %d, %v", len(fake.keys), len(loaded.rows), err)
}

// TestLinkOfAnEmptyPage: a service that adds a link back to every page, and supports filters by key, is read to its
// end, since the link of the empty page leads to no row after the last key. Each row is read once.
func TestLinkOfAnEmptyPage(t *testing.T) {
	for _, test := range []struct{ count, order string }{
		{count: "filtered", order: "ignores"},
		{count: "whole", order: "ignores"},
		{count: "first", order: "heeds"},
		{count: "none", order: "heeds"},
		{count: "refused", order: "heeds"},
	} {
		for _, exactlyOnce := range []bool{false, true} {
			fake := &service{keys: upFrom(1, 25_000), page: 100, links: "back", count: test.count, order: test.order,
				skips: true}
			set := setOf("auto", 0)
			set.ExactlyOnce = exactlyOnce
			loaded, err := fake.load(t, set, nil)
			if err != nil || len(loaded.rows) != 25_000 || loaded.repeated > 0 || len(fake.requests) > 258 {
				t.Errorf("count %s, exactly-once %v: %d rows, %d twice, in %d requests, %v\n%s", test.count,
					exactlyOnce, len(loaded.rows), loaded.repeated, len(fake.requests), err,
					strings.Join(fake.requests[len(fake.requests)-4:], "\n"))
			}
		}
	}
	// If rows are missing, the empty page is not trusted.
	s := &service{keys: upFrom(1, 300), page: 100, links: "back", count: "more"}
	loaded, err := s.load(t, setOf("auto", 0), nil)
	assert.True(t, err != nil, "expected an error, found a load with %d rows", len(loaded.rows))
}

// TestLinkOfAnEmptyPageBeforeRows: a service that cuts pages before it hides rows returns empty pages that are followed
// by others. They are read, each row once.
func TestLinkOfAnEmptyPageBeforeRows(t *testing.T) {
	for _, links := range []string{"token", "skip", "base64", "key", "sealed"} {
		for _, count := range []string{"none", "refused", "page"} {
			for _, hidden := range [][]int{
				upFrom(1001, 200),
				upFrom(1001, 100),
				upFrom(951, 1000),
				upFrom(2801, 200),
				upFrom(101, 2800),
				append(upFrom(1001, 200), upFrom(1301, 150)...),
			} {
				for _, paging := range []string{"auto", "keys"} {
					fake := &service{keys: upFrom(1, 3000), page: 100, links: links, count: count, skips: true,
						hidden: setFrom(hidden)}
					loaded, err := fake.load(t, setOf(paging, 0), nil)
					isEachOnce := err == nil && len(loaded.rows) == 3000-len(hidden) && loaded.repeated == 0
					if !isEachOnce || len(fake.requests) > 100 {
						t.Errorf("links %s, count %s, paging %s, %d hidden from %d on: %d rows, %d twice, in %d "+
							"requests, %v", links, count, paging, len(hidden), hidden[0], len(loaded.rows),
							loaded.repeated, len(fake.requests), err)
					}
				}
			}
		}
	}
	// If that link leads to rows on both sides of the last key, some would be lost or read twice.
	for _, mixed := range [][]int{
		append(upFrom(50, 50), upFrom(201, 50)...),
		append(upFrom(201, 50), upFrom(50, 50)...),
		{200, 100, 99, 98, 97, 96, 95, 94},
	} {
		fake := &service{keys: upFrom(1, 300), page: 100, links: "token", count: "none", skips: true,
			hidden: setFrom(upFrom(101, 100))}
		fake.beforeRequest = func(s *service, number int) {
			if q := s.requests[number-1]; strings.Contains(q, "$skiptoken=100") && strings.Contains(q, "100L") {
				s.keys = slices.Concat(upFrom(1, 100), mixed)
				s.filter = "ignores"
				s.order = "ignores"
				s.hidden = nil
			}
		}
		set := setOf("auto", 0)
		set.ExactlyOnce = true
		if loaded, err := fake.load(t, set, nil); err == nil || !strings.Contains(err.Error(), "paging = links") {
			t.Errorf("expected an error that names a setting, found %d rows, %v\n%s", len(loaded.rows), err,
				strings.Join(fake.requests, "\n"))
		}
	}
}

// TestEmptyPageIsNotRepeated: no strategy requests a page again that has returned no row.
func TestEmptyPageIsNotRepeated(t *testing.T) {
	for _, strategy := range []pager{{kind: byKey}, {kind: byLink}, {kind: bySkip}} {
		for rows, isErr := range map[int]bool{0: true, 1: false} {
			position := newPosition(known{})
			position.url = "/s/X?$skip=7"
			position.pager = strategy
			position.rowsRead = 7
			pg := NewPage()
			pg.Begin(setOf("auto", 0), position)
			next := pg.newTransition(PageInfo{})
			next.next.rowsRead += rows
			if _, err := next.end(nil); (err != nil) != isErr {
				t.Errorf("%+v after %d rows: expected an error: %t, found %v", strategy, rows, isErr, err)
			}
		}
	}
}

// TestRejectedLinkOfAnEmptyPage: if the link of an empty page by key is lost or rejected, the set is read again; the
// load fails if that link is rejected each time.
func TestRejectedLinkOfAnEmptyPage(t *testing.T) {
	for _, status := range []int{400, 404, 405, 410, 501} {
		for _, isAlways := range []bool{false, true} {
			fake := &service{keys: upFrom(1, 3000), page: 100, links: "token", count: "none", skips: true,
				hidden: setFrom(upFrom(1001, 200))}
			fake.refuse = func(times int) int {
				if isAlways || times == 1 {
					return status
				}
				return 0
			}
			loaded, err := fake.load(t, setOf("keys", 0), nil)
			assert.True(t, (err != nil) == isAlways && (isAlways || len(loaded.missing) == 0),
				"%d, always %v: %d rows, %d of them missing, %v", status, isAlways, len(loaded.rows),
				len(loaded.missing), err)
		}
	}
}

// TestRejectedLinksOfIncompleteLoad: if the service counts more rows than it returned, or rejects every second link,
// the rows do not count as complete.
func TestRejectedLinksOfIncompleteLoad(t *testing.T) {
	for count, refuse := range map[string]func(times int) int{
		"whole": func(int) int { return 404 },
		"none":  func(times int) int { return times % 2 * 410 },
	} {
		s := &service{keys: upFrom(1, 500), page: 100, links: "token", count: count, hidden: setFrom(upFrom(101, 200)),
			refuse: refuse}
		if loaded, err := s.load(t, setOf("auto", 0), nil); err == nil || len(s.requests) > 2*maxEmptyPages {
			t.Errorf("count %s: expected an error, found a load with %d rows, in %d requests", count, len(loaded.rows),
				len(s.requests))
		}
	}
}

// filterOfUser returns a filter with the user's condition before the connector's own.
func filterOfUser(condition string) string {
	if condition != "" {
		condition = " and (" + condition + ")"
	}
	return strings.ReplaceAll(usersFilter+condition, " ", "%20")
}

// TestLinkOfAnEmptyPageToItself: an empty page by key whose link is its own URL in another form is the last page.
func TestLinkOfAnEmptyPageToItself(t *testing.T) {
	for _, count := range []string{"none", "whole", "first", "refused"} {
		for _, exactlyOnce := range []bool{false, true} {
			for _, filtered := range []bool{false, true} {
				fake := &service{keys: upFrom(1, 300), page: 100, links: "echo", count: count, skips: true}
				set := setOf("keys", 0)
				set.ExactlyOnce = exactlyOnce
				if filtered {
					set.Filter = filterOfUser
				}
				loaded, err := fake.load(t, set, nil)
				assert.True(t, err == nil && len(loaded.rows) == 300 && loaded.repeated <= 0 && len(fake.requests) <= 7,
					"count %s, exactly-once %v, filtered %v: %d rows, %d twice, %v, in\n%s", count, exactlyOnce,
					filtered, len(loaded.rows), loaded.repeated, err, strings.Join(fake.requests, "\n"))
			}
		}
	}
}
