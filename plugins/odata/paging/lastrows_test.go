package paging

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
)

// requestsLastRows reports whether the last request is the one that ends a load by key.
func (s *service) requestsLastRows() bool {
	return len(s.requests) > 2 && strings.HasPrefix(s.requests[len(s.requests)-1], "$orderby=K%20desc&$top=8")
}

// expectVerdict fails a test unless a load ended with a verdict, and each row arrived once.
func (s *service) expectVerdict(t *testing.T, verdict string, loaded result, err error) {
	t.Helper()
	require.True(t, err == nil && loaded.end.verdict == verdict && len(loaded.missing) == 0 && loaded.repeated <= 0,
		"expected %s, found %+v, %d rows missing, %d twice, %v, in\n%s", verdict, loaded.end, len(loaded.missing),
		loaded.repeated, err, strings.Join(s.requests, "\n"))
}

// loadAgain returns the next load after one that has ended, of a service that does what OData demands from then on.
func (s *service) loadAgain(t *testing.T, set *Set, end *Position) (result, error) {
	s.beforeRequest = nil
	s.fault = nil
	s.requests = nil
	return s.load(t, set, set.FirstAfter(end, 1_700_000_001_000))
}

// TestLastRowsAreDeleted: a load is proven although all rows of its last page are deleted before the last rows of the
// set are requested. So is the load after it.
func TestLastRowsAreDeleted(t *testing.T) {
	for _, count := range []string{"none", "filtered"} {
		fake := &service{keys: upFrom(1, 46), page: 12, count: count, links: "none", skips: true}
		isDeleted := false
		fake.beforeRequest = func(s *service, number int) {
			if count != "none" && number == 5 { // the count at the end differs
				s.remove(3)
				s.keys = append(s.keys, 47, 48)
			}
			if s.requestsLastRows() && !isDeleted {
				isDeleted = true
				s.remove(45, 46, 47, 48)
			}
		}
		set := setOf("auto", 0)
		loaded, err := fake.load(t, set, nil)
		require.True(t, isDeleted, "count %s: the last rows were not requested", count)
		fake.expectVerdict(t, ProvenByKey, loaded, err)
		loaded, err = fake.loadAgain(t, set, loaded.end)
		fake.expectVerdict(t, ProvenByKey, loaded, err)
	}
}

// TestRememberedRowsAreDeleted: the last rows of a set are recognized while a row is left that is remembered. The first
// row of the last page takes two places, since it is also the last one of the page before.
func TestRememberedRowsAreDeleted(t *testing.T) {
	for deleted, verdict := range map[int]string{maxTail - 1: ProvenByKey, maxTail: Unproven} {
		fake := &service{keys: upFrom(1, many), page: 100, count: "none", links: "none", skips: true}
		fake.beforeRequest = func(s *service, _ int) {
			if s.requestsLastRows() && len(s.deleted) == 0 {
				s.remove(upFrom(many-deleted+1, deleted)...)
			}
		}
		loaded, err := fake.load(t, setOf("auto", 0), nil)
		fake.expectVerdict(t, verdict, loaded, err)
	}
}

// TestLastRowsCannotBeDecoded: rows behind the last key that cannot be decoded are reported, also if they are inserted
// before the end. If none of the last rows can be decoded, only the count proves the load, until they can be.
func TestLastRowsCannotBeDecoded(t *testing.T) {
	for _, count := range []string{"none", "page", "refused"} {
		fake := &service{keys: upFrom(1, 14), page: 10, count: count, links: "none", skips: true, tops: true,
			undecodable: setFrom(upFrom(11, 4))}
		loaded, err := fake.load(t, setOf("auto", 0), nil)
		assert.True(t, err == nil && slices.Equal(loaded.errors, upFrom(11, 4)),
			"count %s: expected faults for rows 11 to 14, found %v, %+v, %v", count, loaded.errors, loaded.end, err)
	}
	inserted := &service{keys: upFrom(1, 46), page: 12, count: "none", links: "key", skips: true, tops: true,
		undecodable: setFrom(upFrom(47, 2))}
	inserted.beforeRequest = func(s *service, number int) {
		if number == 7 {
			s.keys = append(s.keys, 47, 48)
		}
	}
	loaded, err := inserted.load(t, setOf("auto", 0), nil)
	assert.True(t, err == nil && slices.Equal(loaded.errors, upFrom(47, 2)),
		"expected faults for rows 47 and 48, found %v, %+v, %v", loaded.errors, loaded.end, err)

	fake := &service{keys: upFrom(1, 46), page: 16, count: "none", links: "key", skips: true, tops: true,
		undecodable: setFrom(upFrom(35, 12))}
	set := setOf("auto", 0)
	loaded, err = fake.load(t, set, nil)
	fake.expectVerdict(t, Unproven, loaded, err)
	fake.undecodable = nil
	loaded, err = fake.loadAgain(t, set, loaded.end)
	fake.expectVerdict(t, ProvenByKey, loaded, err)

	// Only the last key can be decoded: it is the first of the last rows.
	fake = &service{keys: upFrom(1, 46), page: 16, count: "none", links: "key", skips: true, tops: true,
		undecodable: setFrom(upFrom(36, 10))}
	loaded, err = fake.load(t, set, nil)
	fake.expectVerdict(t, ProvenByKey, loaded, err)
	fake.undecodable = nil
	loaded, err = fake.loadAgain(t, set, loaded.end)
	fake.expectVerdict(t, ProvenByKey, loaded, err)
}

// TestRowsComeAndGo: a row at the end may exist only while the last rows are requested, as in a queue. The load
// continues and is proven. If the pages return none of more than maxUnreturned such rows, the load fails.
func TestRowsComeAndGo(t *testing.T) {
	for _, test := range []struct {
		times int
		isErr bool
	}{ // times is the number of requests for the last rows that return a row of their own
		{times: 1},
		{times: 2},
		{times: maxUnreturned},
		{times: maxUnreturned + 1, isErr: true},
	} {
		fake := &service{keys: upFrom(1, 46), page: 12, count: "none", links: "none", skips: true}
		count := 0
		fake.beforeRequest = func(s *service, _ int) {
			s.keys = slices.DeleteFunc(s.keys, func(key int) bool { return key >= 100 })
			if s.requestsLastRows() && count < test.times {
				s.keys = append(s.keys, 100+count)
				count++
			}
		}
		set := setOf("auto", 0)
		set.ExactlyOnce = true
		loaded, err := fake.load(t, set, nil)
		if test.isErr {
			assert.True(t, err != nil && strings.Contains(err.Error(), "incomplete.load"),
				"%d times: expected an error that names a setting, found %+v, %v", test.times, loaded.end, err)
			continue
		}
		require.Equal(t, test.times, count, "rows that come and go")
		fake.expectVerdict(t, ProvenByKey, loaded, err)
	}
}

// TestOneRowShowsNoOrder: one decodable row of a probe does not show that the service sorts.
func TestOneRowShowsNoOrder(t *testing.T) {
	for name, fake := range map[string]*service{
		"generated keys": {order: "heeds", skips: true, generated: true, undecodable: map[int]bool{32: true}},
		"ignores":        {order: "ignores", undecodable: map[int]bool{1: true}},
	} {
		fake.keys = upFrom(1, 33)
		fake.page = 2
		fake.filter = "ignores"
		fake.count = "none"
		fake.links = "none"
		for _, paging := range []string{"auto", "keys"} {
			fake.requests = nil
			loaded, err := fake.load(t, setOf(paging, 0), nil)
			if err == nil && Proves(loaded.end.verdict) {
				t.Errorf("%s, paging %s: expected an error or no proof, found %s with %d rows", name, paging,
					loaded.end.verdict, len(loaded.rows))
			}
		}
	}
}

// TestUndecodableEndIsReadOnce: a service that ignores $skip returns the rows at the end that cannot be decoded again
// and again.
func TestUndecodableEndIsReadOnce(t *testing.T) {
	fake := &service{keys: upFrom(1, 58), page: 8, count: "limit", links: "token", undecodable: setFrom(upFrom(48, 11))}
	loaded, err := fake.load(t, setOf("auto", 0), nil)
	assert.True(t, len(fake.requests) <= 20 && (err != nil || loaded.end.verdict == Unproven),
		"expected an error or no proof in at most 20 requests, found %d, %+v, %v", len(fake.requests), loaded.end, err)
	// Such a page does not prove the first page's count.
	fake = &service{keys: upFrom(1, 22), page: 2, count: "page", links: "none", order: "refused",
		undecodable: setFrom(upFrom(1, 2))}
	loaded, err = fake.load(t, setOf("auto", 0), nil)
	assert.True(t, err != nil || loaded.end.verdict == Unproven, "expected no proof, found %+v", loaded.end)
}

// TestOnlyDecodableRowIsRepeated: a page by key starts with the only row of the first page that could be decoded. That
// is no loop.
func TestOnlyDecodableRowIsRepeated(t *testing.T) {
	fake := &service{keys: upFrom(1, 24), page: 8, count: "filtered", links: "skip", skips: true,
		undecodable: setFrom(append(upFrom(1, 7), upFrom(9, 7)...))}
	loaded, err := fake.load(t, setOf("auto", 0), nil)
	assert.True(t, err == nil && len(loaded.missing) == 0 && len(loaded.errors) == 14,
		"expected 14 errors and all other rows, found %d errors, %d rows missing, %v\n%s", len(loaded.errors),
		len(loaded.missing), err, strings.Join(fake.requests, "\n"))
}

// TestLastRowsAreRejected: a service that cannot sort all rows in time ends without proof, and pages by key are
// requested in later loads. If it is busy, the page fails, and is requested again.
func TestLastRowsAreRejected(t *testing.T) {
	for _, status := range []int{400, 408, 500, 501, 504} {
		fake := &service{keys: upFrom(1, 46), page: 12, count: "none", links: "key", skips: true}
		fake.fault = func(s *service, _ int, _ string, correct answer) answer {
			if s.requestsLastRows() {
				return answer{status: status, message: "timeout"}
			}
			return correct
		}
		set := setOf("auto", 0)
		set.ExactlyOnce = true
		loaded, err := fake.load(t, set, nil)
		fake.expectVerdict(t, Unproven, loaded, err)
		loaded, err = fake.loadAgain(t, set, loaded.end)
		fake.expectVerdict(t, ProvenByKey, loaded, err)
	}
	for _, status := range []int{502, 503} {
		fake := &service{keys: upFrom(1, 46), page: 12, count: "none", links: "key", skips: true}
		fake.fault = func(s *service, _ int, _ string, correct answer) answer {
			if s.requestsLastRows() {
				return answer{status: status, message: "busy"}
			}
			return correct
		}
		loaded, err := fake.load(t, setOf("auto", 0), nil)
		assert.True(t, err != nil, "status %d: expected an error, found %+v", status, loaded.end)
	}
}

// TestRequestsWithoutLinksAndCount: at most one request more than pages are needed, the probe of the order, and one
// that shows further rows.
func TestRequestsWithoutLinksAndCount(t *testing.T) {
	fake := &service{keys: upFrom(1, 37), page: 7, count: "none", links: "none", skips: true, tops: true}
	loaded, err := fake.load(t, setOf("top", 7), nil)
	fake.expectVerdict(t, ProvenByKey, loaded, err)
	if pages := 1 + (37-7)/6 + 1; len(fake.requests) > pages+3 {
		t.Errorf("expected at most %d requests, found\n%s", pages+3, strings.Join(fake.requests, "\n"))
	}
}

// An offset of this connector with a field or a probe that this version does not know is an error that names it. In one
// of another connector, other fields are ignored.
func TestOffsetsInUnknownFormat(t *testing.T) {
	for offset, want := range map[string]string{
		`{"url":"/s/X","seen":8,"tail":"Mge06K_b"}`:              "found the field tail, which this version does not know",
		`{"url":"/s/X","seen":8,"beyond":true}`:                  "found the field beyond",
		`{"url":"/s/X","seen":8,"check":"further"}`:              "found the probe further in field check",
		`{"url":"/s/X","seen":8,"check":"count"}`:                "found the probe count in field check",
		`{"url":"/s/X","check":"count"}`:                         "found the probe count in field check",
		`{"url":"/s/X","seen":8,"check":"end"}`:                  "",
		`{"url":"/s/X","seen":8,"guids":"u","unformatted":true}`: "",
		`{"url":"/s/X","rows":8}`:                                "",
	} {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(offset), &fields))
		_, err := Read(configtest.Offset(fields))
		assert.ErrorOrNone(t, err, want, offset)
	}
}

// TestUndecodableEndIsCountedOnce: if further rows cannot be requested, the rows at the end that cannot be decoded are
// counted once.
func TestUndecodableEndIsCountedOnce(t *testing.T) {
	for _, undecoded := range []int{0, 2} {
		fake := &service{keys: upFrom(1, 10), page: 100, count: "refused", links: "none", order: "refused",
			filter: "refused", undecodable: setFrom(upFrom(11-undecoded, undecoded))}
		loaded, err := fake.load(t, setOf("auto", 0), nil)
		if err != nil || loaded.end.rowsSeen() != 10 || len(loaded.errors) != undecoded {
			t.Errorf("expected 10 rows and %d faults, found %d, %v, %v in\n%s", undecoded, loaded.end.rowsSeen(),
				loaded.errors, err, strings.Join(fake.requests, "\n"))
		}
	}
}
