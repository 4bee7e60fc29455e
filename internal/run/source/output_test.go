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
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// transactions is an output whose records and offsets are written to the broker when a page is committed, all or none.
type transactions struct {
	t    *testing.T
	b    *broker
	open bool
	// failed is the feed's failure function.
	failed func(error)
	// lines and offset are the content of the transaction.
	lines []string
	upTo  kafka.Offset
}

func (t *transactions) NewBatch() Batch              { return &fakeBatch{} }
func (t *transactions) AtLeastOnce() bool            { return false }
func (t *transactions) OnFailure(failed func(error)) { t.failed = failed }

func (t *transactions) Begin(context.Context) error {
	if t.open {
		t.t.Error("a page starts within another one")
	}
	t.open = true
	return nil
}

func (t *transactions) Produce(_ context.Context, batch Batch, upTo kafka.Offset, done func(int, error)) {
	if !t.open && (batch.Len() > 0 || upTo.Partition != nil) {
		t.t.Error("records or an offset outside of a page")
	}
	for _, r := range batch.(*fakeBatch).records {
		t.lines = append(t.lines, fmt.Sprintf("%s/%s=%s", r.Topic, r.Key, r.Value))
	}
	if upTo.Partition != nil {
		t.upTo = upTo
	}
	done(batch.Len(), nil)
}

func (t *transactions) Commit(context.Context) error {
	if !t.open {
		t.t.Error("commit without a page")
	}
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if !t.b.alive() {
		return errKilled
	}
	t.b.log = append(t.b.log, t.lines...)
	if t.upTo.Partition != nil {
		t.b.offsets[describeOffset(t.upTo.Partition)] = t.upTo.Position
	}
	t.open = false
	t.lines = nil
	t.upTo = kafka.Offset{}
	if !t.b.alive() {
		return errKilled // committed, but the worker was killed before the response
	}
	return nil
}

func (t *transactions) Abort(context.Context) error {
	if !t.open {
		t.t.Error("abort without a page")
	}
	t.open = false
	t.lines = nil
	t.upTo = kafka.Offset{}
	return nil
}

func (t *transactions) Flush(context.Context) error { return nil }
func (t *transactions) Close(context.Context) error { return nil }

// A feed works the same for both kinds of delivery: with an output that commits whole pages, every row arrives once and
// in order, whatever breaks off, and whenever the worker is killed.
func TestPagesAsTransactions(t *testing.T) {
	runtest.Seeds(t, *rounds/5, 3, func(t *testing.T, seed uint64, r *rand.Rand) {
		l := newScenario(r)
		l.w.o.NewOutput = func(string) (Output, error) { return &transactions{t: t, b: l.w.broker}, nil }
		for range r.IntN(5) {
			l.w.broker.kill = 1 + r.IntN(12)
			l.w.broker.events = 0
			if _, err := l.w.run(t); err != nil && !errors.Is(err, errKilled) {
				t.Errorf("expected to be killed, found %v", err)
			}
		}
		l.w.broker.kill = 0
		l.w.ok(t)
		next := make([]int, l.feeds)
		for _, record := range l.w.broker.records() {
			var feed int
			var line string
			if _, err := fmt.Sscanf(record, "topic%d/%s", &feed, &line); err != nil {
				t.Fatal(err)
			}
			next[feed]++
			if l.order[line] != next[feed] {
				t.Fatalf("seed %d, exact %v: feed %d: expected row %d, found row %d", seed, l.exact, feed,
					next[feed], l.order[line])
			}
		}
		for feed, n := range next {
			assert.Equal(t, len(l.order), n, "seed", seed, "rows of feed", feed)
		}
		if stored, _ := l.w.broker.Get(t.Context(), []wit.OffsetEntry{wit.IntegerEntry("feed", 0)}); len(stored) == 0 {
			t.Error("no offset is stored")
		}
	})
}

// refusing is an output with a number of failing commits.
type refusing struct {
	transactions
	left *int
	by   error
	// committed makes a commit succeed between two failures.
	committed bool
}

func (r *refusing) Commit(ctx context.Context) error {
	*r.left--
	if *r.left < 0 {
		return r.transactions.Commit(ctx)
	}
	_ = r.transactions.Abort(ctx)
	return &kafka.TransactionAbortedError{Cause: r.by, Committed: r.committed}
}

// A feed whose commits brokers reject starts over a limited number of times; a feed without a coordinator continues
// until there is one.
func TestRejectedPageCommits(t *testing.T) {
	for _, c := range []struct {
		err   error
		times int
		fails bool
		// committed makes commits succeed between two that fail, and the stored offset stays unchanged.
		committed bool
	}{
		{err: kerr.InvalidTxnState, times: maxRejectedCommits - 1},
		{err: kerr.InvalidTxnState, times: maxRejectedCommits, fails: true},
		{err: kerr.InvalidTxnState, times: 10 * maxRejectedCommits, committed: true},
		{err: kerr.UnknownProducerID, times: maxRejectedCommits, fails: true},
		{err: kerr.MessageTooLarge, times: 1000, fails: true},
		{err: kerr.NotCoordinator, times: 1000},
		{err: kerr.NotLeaderForPartition, times: 1000},
		{err: kerr.ConcurrentTransactions, times: 1000},
		{err: errors.New("connection refused"), times: 1000},
	} {
		runtest.Bubble(t, fmt.Sprint(c.err, " ", c.times, " ", c.committed), func(t *testing.T) {
			w := newWorld(&reader{exact: true}, rows("a", 3), rows("b", 3))
			remaining := c.times
			w.o.NewOutput = func(string) (Output, error) {
				return &refusing{transactions{t: t, b: w.broker}, &remaining, c.err, c.committed}, nil
			}
			if !c.fails {
				w.ok(t)
				return
			}
			_, err := w.run(t)
			if !errors.Is(err, c.err) || remaining != c.times-maxRejectedCommits {
				t.Errorf("expected %v after %d tries, found %v after %d", c.err, maxRejectedCommits, err,
					c.times-remaining)
			}
			assert.Equal(t, 0, len(w.broker.records()), "records")
		})
	}
}

// slowly is a service whose responses arrive piece by piece.
type slowly struct {
	*service
	piece time.Duration
}

func (s slowly) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	answer, err := s.service.Do(ctx, r)
	if err == nil {
		answer.Body = &slowBody{answer.Body, s.piece}
	}
	return answer, err
}

type slowBody struct {
	io.ReadCloser
	piece time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(b.piece)
	return b.ReadCloser.Read(p)
}

// committing is an output whose commits take a while.
type committing struct {
	transactions
	takes time.Duration
}

func (c *committing) Commit(ctx context.Context) error {
	time.Sleep(c.takes)
	return c.transactions.Commit(ctx)
}

// While a page is committed the next one is read, as far as chunks allow: a load takes about as long as its pages
// alone, and one commit.
func TestPagesAreReadWhileOthersAreCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pages, piece, takes = 20, time.Millisecond, 9 * time.Millisecond
		page := rows("a", 10*(targetRows+100)) // each piece is a chunk
		for i := range page {
			page[i] += strings.Repeat("x", pieceSize/(targetRows+100)-len(page[i]))
		}
		w := newWorld(&reader{exact: true})
		for range pages {
			w.service.pages = append(w.service.pages, page)
		}
		w.o.Client = slowly{w.service, piece}
		w.o.NewOutput = func(string) (Output, error) {
			return &committing{transactions{t: t, b: w.broker}, takes}, nil
		}
		began := time.Now()
		w.ok(t)
		elapsed := time.Since(began)
		if n := len(w.broker.records()); n != pages*len(page) {
			t.Fatalf("expected %d records, found %d", pages*len(page), n)
		}
		if alone := pages * 12 * piece; elapsed > alone+2*takes {
			t.Errorf("expected about %v for the pages and %v for the last commit, took %v", alone, takes, elapsed)
		}
	})
}
