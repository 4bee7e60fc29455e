package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// loadWithComparison returns a world with a first load of the keys a0 to b2 in two pages, after which the set is read
// again in one page. The pages of the comparison have keys only. After it, a page has the row that was missed.
func loadWithComparison(pages ...[]string) (w *world, r *reader) {
	resumeOffset := []wit.OffsetEntry{wit.IntegerEntry("page", 200)}
	r = &reader{version: "1", secondLoadPage: 2, resumeOffset: &resumeOffset}
	w = newWorld(r, rows("a", 3), rows("b", 3), firstLoad())
	w.service.bodies = map[string][]string{"/page/200": {"missed=row", "END 201 false"}}
	for i, page := range pages {
		end := fmt.Sprintf("END %d %v", 101+i, i+1 < len(pages))
		w.service.bodies[fmt.Sprint("/page/", 100+i)] = append(slices.Clone(page), end)
	}
	return w, r
}

func firstLoad() []string { return slices.Concat(rows("a", 3), rows("b", 3)) }

// keysOf returns lines of keys only.
func keysOf(lines ...string) []string {
	for i := range lines {
		key, _, _ := strings.Cut(lines[i], "=")
		lines[i] = key + "="
	}
	return lines
}

// After a first load, its keys are read again. If all keys of the load are found, only missed rows are delivered.
// Otherwise the rows are read and delivered again.
func TestKeysAreCompared(t *testing.T) {
	loadedKeys := keysOf(firstLoad()...)
	for name, c := range map[string]struct {
		pages   [][]string
		setup   func(r *reader)
		unknown []string
		reason  string // why the rows are delivered again; empty means that they are not
	}{
		"all found":    {pages: [][]string{loadedKeys[:4], loadedKeys[4:]}},
		"found twice":  {pages: [][]string{loadedKeys, loadedKeys[2:]}},
		"unknown keys": {pages: [][]string{loadedKeys, {"x2=", "x1=", "x2="}}, unknown: []string{"x1", "x2"}},
		"all unknown keys": {pages: [][]string{loadedKeys, keysOf(rows("x", 1000)...)},
			unknown: make([]string, 1000)},
		"a missing key": {pages: [][]string{loadedKeys[1:], {"x1="}}, reason: "1 rows of the load were deleted"},
		"other keys":    {pages: [][]string{{}, {}}, reason: "6 rows of the load were deleted"},
		"too many unknown": {pages: [][]string{loadedKeys, keysOf(rows("x", 1001)...)},
			reason: "more than 1000 keys"},
		"large unknown keys": {pages: [][]string{loadedKeys, {strings.Repeat("x", 1<<20+1)}},
			reason: "or 1048576 bytes"},
		"undecodable row":     {pages: [][]string{loadedKeys, {"?not a number"}}, reason: "not a number"},
		"error of the plugin": {pages: [][]string{loadedKeys, {"!broken"}}, reason: "broken"},
		"trap":                {pages: [][]string{loadedKeys, {"!trap"}}, reason: "unreachable"},
		"lost instance": {pages: [][]string{loadedKeys, {"!given up"}}, setup: func(r *reader) { r.lostPages = 1 },
			reason: "another page's"},
		"rejected": {pages: [][]string{loadedKeys},
			setup: func(r *reader) { r.resumeOffset = nil }, reason: "nothing proves"},
		"name of the host": {pages: [][]string{loadedKeys}, setup: func(r *reader) {
			r.resumeOffset = &[]wit.OffsetEntry{wit.IntegerEntry("record", 1)}
		}, reason: "is the host's name"},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w, r := loadWithComparison(c.pages...)
			if c.setup != nil {
				c.setup(r)
			}
			want := firstLoad()
			start := time.Now()
			if c.reason == "" {
				want = append(want, "missed=row")
			} else {
				want = append(want, firstLoad()...)
			}
			log := w.runLogged(t)
			diff := compareLines(recordsOf(want), w.broker.records())
			assert.True(t, diff == "", "%v", diff)
			assert.Equal(t, c.reason == "", strings.Contains(log, "no row is delivered again"), log)
			assert.Equal(t, c.reason != "", strings.Contains(log, "level=INFO") && strings.Contains(log, c.reason) &&
				strings.Contains(log, "cannot be compared"), log)
			if c.reason == "" {
				assert.Equal(t, len(c.unknown), len(r.unknownKeys), "unknown keys")
				assert.Equal(t, "page=201 total=201 fingerprint=", w.storedOffset(), "stored")
			}
			if len(c.unknown) == 2 {
				assert.Equal(t, c.unknown, r.unknownKeys, "unknown keys")
			}
			if pause := time.Since(start); c.reason == "" && pause >= minPause {
				t.Errorf("expected no pauses between pages with rows, found %v", pause)
			}
			if slices.ContainsFunc(w.broker.storedOffsets, func(s string) bool {
				return strings.HasPrefix(s, "page=10")
			}) {
				t.Errorf("expected no offset of the comparison to be stored, found %q", w.broker.storedOffsets)
			}
		})
	}
}

// compareLines describes a difference, or returns "".
func compareLines(want, got []string) string {
	if slices.Equal(want, got) {
		return ""
	}
	return fmt.Sprintf("expected %d lines, found %d: %.2000q", len(want), len(got), got)
}

// From the beginning of a load on, Keys is called, until the plugin ignores keys.
func TestKeysAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := loadWithComparison(keysOf(firstLoad()...))
		w.mustRun(t)
		assert.Equal(t, []string{"", "page=1", "page=2"}, r.keyOffsets, "a load that is compared")
		r.keyOffsets = nil
		w.mustRun(t)
		assert.Equal(t, 0, len(r.keyOffsets), "after the load")
		other := &reader{}
		newWorld(other, rows("a", 3), rows("b", 3)).mustRun(t)
		assert.Equal(t, []string{""}, other.keyOffsets, "a load that is not compared")
	})
}

// A transient error of a page of the comparison is retried as usual. If it lasts too long, the comparison ends.
func TestComparisonIsRetried(t *testing.T) {
	for name, failures := range map[string]int{"once": 1, "as often as allowed": 3, "too often": 4} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w, _ := loadWithComparison(keysOf(firstLoad()...))
			lines := w.service.bodies["/page/100"]
			w.service.onRequest = func(request *wit.Request) {
				if request.Target == "/page/100" {
					w.service.bodies[request.Target] = lines
					failures--
					if failures >= 0 {
						w.service.bodies[request.Target] = []string{"!transient"}
					}
				}
			}
			isCompared := failures < 4 // before onRequest changes it
			log := w.runLogged(t)
			assert.Equal(t, isCompared, strings.Contains(log, "no row is delivered again"), log)
			assert.Equal(t, !isCompared, len(w.broker.records()) == 12, "records")
		})
	}
}

// After a kill during the comparison, another run reads the rows again, as does another version of the plugin.
func TestComparisonIsInterrupted(t *testing.T) {
	deliveredTwice := recordsOf(slices.Concat(firstLoad(), firstLoad()))
	runtest.Bubble(t, "kill", func(t *testing.T) {
		loadedKeys := keysOf(firstLoad()...)
		w, r := loadWithComparison(loadedKeys[:3], loadedKeys[3:])
		w.service.onRequest = func(request *wit.Request) {
			if request.Target == "/page/101" {
				runtest.Pass(time.Second) // all is acknowledged
				w.broker.mu.Lock()
				w.broker.killAt = 1
				w.broker.mu.Unlock()
			}
		}
		w.runLogged(t)
		assert.Equal(t, "page=2 fingerprint=;topic=topic0", w.storedOffset(), "stored")
		w.service.onRequest = nil
		r.keyOffsets = nil
		w.mustRun(t)
		assert.Equal(t, deliveredTwice, w.broker.records())
		assert.Equal(t, 0, len(r.keyOffsets), "calls of Keys after a restart")
	})
	runtest.Bubble(t, "version", func(t *testing.T) {
		loadedKeys := keysOf(firstLoad()...)
		w, _ := loadWithComparison(loadedKeys[:3], loadedKeys[3:])
		next := &reader{version: "2", feeds: 1, secondLoadPage: 2}
		w.service.onRequest = func(request *wit.Request) {
			if request.Target == "/page/100" {
				w.offer(next)
			}
		}
		log := w.runLogged(t)
		assert.Equal(t, deliveredTwice, w.broker.records(), log)
		assert.Equal(t, true, strings.Contains(log, "another version"), log)
		assert.Equal(t, 0, len(next.keyOffsets), "calls of Keys")
	})
	runtest.Bubble(t, "stop", func(t *testing.T) {
		w, _ := loadWithComparison(keysOf(firstLoad()...))
		ctx, stop := context.WithCancel(t.Context())
		w.service.onRequest = func(request *wit.Request) {
			if request.Target == "/page/100" {
				stop()
			}
		}
		require.NoError(t, NewTask(w.o).Run(ctx))
		assert.Equal(t, "page=2 fingerprint=;topic=topic0", w.storedOffset(), "stored")
	})
}

// A snapshot during a comparison does not end it, unless the snapshot changes the feed's offset.
func TestRowsBetweenPagesOfTheComparison(t *testing.T) {
	for name, hasOffset := range map[string]bool{"without an offset": false, "with an offset": true} {
		runtest.Bubble(t, name, func(t *testing.T) {
			loadedKeys := keysOf(firstLoad()...)
			w, r := loadWithComparison(loadedKeys[:3], loadedKeys[3:])
			r.snapshotHasOffset = hasOffset
			w.service.bodies["/snapshot"] = []string{"now=row", "END 2 true"}
			if !hasOffset {
				w.service.bodies["/snapshot"] = []string{"now=row"}
			}
			task := NewTask(w.o)
			w.requestSnapshotAt(t, task, "/page/100")
			require.NoError(t, task.Run(t.Context()))
			want := append(firstLoad(), "now=row")
			if hasOffset {
				want = append(want, firstLoad()...)
			} else {
				want = append(want, "missed=row")
			}
			assert.Equal(t, recordsOf(want), w.broker.records())
		})
	}
}

// A page that is aborted with its transaction has delivered nothing: its keys are not remembered, so a row that is
// absent from the repeated page counts as missed. If the sent rows stay visible, its key is remembered.
func TestKeysOfAbortedPages(t *testing.T) {
	large := rows("a", 3000)
	for i := range large {
		large[i] += strings.Repeat("x", 200) // so that it has several chunks
	}
	for name, transactional := range map[string]bool{"aborted": true, "delivered": false} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w, r := loadWithComparison(keysOf(slices.Clone(large)...), keysOf(rows("b", 3)...))
			w.service.pages[0] = large
			if transactional {
				w.o.NewOutput = func(string) (Output, error) {
					return &transactionalOutput{t: t, broker: w.broker}, nil
				}
			}
			hasBroken := false
			w.service.respond = func(page int, body string) (uint16, string, bool) {
				if page > 0 {
					return 200, body, false
				}
				if !hasBroken {
					hasBroken = true
					return 200, body, true
				}
				_, body, _ = strings.Cut(body, "\n") // without the row a0
				return 200, body, false
			}
			log := w.runLogged(t)
			assert.Equal(t, 1, r.comparisonCount, log)
			if transactional {
				assert.Equal(t, []string{"a0"}, r.unknownKeys, "missed")
			} else {
				assert.Equal(t, 0, len(r.unknownKeys), "missed")
			}
		})
	}
}

// The digests of a first load's keys have a limit. Rows without keys are not compared.
func TestRememberedKeysAreBounded(t *testing.T) {
	const count = 512
	quota := memory.NewQuota(count*keyBytes + 1)
	keys := keySet{quota: quota}
	batch := &record.Batch{Data: []byte("k"), Rows: []wit.Row{{Key: wit.ValueSlice{Encoding: wit.WithSchema, Size: 1}}}}
	for range count {
		assert.NoError(t, keys.remember(batch))
	}
	assert.Equal(t, count*keyBytes, keys.reserved, "reserved bytes")
	assert.Error(t, keys.remember(batch), "a 32nd of its limit, is used up")
	other := &feed{readState: readState{keys: &keySet{quota: quota}}}
	assert.Error(t, other.keys.remember(batch), "is used up", "another feed")
	full := &feed{readState: readState{keys: &keys}}
	full.dropKeys()
	assert.NoError(t, other.keys.remember(batch), "after the keys of the first feed were dropped")
	other.dropKeys()
	assert.Equal(t, true, quota.TryReserve(count*keyBytes+1), "all was released")
	assert.Error(t, (&keySet{}).remember(&record.Batch{Rows: []wit.Row{{}}}), "no key")
}

// brokenClose panics when a feed ends.
type brokenClose struct{ Output }

func (b brokenClose) Close(ctx context.Context) error {
	_ = b.Output.Close(ctx)
	panic("a mistake in the producer")
}

// A panic while a feed ends releases the memory of the keys, which the feeds of a worker share.
func TestPanicReleasesTheMemoryOfKeys(t *testing.T) {
	runtest.Bubble(t, "panic", func(t *testing.T) {
		const quota = 1 << 20
		w, _ := loadWithComparison(keysOf(firstLoad()...))
		w.o.Spare = memory.NewQuota(quota)
		isReserved := false
		w.service.respond = func(_ int, body string) (uint16, string, bool) {
			if isReserved = !w.o.Spare.TryReserve(quota); isReserved {
				panic("a mistake in the transport")
			}
			w.o.Spare.Release(quota)
			return 200, body, false
		}
		w.o.NewOutput = func(name string) (Output, error) {
			p, err := w.broker.output(name)
			return brokenClose{p}, err
		}
		_, err := w.run(t)
		assert.Error(t, err, "a mistake in the producer")
		assert.Equal(t, true, isReserved, "keys were remembered")
		assert.Equal(t, true, w.o.Spare.TryReserve(quota), "all memory was released")
	})
}

// If the worker has no memory for the keys of a first load, its rows are delivered again. Feeds release their memory.
func TestKeysWithoutMemory(t *testing.T) {
	for name, c := range map[string]struct {
		bytes    int
		isLoaded int // how often
	}{
		"enough":  {bytes: 1 << 20, isLoaded: 1},
		"a byte":  {bytes: 1, isLoaded: 2},
		"no byte": {isLoaded: 2},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w, r := loadWithComparison(keysOf(firstLoad()...))
			w.o.Spare = memory.NewQuota(int64(c.bytes))
			log := w.runLogged(t)
			want := firstLoad()
			if c.isLoaded == 1 {
				want = append(want, "missed=row")
			} else {
				want = append(want, firstLoad()...)
			}
			diff := compareLines(recordsOf(want), w.broker.records())
			assert.True(t, diff == "", "%v", diff)
			assert.Equal(t, c.isLoaded == 2, strings.Contains(log, "are not remembered") && r.comparisonCount == 0, log)
			assert.Equal(t, true, w.o.Spare.TryReserve(c.bytes), "all memory was released")
		})
	}
}
