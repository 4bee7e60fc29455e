package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// recordsOf returns the records of topic0 for lines of a page.
func recordsOf(lines []string) []string {
	records := make([]string, len(lines))
	for i, line := range lines {
		records[i] = "topic0/" + strings.TrimPrefix(line, "+")
	}
	return records
}

// A task that runs once reads all pages, and a second run reads nothing again.
func TestOnceReadsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages := [][]string{rows("a", 3), {}, rows("b", 20_000), rows("c", 1)}
		w := newWorld(&reader{repeatsExactly: true, fingerprint: "f"}, pages...)
		task := w.mustRun(t)
		assert.Equal(t, recordsOf(slices.Concat(pages...)), w.broker.records())
		assert.Equal(t, "page=4 total=4 fingerprint=f", w.storedOffset())
		p := task.Progress()
		assert.True(t, p.Read == 20_004 && p.Written == 20_004 && p.Pages == 4 && p.CaughtUp &&
			!p.LastCaughtUp.IsZero() && p.Bytes != 0 && p.Feeds[0].LastRead != nil &&
			p.Repeated+p.Resumed+p.Skipped+p.Errors == 0, "expected 20004 rows in 4 pages without errors, found %+v", p)
		p = w.mustRun(t).Progress() // a second run finds nothing, and does not know when the first one ended
		assert.True(t, p.Feeds[0].LastCaughtUp != nil && p.Feeds[0].LastRead == nil,
			"expected no time of a read, found %+v", p.Feeds[0])
		assert.Equal(t, 20_004, len(w.broker.records()), "records")
	})
}

// Each feed of a task delivers its rows and stores its offset.
func TestFeedsOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, feeds: 6}, rows("a", 100), rows("b", 100))
		w.mustRun(t)
		assert.Equal(t, 1200, len(w.broker.records()), "records")
		assert.Equal(t, 6, len(w.broker.offsets), "offsets")
	})
}

// A feed with a period reads new rows after it, from its last offset.
func TestPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, pollMs: 60_000}, rows("a", 3))
		w.o.Once = false
		task := NewTask(w.o)
		stop := runtest.Start(t, task.Run)
		runtest.Pass(90 * time.Second)
		assert.True(t, task.Progress().CaughtUp, "expected the task to have caught up")
		w.service.mu.Lock()
		w.service.pages = append(w.service.pages, rows("b", 2))
		w.service.mu.Unlock()
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		assert.Equal(t, recordsOf(append(rows("a", 3), rows("b", 2)...)), w.broker.records())
		assert.Equal(t, []string{"/open", "/page/0", "/page/1", "/page/1"}, w.service.requests)
	})
}

// A page that breaks off continues after the delivered rows if it repeats exactly, else from its start.
func TestPagesThatBreakOff(t *testing.T) {
	for _, repeatsExactly := range []bool{true, false} {
		runtest.Bubble(t, fmt.Sprint("exact ", repeatsExactly), func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: repeatsExactly}, rows("a", 20_000))
			breaks := 0
			w.service.respond = func(_ int, body string) (uint16, string, bool) {
				breaks++
				if breaks <= 2 {
					return 200, body[:len(body)/3*breaks], true
				}
				return 200, body, false
			}
			task := w.mustRun(t)
			got := w.broker.records()
			if repeatsExactly {
				assert.Equal(t, recordsOf(rows("a", 20_000)), got)
				if p := task.Progress(); p.Repeated != 0 || p.Resumed == 0 || p.Errors != 2 {
					t.Errorf("expected 2 errors and a resumed page, found %+v", p)
				}
				return
			}
			if p := task.Progress(); p.Repeated != 2 || p.Resumed != 0 || p.Errors != 2 {
				t.Errorf("expected 2 errors and 2 repeated pages, found %+v", p)
			}
			assert.Equal(t, recordsOf(rows("a", 20_000)), got[len(got)-20_000:])
			for _, s := range w.broker.storedOffsets {
				assert.NotContains(t, s, "record", "offset within a page that does not repeat exactly")
			}
		})
	}
}

// A page that breaks off is requested four times. Requests that the transport has repeated are not repeated again.
func TestBrokenPagesAreRetriedAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 10))
		w.service.respond = func(_ int, body string) (uint16, string, bool) { return 200, body[:30], true }
		w.mustFail(t, "feed feed0: tried 4 times: GET /page/0, after row", "broke off")
	})
	runtest.Bubble(t, "a request that the transport has repeated", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 10))
		w.service.respond = func(_ int, body string) (uint16, string, bool) { return 503, "", false }
		w.mustFail(t)
		assert.Equal(t, 2, len(w.service.requests), "requests with /open")
	})
}

// A page whose delivered rows have changed is read again from its start: no row is missing.
func TestChangedPageIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 4000))
		responses := 0
		w.service.respond = func(_ int, body string) (uint16, string, bool) {
			responses++
			if responses == 1 {
				return 200, body[:len(body)/2], true
			}
			// a0 was deleted since: a count alone would skip a row.
			return 200, strings.Replace(body, "a0=v0\n", "", 1), false
		}
		task := w.mustRun(t)
		got := map[string]bool{}
		for _, r := range w.broker.records() {
			got[r] = true
		}
		for _, r := range recordsOf(rows("a", 4000))[1:] {
			require.True(t, got[r], "expected the record %s, found none", r)
		}
		assert.Equal(t, 1, task.Progress().Repeated, "repeated")
		assert.Equal(t, 3, responses, "responses")
	})
}

// A page that is shorter than its delivered rows is read again from its start.
func TestPageShorterThanDeliveredRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 4000))
		responses := 0
		w.service.respond = func(_ int, body string) (uint16, string, bool) {
			responses++
			if responses == 1 {
				return 200, body[:len(body)/2], true
			}
			return 200, "b=1\nEND 1 false\n", false
		}
		w.mustRun(t)
		got := w.broker.records()
		assert.Equal(t, "topic0/b=1", got[len(got)-1])
		assert.Equal(t, "page=1 total=1 fingerprint=", w.storedOffset())
	})
}

// Rows of linked responses, also of nested ones, are delivered.
func TestFollowedResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, []string{"a=1", ">/inner", "b=2"})
		w.service.bodies = map[string][]string{"/inner": {"+a=1.1", ">/inner/2", "+a=1.2"}, "/inner/2": {"+a=1.3"}}
		w.mustRun(t)
		// The main piece is decoded at once here, so its nested response follows b.
		assert.Equal(t, []string{"/open", "/page/0", "/inner", "/inner/2"}, w.service.requests)
		assert.Equal(t, 5, len(w.broker.records()), "records")
	})
}

// A failing row fails the task, is retried if its error is transient, or is skipped if that is tolerated.
func TestFailingRows(t *testing.T) {
	page := []string{"a=1", "b=2", "?bad date", "c=3", "bad=x", "d=4"}
	newChain := func(context.Context) (Chain, error) { return chainFunc(dropB), nil }
	converters := converterFactory(copyingConverter{reject: "bad"}, copyingConverter{})
	runtest.Bubble(t, "none tolerated", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, page)
		w.mustFail(t, "feed feed0: GET /page/0", "row 2: bad date")
		assert.Equal(t, []string{"topic0/a=1", "topic0/b=2"}, w.broker.records())
		assert.Equal(t, 1, len(w.broker.storedOffsets), "stores: only the beginning")
	})
	runtest.Bubble(t, "none tolerated, converter", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, slices.DeleteFunc(slices.Clone(page),
			func(s string) bool { return s[0] == '?' }))
		w.o.NewConverters = converters
		w.o.NewChain = newChain
		w.mustFail(t, "feed feed0: GET /page/0: row 3: key converter: cannot be converted")
	})
	runtest.Bubble(t, "tried again", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3))
		tries := 0
		w.o.NewChain = func(context.Context) (Chain, error) {
			return chainFunc(func(b *record.Batch) []wit.RowError {
				tries++
				if tries > 12 || len(b.Rows) == 0 {
					return dropB(b)
				}
				b.Rows = b.Rows[1:]
				return []wit.RowError{{Error: wit.Error{Kind: wit.ErrorTransient, Message: "not now"}}}
			}), nil
		}
		w.o.Retry = core.RetryPolicy{Timeout: 3 * time.Second}
		w.mustFail(t, "row 0: transforms: not now") // the timeout is almost reached
		tries = 0
		w.o.Retry = core.RetryPolicy{Timeout: -1}
		task := w.mustRun(t)
		if p := task.Progress(); p.Written != 3 || tries < 13 {
			t.Errorf("expected 3 rows after more than 12 attempts, found %d after %d", p.Written, tries)
		}
		assert.Equal(t, int64(tries-1), task.o.Metrics.Retries.Load(), "retries")
	})
	runtest.Bubble(t, "all tolerated", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, page)
		w.o.TolerateAll = true
		w.o.NewConverters = converters
		w.o.NewChain = newChain
		task := w.mustRun(t)
		assert.Equal(t, []string{"topic0/a=1", "topic0/c=3", "topic0/d=4"}, w.broker.records())
		if p := task.Progress(); p.Skipped != 2 || p.Errors != 2 || p.LastError.IsZero() {
			t.Errorf("expected 2 skipped rows, found %+v", p)
		}
		if n := task.o.Metrics.Snapshot(time.Now()); n.Logged != 2 || n.Errors != 0 || n.Active != 0 ||
			n.ActiveRows.Max < 3 || n.BatchSize.Max < 3 || n.DeadLetters != 0 {
			t.Errorf("expected 2 logged rows and no errors of the task, found %+v", n)
		}
	})
}

// An unavailable topic is no row's fault: no row is skipped for it, whatever is tolerated, and the next run reads all.
func TestUnavailableTopicFailsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3))
		w.o.TolerateAll = true
		w.o.EnsureTopic = func(context.Context, string) error { return errors.New("not authorized") }
		task := w.mustFail(t, "feed feed0: GET /page/0: topic topic0: not authorized")
		assert.Equal(t, 0, task.Progress().Skipped, "skipped")
		assert.Equal(t, 0, len(w.broker.offsets), "offsets")
		w.o.EnsureTopic = nil
		assert.Equal(t, 3, w.mustRun(t).Progress().Written)
	})
}

// chainFunc is a chain that only applies a function.
type chainFunc func(b *record.Batch) []wit.RowError

func (c chainFunc) Input(uint32) wit.Row { panic("not used") }

func (c chainFunc) Apply(_ context.Context, b *record.Batch) ([]wit.RowError, error) {
	return c(b), nil
}

// dropB drops rows with the key b, as a transform does: record IDs become indexes in the call.
func dropB(b *record.Batch) []wit.RowError {
	kept := b.Rows[:0]
	for i, r := range b.Rows {
		r.RowIndex = uint32(i)
		if string(b.Bytes(r.Key)) != "b" {
			kept = append(kept, r)
		}
	}
	b.Rows = kept
	return nil
}

// A record that the broker rejects fails the task, with the offset before its page.
func TestRecordsRejectedByBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3), rows("b", 3))
		w.broker.rejectedText = "b1"
		w.mustFail(t, "feed feed0: GET /page/1: refused by the broker")
		assert.Equal(t, "page=1 fingerprint=;topic=topic0", w.storedOffset())
	})
}

// A stale plugin is opened again once, and reads the page again.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{repeatsExactly: true, staleOnce: true}
		w := newWorld(r, slices.Concat(rows("a", 3), []string{"!stale"}, rows("b", 3)))
		w.mustRun(t)
		assert.Equal(t, 2, r.opens, "opens")
		assert.Equal(t, 4, len(w.service.requests), "requests")
		assert.Equal(t, recordsOf(slices.Concat(rows("a", 3), rows("b", 3))), slices.Compact(w.broker.records()))
	})
	runtest.Bubble(t, "twice", func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, []string{"!always stale"})
		w.mustFail(t, "opening the plugin again did not help")
	})
}

// A page whose instance trapped on another page is requested again, as often as that happens, and continues after the
// delivered rows: it is not at fault.
func TestPagesLostToAnotherTrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, lostPages: 30},
			slices.Concat(rows("a", 20_000), []string{"!given up"}, rows("b", 3_000)))
		task := w.mustRun(t)
		assert.Equal(t, recordsOf(slices.Concat(rows("a", 20_000), rows("b", 3_000))), w.broker.records())
		if p := task.Progress(); p.Errors != 0 || p.Repeated != 0 || p.Resumed == 0 {
			t.Errorf("expected resumed pages without errors, found %+v", p)
		}
	})
}

// P1: a request that acknowledges earlier data is not sent before those rows and their offset are stored.
func TestAcknowledgingRequestWaitsForOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, acknowledges: true}, rows("a", 3), rows("b", 3), rows("c", 3))
		w.broker.storesAtOnce = false
		w.broker.ackGate = make(chan struct{})
		ended := make(chan struct{})
		var opener sync.WaitGroup
		defer opener.Wait()
		defer close(ended)
		opener.Go(func() {
			for {
				time.Sleep(time.Second)
				select {
				case w.broker.ackGate <- struct{}{}:
				case <-ended:
					return
				}
			}
		})
		w.service.onRequest = func(r *wit.Request) {
			n := 0
			if _, err := fmt.Sscanf(r.Target, "/page/%d", &n); err != nil || n == 0 {
				return
			}
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			stored := describeOffset(w.broker.offsets["feed=0"])
			assert.True(t, len(w.broker.log) == n*3 && stored == fmt.Sprintf("page=%d fingerprint=;topic=topic0", n),
				"%s: expected %d records and their offset before, found %d and %q", r.Target, n*3, len(w.broker.log),
				stored)
		}
		w.mustRun(t)
	})
}

// A stop within a page stores the offset of the delivered rows, and the next run continues there.
func TestStopInTheMiddleOfAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 200_000))
		w.o.Once = false
		task := NewTask(w.o)
		w.broker.ackGate = make(chan struct{})
		stop := runtest.Start(t, task.Run)
		for range 3 {
			w.broker.ackGate <- struct{}{}
		}
		synctest.Wait()
		time.AfterFunc(time.Millisecond, func() { close(w.broker.ackGate) }) // while it stops
		require.NoError(t, stop())
		first := w.broker.records()
		require.True(t, len(first) != 0 && len(first) < 200_000 && strings.Contains(w.storedOffset(), "record="),
			"expected some records and an offset within the page, found %d and %v", len(first), w.broker.offsets)
		w.o.Once = true
		w.mustRun(t)
		got := w.broker.records()
		// The last row before the stop may be incomplete: it may be read twice.
		assert.AtMost(t, 200_001, len(got), "records")
		assert.Equal(t, recordsOf(rows("a", 200_000)), slices.Compact(got))
	})
}

// A stop does not wait for acknowledgements that take too long.
func TestStopThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 5000), rows("b", 5000))
		w.o.Once = false
		w.broker.ackGate = make(chan struct{})
		stop := runtest.Start(t, NewTask(w.o).Run)
		w.broker.ackGate <- struct{}{}
		synctest.Wait()
		start := time.Now()
		time.AfterFunc(time.Minute, func() { close(w.broker.ackGate) }) // only the producer's Close waits for it here
		require.NoError(t, stop())
		elapsed := time.Since(start)
		assert.True(t, elapsed <= time.Minute+time.Second, "expected a stop within a minute, took %v", elapsed)
	})
}

// A broker that stores the offset slowly fails no feed that has read everything; a stop does not wait for it.
func TestSlowOffsetStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3))
		w.broker.storesAtOnce = false
		w.broker.flushDelay = time.Minute
		w.mustRun(t)
		assert.True(t, len(w.broker.offsets) != 0, "expected the offset to be stored")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3))
		w.broker.storesAtOnce = false
		w.broker.flushDelay = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		start := time.Now()
		NewTask(w.o).Run(ctx)
		elapsed := time.Since(start)
		assert.True(t, elapsed <= 15*time.Second, "expected a stop within 5 s, took %v", elapsed-10*time.Second)
	})
}

// A stored offset that does not fit the feed fails the task before anything is read.
func TestIncompatibleStoredOffsets(t *testing.T) {
	for want, c := range map[string]struct {
		stored []wit.OffsetEntry
		reader reader
	}{
		`stored "client=100", now "client=200"`: {
			stored: []wit.OffsetEntry{
				wit.IntegerEntry("page", 1),
				wit.StringEntry("fingerprint", "set=a;client=100;x=y"),
			},
			reader: reader{fingerprint: "set=a;client=200;x=y"},
		},
		"rejects the stored offset": {
			stored: []wit.OffsetEntry{wit.IntegerEntry("page", 9)},
			reader: reader{rejectedOffset: "page=9"},
		},
		"expected a digest": {
			stored: []wit.OffsetEntry{wit.IntegerEntry("record", 1), wit.StringEntry("keys", "zz")},
		},
		"a row number": {stored: []wit.OffsetEntry{wit.StringEntry("record", "1")}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&c.reader, rows("a", 3))
			w.broker.offsets["feed=0"] = c.stored
			w.mustFail(t, want, "feed0")
			assert.Equal(t, 0, len(w.broker.records()), want, "records")
		})
	}
}

// An offset without a digest cannot be verified: the page is read again.
func TestOffsetWithoutDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, fingerprint: "f"}, rows("a", 3), rows("b", 3))
		w.broker.offsets["feed=0"] = []wit.OffsetEntry{wit.IntegerEntry("page", 1), wit.IntegerEntry("record", 1)}
		w.mustRun(t)
		assert.Equal(t, recordsOf(rows("b", 3)), w.broker.records())
	})
}

// Pages without a position of their own leave the stored offset unchanged.
func TestTriggersCarryTheOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{noPosition: true}, rows("a", 600))
		w.broker.offsets["feed=0"] = []wit.OffsetEntry{wit.IntegerEntry("page", 0), wit.StringEntry("fingerprint", "")}
		w.mustRun(t)
		assert.Equal(t, []string{"page=0 fingerprint="}, slices.Compact(w.broker.storedOffsets))
		assert.Equal(t, 600, len(w.broker.records()), "records")
	})
}

// A compatible version replaces the current one between two pages, or while its feeds are idle; another one is
// rejected.
func TestSwapAtThePageBoundary(t *testing.T) {
	for name, c := range map[string]struct {
		next   reader
		reject string // why next is rejected; empty means that it is not
	}{
		"compatible": {next: reader{version: "2", repeatsExactly: true, fingerprint: "f"}},
		"another fingerprint": {
			next:   reader{version: "2", repeatsExactly: true, fingerprint: "g"},
			reject: "belong to something else",
		},
		"other feeds": {
			next:   reader{version: "2", repeatsExactly: true, fingerprint: "f", feeds: 2},
			reject: "restart the task to change feeds",
		},
		"rejects offsets": {
			next:   reader{version: "2", repeatsExactly: true, fingerprint: "f", rejectedOffset: "page=1"},
			reject: "rejects the offset",
		},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			old := &reader{version: "1", repeatsExactly: true, fingerprint: "f"}
			w := newWorld(old, rows("a", 3000), rows("b", 3), rows("c", 3))
			if c.next.feeds == 0 {
				c.next.feeds = 1
			}
			w.service.onRequest = func(r *wit.Request) {
				if r.Target == "/page/0" {
					w.offer(&c.next)
				}
			}
			task := w.mustRun(t)
			assert.Equal(t, recordsOf(slices.Concat(rows("a", 3000), rows("b", 3), rows("c", 3))), w.broker.records())
			rejected := w.versions.Rejected()
			assert.True(t, strings.Contains(rejected, c.reject) && (c.reject == "") == (rejected == ""),
				"expected the rejection %q, found %q", c.reject, rejected)
			want := "2"
			if c.reject != "" {
				want = "1"
			}
			assert.Equal(t, want, task.Progress().Version)
		})
	}
	runtest.Bubble(t, "while idle", func(t *testing.T) {
		w := newWorld(&reader{version: "1", repeatsExactly: true}, rows("a", 3))
		w.o.Once = false
		task := NewTask(w.o)
		stop := runtest.Start(t, task.Run)
		time.Sleep(time.Minute)
		w.offer(&reader{version: "2", repeatsExactly: true, feeds: 1})
		runtest.Pass(2 * time.Second)
		assert.Equal(t, "2", task.Progress().Version)
		require.NoError(t, stop())
	})
}

// The kind of an error of the service is the kind of the task's error.
func TestFaultsOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true}, rows("a", 3))
		w.service.respond = func(int, string) (uint16, string, bool) { return 410, "", false }
		_, err := w.run(t)
		var pluginErr *wit.Error
		assert.True(t, errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorGone,
			"expected an error of the kind gone, found %v", err)
		runtest.Fails(t, err, "feed feed0: GET /page/0: the link is gone")
	})
}

// A failed feed fails the task; other feeds keep their offsets.
func TestFailedFeedStopsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{repeatsExactly: true, feeds: 2, pollMs: 1000}, rows("a", 3))
		w.o.Once = false
		w.broker.rejectedText = "topic1"
		w.mustFail(t, "feed feed1")
		assert.Equal(t, "page=1 total=1 fingerprint=", w.storedOffset())
	})
}

// If a request that must not be sent twice gets no response, or a response to send it again, the plugin is called for
// the next request, as after a start.
func TestRequestsThatMustNotBeSentTwice(t *testing.T) {
	for _, status := range []uint16{0, 503, 429} { // 0 means no response
		synctest.Test(t, func(t *testing.T) {
			r := &reader{unrepeatable: true}
			w := newWorld(r, []string{"a=1"})
			if status == 0 {
				w.service.lostResponses = 2
			}
			requests := 0
			w.service.respond = func(_ int, body string) (uint16, string, bool) {
				requests++
				if requests <= 2 && status != 0 {
					return status, body, false
				}
				return 200, body, false
			}
			w.mustRun(t)
			assert.Equal(t, []string{"start", "start", "start"}, r.causes, status)
		})
	}
}

// brokenConverter panics in every call.
type brokenConverter struct{ copyingConverter }

func (brokenConverter) Encode(context.Context, []byte, int, string, *record.Batch,
	wit.ValueSlice) ([]byte, bool, error) {
	panic("a mistake in a converter")
}

type brokenService struct{ *service }

func (brokenService) Do(context.Context, *wit.Request) (*transport.Answer, error) {
	panic("a mistake in the transport")
}

type brokenProducer struct{ Output }

func (brokenProducer) Produce(context.Context, Batch, kafka.Offset, func(int, error)) {
	panic("a mistake in the producer")
}

// A panic of the host in any stage fails the task, and the task returns.
func TestPanicsAreTheTasks(t *testing.T) {
	for name, breakStage := range map[string]func(*world){
		"reading": func(w *world) { w.o.Client = brokenService{w.service} },
		"shaping": func(w *world) { w.o.NewConverters = converterFactory(brokenConverter{}, brokenConverter{}) },
		"producing": func(w *world) {
			w.o.NewOutput = func(name string) (Output, error) {
				p, err := w.broker.output(name)
				return brokenProducer{p}, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(&reader{}, rows("a", 10), rows("b", 10))
			breakStage(w)
			_, err := w.run(t)
			p := new(guard.PanicError)
			assert.True(t, errors.As(err, &p), "expected the panic as the task's error, found %v", err)
		})
	}
}
