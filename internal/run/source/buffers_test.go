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

// content returns the value for a key of these tests, so that a record shows whether it has the bytes of another one.
func content(key string, size int) string {
	return strings.Repeat(key+".", size/(len(key)+1)+1)
}

// slowProducer acknowledges late and fails at random. Like a client that has abandoned a feed, it continues to read the
// bytes of records after a failure and after Close: in the end they must be unchanged.
type slowProducer struct {
	t      *testing.T
	broker *broker
	pick   *rand.Rand
	size   int // of values
	// failures is the number of batches that still fail.
	failures *int
	queue    chan func()
	late     *lateRecords
	all      *sync.WaitGroup
	// failed is the first failure, which all later batches get too.
	failed error
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

// wrong returns the first record that has changed, or "".
func (b *sentBatch) wrong() string {
	for i := range b.records {
		got := &b.records[i]
		want := &b.want[i]
		same := got.Topic == want.Topic && bytes.Equal(got.Key, want.Key) && bytes.Equal(got.Value, want.Value) &&
			len(got.Headers) == len(want.Headers)
		for h := range got.Headers {
			same = same && got.Headers[h].Key == want.Headers[h].Key && bytes.Equal(got.Headers[h].Value,
				want.Headers[h].Value)
		}
		if !same {
			return fmt.Sprintf("record %d: %.60q=%.60q, handed over as %.60q=%.60q", i, got.Key, got.Value, want.Key,
				want.Value)
		}
	}
	return ""
}

func (p *slowProducer) NewBatch() Batch { return &fakeBatch{} }

func (p *slowProducer) Produce(_ context.Context, batch Batch, upTo kafka.Offset, done func(int, error)) {
	b := &sentBatch{records: batch.(*fakeBatch).records}
	for i := range b.records {
		r := &b.records[i]
		w := kgo.Record{Topic: r.Topic, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		for _, h := range r.Headers {
			w.Headers = append(w.Headers, kgo.RecordHeader{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
		b.want = append(b.want, w)
		if want := content(string(r.Key), p.size); string(r.Value) != want {
			p.t.Errorf("produced %s=%.60s, expected %.60s", r.Key, r.Value, want)
		}
	}
	p.queue <- func() {
		err := p.write(b)
		if p.failed == nil {
			p.failed = err
		}
		if err = p.failed; err == nil && upTo.Partition != nil {
			p.broker.Acknowledged(upTo.Partition, upTo.Position)
		}
		done(len(b.records), err)
	}
}

// write ends a batch.
func (p *slowProducer) write(b *sentBatch) error {
	// virtual time: all others continue as far as they can
	time.Sleep(time.Duration(p.pick.IntN(50)) * time.Millisecond)
	if wrong := b.wrong(); wrong != "" {
		p.t.Error("before the acknowledgement:", wrong)
	}
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	if *p.failures > 0 && p.pick.IntN(12) == 0 {
		*p.failures--
		p.broker.refuse = "x" // all from here on
	}
	if p.broker.refuse != "" {
		p.late.mu.Lock()
		defer p.late.mu.Unlock()
		p.late.batches = append(p.late.batches, b)
		return errors.New("refused by the broker")
	}
	for i := range b.records {
		p.broker.log = append(p.broker.log, string(b.records[i].Key)+"="+string(b.records[i].Value))
	}
	return nil
}

func (p *slowProducer) AtLeastOnce() bool               { return true }
func (p *slowProducer) OnFailure(func(error))           {}
func (p *slowProducer) Begin(context.Context) error     { return nil }
func (p *slowProducer) Commit(context.Context) error    { return nil }
func (p *slowProducer) Abort(context.Context) error     { return nil }
func (p *slowProducer) Flush(ctx context.Context) error { return p.broker.Flush(ctx) }

// Close does not wait for requests in progress, like the Close of a shared client.
func (p *slowProducer) Close(context.Context) error {
	close(p.queue)
	return nil
}

// swelling is a transform that rewrites the value of every second row, which moves it to the end of the batch.
type swelling struct{ Chain }

func (swelling) Apply(_ context.Context, b *record.Batch) ([]wit.RowError, error) {
	for i := range b.Rows {
		b.Rows[i].RowIndex = uint32(i)
		if i%2 == 0 {
			b.Rows[i].Value = appendDatum(b, string(b.Bytes(b.Rows[i].Value)))
		}
	}
	return nil, nil
}

// widening makes values larger if it has a size, so that a chunk is split.
type widening struct{ size int }

func (w widening) Encode(_ context.Context, dst []byte, _ int, _ string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	if w.size == 0 {
		return append(dst, b.Bytes(d)...), false, nil
	}
	return append(dst, content(string(b.Bytes(d)), w.size)...), false, nil
}

func (widening) Decode(context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error) {
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

func shareMemory(t *testing.T, seed uint64) {
	const feeds = 14
	buffers := NewBuffers(memory.DefaultChunks)
	flushCtx := &lateRecords{}
	var tasks, producers sync.WaitGroup
	worlds := make([]*world, feeds)
	for n := range feeds {
		pick := rand.New(rand.NewPCG(seed, uint64(n)))
		size := 200 + pick.IntN(400)
		created := 0
		wide := n%7 == 6
		if wide { // values that the converter creates
			size = 12_000
			created = 12_000
		}
		var pages [][]string
		for page := range 1 + pick.IntN(4) {
			var lines []string
			for row := range pick.IntN(2500) {
				key := fmt.Sprintf("feed%d/%d/%d", n, page, row)
				if wide && row >= 500 {
					break
				}
				if wide {
					lines = append(lines, key+"="+key)
				} else {
					lines = append(lines, key+"="+content(key, size))
				}
			}
			pages = append(pages, lines)
		}
		w := newWorld(&reader{exact: pick.IntN(2) == 0, acks: pick.IntN(3) == 0}, pages...)
		worlds[n] = w
		w.o.Buffers = buffers
		w.broker.coin = pick
		w.broker.flushes = false
		w.o.NewConverters = converting(asIs{}, widening{created})
		if pick.IntN(2) == 0 {
			w.o.NewChain = func(context.Context) (Chain, error) { return swelling{}, nil }
		}
		if pick.IntN(3) == 0 {
			w.o.StopTimeout = 40 * time.Millisecond // a stop ends before all is acknowledged
		}
		breaks := pick.IntN(4)
		failures := pick.IntN(4)
		chance := rand.New(rand.NewPCG(seed, uint64(100+n))) // used by one goroutine
		w.service.answer = func(_ int, body string) (uint16, string, bool) {
			if breaks > 0 && chance.IntN(3) == 0 {
				breaks--
				return 200, body[:chance.IntN(len(body))], true
			}
			return 200, body, false
		}
		w.o.NewOutput = func(string) (Output, error) {
			p := &slowProducer{t, w.broker, rand.New(rand.NewPCG(chance.Uint64(), 1)), size, &failures,
				make(chan func(), 1000), flushCtx, &producers, nil}
			producers.Go(func() {
				for f := range p.queue {
					f()
				}
			})
			return p, nil
		}
		tasks.Go(func() {
			for again := range 20 {
				ctx, stop := context.WithCancel(t.Context())
				if chance.IntN(4) == 0 && again < 5 { // a stop in the middle
					time.AfterFunc(time.Duration(chance.IntN(100))*time.Millisecond, stop)
				}
				err := NewTask(w.o).Run(ctx)
				stopped := ctx.Err() != nil
				stop()
				if err == nil && !stopped {
					return
				}
				w.broker.mu.Lock()
				refused := w.broker.refuse != ""
				w.broker.refuse = ""
				w.broker.mu.Unlock()
				if err != nil && !refused && !strings.Contains(err.Error(), "broke off") {
					t.Error(err)
				}
			}
			t.Error("the feed did not end")
		})
	}
	tasks.Wait()
	producers.Wait()
	for _, b := range flushCtx.batches {
		if wrong := b.wrong(); wrong != "" {
			t.Error("of a feed that failed:", wrong)
		}
	}
	if len(flushCtx.batches) == 0 {
		t.Error("expected some failures")
	}
	for n, w := range worlds {
		triggers := map[string]bool{}
		for _, line := range w.broker.records() {
			key, value, _ := strings.Cut(line, "=")
			triggers[key] = true
			if !strings.HasPrefix(key, fmt.Sprintf("feed%d/", n)) || !strings.HasPrefix(value, key+".") {
				t.Errorf("feed %d: the record %.60s", n, line)
			}
		}
		for _, page := range w.service.pages {
			for _, line := range page {
				if key, _, _ := strings.Cut(line, "="); !triggers[key] {
					t.Fatalf("feed %d: %s is lost", n, key)
				}
			}
		}
	}
	assert.Equal(t, 0, buffers.inUse, "out")
	assert.Equal(t, 0, len(buffers.free), "free")
	assert.Equal(t, 0, len(buffers.sharedTokens), "more")
}

// panickingProducer panics when a batch is requested.
type panickingProducer struct{ Output }

func (panickingProducer) NewBatch() Batch { panic("a mistake in the producer") }

// A panic while a chunk is split does not affect other feeds: the shared chunk is released.
func TestPanicReleasesSharedChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&reader{}, rows("a", 500))
		w.o.Buffers = NewBuffers(memory.DefaultChunks)
		w.o.NewConverters = converting(asIs{}, widening{12_000})
		w.o.NewOutput = func(name string) (Output, error) {
			p, err := w.broker.output(name)
			return panickingProducer{p}, err
		}
		if _, err := w.run(t); err == nil {
			t.Error("expected the panic, found nothing")
		}
		if b := w.o.Buffers; b.inUse != 0 || len(b.sharedTokens) != 0 || len(b.free) != 0 {
			t.Errorf("%d chunks are in progress, %d are shared, %d are cached", b.inUse, len(b.sharedTokens),
				len(b.free))
		}
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
		under := c.batch.Data
		f.pipeline.fail(errors.New("refused"))
		answered := make(chan struct{})
		go func() { defer close(answered); c.done(1, nil) }()
		f.releaseChunk(c)
		again, err := f.acquireChunk(t.Context(), &origin{request: "GET /y"})
		if err != nil || again != c {
			t.Fatal(err)
		}
		again.batch.Data = append(again.batch.Data, "something else"...)
		<-answered
		assert.Equal(t, "chunks in progress", string(under))
		f.releaseChunk(again)
	})
}
