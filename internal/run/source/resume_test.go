package source

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

var rounds = flag.Int("resume.rounds", 100, "rounds of the resume test")

// Random pages, kills at random moments, and broken connections, with a service that pages reliably or does not: no row
// that existed throughout is ever missing; and if the service repeats pages exactly, repeated rows are after the last
// stored offset.
func TestResume(t *testing.T) {
	runtest.Seeds(t, *rounds, 1, func(t *testing.T, seed uint64, r *rand.Rand) {
		l := newScenario(r)
		for range r.IntN(5) {
			if r.IntN(2) == 0 {
				l.runKilled(t, 1+r.IntN(6000), 0)
			} else {
				l.runKilled(t, 0, 1+r.IntN(5))
			}
			if l.unreliable {
				l.changePages()
			}
		}
		l.finish(t)
		require.True(t, !t.Failed(),
			"seed %d: exact %v, unreliable %v, %d feeds", seed, l.repeatsExactly, l.unreliable, l.feeds)
	})
}

// A plugin's additional page at a start during a load leaves the stored offset unchanged, in the middle of a page, and
// is read once, however often a page of the load is requested again.
func TestExtraPageDuringALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{repeatsExactly: true}
		page := rows("a", 3000)
		for i := range page {
			page[i] += strings.Repeat("x", 200) // so that it has several chunks
		}
		w := newWorld(r, page)
		w.broker.killAfter = 4 // within the page
		if _, err := w.run(t); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		offsetBefore := w.broker.storedOffsets[len(w.broker.storedOffsets)-1]
		require.True(t, strings.Contains(offsetBefore, fieldRecord+"="),
			"expected an offset in the page, found %s", offsetBefore)
		clear(w.broker.pending)
		written := len(w.broker.records())
		fieldsBefore, _ := w.broker.Get(t.Context(), []wit.OffsetEntry{wit.IntegerEntry("feed", 0)})
		r.hasStartPage = true
		w.broker.killAt = 0
		w.broker.storedOffsets = nil
		w.service.bodies = map[string][]string{"/store": {"s=1", "LATER 0"}}
		responses := 0
		w.service.respond = func(_ int, body string) (uint16, string, bool) {
			responses++
			if responses < 4 {
				return 200, body[:200_000*responses], true
			}
			return 200, body, false
		}
		task := w.mustRun(t)
		assert.Equal(t, offsetBefore, w.broker.storedOffsets[0], "stored after the page in addition to the load")
		if causes, _ := r.recorded(); strings.Count(strings.Join(causes, " "), "store") != 1 {
			t.Errorf("expected one read of the start page, found the causes %q", causes)
		}
		p, _, _, err := parsePosition(fieldsBefore)
		require.NoError(t, err)
		remaining := len(page) - int(p.row) - 1
		assert.Equal(t, remaining+1, len(w.broker.records())-written, "records after the restart")
		assert.Equal(t, 0, task.Progress().Repeated, "repeated")
	})
}

// If the topic is changed during a load, each topic would get a part of the rows: the feed handles it like a changed
// fingerprint. Between two loads the topic may be changed.
func TestTopicChangedDuringALoad(t *testing.T) {
	first := rows("a", 3)
	second := rows("b", 3)
	for name, c := range map[string]struct {
		onMismatch wit.MismatchPolicy
		killAfter  int      // stored offsets before the first kill, of which the first is the beginning
		startPage  bool     // a start with a start page precedes the change
		want       []string // records of the new topic
		message    string
	}{
		"fail":   {onMismatch: wit.MismatchFail, killAfter: 2, message: `stored "topic=topic0", now "topic=other"`},
		"reload": {onMismatch: wit.MismatchReload, killAfter: 2, want: slices.Concat(first, second)},
		"keep":   {onMismatch: wit.MismatchKeep, killAfter: 2, want: second},
		"fail, after a page in addition to the load": {
			onMismatch: wit.MismatchFail,
			killAfter:  2,
			startPage:  true,
			message:    `stored "topic=topic0", now "topic=other"`,
		},
		"between two loads": {onMismatch: wit.MismatchFail, killAfter: 3},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &reader{repeatsExactly: true, fingerprint: "set=x", onMismatch: c.onMismatch}
			w := newWorld(r, first, second)
			w.service.bodies = map[string][]string{"/store": {"LATER 0"}}
			restart := func(killAfter int) error {
				w.broker.killAt = 0
				w.broker.killAfter = killAfter
				_, err := w.run(t)
				clear(w.broker.pending)
				return err
			}
			err := restart(c.killAfter)
			require.True(t, err == nil || errors.Is(err, errKilled), "%v", err)
			if c.startPage {
				r.hasStartPage = true
				require.ErrorIs(t, restart(1), errKilled)
			}
			earlier := len(w.broker.records())
			r.topic = "other"
			r.hasStartPage = false
			assert.ErrorOrNone(t, restart(0), c.message)
			var want []string
			for _, line := range c.want {
				want = append(want, "other/"+line)
			}
			got := w.broker.records()[earlier:]
			assert.True(t, slices.Equal(got, want), "expected %q, found %q", want, got)
			if c.message == "" {
				assert.NoError(t, restart(0), "the next start")
			}
		})
	}
}

// scenario is the history of feeds over several workers.
type scenario struct {
	r              *rand.Rand
	repeatsExactly bool
	unreliable     bool // responses differ each time
	feeds          int
	pages          [][]string
	deleted        map[string]bool
	w              *world
	// order is the number of each row, from 1 on, by its line.
	order  map[string]int
	ends   [][]int // the number of rows up to and including each row index, by page
	firsts []int   // the number of rows before each page
}

func newScenario(r *rand.Rand) *scenario {
	l := &scenario{r: r, repeatsExactly: r.IntN(3) > 0, unreliable: r.IntN(2) == 0, feeds: 1 + r.IntN(2),
		deleted: map[string]bool{},
		order:   map[string]int{}}
	for p := range 1 + r.IntN(4) {
		var lines []string
		for i := range r.IntN(3000) {
			line := fmt.Sprintf("%d.%d=%s", p, i, strings.Repeat("x", r.IntN(300)))
			if i > 0 && r.IntN(10) == 0 {
				line = "+" + line
			}
			lines = append(lines, line)
		}
		l.pages = append(l.pages, lines)
	}
	l.indexRows()
	l.w = newWorld(&reader{repeatsExactly: l.repeatsExactly, feeds: l.feeds, fingerprint: "f"}, l.pages...)
	l.w.broker.storesAtOnce = false
	l.w.broker.random = rand.New(rand.NewPCG(r.Uint64(), 2))
	l.w.service.respond = func(_ int, body string) (uint16, string, bool) {
		if l.r.IntN(4) == 0 {
			return 200, body[:l.r.IntN(len(body))], true
		}
		return 200, body, false
	}
	times := 1000
	l.w.service.retry.Max = &times
	return l
}

// indexRows computes order, ends and firsts.
func (s *scenario) indexRows() {
	n := 0
	for _, page := range s.pages {
		s.firsts = append(s.firsts, n)
		ends := []int{}
		for _, line := range page {
			n++
			if line[0] == '+' {
				ends[len(ends)-1] = n
			} else {
				ends = append(ends, n)
			}
			s.order[strings.TrimPrefix(line, "+")] = n
		}
		s.ends = append(s.ends, ends)
	}
}

// runKilled runs a worker until an event or a number of stored offsets, zero for no limit. After that its calls have no
// effect.
func (s *scenario) runKilled(t *testing.T, events, stores int) {
	b := s.w.broker
	b.mu.Lock()
	b.eventCount = 0
	b.killAt = events
	b.killAfter = stores
	b.mu.Unlock()
	stored := s.countStored()
	written := len(b.records())
	_, err := s.w.run(t)
	assert.True(t, err == nil || errors.Is(err, errKilled), "expected to be killed, found %v", err)
	b.mu.Lock()
	clear(b.pending)
	b.killAt = 0
	b.killAfter = 0
	b.mu.Unlock()
	s.check(t, stored, written)
}

// finish runs a worker to its end, and checks that no row is missing.
func (s *scenario) finish(t *testing.T) {
	stored := s.countStored()
	written := len(s.w.broker.records())
	_, err := s.w.run(t)
	assert.NoError(t, err)
	s.check(t, stored, written)
	got := map[string]bool{}
	for _, record := range s.w.broker.records() {
		got[record] = true
	}
	for feed := range s.feeds {
		for line := range s.order {
			if record := fmt.Sprintf("topic%d/%s", feed, line); !got[record] && !s.deleted[line] {
				t.Errorf("missing: %.40s", record)
				return
			}
		}
	}
}

// countStored returns how many rows of each feed precede the stored offsets, zeros with an unreliable service.
func (s *scenario) countStored() []int {
	counts := make([]int, s.feeds)
	if s.unreliable {
		return counts
	}
	for feed := range counts {
		fields, _ := s.w.broker.Get(context.Background(), []wit.OffsetEntry{wit.IntegerEntry("feed", int64(feed))})
		p, _, _, err := parsePosition(fields)
		if err != nil || len(p.fields) == 0 {
			continue
		}
		n, _ := wit.Lookup(p.fields, "page")
		page := int(*n.Integer)
		switch {
		case page == len(s.pages):
			counts[feed] = len(s.order)
		case p.midPage:
			counts[feed] = s.ends[page][p.row]
		default:
			counts[feed] = s.firsts[page]
		}
	}
	return counts
}

// check checks the records after the first written ones: if pages repeat exactly, none of them precedes the offsets
// stored at the worker's start.
func (s *scenario) check(t *testing.T, stored []int, written int) {
	if !s.repeatsExactly || s.unreliable {
		return
	}
	for _, record := range s.w.broker.records()[written:] {
		topic, line, _ := strings.Cut(record, "/")
		feed := int(topic[len("topic")] - '0')
		if s.order[line] <= stored[feed] {
			t.Errorf("%.40s was repeated, row %d of %d stored", record, s.order[line], stored[feed])
			return
		}
	}
}

// changePages deletes, moves and adds rows of the service.
func (s *scenario) changePages() {
	s.w.service.mu.Lock()
	defer s.w.service.mu.Unlock()
	for p := range s.pages {
		page := slices.Clone(s.pages[p])
		for range s.r.IntN(6) {
			if len(page) == 0 {
				break
			}
			i := s.r.IntN(len(page))
			switch line := page[i]; s.r.IntN(3) {
			case 0:
				s.deleted[strings.TrimPrefix(line, "+")] = true
				page = slices.Delete(page, i, i+1)
			case 1:
				page = append(slices.Delete(page, i, i+1), line)
			case 2:
				page = slices.Insert(page, i, fmt.Sprintf("new%d.%d=n", p, s.r.Uint32()))
			}
		}
		if len(page) > 0 {
			page[0] = strings.TrimPrefix(page[0], "+")
		}
		s.pages[p] = page
		s.w.service.pages[p] = page
	}
}

// If a page breaks off until the task fails, or the task is stopped within it, the stored offset is after everything in
// Kafka: the next start repeats no row.
func TestNoRowTwiceAfterAFailureWithinAPage(t *testing.T) {
	sharedIndex := rows("a", 2000)
	for i := range sharedIndex {
		if i%3 > 0 {
			sharedIndex[i] = "+" + sharedIndex[i]
		}
	}
	long := rows("a", 6)
	for i := range long {
		long[i] += strings.Repeat("x", 2*targetBytes)
	}
	for name, page := range map[string][]string{
		"rows":                     rows("a", 2000),
		"several rows of an index": sharedIndex,
		"rows longer than a chunk": long,
	} {
		size := len(strings.Join(page, "\n"))
		for cut := size / 7; cut < size; cut += size / 7 {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(&reader{repeatsExactly: true}, page)
				w.service.respond = func(_ int, body string) (uint16, string, bool) { return 200, body[:cut], true }
				_, err := w.run(t)
				assert.True(t, err != nil, "expected the task to fail")
				w.service.respond = nil
				task := w.mustRun(t)
				assert.Equal(t, recordsOf(page), w.broker.records(), name, "cut after", cut, "bytes of", size)
				assert.Equal(t, 0, task.Progress().Repeated, name, "pages were delivered again")
			})
		}
	}
}
