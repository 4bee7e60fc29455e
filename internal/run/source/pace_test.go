package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// A plugin that requests repeatedly without progress is paced by the host, whatever periods, more or followed requests
// it returns.
func TestPluginsWithoutProgressArePaced(t *testing.T) {
	always := func(body string) func(int, string) (uint16, string, bool) {
		return func(int, string) (uint16, string, bool) { return 200, body, false }
	}
	row := 0
	linked := make([]string, 5000)
	for i := range linked {
		linked[i] = ">/inner"
	}
	for _, c := range []struct {
		name        string
		reader      *reader
		page        []string
		respond     func(int, string) (uint16, string, bool)
		maxRequests int // per minute
	}{
		{
			name:        "polls with a period of 0",
			reader:      &reader{alwaysPolls: true},
			page:        []string{"a=1"},
			maxRequests: 70,
		},
		{
			name:        "polls with a period of 1 ms",
			reader:      &reader{alwaysPolls: true, pollMs: 1},
			page:        []string{"a=1"},
			maxRequests: 70,
		},
		{
			name:        "polls with a period of 0 that return rows",
			reader:      &reader{alwaysPolls: true},
			page:        []string{"a=1"},
			respond:     always("a=1\nEND 0 false\n"),
			maxRequests: 610,
		},
		{name: "more without rows", reader: &reader{}, respond: always("END 0 true\n"), maxRequests: 70},
		{
			name:        "more without rows, another offset each time",
			reader:      &reader{uniqueOffsets: true},
			respond:     always("END 0 true\n"),
			maxRequests: 610,
		},
		{
			name:   "more with rows, the same offset",
			reader: &reader{},
			respond: func(int, string) (uint16, string, bool) {
				row++
				return 200, fmt.Sprintf("a=%d\nEND 0 true\n", row), false
			},
			maxRequests: 70,
		},
		{name: "linked requests without rows", reader: &reader{}, page: linked, maxRequests: 330},
	} {
		runtest.Bubble(t, c.name, func(t *testing.T) {
			c.reader.repeatsExactly = true
			w := newWorld(c.reader, c.page)
			w.service.respond = c.respond
			w.o.Once = false
			w.service.bodies = map[string][]string{"/inner": {}}
			stop := runtest.Start(t, NewTask(w.o).Run)
			runtest.Pass(time.Minute)
			require.NoError(t, stop())
			if n := len(w.service.requests); n < 10 || n > c.maxRequests {
				t.Errorf("expected 10 to %d requests per minute, found %d", c.maxRequests, n)
			}
		})
	}
}

// Pages without rows whose offsets differ, such as those of links behind the end, are paced by 100 ms at most.
func TestEmptyPagesThatAdvanceArePacedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pages = 1000
		w := newWorld(&reader{repeatsExactly: true, uniqueOffsets: true}, nil)
		requests := 0
		w.service.respond = func(int, string) (uint16, string, bool) {
			requests++
			return 200, fmt.Sprintf("END 0 %t\n", requests < pages), false
		}
		start := time.Now()
		w.mustRun(t)
		assert.Equal(t, pages, requests, "pages")
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 100*time.Second, "expected at most 100 s for %d pages, found %v", pages, elapsed)
	})
}

// A page may follow a limited number of requests, at once or nested in each other.
func TestFollowedRequestsAreBounded(t *testing.T) {
	checkFails := func(t *testing.T, w *world, linked map[string][]string) {
		t.Helper()
		w.service.bodies = linked
		w.mustFail(t, "expected at most 100000 linked requests in a page")
		if n := len(w.service.requests); n > maxLinked+2 { // with /open and the page
			t.Errorf("expected at most %d requests, found %d", maxLinked+2, n)
		}
	}
	runtest.Bubble(t, "in the page", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, slices.Repeat([]string{">/inner"}, maxLinked+1))
		checkFails(t, w, map[string][]string{"/inner": {}})
	})
	runtest.Bubble(t, "in each other", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, []string{">/0"})
		w.service.bodies = map[string][]string{}
		for depth := range 2 * maxNesting { // each requests the next one within its body
			w.service.bodies[fmt.Sprint("/", depth)] = []string{fmt.Sprint(">/", depth+1),
				strings.Repeat("\n", 2*pieceSize)}
		}
		w.mustFail(t, "linked responses nest more than 16 deep")
		if n := len(w.service.requests); n > maxNesting+2 {
			t.Errorf("expected to end at a depth of %d, found the end after %d requests", maxNesting, n)
		}
	})
	runtest.Bubble(t, "in answers that are followed", func(t *testing.T) {
		linked := map[string][]string{}
		for depth := range 5 {
			linked[fmt.Sprint("/", depth)] = slices.Repeat([]string{fmt.Sprint(">/", depth+1)}, 10)
		}
		linked["/5"] = []string{}
		checkFails(t, newWorld(&reader{repeatsExactly: true}, slices.Repeat([]string{">/0"}, 10)), linked)
	})
}

// The total size of waiting followed requests is limited; requests that were followed do not count.
func TestBytesOfFollowedRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			bodySize = 1 << 20
			levels   = 100
		)
		w := newWorld(&reader{repeatsExactly: true, linkedBody: make([]byte, bodySize)}, []string{">/0"})
		w.service.bodies = map[string][]string{"/end": nil}
		for n := range levels { // each requests the next one at its end, and another one that waits
			w.service.bodies[fmt.Sprint("/", n)] = []string{fmt.Sprint(">/", n+1), ">/end"}
		}
		w.mustFail(t, "bytes of linked requests that wait")
		if n := len(w.service.requests); n > 2*(maxPendingBytes/bodySize+2) {
			t.Errorf("expected to end at %d bytes, found the end after %d requests", maxPendingBytes, n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, linkedBody: make([]byte, maxPendingBytes/10)},
			slices.Concat(slices.Repeat([]string{">/inner"}, 9), []string{strings.Repeat("\n", 2*pieceSize)},
				slices.Repeat([]string{">/inner"}, 9)))
		w.service.bodies = map[string][]string{"/inner": {"inner=1"}}
		w.mustRun(t)
	})
}

// Responses one after another do not nest, whatever their number: those of further pages of a row, each of which
// requests the next one at its end, and those of successive rows that a plugin requests one at a time.
func TestSuccessiveResponsesDoNotNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const last = 300
		w := newWorld(&reader{repeatsExactly: true}, []string{"first=0", ">/0", "last=0"})
		w.service.bodies = map[string][]string{fmt.Sprint("/", last): {"inner=end"}}
		for n := range last {
			w.service.bodies[fmt.Sprint("/", n)] = []string{fmt.Sprintf("inner=%d", n), fmt.Sprint(">/", n+1),
				">/between"}
		}
		w.service.bodies["/between"] = nil
		w.mustRun(t)
		var linked []string
		for _, target := range w.service.requests {
			if strings.HasPrefix(target, "/") && target != "/open" && !strings.HasPrefix(target, "/page/") {
				linked = append(linked, target)
			}
		}
		assert.Equal(t, 2*last+1, len(linked), "linked requests")
		assert.Equal(t, last+3, len(w.broker.records()), "records")
	})
}

// Reads that return rows are not paced, and a longer period is unchanged.
func TestProgressIsNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each linked response has a row, as where entities are read again. They follow the last row of the page.
		page := []string{"a=1"}
		for range 2000 {
			page = append(page, ">/inner")
		}
		w := newWorld(&reader{repeatsExactly: true}, page)
		w.service.bodies = map[string][]string{"/inner": {"+b=1"}}
		start := time.Now()
		w.mustRun(t)
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 5*time.Second, "expected at most 5 s for 2000 rows, found %v", elapsed)
	})
	synctest.Test(t, func(t *testing.T) {
		pages := make([][]string, 500)
		for i := range pages {
			pages[i] = []string{fmt.Sprint("a", i, "=1")}
		}
		w := newWorld(&reader{repeatsExactly: true}, pages...)
		start := time.Now()
		w.mustRun(t)
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 5*time.Second, "expected at most 5 s for 500 pages, found %v", elapsed)
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, pollMs: 5000}, []string{"a=1"})
		w.o.Once = false
		stop := runtest.Start(t, NewTask(w.o).Run)
		runtest.Pass(101 * time.Second)
		require.NoError(t, stop())
		if n := len(w.service.requests); n != 22 { // /open, the page, 20 polls
			t.Errorf("expected 22 requests, found %d", n)
		}
	})
}

// independentReaders is a version with a new reader for each page.
type independentReaders struct{ *fakeCode }

func (i independentReaders) Acquire(context.Context) (Reader, error) {
	return &reader{feeds: i.reader.feeds}, nil
}
func (i independentReaders) AcquireFresh(context.Context) (Reader, error) {
	return i.Acquire(context.Background())
}
func (i independentReaders) Release(Reader) {}

// A service that responds slowly delays no other feed: others use the page's slot in the meantime.
func TestSlowResponseDelaysNoOtherFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{feeds: 2}, rows("a", 3))
		w.o.Versions = runtest.NewVersions[Reader](independentReaders{w.versions.Current().(*fakeCode)})
		w.o.ConcurrentPages = 1
		var requests atomic.Int64
		otherRequest := make(chan struct{})
		w.service.onRequest = func(r *wit.Request) {
			if r.Target != "/page/0" {
				return
			}
			switch requests.Add(1) {
			case 1:
				<-otherRequest // the first response starts after the other feed's request
			case 2:
				close(otherRequest)
			}
		}
		w.mustRun(t)
		assert.Equal(t, 6, len(w.broker.log), "3 rows of each feed")
	})
}

// A plugin that returns more, and reads the same rows again from the same offset, fails with the second page. Rows that
// differ only in their values are different rows.
func TestRepeatedPageFails(t *testing.T) {
	respondInTurn := func(bodies []string) func(int, string) (uint16, string, bool) {
		n := 0
		return func(int, string) (uint16, string, bool) {
			n++
			if n >= 20 { // loads that continue end here
				return 200, "END 0 false\n", false
			}
			return 200, bodies[(n-1)%len(bodies)], false
		}
	}
	for _, c := range []struct {
		name   string
		reader *reader
		bodies []string
		fails  bool
	}{
		{name: "the same rows", reader: &reader{}, bodies: []string{"a=1\nb=2\nEND 0 true\n"}, fails: true},
		{name: "the same rows without keys", reader: &reader{}, bodies: []string{"=1\n=2\nEND 0 true\n"}, fails: true},
		{name: "the same faults", reader: &reader{}, bodies: []string{"?bad\nEND 0 true\n"}, fails: true},
		{name: "other values", reader: &reader{}, bodies: []string{"a=1\nEND 0 true\n", "a=2\nEND 0 true\n"}},
		{
			name: "other values without keys", reader: &reader{},
			bodies: []string{"=1\nEND 0 true\n", "=2\nEND 0 true\n"},
		},
		{name: "other rows", reader: &reader{}, bodies: []string{"a=1\nEND 0 true\n", "b=1\nEND 0 true\n"}},
		{name: "another offset", reader: &reader{uniqueOffsets: true}, bodies: []string{"a=1\nEND 0 true\n"}},
		{name: "no rows", reader: &reader{}, bodies: []string{"END 0 true\n"}},
		{name: "nothing more", reader: &reader{alwaysPolls: true}, bodies: []string{"a=1\nEND 0 false\n"}},
	} {
		for _, exactlyOnce := range []bool{false, true} {
			runtest.Bubble(t, fmt.Sprint(c.name, ", exactly-once ", exactlyOnce), func(t *testing.T) {
				c.reader.repeatsExactly = true
				w := newWorld(c.reader, nil)
				w.service.respond = respondInTurn(c.bodies)
				w.o.Once = false
				w.o.TolerateAll = true
				w.service.pages = [][]string{{}}
				if exactlyOnce {
					w.o.NewOutput = func(string) (Output, error) {
						return &transactionalOutput{t: t, broker: w.broker}, nil
					}
				}
				stop := runtest.Start(t, NewTask(w.o).Run)
				runtest.Pass(time.Minute)
				err := stop()
				if (err != nil) != c.fails || (c.fails && !strings.Contains(err.Error(), "came twice in succession")) {
					t.Fatalf("expected an error: %v, found %v", c.fails, err)
				}
				if n := len(w.service.requests); (c.fails && n != 3) || (!c.fails && n < 10) { // with /open
					t.Errorf("expected 3 requests if the task fails, else more than 10, found %d", n)
				}
			})
		}
	}
}

// A request that acknowledges is not sent while the worker may have left its group: the offset before it is stored when
// the acknowledgement is requested, and the request is sent when the group has confirmed the worker, or never.
func TestAcknowledgementNeedsMembership(t *testing.T) {
	for name, c := range map[string]struct {
		acknowledges bool
		away         time.Duration // how long the worker is no member of the group
		wantErr      string
	}{
		"nothing is acknowledged": {away: time.Hour},
		"the worker is a member":  {acknowledges: true},
		"the worker is one again": {acknowledges: true, away: 2500 * time.Millisecond},
		"the worker is no member": {acknowledges: true, away: time.Hour, wantErr: "feed feed0: tried 4 times"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: true, acknowledges: c.acknowledges}, rows("a", 3), rows("b", 3))
			start := time.Now()
			checks := 0
			w.o.CheckLease = func(ctx context.Context) error {
				if ctx.Err() == nil {
					checks++
				}
				assert.Len(t, 0, w.broker.pending, name, "offsets to be stored before")
				if time.Since(start) < c.away {
					return errors.New("no coordinator")
				}
				return nil
			}
			err := NewTask(w.o).Run(t.Context())
			sent := slices.DeleteFunc(slices.Clone(w.service.requests), func(r string) bool { return r == "/open" })
			switch {
			case c.wantErr != "":
				runtest.Fails(t, err, c.wantErr, "no coordinator", "GET /page/0 is not sent")
				assert.Equal(t, 0, len(sent), "requests", sent)
				assert.Equal(t, 4, checks, name)
				return
			case c.acknowledges && c.away > 0:
				assert.Equal(t, 5, checks, name) // three times for the first page
			case c.acknowledges:
				assert.Equal(t, 2, checks, name)
			default:
				assert.Equal(t, 0, checks, name)
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"/page/0", "/page/1"}, sent, name)
		})
	}
}

// If the confirmation expires while the request waits for its turn, membership is checked again, and an unresponsive
// group does not delay a stop of the task.
func TestMembershipIsConfirmedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{acknowledges: true}, rows("a", 3))
		checks := 0
		checksAfterStop := 0
		w.o.Once = false
		w.o.CheckLease = func(ctx context.Context) error {
			if ctx.Err() != nil {
				checksAfterStop++
				return errors.New("it was too long ago")
			}
			checks++
			if checks == 3 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		stop := runtest.Start(t, NewTask(w.o).Run)
		time.Sleep(time.Second) // virtual time
		require.NoError(t, stop())
		assert.Equal(t, []string{"/open"}, w.service.requests)
		assert.Equal(t, []int{3, 2}, []int{checks, checksAfterStop}, "membership checks before and after the stop")
	})
}
