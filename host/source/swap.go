package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// judgeAgain is how long a version waits that could not be opened for reasons of the moment.
const judgeAgain = 30 * time.Second

// adopt takes a newer version of the plugin at a page boundary, if there is one and it fits.
func (f *feed) adopt(ctx context.Context) error {
	t := f.task
	if t.candidate() != nil && t.judging.TryLock() {
		err := t.judge(ctx)
		t.judging.Unlock()
		if err != nil {
			return err
		}
	}
	if f.opened.code != t.o.Versions.Current() {
		// promoted by this task or by another one of the connector
		if err := t.follow(ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	o := t.opened
	t.mu.Unlock()
	if o == f.opened {
		return nil
	}
	return f.move(ctx, o)
}

func (t *Task) candidate() Code {
	t.mu.Lock()
	early := time.Now().Before(t.judgeAfter)
	t.mu.Unlock()
	if early {
		return nil
	}
	return t.o.Versions.Candidate()
}

// judge opens a candidate beside what runs and promotes or rejects it. Only the context's end is an error.
func (t *Task) judge(ctx context.Context) error {
	c := t.candidate()
	if c == nil {
		return nil
	}
	o, err := t.open(ctx, c)
	if err == nil {
		err = t.compatible(ctx, o)
	}
	var fault *wit.Fault
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		t.o.Versions.Promote(c)
		t.mu.Lock()
		t.opened = o
		t.mu.Unlock()
	case errors.As(err, &fault) && fault.Kind == wit.FaultTransient:
		t.log.Warn("a newer version of the plugin cannot be opened now", "version", c.Version(), "error", err)
		t.mu.Lock()
		t.judgeAfter = time.Now().Add(judgeAgain)
		t.mu.Unlock()
	default:
		t.o.Versions.Reject(c, err.Error())
	}
	return nil
}

// compatible tells whether a version can go on where the task's feeds stand (feeds by partition, fingerprints, stored offsets).
func (t *Task) compatible(ctx context.Context, o *opened) error {
	if err := checkFeeds(o.feeds); err != nil {
		return err
	}
	if len(o.feeds) != len(t.feeds) {
		return fmt.Errorf("expected its %d feeds, found %d: a change of feeds needs a restart of the task", len(t.feeds), len(o.feeds))
	}
	for _, f := range t.feeds {
		f.mu.Lock()
		at := f.between
		f.mu.Unlock()
		if _, err := f.fits(ctx, o, at); err != nil {
			return fmt.Errorf("feed %s: %w", f.name, err)
		}
	}
	return nil
}

// fits finds the feed in a version and asks whether that can go on from an offset.
func (f *feed) fits(ctx context.Context, o *opened, at []wit.Field) (index uint32, err error) {
	for i := range o.feeds {
		w := &o.feeds[i]
		if !sameFields(w.Partition, f.partition) {
			continue
		}
		if was := f.belongs(); w.Fingerprint != was {
			switch w.Changed {
			case wit.ChangedReload:
				return uint32(i), nil // it is not gone on from there
			case wit.ChangedFail:
				return 0, fmt.Errorf("its offsets belong to something else (%s)", difference(was, w.Fingerprint))
			}
		}
		if len(at) > 0 {
			if err := do(ctx, o.code, func(r Reader) error { return r.CheckOffset(ctx, f.partition, at) }); err != nil {
				return 0, fmt.Errorf("it refuses the offset: %w", err)
			}
		}
		return uint32(i), nil
	}
	return 0, errors.New("it has no such feed: a change of feeds needs a restart of the task")
}

// follow opens what the connector runs now, if that has not been done.
func (t *Task) follow(ctx context.Context) error {
	t.judging.Lock()
	defer t.judging.Unlock()
	current := t.o.Versions.Current()
	t.mu.Lock()
	have := t.opened.code == current
	t.mu.Unlock()
	if have {
		return nil
	}
	o, err := t.open(ctx, current)
	if err != nil {
		return fmt.Errorf("open version %s of the plugin: %w", current.Version(), err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened = o
	return nil
}

// move goes on with another version, or with the same one opened anew.
func (f *feed) move(ctx context.Context, o *opened) error {
	index, err := f.fits(ctx, o, f.at.fields)
	if err != nil {
		return fmt.Errorf("version %s of the plugin: %w", o.code.Version(), err)
	}
	f.opened, f.index = o, index
	if w := f.wit(); w.Fingerprint != f.belongs() {
		f.changed(w)
	}
	return nil
}

// changed takes another fingerprint, whose offsets those from now on are.
func (f *feed) changed(w *wit.Feed) {
	f.log.Info("offsets belong to something else from now on", "changed", difference(f.belongs(), w.Fingerprint), "read anew", w.Changed == wit.ChangedReload)
	f.mu.Lock()
	f.fingerprint = w.Fingerprint
	f.mu.Unlock()
	if w.Changed == wit.ChangedReload {
		f.at = place{fields: []wit.Field{}}
		f.standing = f.at.fields
		f.stand(f.standing)
	}
}

// belongs is what the feed's offsets belong to.
func (f *feed) belongs() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fingerprint
}

// reopen opens the plugin anew because what it worked out no longer fits.
func (f *feed) reopen(ctx context.Context) error {
	o, err := f.task.open(ctx, f.opened.code)
	if err != nil {
		return fmt.Errorf("open anew: %w", err)
	}
	if err := f.move(ctx, o); err != nil {
		return err
	}
	f.task.mu.Lock()
	defer f.task.mu.Unlock()
	f.task.opened = o
	return nil
}
