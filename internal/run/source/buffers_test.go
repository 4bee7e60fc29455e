package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// content returns the value for a key in these tests: the key repeated, so that foreign bytes in a record are noticed.
func content(key string, size int) string {
	return strings.Repeat(key+".", size/(len(key)+1)+1)
}

// slowOutput acknowledges late and fails at random. Like a client that has abandoned a feed, it continues to read the
// bytes of records after a failure and after Close: in the end they must be unchanged.
type slowOutput struct {
	t      *testing.T
	broker *broker
	random *rand.Rand
	size   int // of values
	// failures is the number of batches that still fail.
	failures          *int
	queue             chan func()
	neverAcknowledged *lateRecords
	// firstErr is the first failure, which all later batches get too.
	firstErr error
}

// lateRecords contains the records of all producers that were never acknowledged.
type lateRecords struct {
	mu      sync.Mutex
	batches []*sentBatch
}

// sentBatch is a batch with a copy of its original content.
type sentBatch struct {
	records []kgo.Record
	want    []kgo.Record
}

// changedRecord describes the first record that has changed, or returns "".
func (b *sentBatch) changedRecord() string {
	for i := range b.records {
		got := &b.records[i]
		want := &b.want[i]
		isEqual := got.Topic == want.Topic && bytes.Equal(got.Key, want.Key) && bytes.Equal(got.Value, want.Value) &&
			len(got.Headers) == len(want.Headers)
		for h := range got.Headers {
			isEqual = isEqual && got.Headers[h].Key == want.Headers[h].Key &&
				bytes.Equal(got.Headers[h].Value, want.Headers[h].Value)
		}
		if !isEqual {
			return fmt.Sprintf("record %d: expected %.60q=%.60q, found %.60q=%.60q", i, want.Key, want.Value, got.Key,
				got.Value)
		}
	}
	return ""
}

func (s *slowOutput) NewBatch() Batch { return &fakeBatch{} }

func (s *slowOutput) Produce(_ context.Context, batch Batch, upTo kafka.Offset, done func(int, error)) {
	b := &sentBatch{records: batch.(*fakeBatch).records}
	for i := range b.records {
		r := &b.records[i]
		want := kgo.Record{Topic: r.Topic, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		for _, h := range r.Headers {
			want.Headers = append(want.Headers, kgo.RecordHeader{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
		b.want = append(b.want, want)
		if wantValue := content(string(r.Key), s.size); string(r.Value) != wantValue {
			s.t.Errorf("record %s: expected %.60s, found %.60s", r.Key, wantValue, r.Value)
		}
	}
	s.queue <- func() {
		err := s.write(b)
		if s.firstErr == nil {
			s.firstErr = err
		}
		if err = s.firstErr; err == nil && upTo.Partition != nil {
			s.broker.Acknowledged(upTo.Partition, upTo.Position)
		}
		done(len(b.records), err)
	}
}

// write acknowledges a batch after a random time, or fails.
func (s *slowOutput) write(b *sentBatch) error {
	// In virtual time, all other goroutines continue as far as they can.
	time.Sleep(time.Duration(s.random.IntN(50)) * time.Millisecond)
	changedRecord := b.changedRecord()
	assert.True(s.t, changedRecord == "", "before the acknowledgement: %v", changedRecord)
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if *s.failures > 0 && s.random.IntN(12) == 0 {
		*s.failures--
		s.broker.rejectedText = "x" // fails this batch and all later ones
	}
	if s.broker.rejectedText != "" {
		s.neverAcknowledged.mu.Lock()
		defer s.neverAcknowledged.mu.Unlock()
		s.neverAcknowledged.batches = append(s.neverAcknowledged.batches, b)
		return errors.New("refused by the broker")
	}
	for i := range b.records {
		s.broker.log = append(s.broker.log, string(b.records[i].Key)+"="+string(b.records[i].Value))
	}
	return nil
}

func (s *slowOutput) AtLeastOnce() bool               { return true }
func (s *slowOutput) OnFailure(func(error))           {}
func (s *slowOutput) Begin(context.Context) error     { return nil }
func (s *slowOutput) Commit(context.Context) error    { return nil }
func (s *slowOutput) Abort(context.Context) error     { return nil }
func (s *slowOutput) Flush(ctx context.Context) error { return s.broker.Flush(ctx) }

// Close does not wait for requests in progress, like the Close of a shared client.
func (s *slowOutput) Close(context.Context) error {
	close(s.queue)
	return nil
}

// appendingChain is a transform that rewrites the value of every second row, which moves it to the end of the batch.
type appendingChain struct{ Chain }

func (appendingChain) Apply(_ context.Context, b *record.Batch) ([]wit.RowError, error) {
	for i := range b.Rows {
		b.Rows[i].RowIndex = uint32(i)
		if i%2 == 0 {
			b.Rows[i].Value = appendDatum(b, string(b.Bytes(b.Rows[i].Value)))
		}
	}
	return nil, nil
}

// enlargingConverter makes values larger, so that a chunk is split. A size of 0 leaves them as they are.
type enlargingConverter struct{ size int }

func (c enlargingConverter) Encode(_ context.Context, dst []byte, _ int, _ string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	if c.size == 0 {
		return append(dst, b.Bytes(d)...), false, nil
	}
	return append(dst, content(string(b.Bytes(d)), c.size)...), false, nil
}

func (enlargingConverter) Decode(context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error) {
	panic("not used")
}

// Many feeds share the memory of rows. Whatever fails, and however late brokers respond: no record's bytes are reused
// before its acknowledgement, nothing is lost, and no chunk is leaked.
func TestSharedMemoryIsNotReusedBeforeTheAcknowledgement(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { shareMemory(t, seed) })
		})
	}
}

// shareMemory runs random feeds with shared buffers, each of them until its task ends without an error.
func shareMemory(t *testing.T, seed uint64) {
	const feeds = 14
	buffers := NewBuffers(memory.DefaultChunks)
	neverAcknowledged := &lateRecords{}
	var tasks, producers sync.WaitGroup
	worlds := make([]*world, feeds)
	for n := range feeds {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		valueSize := 200 + random.IntN(400)
		enlargedSize := 0
		isEnlarged := n%7 == 6
		if isEnlarged { // the converter creates the values
			valueSize = 12_000
			enlargedSize = 12_000
		}
		var pages [][]string
		for page := range 1 + random.IntN(4) {
			var lines []string
			for row := range random.IntN(2500) {
				key := fmt.Sprintf("feed%d/%d/%d", n, page, row)
				if isEnlarged && row >= 500 {
					break
				}
				if isEnlarged {
					lines = append(lines, key+"="+key)
				} else {
					lines = append(lines, key+"="+content(key, valueSize))
				}
			}
			pages = append(pages, lines)
		}
		w := newWorld(&reader{repeatsExactly: random.IntN(2) == 0, acknowledges: random.IntN(3) == 0}, pages...)
		worlds[n] = w
		w.o.Buffers = buffers
		w.broker.random = random
		w.broker.storesAtOnce = false
		w.o.NewConverters = converterFactory(copyingConverter{}, enlargingConverter{enlargedSize})
		if random.IntN(2) == 0 {
			w.o.NewChain = func(context.Context) (Chain, error) { return appendingChain{}, nil }
		}
		if random.IntN(3) == 0 {
			w.o.StopTimeout = 40 * time.Millisecond // a stop ends before all is acknowledged
		}
		breakCount := random.IntN(4)
		failures := random.IntN(4)
		taskRandom := rand.New(rand.NewPCG(seed, uint64(100+n))) // used by one goroutine
		w.service.respond = func(_ int, body string) (uint16, string, bool) {
			if breakCount > 0 && taskRandom.IntN(3) == 0 {
				breakCount--
				return 200, body[:taskRandom.IntN(len(body))], true
			}
			return 200, body, false
		}
		w.o.NewOutput = func(string) (Output, error) {
			p := &slowOutput{t: t, broker: w.broker, random: rand.New(rand.NewPCG(taskRandom.Uint64(), 1)),
				size: valueSize, failures: &failures, queue: make(chan func(), 1000),
				neverAcknowledged: neverAcknowledged}
			producers.Go(func() {
				for acknowledge := range p.queue {
					acknowledge()
				}
			})
			return p, nil
		}
		tasks.Go(func() {
			for attempt := range 20 {
				ctx, stop := context.WithCancel(t.Context())
				if taskRandom.IntN(4) == 0 && attempt < 5 { // stop the task while it reads
					time.AfterFunc(time.Duration(taskRandom.IntN(100))*time.Millisecond, stop)
				}
				err := NewTask(w.o).Run(ctx)
				isStopped := ctx.Err() != nil
				stop()
				if err == nil && !isStopped {
					return
				}
				w.broker.mu.Lock()
				isRefused := w.broker.rejectedText != ""
				w.broker.rejectedText = ""
				w.broker.mu.Unlock()
				assert.True(t, err == nil || isRefused || strings.Contains(err.Error(), "broke off"), "%v", err)
			}
			t.Error("expected the feed to end within 20 runs")
		})
	}
	tasks.Wait()
	producers.Wait()
	for _, b := range neverAcknowledged.batches {
		changedRecord := b.changedRecord()
		assert.True(t, changedRecord == "", "in a feed that failed: %v", changedRecord)
	}
	assert.True(t, len(neverAcknowledged.batches) != 0, "expected some failures")
	for n, w := range worlds {
		hasKey := map[string]bool{}
		for _, line := range w.broker.records() {
			key, value, _ := strings.Cut(line, "=")
			hasKey[key] = true
			assert.True(t, strings.HasPrefix(key, fmt.Sprintf("feed%d/", n)) && strings.HasPrefix(value, key+"."),
				"feed %d: expected a record of this feed, found %.60s", n, line)
		}
		for _, page := range w.service.pages {
			for _, line := range page {
				key, _, _ := strings.Cut(line, "=")
				require.True(t, hasKey[key], "feed %d: %s is lost", n, key)
			}
		}
	}
	assert.Equal(t, 0, buffers.inUse, "chunks in use")
	assert.Equal(t, 0, len(buffers.free), "free buffers")
	assert.Equal(t, 0, len(buffers.sharedTokens), "shared tokens")
}

// panickingProducer panics when a batch is requested.
type panickingProducer struct{ Output }

func (panickingProducer) NewBatch() Batch { panic("a mistake in the producer") }

// A panic while a chunk is split does not affect other feeds: the shared chunk is released.
func TestPanicReleasesSharedChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{}, rows("a", 500))
		w.o.Buffers = NewBuffers(memory.DefaultChunks)
		w.o.NewConverters = converterFactory(copyingConverter{}, enlargingConverter{12_000})
		w.o.NewOutput = func(name string) (Output, error) {
			p, err := w.broker.output(name)
			return panickingProducer{p}, err
		}
		_, err := w.run(t)
		assert.True(t, err != nil, "expected the panic, found nothing")
		b := w.o.Buffers
		assert.True(t, b.inUse == 0 && len(b.sharedTokens) == 0 && len(b.free) == 0,
			"expected no chunks, found %d in use, %d shared, %d cached", b.inUse, len(b.sharedTokens), len(b.free))
	})
}

// A producer may acknowledge a chunk after its feed has failed and the chunk was released and reused.
func TestLateAcknowledgementOfReusedChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := NewTask(newWorld(&reader{}).o)
		f := emptyFeed(task, &openedVersion{feeds: []wit.Feed{{Topic: "t"}}})
		f.pipeline.free = make(chan *chunk, 1)
		f.pipeline.free <- newChunk(task.o.Registry)
		f.pipeline.ctx, f.pipeline.fail = context.WithCancelCause(t.Context())
		c, err := f.acquireChunk(t.Context(), &origin{request: "GET /x"})
		require.NoError(t, err)
		c.batch.Data = append(c.batch.Data, "chunks in progress"...)
		data := c.batch.Data
		f.pipeline.fail(errors.New("refused"))
		done := make(chan struct{})
		go func() { defer close(done); c.done(1, nil) }()
		f.releaseChunk(c)
		reused, err := f.acquireChunk(t.Context(), &origin{request: "GET /y"})
		require.True(t, err == nil && reused == c, "%v", err)
		reused.batch.Data = append(reused.batch.Data, "something else"...)
		<-done
		assert.Equal(t, "chunks in progress", string(data))
		f.releaseChunk(reused)
	})
}

// The rows that move from a full chunk to the next one keep their bytes and schemas, even if the full chunk is settled
// and its memory used by another feed before the next one is free.
func TestMovedRowsDoNotShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{})
		w.o.Buffers = NewBuffers(0)
		task := NewTask(w.o)
		f := emptyFeed(task, &openedVersion{feeds: []wit.Feed{{Topic: "t"}}})
		f.pipeline.free = make(chan *chunk, 1)
		f.pipeline.free <- newChunk(task.o.Registry)
		f.pipeline.decoded = make(chan *chunk)
		f.pipeline.ctx, f.pipeline.fail = context.WithCancelCause(t.Context())
		defer f.pipeline.fail(nil)
		p := newPage(f, &wit.Fetch{Position: &[]wit.OffsetEntry{}, RepeatsExactly: true}, &origin{}, &bisection{})
		require.NoError(t, p.ensureChunk(t.Context()))
		b := &p.chunk.batch
		schema, err := task.o.Registry.Intern([]wit.SchemaNode{{Kind: wit.String}})
		require.NoError(t, err)
		b.Retain(schema)
		b.Data = append(b.Data, "large value"...)
		value := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(b.Data))}
		b.Rows = []wit.Row{{Value: value}, {RowIndex: 1, Value: value}}
		p.chunk.origins = []uint32{0, 1}
		p.cursor.lastComplete = 0
		p.cursor.lastRow = 1
		p.cursor.rowsOfLast = 1
		go func() {
			full := <-f.pipeline.decoded
			clear(full.batch.Data)
			f.releaseChunk(full)
		}()
		require.NoError(t, p.flushComplete(t.Context()))
		moved := &p.chunk.batch
		assert.Equal(t, []*record.Schema{schema}, moved.Retained, "schemas")
		assert.Equal(t, "large value", string(moved.Bytes(moved.Rows[0].Value)))
	})
}
