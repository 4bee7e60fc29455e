package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/guard"
)

const (
	// defaultFetchBytes is the default of fetch.max.bytes if the memory suffices.
	defaultFetchBytes = 16 << 20
	// defaultFetchedBytes bounds the fetched records of a consumer if the memory suffices.
	defaultFetchedBytes = 64 << 20
	// minFetchBytes is the least that a fetch requests. Brokers return at least one batch.
	minFetchBytes = 64 << 10
	// largeBatchBytes is the decompressed size above which one batch at a time is read in a worker. Producers' batches
	// have 1 MiB at most by default. It includes the window of zstd, 2 MiB by default.
	largeBatchBytes = 4 << 20
	// turnTime bounds how long a large batch lets others wait. Reading a batch again costs less than a second.
	turnTime = 5 * time.Second
	// turnPause is how long a poll waits for the turn, and thus the time between two fetches of the batch that waits.
	turnPause = 500 * time.Millisecond
	// longWait is the time after which a wait for the turn is logged.
	longWait = time.Second
)

var (
	errFetchedEnough = errors.New("the consumer has fetched as many records as its memory allows")
	errAwaitTurn     = errors.New("the batch is large when decompressed, and another large one is being read")
)

// fetchMemory bounds the records that the client of a consumer holds until they are polled. The client decompresses all
// batches of a response at once. If this decompressor rejects a batch, the client returns the records before that batch
// and later requests the others again. To make this rare, fetches request as much as fits when decompressed.
//
// Invariants:
//
//   - A batch is decompressed while less than the consumer's part is in use. So a consumer without records progresses,
//     and it exceeds its part by one batch at most, and by responses that arrive while [fetchMemory.beforePoll] counts.
//   - A batch above largeBatchBytes is decompressed only in the worker's turn, which lasts until its records were
//     polled. If another consumer wants the turn, it also ends after turnTime, because the task may wait for its
//     service: the client then discards the records, and fetches them again after the next poll. So there is one large
//     batch at a time, and the turn passes on every turnTime while others want it.
type fetchMemory struct {
	config ConsumerConfig
	share  *memory.Share
	leave  func()           // returns the part to the share
	small  kgo.Decompressor // for batches up to largeBatchBytes
	large  kgo.Decompressor // for larger batches, up to fetch.max.decompressed.bytes; nil if these are rejected

	mu          sync.Mutex
	fetched     int64   // bytes that the client held at the last poll, and has fetched since
	expansion   float64 // size of recent batches after decompression, divided by that before; at least 1
	recordBytes int64   // average size of the records of the last batch
	turn        turnState
	tooLarge    bool // a batch was larger than fetch.max.decompressed.bytes
	closed      bool

	// discard discards what the client has fetched, so that it fetches it again. tooLarge reports that the client may
	// have found a batch above fetch.max.decompressed.bytes. It is set before the first fetch.
	discard func(tooLarge bool)
}

// turnState is a consumer's state in the worker's turns for large batches. fetchMemory.mu guards it.
type turnState struct {
	isHeld  bool
	wasHeld bool        // when the current poll began
	expiry  *time.Timer // calls expire while the turn is held; nil before the first turn
	ended   time.Time   // when this consumer ended its turn; zero once no other consumer is waiting for it

	waitBegan  time.Time // when another consumer's turn was first waited for; zero without a wait
	isReported bool      // observeWait has returned true
}

// newFetchMemory returns the memory of a consumer. The caller must close it.
func newFetchMemory(share *memory.Share, config ConsumerConfig) (*fetchMemory, error) {
	maxBatch := config.DecompressedBytes
	small, err := boundedDecompressor(min(maxBatch, largeBatchBytes))
	if err != nil {
		return nil, err
	}
	var large kgo.Decompressor
	if maxBatch > largeBatchBytes {
		if large, err = boundedDecompressor(maxBatch, kgo.WithPools(exactBuffers{int64(maxBatch)})); err != nil {
			return nil, err
		}
	}
	return &fetchMemory{config: config, share: share, leave: share.Join(), small: small, large: large,
		expansion: 1}, nil
}

// boundedDecompressor returns franz-go's decompressor with a limit in bytes, which only a client provides.
func boundedDecompressor(limit int32, opts ...kgo.Opt) (kgo.Decompressor, error) {
	client, err := kgo.NewClient(append(opts, kgo.MaxDecompressBatchBytes(int(limit)), kgo.DisableClientMetrics())...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	return client.OptValue(kgo.WithDecompressor).(kgo.Decompressor), nil
}

// Decompress implements [kgo.Decompressor]. It never blocks, because that would block rebalances.
func (f *fetchMemory) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if !f.hasRoom() {
		return nil, errFetchedEnough
	}
	data, err := f.small.Decompress(src, codec)
	isLarge := errors.Is(err, kgo.ErrMaxDecompress) || errors.Is(err, zstd.ErrWindowSizeExceeded)
	if isLarge && f.large != nil {
		data, err = f.decompressLarge(src, codec)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.tooLarge = f.tooLarge || errors.Is(err, kgo.ErrMaxDecompress)
		return nil, err
	}
	f.fetched += int64(len(data))
	f.observeExpansion(float64(len(data)) / float64(max(len(src), 1)))
	return data, nil
}

func (f *fetchMemory) hasRoom() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetched < f.part()
}

// part returns the bytes that the consumer may hold, at least a configured fetch.max.bytes.
func (f *fetchMemory) part() int64 {
	return max(min(f.share.Part(), defaultFetchedBytes), int64(f.config.FetchBytes))
}

// decompressLarge decompresses a batch in the worker's turn, or returns errAwaitTurn without waiting for it.
func (f *fetchMemory) decompressLarge(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// A second large batch of this consumer waits, too.
	if f.closed || f.turn.isHeld || f.mustYield() || !f.share.TryTurn() {
		return nil, errAwaitTurn
	}
	data, err := f.large.Decompress(src, codec)
	if err != nil {
		f.share.EndTurn()
		return nil, err
	}
	f.turn.isHeld = true
	f.turn.waitBegan = time.Time{}
	if f.turn.expiry == nil {
		f.turn.expiry = time.AfterFunc(turnTime, f.expire)
	} else {
		f.turn.expiry.Reset(turnTime)
	}
	return data, nil
}

// mustYield reports whether this consumer, which had the turn, must leave it to another one that wants it. It forgets
// its turn if nobody wants it, or after turnTime: the other one may be closed or busy. The caller holds mu.
func (f *fetchMemory) mustYield() bool {
	if !f.turn.ended.IsZero() && (!f.share.IsTurnWanted() || time.Since(f.turn.ended) > turnTime) {
		f.turn.ended = time.Time{}
	}
	return !f.turn.ended.IsZero()
}

// expire ends the turn if another consumer wants it.
func (f *fetchMemory) expire() {
	defer guard.Recover(nil, "the end of the turn for a large batch", nil)
	f.mu.Lock()
	isWanted := f.turn.isHeld && f.share.IsTurnWanted()
	tooLarge := f.tooLarge
	switch {
	case isWanted:
		f.fetched = math.MaxInt64 / 2 // nothing is decompressed before the next poll
	case f.turn.isHeld:
		f.turn.expiry.Reset(turnTime)
	}
	f.mu.Unlock()
	if !isWanted {
		return
	}
	f.discard(tooLarge) // without mu, because the client holds its own locks when it decompresses
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turn.isHeld {
		f.endTurn()
	}
}

// observeExpansion adopts an increase at once and a decrease slowly.
func (f *fetchMemory) observeExpansion(expansion float64) {
	const smoothing = 16
	if expansion < f.expansion {
		expansion = f.expansion + (expansion-f.expansion)/smoothing
	}
	f.expansion = max(expansion, 1)
}

func (f *fetchMemory) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, batch kgo.FetchBatchMetrics) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if batch.CompressionType == 0 {
		f.fetched += int64(batch.UncompressedBytes)
		f.observeExpansion(1)
	}
	if batch.NumRecords > 0 {
		f.recordBytes = int64(batch.UncompressedBytes / batch.NumRecords)
	}
}

// beforePoll counts what the client holds and returns how many records to poll, about a quarter of the part.
func (f *fetchMemory) beforePoll(client *kgo.Client) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn.wasHeld = f.turn.isHeld
	f.fetched = client.BufferedFetchBytes()
	fittingRecords := f.part() / 4 / max(f.recordBytes, 1)
	return int(min(max(fittingRecords, 1), int64(f.config.MaxPollRecords)))
}

// afterPoll makes records of a large batch independent of it: one that is written late would keep all of it in memory.
// After the last record it ends the turn.
func (f *fetchMemory) afterPoll(client *kgo.Client, records []*kgo.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if (!f.turn.isHeld && !f.turn.wasHeld) || len(records) == 0 {
		return
	}
	for _, r := range records {
		r.Key = bytes.Clone(r.Key)
		r.Value = bytes.Clone(r.Value)
		for i := range r.Headers {
			r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
		}
	}
	if f.turn.isHeld && client.BufferedFetchRecords() == 0 {
		f.endTurn()
	}
}

// endTurn ends the turn of this consumer. The caller holds mu.
func (f *fetchMemory) endTurn() {
	f.share.EndTurn()
	f.turn.isHeld = false
	f.turn.ended = time.Now()
	f.turn.expiry.Stop()
}

// endUnused ends the turn if the client holds no record, because partitions were revoked or no record is readable.
func (f *fetchMemory) endUnused(client *kgo.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn.waitBegan = time.Time{}
	if f.turn.isHeld && client.BufferedFetchRecords() == 0 {
		f.endTurn()
	}
}

// awaitTurn waits until the batch that was rejected with errAwaitTurn may be read, but not longer than turnPause, nor
// while the client has records of other partitions: the next poll returns these.
func (f *fetchMemory) awaitTurn(ctx context.Context, client *kgo.Client) {
	f.mu.Lock()
	isHeld := f.turn.isHeld
	f.mu.Unlock()
	if isHeld {
		f.endUnused(client)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, turnPause)
	defer cancel()
	for ctx.Err() == nil && client.BufferedFetchRecords() == 0 && !f.pollTurn(ctx) {
		// pollTurn waits.
	}
}

// pollTurn waits up to 20 ms for the turn and reports whether this consumer may take it.
func (f *fetchMemory) pollTurn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	f.mu.Lock()
	mustYield := f.mustYield()
	f.mu.Unlock()
	if mustYield {
		<-ctx.Done()
		return false
	}
	return f.share.AwaitTurn(ctx) == nil
}

// observeWait is called before each wait. It returns true once for a batch that has waited for longWait.
func (f *fetchMemory) observeWait() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turn.isHeld {
		return false
	}
	if f.turn.waitBegan.IsZero() {
		f.turn.waitBegan = time.Now()
		f.turn.isReported = false
	}
	if f.turn.isReported || time.Since(f.turn.waitBegan) < longWait {
		return false
	}
	f.turn.isReported = true
	return true
}

// limits returns the limits of a fetch from one of the brokers, in bytes of the log.
func (f *fetchMemory) limits(partitions, brokers int) (total, partition int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	total = f.config.FetchBytes
	if total == 0 {
		fittingBytes := float64(f.part()) / f.expansion / float64(max(brokers, 1))
		total = int32(min(max(fittingBytes, minFetchBytes), defaultFetchBytes))
	}
	return total, min(total, f.config.partitionLimit(partitions))
}

// close returns the memory of the consumer to the share, once. Its client must be closed.
func (f *fetchMemory) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.turn.isHeld {
		f.endTurn()
	}
	f.closed = true
	f.leave()
}

// exactBuffers is a pool of buffers with a batch's decompressed size, up to a limit: growing ones need triple memory.
type exactBuffers struct{ limit int64 }

// GetDecompressBytes returns a buffer for a batch, or nil if the decompressor has to find the size.
func (b exactBuffers) GetDecompressBytes(src []byte, codec kgo.CompressionCodecType) []byte {
	var content io.Reader
	switch codec {
	case kgo.CodecGzip:
		reader, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil
		}
		content = reader
	case kgo.CodecLz4:
		content = lz4.NewReader(bytes.NewReader(src))
	case kgo.CodecZstd:
		reader, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(b.limit)))
		if err != nil {
			return nil
		}
		defer reader.Close()
		content = reader
	default:
		return nil // the size is in the batch
	}
	// The decompressor reports errors.
	size, _ := io.Copy(io.Discard, io.LimitReader(content, min(b.limit, math.MaxInt32)+1))
	return make([]byte, 0, size+2*bytes.MinRead) // with room for the read that finds the end
}

// PutDecompressBytes implements [kgo.PoolDecompressBytes]. No buffer is used again.
func (exactBuffers) PutDecompressBytes([]byte) {}

// responseMemory is a decompressor for one response. It rejects all batches after the one that exceeds its limit.
type responseMemory struct {
	decompressor kgo.Decompressor
	remaining    int64 // bytes up to the limit
}

func (m *responseMemory) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if m.remaining <= 0 {
		return nil, errFetchedEnough // the reader requests it again
	}
	data, err := m.decompressor.Decompress(src, codec)
	m.remaining -= int64(len(data))
	return data, err
}
