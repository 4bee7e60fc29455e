package paging

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// many is the number of rows in most tests below, as in the sets of users.
const many = 25_000

// failedLoad takes the place of a verdict if a load ends with an error.
const failedLoad = "failed"

// verdictCase is a service, as it was seen or as reports describe it, and the verdict about its load.
type verdictCase struct {
	name        string
	service     *service
	paging      string // auto unless set
	top         int
	exactlyOnce bool
	keyless     bool
	gaps        bool // odd keys precede even ones
	firstKey    int  // Zero means 1.
	verdict     string
	rows        int // that arrive, those read twice included
	requests    int // the maximum
}

// TestVerdicts reads services to their end: all rows arrive once and the load is proven, or it ends without proof, or
// it fails.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, test := range slices.Concat(provenLoads(), unprovenLoads(), failedLoads()) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check(t)
		})
	}
}

func (c *verdictCase) check(t *testing.T) {
	fake := c.service
	fake.keys = upFrom(max(c.firstKey, 1), many)
	if c.gaps {
		slices.SortStableFunc(fake.keys, func(a, b int) int { return b%2 - a%2 })
	}
	if fake.page == 0 {
		fake.page = 100
	}
	set := setOf(cmp.Or(c.paging, "auto"), c.top)
	set.ExactlyOnce = c.exactlyOnce
	if c.keyless {
		set.Keys = nil
		set.Ordered = false
	}
	result, err := fake.load(t, set, nil)
	verdict := failedLoad
	if err == nil {
		verdict = result.end.verdict
	}
	require.Equal(t, c.verdict, verdict, "with", len(result.rows), "rows in", len(fake.requests), "requests,", err)
	if verdict == failedLoad {
		return
	}
	if len(result.rows) != c.rows || len(fake.requests) > c.requests {
		pages := 0
		for _, request := range fake.requests {
			if !strings.Contains(request, "$top=1") {
				pages++
			}
		}
		t.Errorf("expected %d rows in at most %d requests: found %d in %d, %d of them pages, the last:\n%s",
			c.rows, c.requests, len(result.rows), len(fake.requests), pages,
			strings.Join(fake.requests[max(0, len(fake.requests)-5):], "\n"))
	}
}

// provenLoads are loads of which it is proven that all rows arrived.
func provenLoads() []verdictCase {
	return []verdictCase{
		{name: "links that count, keys in order", service: &service{links: "token"}, verdict: ProvenByKey, rows: many,
			requests: 257},
		{name: "links by key, no count", service: &service{links: "key", count: "none"}, verdict: ProvenByKey,
			rows: many, requests: 257},
		{name: "links by key, followed", service: &service{links: "key"}, paging: "links", firstKey: 100_001,
			verdict: ProvenByCount, rows: many, requests: 251},
		{name: "no links, no count", service: &service{links: "none", count: "none", skips: true}, verdict: ProvenByKey,
			rows: many, requests: 257},
		{name: "no links, count of a page", service: &service{links: "none", count: "page", skips: true},
			verdict: ProvenByKey, rows: many, requests: 257},
		{name: "no links, a count that ends at a limit", service: &service{links: "none", count: "limit", skips: true},
			verdict: ProvenByKey, rows: many, requests: 257},
		{name: "pages of top", service: &service{links: "none", tops: true, skips: true}, top: 100, paging: "top",
			verdict: ProvenByKey, rows: many, requests: 256},
		{name: "the last row is deleted before the last page", service: &service{links: "none", skips: true,
			beforeRequest: func(s *service, number int) {
				if number == 253 {
					var last int
					fmt.Sscanf(s.requests[number-1], "$filter=K%%20ge%%20%dL", &last)
					s.remove(last)
				}
			}}, exactlyOnce: true, verdict: ProvenByKey, rows: many, requests: 257},
	}
}

// unprovenLoads are loads that end, although rows may be missing.
func unprovenLoads() []verdictCase {
	return []verdictCase{
		{name: "links that count, followed", service: &service{links: "skip", skips: true}, paging: "links",
			verdict: Unproven, rows: many, requests: 250},
		{name: "a row is deleted and another inserted between two pages of links that count",
			service: &service{links: "skip", skips: true, order: "ignores", beforeRequest: replaceRow},
			paging:  "links", exactlyOnce: true, verdict: Unproven, rows: many, requests: 252},
		{name: "no keys, no links", service: &service{links: "none", keyless: true, skips: true}, keyless: true,
			verdict: Unproven, rows: many, requests: 254},
		{name: "no keys, no links, no count",
			service: &service{links: "none", count: "none", keyless: true, skips: true}, keyless: true,
			verdict: Unproven, rows: many, requests: 255},
		{name: "no keys, all in one page", service: &service{links: "none", keyless: true, skips: true, page: 30_000},
			keyless: true, verdict: Unproven, rows: many, requests: 2},
		{name: "keys that number the rows of a response",
			service: &service{links: "skip", generated: true, skips: true, order: "ignores", filter: "ignores"},
			verdict: Unproven, rows: many, requests: 252},
		{name: "two rows of one key, on two pages", service: &service{links: "token", skips: true,
			key: func(row int) int {
				if row > 100 {
					return row - 1
				}
				return row
			}}, verdict: Unproven, rows: 2 * many, requests: 510},
		{name: "ge means gt", service: &service{links: "none", filter: "above", skips: true}, verdict: Unproven,
			rows: many + 200, requests: 256},
		{name: "only filtered rows are sorted",
			service: &service{links: "token", count: "none", skips: true, page: 1000, fault: sortsFilteredOnly},
			gaps:    true, verdict: Unproven, rows: 2 * many, requests: 60},
		{name: "an empty answer to the question at the end", service: &service{links: "none", count: "none",
			skips: true, fault: func(_ *service, number int, target string, correct answer) answer {
				if strings.HasSuffix(target, "?$orderby=K%20desc&$top=8") {
					correct.keys = nil
				}
				return correct
			}}, exactlyOnce: true, verdict: Unproven, rows: many, requests: 257},
		{name: "the last row is deleted, and the request that shows it is rejected", service: &service{links: "none",
			skips: true, beforeRequest: func(s *service, number int) {
				if number == 253 {
					var last int
					fmt.Sscanf(s.requests[number-1], "$filter=K%%20ge%%20%dL", &last)
					s.remove(last)
				}
			}, fault: func(s *service, number int, target string, correct answer) answer {
				if strings.Contains(target, "%20eq%20") {
					return answer{status: 400, message: "no"}
				}
				return correct
			}}, verdict: Unproven, rows: many, requests: 257},
		{name: "equal keys that are never on one page", service: &service{links: "skip", order: "ignores",
			filter: "ignores", skips: true, key: func(row int) int { return (row - 1) % (many / 2) }},
			verdict: Unproven, rows: 2 * many, requests: 504},
		{name: "hidden rows: links jump rightly",
			service: &service{links: "skip", skips: true, count: "none", hidden: setFrom(upFrom(301, 50))},
			paging:  "links", verdict: Unproven, rows: many - 50, requests: 253},
		{name: "an exactly full last page has a link to an empty page", service: &service{links: "token", skips: true,
			order: "refused", filter: "refused",
			fault: func(s *service, _ int, target string, correct answer) answer {
				if len(correct.keys) > 0 && correct.keys[len(correct.keys)-1] == many {
					correct.link = "/s/X?$skiptoken=25000"
				}
				return correct
			}}, verdict: Unproven, rows: many, requests: 252},
		{name: "links behind the end, with a count", service: &service{links: "fresh", skips: true, order: "ignores",
			filter: "ignores", fault: linksBehindTheEnd}, verdict: Unproven, rows: many, requests: 253},
		{name: "equal rows of few properties, no keys",
			service: &service{links: "token", keyless: true, skips: true, equal: true}, keyless: true,
			verdict: Unproven, rows: many, requests: 257},
	}
}

// failedLoads are loads whose rows are certainly incomplete, or whose end cannot be found.
func failedLoads() []verdictCase {
	return []verdictCase{
		{name: "no keys, $skip ignored", service: &service{links: "none", keyless: true}, keyless: true,
			verdict: failedLoad},
		{name: "two rows of one key, on two pages, and ge means gt", service: &service{links: "none", filter: "above",
			skips: true, page: 20_000, key: func(row int) int {
				if row > 20_000 {
					return row - 1
				}
				return row
			}}, verdict: failedLoad},
		{name: "an empty page from the last key on", service: &service{links: "none", count: "none", skips: true,
			fault: func(_ *service, number int, target string, correct answer) answer {
				if number > 100 && strings.Contains(target, "ge%20") {
					correct.keys = nil
				}
				return correct
			}}, exactlyOnce: true, verdict: failedLoad},
		{name: "rows are cut before they are filtered",
			service: &service{links: "none", count: "none", skips: true, page: many, fault: cutBeforeFilter},
			verdict: failedLoad},
		{name: "rows are cut before they are filtered, count of a page",
			service: &service{links: "none", count: "page", skips: true, page: many, fault: cutBeforeFilter},
			verdict: failedLoad},
		{name: "links that jump", service: &service{links: "skip", skips: true, order: "ignores",
			fault: func(_ *service, _ int, _ string, correct answer) answer {
				if strings.HasSuffix(correct.link, "$skip=1000") {
					correct.link = strings.Replace(correct.link, "1000", "2000", 1)
				}
				return correct
			}}, paging: "links", verdict: failedLoad},
		{name: "links behind the end, no count", service: &service{links: "fresh", skips: true, order: "ignores",
			filter: "ignores", count: "none", fault: linksBehindTheEnd}, verdict: failedLoad},
		{name: "links behind the end, and nothing can confirm it", service: &service{links: "fresh", order: "ignores",
			filter: "ignores", count: "none", noSkip: 400, fault: linksBehindTheEnd}, verdict: failedLoad},
	}
}

// replaceRow deletes a row that was read, and inserts one, between two pages.
func replaceRow(s *service, number int) {
	if number == 100 {
		s.remove(5)
		s.keys = append(s.keys, 90_000)
	}
}

// cutBeforeFilter selects 1,000 rows in the requested order, and then applies $filter and $skip to them.
func cutBeforeFilter(s *service, _ int, target string, correct answer) answer {
	query, _ := url.ParseQuery(target[strings.Index(target, "?")+1:])
	rows := slices.Clone(s.keys)
	if strings.Contains(query.Get("$orderby"), "desc") {
		slices.Reverse(rows)
	}
	chosen := setFrom(s.filterKeys(query.Get("$filter")))
	rows = slices.DeleteFunc(rows[:1000], func(row int) bool { return !chosen[row] })
	skip, _ := strconv.Atoi(query.Get("$skip"))
	rows = rows[min(skip, len(rows)):]
	if query.Has("$top") {
		rows = rows[:min(8, len(rows))]
	}
	correct.keys = rows
	if correct.count > 0 {
		correct.count = len(rows)
	}
	return correct
}

// sortsFilteredOnly ignores $orderby in requests without filter.
func sortsFilteredOnly(s *service, _ int, target string, correct answer) answer {
	if !strings.Contains(target, "$filter") && !strings.Contains(target, "$skip") {
		correct.keys = s.keys[:s.page]
	}
	return correct
}

// linksBehindTheEnd adds a new link to the last page and to each empty page.
func linksBehindTheEnd(s *service, number int, target string, correct answer) answer {
	if (len(correct.keys) == 0 || correct.keys[len(correct.keys)-1] == many) && strings.Contains(target, "$skiptoken") {
		correct.link = fmt.Sprint("/s/X?$skiptoken=25000-", number)
	}
	return correct
}

// TestRejectionsOfRequestsThatWorked: an answer that says nothing about the request, or rejects a form of request that
// has worked in this load, fails the page, transiently: no row is read again and nothing is learned from it. On the
// first page it names the settings.
func TestRejectionsOfRequestsThatWorked(t *testing.T) {
	for _, test := range []struct {
		name      string
		status    int
		isHTML    bool
		request   int // the number of the rejected request
		links     string
		transient bool
	}{
		{name: "a router on the first page", status: 404, isHTML: true, request: 1, links: "token", transient: true},
		{name: "a router on the first page, 400", status: 400, isHTML: true, request: 1, links: "token"},
		{name: "a router on a page by key", status: 404, isHTML: true, request: 14, links: "token", transient: true},
		{name: "a router on a page by key, 400", status: 400, isHTML: true, request: 14, links: "token",
			transient: true},
		{name: "the service on the fourteenth page by key", status: 400, request: 14, links: "token", transient: true},
		{name: "a router on the request after the last page", status: 404, isHTML: true, request: 3, links: "none",
			transient: true},
		{name: "a router, 410", status: 410, isHTML: true, request: 14, links: "skip", transient: true},
		{name: "the service on a link after others", status: 400, request: 14, links: "skip", transient: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := &service{keys: upFrom(1, many), page: 1000, links: test.links, skips: true, count: "none"}
			fake.fault = func(_ *service, number int, _ string, correct answer) answer {
				if number == test.request {
					return answer{status: test.status, isHTML: test.isHTML, message: "no"}
				}
				return correct
			}
			paging := "auto"
			if test.links == "skip" {
				paging = "links"
			}
			loaded, err := fake.load(t, setOf(paging, 0), nil)
			var failure *wit.Error
			require.True(t, errors.As(err, &failure), "expected an error, found %d rows", len(loaded.rows))
			isTransient := failure.Kind == wit.ErrorTransient
			assert.True(t, isTransient == test.transient, "expected transient %v, found %v", test.transient, err)
			assert.True(t, test.request != 1 || strings.Contains(failure.Message, "count = none"),
				"expected an error that names settings, found %v", err)
			assert.Equal(t, test.request, len(fake.requests), "requests")
		})
	}
}

// TestProofOfOnePage: a set of one page is asked for its rows before and after the last one, for each load again, since
// the set may have grown. The verdict survives a restart.
func TestProofOfOnePage(t *testing.T) {
	fake := &service{keys: upFrom(1, 50), page: 100, links: "none", skips: true}
	set := setOf("auto", 0)
	first, err := fake.load(t, set, nil)
	require.True(t, err == nil && first.end.verdict == ProvenByKey && len(fake.requests) == 3,
		"expected a proof by key in 3 requests, found %v, %v, in %q", first.end, err, fake.requests)
	stored, err := Read(first.end.Fields())
	if err != nil || stored.Verdict() != ProvenByKey {
		t.Fatalf("expected the stored verdict %s, found %q, %v", ProvenByKey, stored.Verdict(), err)
	}
	for _, rows := range []int{50, 40, 60} {
		fake.keys = upFrom(1, rows)
		fake.requests = nil
		next, err := fake.load(t, set, set.FirstAfter(stored, 1_700_000_100_000))
		assert.True(t, err == nil && Proves(next.end.verdict) && len(fake.requests) == 3,
			"%d rows: expected a proof in 3 requests, found %v, %v, in %q", rows, next.end, err, fake.requests)
	}
}

// TestProofOfPagesProvesNoPage: that a load of many pages was proven says nothing about a count that equals the rows of
// a page.
func TestProofOfPagesProvesNoPage(t *testing.T) {
	fake := &service{keys: upFrom(1, many), page: 1000, links: "none", count: "page", skips: true}
	set := setOf("auto", 0)
	first, err := fake.load(t, set, nil)
	fake.expectAllRows(t, first, err)
	next, err := fake.load(t, set, set.FirstAfter(first.end, 1_700_000_100_000))
	fake.expectAllRows(t, next, err)
	assert.True(t, first.end.verdict == ProvenByKey && next.end.verdict == ProvenByKey,
		"expected proofs by key, found %s and %s", first.end.verdict, next.end.verdict)
}

// The warning about an unproven load names what the service lacks, also if its order was only assumed, its rows do not
// ascend, or its count is wrong.
func TestWarningNamesMissingProof(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Position)
		want   string
	}{
		"order assumed":       {func(p *Position) { p.seen.assumedOrder = true }, "$orderby"},
		"rows do not ascend":  {func(p *Position) { p.checks.sorted = false }, "$orderby"},
		"$orderby is refused": {func(p *Position) { p.known.refusesOrderBy = true }, "$orderby"},
		"another count":       {func(p *Position) { p.totalCount = 2 }, "it counts 2 rows"},
	} {
		position := newPosition(known{})
		position.rowsRead = 3
		position.totalCount = 3
		position.checks.sorted = true
		test.change(position)
		if text := setOf("auto", 0).missingProof(position, ""); !strings.Contains(text, test.want) {
			t.Errorf("%s: expected a warning with %q, found %q", name, test.want, text)
		}
	}
}

// A count that has shown that rows are missing is not forgotten by count = none, as long as the offset is kept.
func TestCountThatIsNoLongerRequested(t *testing.T) {
	for _, isExactlyOnce := range []bool{false, true} {
		fake := &service{keys: upFrom(100_001, 500), page: 100, links: "key", count: "more"}
		set := setOf("links", 0)
		set.ExactlyOnce = isExactlyOnce
		_, err := fake.load(t, set, nil)
		if err == nil || (!isExactlyOnce && !strings.Contains(err.Error(), "count = none removes this evidence")) {
			t.Fatalf("expected an error about the count, found %v", err)
		}
		position := set.First(1_700_000_000_000)
		page := NewPage()
		for err = nil; err == nil; { // up to the error, whose position is kept
			var next *Position
			if next, err = fake.readPage(set, page, position, &result{}); err == nil {
				position = next
			}
		}
		load := func(requestsCount bool, previous *Position) *Position {
			set.Count = requestsCount
			if previous.isDone {
				previous = set.FirstAfter(previous, 1_700_000_000_000)
			}
			result, err := fake.load(t, set, previous)
			require.NoError(t, err)
			return result.end
		}
		end := load(false, position)
		again := load(false, end)
		assert.True(t, end.verdict == Unproven && again.verdict == Unproven,
			"exactly once %v: expected two loads without proof, found %s and %s", isExactlyOnce, end.verdict,
			again.verdict)
		fake.count = "filtered"
		counted := load(true, again)
		set.Paging = "auto"
		uncounted := load(false, counted)
		assert.True(t, Proves(counted.verdict) && Proves(uncounted.verdict),
			"exactly once %v: expected two proven loads, found %s and %s", isExactlyOnce, counted.verdict,
			uncounted.verdict)
	}
}

// A set whose metadata say that it is partial is never proven.
func TestPartialSet(t *testing.T) {
	for _, links := range []string{"token", "none"} {
		for _, page := range []int{100, 1000} {
			fake := &service{keys: upFrom(1, 500), page: page, links: links, skips: true}
			set := setOf("auto", 0)
			proven, err := fake.load(t, set, nil)
			set.Partial = true
			partial, partialErr := fake.load(t, set, nil)
			assert.True(t, err == nil && partialErr == nil && Proves(proven.end.verdict) &&
				partial.end.verdict == Unproven && !set.CanProve(),
				"%s, pages of %d: expected a proof for the whole set only, found %s and %s, %v, %v", links, page,
				proven.end.verdict, partial.end.verdict, err, partialErr)
		}
	}
}

// A count that moves by six is evidence if 494 rows are missing: the set is read again, and the load fails if that
// number stays the same. With exactly-once no row is read again.
func TestCountThatMoves(t *testing.T) {
	for _, test := range []struct {
		missing     int // in the first and in later attempts
		later       int
		exactlyOnce bool
		verdict     string
		attempts    int
	}{
		{missing: 494, later: 494, verdict: failedLoad, attempts: 3},
		{missing: 494, later: 493, verdict: failedLoad, attempts: 3},
		{missing: 494, later: 0, verdict: ProvenByKey, attempts: 2},
		{missing: 7, later: 7, verdict: failedLoad, attempts: 3},
		{missing: 6, later: 6, verdict: ProvenByKey, attempts: 1},
		{missing: 494, later: 494, exactlyOnce: true, verdict: Unproven, attempts: 1},
	} {
		firstKey := 100_001
		fake := &service{keys: upFrom(firstKey, many), page: 1000, links: "none", hidden: map[int]bool{}}
		hide := func(count int) {
			clear(fake.hidden)
			for k := range count {
				fake.hidden[firstKey+5000+k] = true
			}
		}
		attempts := 0
		fake.fault = func(s *service, number int, target string, correct answer) answer {
			isCounted := strings.Contains(target, "$inlinecount")
			switch {
			case strings.HasPrefix(target, "/s/X?$orderby=K&$inlinecount"):
				attempts++
				if attempts == 2 {
					hide(test.later)
				}
			case isCounted && correct.count >= 0:
				correct.count += 6
			}
			return correct
		}
		hide(test.missing)
		set := setOf("keys", 0)
		set.ExactlyOnce = test.exactlyOnce
		result, err := fake.load(t, set, nil)
		verdict := failedLoad
		if err == nil {
			verdict = result.end.verdict
		}
		if verdict != test.verdict || attempts != test.attempts {
			t.Errorf("%+v: found %s after %d attempts, %v\n%s", test, verdict, attempts, err,
				strings.Join(fake.requests[len(fake.requests)-3:], "\n"))
		}
	}
}
