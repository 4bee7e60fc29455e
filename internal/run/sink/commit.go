package sink

import (
	"context"
	"errors"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka"
)

func (t *Task) commitLoop(ctx context.Context) {
	for {
		select {
		case <-time.After(t.o.CommitInterval):
		case <-t.knownChanged:
		case <-ctx.Done():
			return
		}
		t.commit(ctx)
	}
}

// ensureDurable returns when a commit has stored everything up to a sequence number.
func (t *Task) ensureDurable(ctx context.Context, seq int) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	if t.tracker.isDurable(seq) {
		return nil
	}
	return t.commitLocked(ctx)
}

func (t *Task) commit(ctx context.Context) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	return t.commitLocked(ctx)
}

var errPartialCommit = errors.New("the commit has left out partitions that were reset during it")

// commitLocked requires t.committing. After an error the next commit includes the same partitions.
func (t *Task) commitLocked(ctx context.Context) error {
	started := t.tracker.apply(commitStarted{})
	if len(started.offsets) == 0 { // everything is stored already
		t.tracker.apply(commitSucceeded{nil, started.number})
		return nil
	}
	startedAt := time.Now()
	err := t.run.consumer.Commit(ctx, started.offsets)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		t.tracker.apply(commitFailed{started.offsets})
		return err // the task stops; commitFinal tries again
	}
	t.o.Metrics.Commits.Record(startedAt, err)
	if err == nil {
		if !t.tracker.apply(commitSucceeded{started.offsets, started.number}).ok {
			t.log.Info("offsets not committed because their partitions were reset during the commit; trying again")
			return errPartialCommit
		}
		if t.commitFailing {
			t.log.Info("offsets are committed again")
		}
		t.commitFailing = false
		return nil
	}
	t.tracker.apply(commitFailed{started.offsets})
	switch {
	case errors.Is(err, kafka.ErrRebalanced):
		t.log.Info("offsets not committed because the group has rebalanced; trying again", "error", err)
	case !t.commitFailing:
		t.log.Warn("offsets not committed; trying again", "error", err)
		t.commitFailing = true
	}
	return err
}

// commitFinal retries until ctx ends. It returns only an error about the metadata, which no restart resolves.
func (t *Task) commitFinal(ctx context.Context) error {
	for backoff := (pause.Backoff{First: 50 * time.Millisecond, Longest: time.Second}); ; {
		err := t.commit(ctx)
		if err == nil {
			return nil
		}
		if backoff.Wait(ctx) != nil {
			t.log.Warn("the last offsets are not committed: their records are written again after a restart",
				"error", err)
			if errors.Is(err, kafka.ErrCommitMetadata) {
				return err
			}
			return nil
		}
	}
}
