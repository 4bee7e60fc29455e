package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// A row with a slow response delays no other batch, except rows of its own key, up to the limit of the waiting rows.
func TestSlowLaneDelaysNoOtherLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.BatchRows = 10
		x.group.maxPoll = 10
		x.service.delay = 10 * time.Millisecond
		x.service.delayByBody = map[string]time.Duration{"z=1": time.Minute}
		x.group.put("t", 0, "a=1", "z=1", "z=2")
		for i := range 300 {
			x.group.put("t", 0, fmt.Sprintf("%c=%d", 'a'+i%20, i))
		}
		x.group.put("t", 1, "z=3")
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(50 * time.Second)
		seen := x.service.bodies()
		if n := len(seen); n != 302 || slices.Contains(seen, "z=2") || slices.Contains(seen, "z=3") {
			t.Errorf("expected 302 requests, and no request of the key after the slow one, found %d: %q", n, seen)
		}
		tp := topicPartition{"t", 0}
		assert.Equal(t, 1, x.committed("t", 0), "committed")
		assert.Equal(t, "sent=0 settled=2-301", x.metadata(tp), "metadata")
		runtest.Pass(time.Minute)
		assert.Equal(t, []string{"z=2", "z=3"}, x.service.bodies()[302:], "requests after the slow one")
		assert.Equal(t, 303, x.committed("t", 0), "committed")
		assert.Equal(t, "", x.metadata(tp), "metadata")
		require.NoError(t, stop())
	})
}

// The number of rows that wait for a slow response is limited.
func TestRowsBehindSlowLaneAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		x := newWorld(&writer{})
		x.o.Once = false
		x.o.BatchRows = 1
		x.group.maxPoll = 1
		x.o.TolerateAll = true
		value := strings.Repeat("v", size)
		x.service.delayOf = func(body string) time.Duration {
			if body[0] == 'z' {
				return time.Minute
			}
			return 0
		}
		x.group.put("t", 0, "z="+value)
		for i := range 2 * maxActiveBytes / size {
			x.group.put("t", 0, fmt.Sprintf("%c=%s", 'a'+i%20, value))
		}
		task := NewTask(x.o)
		stop := runtest.Start(t, task.Run)
		runtest.Pass(30 * time.Second)
		if n := len(x.service.bodies()); n < maxActiveBytes/size/2 || task.tracker.bytes() > maxActiveBytes+3*size {
			t.Errorf("expected %d requests or more and about %d bytes in memory, found %d and %d",
				maxActiveBytes/size/2, maxActiveBytes, n, task.tracker.bytes())
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 2*maxActiveBytes/size+1, len(x.service.bodies()), "records written after the slow one")
		require.NoError(t, stop())
	})
}

// shifting is a plugin that hashes keys to as many lanes as its context specifies, and sometimes learns something,
// which may be another number.
type shifting struct {
	*writer
	random *rand.Rand
}

func (s *shifting) OpenSink(ctx context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SinkOpenResult, error) {
	o, err := s.writer.OpenSink(ctx, component, settings, state, answers)
	if o.Ready != nil {
		o.Ready.Context = append(o.Ready.Context, "/7"...)
	}
	return o, err
}

func (s *shifting) Encode(ctx context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (wit.EncodeResult, error) {
	version, lanes, _ := bytes.Cut(context, []byte("/"))
	d, err := s.writer.Encode(ctx, version, b, recordIDs, hints)
	for i := range d.Ready {
		d.Ready[i].OrderingKey %= uint32(lanes[0] - '0')
	}
	return d, err
}

func (s *shifting) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	version, _, _ := bytes.Cut(context, []byte("/"))
	settled, err := s.writer.HandleResponse(ctx, version, memo, rows, response)
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.random.IntN(5) == 0 {
		lanes := []int{7, 7, 7, 1 + s.random.IntN(9)}[s.random.IntN(4)]
		learned := fmt.Appendf(nil, "%s/%d, learned %d", version, lanes, s.random.IntN(3))
		settled.Context = &learned
	}
	return settled, err
}

// learning is a plugin that learns something from each of its first responses. Its lessons are the contexts, which
// begin with the number of lanes.
type learning struct {
	*shifting
	lessons        []string
	encodings      map[string]int // how often rows were encoded, by value
	emptyEncodings int            // how often no rows were encoded
}

func (l *learning) Encode(ctx context.Context, context []byte, b *record.Batch, recordIDs record.RecordIDs,
	hints []wit.Hint) (wit.EncodeResult, error) {
	l.mu.Lock()
	if len(b.Rows) == 0 {
		l.emptyEncodings++
	}
	for i := range b.Rows {
		l.encodings[string(b.Bytes(b.Rows[i].Value))]++
	}
	l.mu.Unlock()
	return l.shifting.Encode(ctx, context, b, recordIDs, hints)
}

func (l *learning) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	version, _, _ := bytes.Cut(context, []byte("/"))
	settled, err := l.writer.HandleResponse(ctx, version, memo, rows, response)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lessons) > 0 {
		settled.Context = wit.Ptr(fmt.Appendf(nil, "%s/%s", version, l.lessons[0]))
		l.lessons = l.lessons[1:]
	}
	return settled, err
}

func newLearningWorld(lessons ...string) (*world, *learning) {
	w := &writer{}
	l := &learning{shifting: &shifting{writer: w}, lessons: lessons, encodings: map[string]int{}}
	x := newWorldOf(w, l)
	x.o.Once = false
	x.o.BatchRows = 10
	x.group.maxPoll = 10
	x.service.delay = 10 * time.Millisecond
	x.service.delayByBody = map[string]time.Duration{"z=0": time.Minute}
	x.group.put("t", 0, "z=0")
	return x, l
}

// A slow first response delays no other lane, although the plugin learns from the responses after it and gets another
// context, as long as rows have the same lanes with both.
func TestSlowFirstResponseDelaysNoOtherLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, l := newLearningWorld("7, learned", "7, learned more", "7, learned all")
		const rows = 3000
		others := 0
		for i := range rows {
			key := 'a' + i%20
			if key%7 != 'z'%7 {
				others++
			}
			x.group.put("t", 0, fmt.Sprintf("%c=%d", key, 1+i))
		}
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(50 * time.Second)
		assert.Equal(t, 1+others, len(x.service.bodies()), "requests, with the slow one")
		time.Sleep(time.Minute)
		assert.Equal(t, 1+rows, len(x.service.bodies()), "requests in the end")
		// When the slow response is there, rows are encoded once again.
		x.group.put("t", 0, "a=late", "b=late", "c=late")
		runtest.Pass(time.Minute)
		assert.Equal(t, 3, l.encodings["late"], "encoded rows")
		assert.Equal(t, rows+4, x.committed("t", 0), "committed")
		require.NoError(t, stop())
	})
}

// A batch without a request has no ordering keys to compare: no plugin encodes zero rows, on which it may trap.
func TestBatchWithoutRequestsIsNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, l := newLearningWorld("7, learned")
		for i := range 9 {
			x.group.put("t", 0, fmt.Sprintf("a=%d", 1+i))
		}
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(10 * time.Second) // the plugin has learned something, and the slow request has no response
		for range 10 {
			x.group.put("t", 0, "b=~ignored")
		}
		runtest.Pass(2 * time.Minute)
		assert.Equal(t, 0, l.emptyEncodings, "encodings of no rows")
		assert.Equal(t, 20, x.committed("t", 0), "committed")
		require.NoError(t, stop())
	})
}

// If rows get other lanes, they wait for the slow response: a row could overtake an earlier one of its key.
func TestOtherLanesWaitForSlowResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _ := newLearningWorld("5")
		for i := range 300 {
			x.group.put("t", 0, fmt.Sprintf("%c=%d", 'a'+i%26, 1+i))
		}
		stop := runtest.Start(t, NewTask(x.o).Run)
		runtest.Pass(50 * time.Second)
		assert.AtMost(t, 25, len(x.service.bodies()), "requests of the first batches only")
		time.Sleep(time.Minute)
		last := map[byte]int{}
		for _, body := range x.service.bodies() {
			value, err := strconv.Atoi(body[2:])
			require.NoError(t, err)
			assert.True(t, value >= last[body[0]], "%s was sent after %d", body, last[body[0]])
			last[body[0]] = value
		}
		assert.Equal(t, 301, x.committed("t", 0), "committed")
		require.NoError(t, stop())
	})
}

// A plugin that learns something from each response has an unsent batch encoded again at most maxRetakes times, and
// then just before it is sent.
func TestUnsentBatchIsEncodedAgainWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lessons []string
		for n := range 300 {
			lessons = append(lessons, fmt.Sprint("7, lesson ", n))
		}
		x, l := newLearningWorld(lessons...)
		x.o.BatchRows = 1
		x.group.maxPoll = 1
		for i := range 200 {
			x.group.put("t", 0, fmt.Sprintf("a=%d", i))
		}
		x.group.put("t", 0, "a=waits")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(2 * time.Minute)
		require.NoError(t, stop())
		assert.Equal(t, 202, x.committed("t", 0), "committed")
		// Each time it is also encoded with the context of the queue.
		if n := l.encodings["waits"]; n <= maxRetakes+1 || n > 2*(maxRetakes+1)+1 {
			t.Errorf("expected the row to be encoded %d to %d times, found %d", maxRetakes+2, 2*(maxRetakes+1)+1, n)
		}
	})
}

// The rest of a batch is sent as the plugin encodes it after it has learned something from the first response.
func TestStartedBatchIsEncodedAgainBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, l := newLearningWorld("7, smaller batches")
		x.group.put("t", 0, "a=1", "a=2", "a=3")
		stop := runtest.Start(t, NewTask(x.o).Run)
		time.Sleep(2 * time.Minute)
		require.NoError(t, stop())
		assert.Equal(t, map[string]int{"0": 1, "1": 1, "2": 2, "3": 2}, l.encodings, "encodings of the rows")
		assert.Equal(t, 4, x.committed("t", 0), "committed")
	})
}

// A worker that was paused for longer than its session sends nothing before it knows that its partitions are still its
// own, and commits nothing for lost partitions.
func TestNothingIsSentAfterTheSessionExpires(t *testing.T) {
	for _, repeatable := range []bool{false, true} {
		// runPaused runs a task whose session expires when the first of three requests gets its response.
		runPaused := func(t *testing.T, afterPause func(x *world)) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(&writer{repeatable: repeatable})
				x.o.Once = false
				x.o.InFlight = 1
				x.group.put("t", 0, "a=1", "a=2", "a=3")
				x.service.answer = func(n int, _ string) (uint16, error) {
					if n == 1 {
						x.group.mu.Lock()
						defer x.group.mu.Unlock()
						x.group.membershipErr = errors.New("no answer")
						x.group.commitErr = errors.New("unknown member")
					}
					return 201, nil
				}
				stop := runtest.Start(t, NewTask(x.o).Run)
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"a=1"}, x.service.bodies(), "repeatable", repeatable)
				afterPause(x)
				require.NoError(t, stop())
			})
		}
		reconnect := func(x *world) {
			x.group.mu.Lock()
			defer x.group.mu.Unlock()
			x.group.membershipErr = nil
			x.group.commitErr = nil
		}
		runPaused(t, func(x *world) { // the network was down, and the member was not expelled
			reconnect(x)
			time.Sleep(time.Minute)
			assert.Equal(t, []string{"a=1", "a=2", "a=3"}, x.service.bodies(), "repeatable", repeatable)
			assert.Equal(t, 3, x.committed("t", 0), "committed, repeatable", repeatable)
		})
		runPaused(t, func(x *world) { // another member writes them
			x.group.lose(topicPartition{"t", 0})
			reconnect(x)
			time.Sleep(time.Minute)
			assert.Equal(t, 1, len(x.service.bodies()), "requests")
			assert.Equal(t, 0, x.committed("t", 0), "committed")
		})
		runPaused(t, func(*world) {}) // a stop does not wait for the group
	}
}

// A stopping task puts back deliveries that it has announced and not sent. That frees space in the metadata, so
// deliveries that waited for space are considered again: with no request in progress nothing else would send them or
// put them back, and the task would never end.
func TestPutBackFreesMetadataSpace(t *testing.T) {
	x := newWorld(&writer{})
	task := NewTask(x.o)
	ending, fail := context.WithCancel(t.Context())
	task.run = &runContext{stopCtx: t.Context(), startCtx: ending, requestCtx: t.Context(), fail: fail}
	d := newDispatcher(task)
	p := &partition{tp: topicPartition{"t", 0}, startedRows: 1}
	active := &activeBatch{task: task, rowStates: make([]rowState, 2), batch: &batch{}}
	lanes := make([]*lane, 2)
	for n := range lanes {
		active.batch.items = append(active.batch.items, &item{partition: p, record: &kgo.Record{Offset: int64(n)},
			offset: int64(n), remaining: 1})
		lanes[n] = &lane{deliveries: []delivery{{active: active, rows: []uint32{uint32(n)},
			items: active.batch.items[n : n+1]}}}
	}
	d.announced = lanes[1:]
	d.queue.push(lanes[0])
	d.queue.block(lanes[0])
	d.fail(errors.New("over"))
	d.retractIfEnding()
	if d.queue.first() != lanes[0] || p.startedRows != 0 {
		t.Errorf("expected the first delivery to be next, found %v, %d in progress", d.queue.first(), p.startedRows)
	}
}

// A version that takes over encodes each batch of which nothing was sent, also if deliveries of it are announced: these
// are put back. It arrives while the second of five batches is sent, at each of its requests in turn.
func TestAnnouncedBatchIsTakenOver(t *testing.T) {
	for request := 11; request < 19; request++ {
		synctest.Test(t, func(t *testing.T) {
			next := &writer{version: "2", topics: []string{"t"}}
			x := newWorld(&writer{version: "1", topics: []string{"t"}})
			x.o.BatchRows = 10
			x.group.maxPoll = 10
			x.o.InFlight = 2
			x.service.delay = time.Millisecond
			for n := range 50 {
				x.group.put("t", 0, fmt.Sprintf("%c=v", 'A'+n)) // lanes are those of the first letter
			}
			x.service.answer = func(n int, _ string) (uint16, error) {
				if n == request {
					x.versions.SetCandidate(code(next.version, next))
				}
				return 201, nil
			}
			x.mustRun(t)
			assert.Equal(t, 50, len(x.service.bodies()), "requests")
			assert.Equal(t, 30, next.encoded, "rows that the new version encoded")
		})
	}
}
