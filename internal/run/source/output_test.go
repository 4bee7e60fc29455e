package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// transactionalOutput is an output that writes all records and offsets of a page to the broker on Commit, or none.
type transactionalOutput struct {
	t         *testing.T
	broker    *broker
	isOpen    bool
	onFailure func(error) // set by the feed
	// lines and upTo are the content of the transaction.
	lines []string
	upTo  kafka.Offset
}

func (t *transactionalOutput) NewBatch() Batch            { return &fakeBatch{} }
func (t *transactionalOutput) AtLeastOnce() bool          { return false }
func (t *transactionalOutput) OnFailure(fail func(error)) { t.onFailure = fail }

func (t *transactionalOutput) Begin(context.Context) error {
	assert.True(t.t, !t.isOpen, "expected no page to start within another one")
	t.isOpen = true
	return nil
}

func (t *transactionalOutput) Produce(_ context.Context, batch Batch, upTo kafka.Offset, done func(int, error)) {
	assert.True(t.t, t.isOpen || (batch.Len() <= 0 && upTo.Partition == nil),
		"expected no records and no offset outside of a page")
	for _, r := range batch.(*fakeBatch).records {
		t.lines = append(t.lines, fmt.Sprintf("%s/%s=%s", r.Topic, r.Key, r.Value))
	}
	if upTo.Partition != nil {
		t.upTo = upTo
	}
	done(batch.Len(), nil)
}

func (t *transactionalOutput) Commit(context.Context) error {
	assert.True(t.t, t.isOpen, "expected no commit without a page")
	t.broker.mu.Lock()
	defer t.broker.mu.Unlock()
	if !t.broker.countEvent() {
		return errKilled
	}
	t.broker.log = append(t.broker.log, t.lines...)
	if t.upTo.Partition != nil {
		t.broker.offsets[describeOffset(t.upTo.Partition)] = t.upTo.Position
	}
	t.isOpen = false
	t.lines = nil
	t.upTo = kafka.Offset{}
	if !t.broker.countEvent() {
		return errKilled // committed, but the worker was killed before the response
	}
	return nil
}

func (t *transactionalOutput) Abort(context.Context) error {
	assert.True(t.t, t.isOpen, "expected no abort without a page")
	t.isOpen = false
	t.lines = nil
	t.upTo = kafka.Offset{}
	return nil
}

func (t *transactionalOutput) Flush(context.Context) error { return nil }
func (t *transactionalOutput) Close(context.Context) error { return nil }

// A feed works the same for both kinds of delivery: with an output that commits whole pages, every row arrives once and
// in order, whatever breaks off, and whenever the worker is killed.
func TestPagesAsTransactions(t *testing.T) {
	runtest.Seeds(t, *rounds/5, 3, func(t *testing.T, seed uint64, r *rand.Rand) {
		l := newScenario(r)
		l.w.o.NewOutput = func(string) (Output, error) { return &transactionalOutput{t: t, broker: l.w.broker}, nil }
		for range r.IntN(5) {
			l.w.broker.killAt = 1 + r.IntN(12)
			l.w.broker.eventCount = 0
			_, err := l.w.run(t)
			assert.True(t, err == nil || errors.Is(err, errKilled), "expected to be killed, found %v", err)
		}
		l.w.broker.killAt = 0
		l.w.mustRun(t)
		next := make([]int, l.feeds)
		for _, record := range l.w.broker.records() {
			var feed int
			var line string
			_, err := fmt.Sscanf(record, "topic%d/%s", &feed, &line)
			require.NoError(t, err)
			next[feed]++
			require.True(t, l.order[line] == next[feed], "seed %d, exact %v: feed %d: expected row %d, found row %d",
				seed, l.repeatsExactly, feed, next[feed], l.order[line])
		}
		for feed, n := range next {
			assert.Equal(t, len(l.order), n, "seed", seed, "rows of feed", feed)
		}
		stored, _ := l.w.broker.Get(t.Context(), []wit.OffsetEntry{wit.IntegerEntry("feed", 0)})
		assert.True(t, len(stored) != 0, "expected a stored offset, found none")
	})
}

// rejectingOutput is an output with a number of failing commits.
type rejectingOutput struct {
	transactionalOutput
	remaining *int // failures
	cause     error
	committed bool // TransactionAbortedError.Committed: a commit has succeeded since the last failure
}

func (r *rejectingOutput) Commit(ctx context.Context) error {
	*r.remaining--
	if *r.remaining < 0 {
		return r.transactionalOutput.Commit(ctx)
	}
	_ = r.transactionalOutput.Abort(ctx)
	return &kafka.TransactionAbortedError{Cause: r.cause, Committed: r.committed}
}

// A feed whose commits brokers reject starts over a limited number of times; a feed without a coordinator continues
// until there is one.
func TestRejectedPageCommits(t *testing.T) {
	for _, c := range []struct {
		err       error
		failures  int  // of commits
		fails     bool // the task fails
		committed bool // a commit succeeds between two failures, without a change of the stored offset
	}{
		{err: kerr.InvalidTxnState, failures: maxRejectedCommits - 1},
		{err: kerr.InvalidTxnState, failures: maxRejectedCommits, fails: true},
		{err: kerr.InvalidTxnState, failures: 10 * maxRejectedCommits, committed: true},
		{err: kerr.UnknownProducerID, failures: maxRejectedCommits, fails: true},
		{err: kerr.MessageTooLarge, failures: 1000, fails: true},
		{err: kerr.NotCoordinator, failures: 1000},
		{err: kerr.NotLeaderForPartition, failures: 1000},
		{err: kerr.ConcurrentTransactions, failures: 1000},
		{err: errors.New("connection refused"), failures: 1000},
	} {
		runtest.Bubble(t, fmt.Sprint(c.err, " ", c.failures, " ", c.committed), func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: true}, rows("a", 3), rows("b", 3))
			remaining := c.failures
			w.o.NewOutput = func(string) (Output, error) {
				return &rejectingOutput{
					transactionalOutput: transactionalOutput{t: t, broker: w.broker},
					remaining:           &remaining,
					cause:               c.err,
					committed:           c.committed,
				}, nil
			}
			if !c.fails {
				w.mustRun(t)
				return
			}
			_, err := w.run(t)
			assert.True(t, errors.Is(err, c.err) && remaining == c.failures-maxRejectedCommits,
				"expected %v after %d tries, found %v after %d", c.err, maxRejectedCommits, err, c.failures-remaining)
			assert.Equal(t, 0, len(w.broker.records()), "records")
		})
	}
}

// slowService is a service whose responses arrive piece by piece.
type slowService struct {
	*service
	pieceTime time.Duration
}

func (s slowService) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	answer, err := s.service.Do(ctx, r)
	if err == nil {
		answer.Body = &slowBody{answer.Body, s.pieceTime}
	}
	return answer, err
}

type slowBody struct {
	io.ReadCloser
	pieceTime time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(b.pieceTime)
	return b.ReadCloser.Read(p)
}

// slowCommitOutput is an output whose commits take a time.
type slowCommitOutput struct {
	transactionalOutput
	commitTime time.Duration
}

func (c *slowCommitOutput) Commit(ctx context.Context) error {
	time.Sleep(c.commitTime)
	return c.transactionalOutput.Commit(ctx)
}

// While a page is committed the next one is read, as far as chunks allow: a load takes about as long as its pages
// alone, and one commit.
func TestPagesAreReadWhileOthersAreCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			pages      = 20
			pieceTime  = time.Millisecond
			commitTime = 9 * time.Millisecond
		)
		page := rows("a", 10*(targetRows+100)) // each piece is a chunk
		for i := range page {
			page[i] += strings.Repeat("x", pieceSize/(targetRows+100)-len(page[i]))
		}
		w := newWorld(&reader{repeatsExactly: true})
		for range pages {
			w.service.pages = append(w.service.pages, page)
		}
		w.o.Client = slowService{w.service, pieceTime}
		w.o.NewOutput = func(string) (Output, error) {
			return &slowCommitOutput{transactionalOutput{t: t, broker: w.broker}, commitTime}, nil
		}
		start := time.Now()
		w.mustRun(t)
		elapsed := time.Since(start)
		require.Equal(t, pages*len(page), len(w.broker.records()), "records")
		readTime := pages * 12 * pieceTime
		assert.True(t, elapsed <= readTime+2*commitTime,
			"expected about %v for the pages and %v for the last commit, took %v", readTime, commitTime, elapsed)
	})
}
