package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/task"
)

// sendToService sends the selected letters of a sink.
func (c *connectorReplay) sendToService(ctx context.Context) error {
	options := *c.sender.Sink
	options.Tolerance.TolerateAll = true
	options.DeadLetters = c.rejections
	if c.request.DryRun {
		options.Logger = slog.New(slog.DiscardHandler)
	} else {
		if err := c.sender.Writer.Open(); err != nil {
			return err
		}
		defer c.sender.Writer.Close()
		c.rejections.writer = c.sender.Writer
	}
	for _, partition := range slices.Sorted(maps.Keys(c.partitions)) {
		p := c.partitions[partition]
		for {
			letters, err := p.nextBatch(ctx)
			if err != nil {
				return err
			}
			if len(letters) == 0 {
				break
			}
			if err := p.deliver(ctx, options, letters); err != nil {
				return err
			}
		}
	}
	return nil
}

// resetDoubts removes the records in doubt of an earlier batch from options, and restores what the sink must know to
// check letters in doubt.
func (p *partitionReplay) resetDoubts(options *sink.Options) {
	options.InDoubt = &sink.InDoubtRecords{}
	options.Revoked = &sink.RevokedPartitions{}
	options.InDoubt.MergeKnown(p.state.known)
}

// deliver sends a batch to the service, stores and counts its results. Until it returns, the sink's tasks write
// no records with the keys of the batch.
func (p *partitionReplay) deliver(ctx context.Context, options sink.Options, letters []*Letter) error {
	if !p.request.DryRun {
		defer p.sender.KeyLocks.lock(letters)()
	}
	letters, err := p.dropSuperseded(ctx, letters)
	if err != nil || len(letters) == 0 {
		return err
	}
	slices.SortFunc(letters, func(a, b *Letter) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
			cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Record.Offset, b.Record.Offset))
	})
	p.resetDoubts(&options)
	var mu sync.Mutex
	written := map[*kgo.Record]bool{} // records of which the service has accepted a row
	replay := sink.Replay{Membership: p.lock, DryRun: p.request.DryRun, Written: func(r *kgo.Record) {
		mu.Lock()
		defer mu.Unlock()
		written[r] = true
	}}
	for _, l := range letters {
		replay.Letters = append(replay.Letters, p.replayed(l))
	}
	if p.request.Value != nil && !p.request.DryRun { // then there is only one letter
		if isWritten, err := p.checkStoredValue(ctx, options, letters, &replay.Letters[0]); err != nil || isWritten {
			return err
		}
	}
	initialState := p.state.clone()
	// Older letters in doubt settle with the letter that is sent, which is then in doubt in their place.
	for i, l := range letters {
		if _, ok := initialState.inDoubt[l.Record.Offset]; replay.Letters[i].InDoubt && !ok {
			initialState.setInDoubt(l.Record.Offset, p.nextAttempt(l).valueDigest)
		}
	}
	if len(initialState.inDoubt) > len(p.state.inDoubt) {
		if err := p.store(ctx, initialState); err != nil {
			return err
		}
	}
	replay.Store = func(ctx context.Context, isSettled, isInDoubt []bool) error {
		state := initialState.clone()
		state.known = options.InDoubt.Known()
		var settled []*Letter
		for i, l := range letters {
			delete(state.inDoubt, l.Record.Offset)
			if isInDoubt[i] {
				state.setInDoubt(l.Record.Offset, p.request.valueDigest())
			}
			if isSettled[i] {
				settled = append(settled, l)
			}
		}
		if err := p.settle(ctx, &state, settled); err != nil {
			return err
		}
		return p.store(ctx, state)
	}
	err = sink.Deliver(ctx, options, replay)
	for i, l := range letters {
		p.newer.markSent(l)
		if p.state.isSettled(l.Record.Offset) {
			p.count(replay.Letters[i].Position, written[replay.Letters[i].Record])
		}
	}
	return err
}

// checkStoredValue checks whether an earlier attempt has written the record of a letter in doubt whose value was
// edited: the other value may have another key, so the check needs the stored value. If the record was written, it
// stores the letter as settled and returns true. If only some rows were written, the others remain to be sent.
func (p *partitionReplay) checkStoredValue(ctx context.Context, options sink.Options, letters []*Letter,
	replayed *task.DeadLetter) (isWritten bool, err error) {
	l := letters[0]
	if !replayed.InDoubt || p.nextAttempt(l).valueDigest != "" { // the sink itself checks the value that was sent
		return false, nil
	}
	stored := p.replayed(l)
	stored.Record.Value = l.storedValue
	missing := &missingRows{}
	options.DeadLetters = missing
	options.Logger = slog.New(slog.DiscardHandler)
	p.resetDoubts(&options)
	var isFound atomic.Bool
	err = sink.Deliver(ctx, options, sink.Replay{
		Letters:    []task.DeadLetter{stored},
		Membership: p.lock,
		CheckOnly:  true,
		Store:      func(context.Context, []bool, []bool) error { return nil },
		Written:    func(*kgo.Record) { isFound.Store(true) },
	})
	if err != nil {
		return false, err
	}
	switch {
	case missing.record == nil && isFound.Load():
		p.keep(keptWritten)
		state := p.state.clone()
		if err := p.settle(ctx, &state, letters); err != nil {
			return false, err
		}
		return true, p.store(ctx, state)
	case missing.record == nil:
		return false, fmt.Errorf("an earlier attempt may have written dead letter %v, and its stored value cannot be "+
			"checked: a transform, the plugin or errors.uncertain.skip leaves it out", l.position())
	case !errors.Is(missing.record.Err, sink.ErrNotWritten):
		return false, fmt.Errorf("an earlier attempt may have written dead letter %v, and its stored value cannot be "+
			"checked: %w", l.position(), missing.record.Err)
	}
	replayed.Rows = missing.record.Rows
	replayed.InDoubt = false
	return false, nil
}

// missingRows keeps the record whose rows a check has not found.
type missingRows struct{ record *sink.FailedRecord }

// Send implements [sink.DeadLetters].
func (m *missingRows) Send(_ context.Context, records []sink.FailedRecord) error {
	m.record = &records[0]
	return nil
}
