package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// adopt takes another version of the plugin at a page boundary, if there is one and it fits. It is opened while pages
// are read.
func (f *feed) adopt(ctx context.Context) error {
	return f.adoptBy(ctx, f.task.plugin.UpgradeIfOpened)
}

// adoptWaiting is adopt that waits until another version is opened.
func (f *feed) adoptWaiting(ctx context.Context) error { return f.adoptBy(ctx, f.task.plugin.Upgrade) }

func (f *feed) adoptBy(ctx context.Context, by func(context.Context) (*openedVersion, error)) error {
	for {
		o, err := by(ctx)
		if err != nil || o == f.opened {
			return err
		}
		if err = f.move(ctx, o); !f.task.plugin.Superseded(o, err) {
			return err
		}
	}
}

// compatible tells whether a version can go on where the task's feeds stand (feeds by partition, fingerprints, stored
// offsets).
func (t *Task) compatible(ctx context.Context, o *openedVersion) error {
	if err := checkFeeds(o.feeds); err != nil {
		return err
	}
	feeds := t.current()
	if len(o.feeds) != len(feeds) {
		return fmt.Errorf("expected its %d feeds, found %d: a change of feeds needs a restart of the task", len(feeds),
			len(o.feeds))
	}
	for _, f := range feeds {
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
func (f *feed) fits(ctx context.Context, o *openedVersion, at []wit.OffsetEntry) (index uint32, err error) {
	if index, err = o.feedOf(f.partition); err != nil {
		return 0, err
	}
	w := &o.feeds[index]
	if was := f.belongs(); w.Fingerprint != was {
		switch w.OnMismatch {
		case wit.MismatchReload:
			return index, nil // it is not gone on from there
		case wit.MismatchFail:
			return 0, fmt.Errorf("its offsets belong to something else (%s)", difference(was, w.Fingerprint))
		}
	}
	if len(at) > 0 {
		check := func(r Reader) error { return r.CheckOffset(ctx, f.partition, at) }
		if err := task.Do(ctx, o.code, check); err != nil {
			return 0, fmt.Errorf("it refuses the offset: %w", err)
		}
	}
	return index, nil
}

// feedOf is the feed that has a partition: what tells feeds apart in all versions.
func (o *openedVersion) feedOf(partition []wit.OffsetEntry) (index uint32, err error) {
	i := slices.IndexFunc(o.feeds, func(w wit.Feed) bool { return sameFields(w.Partition, partition) })
	if i < 0 {
		return 0, errors.New("it has no such feed: a change of feeds needs a restart of the task")
	}
	return uint32(i), nil
}

// move has the feed read with another version, or with the same one opened again: from the offset that it has now.
func (f *feed) move(ctx context.Context, o *openedVersion) error {
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

// changed takes over the fingerprint of another query: offsets that are stored from now on carry it. The plugin says by
// feed.changed whether what was stored before still counts.
func (f *feed) changed(w *wit.Feed) {
	f.log.Info("offsets belong to something else from now on", "changed", difference(f.belongs(), w.Fingerprint),
		"read again", w.OnMismatch == wit.MismatchReload)
	f.mu.Lock()
	f.fingerprint = w.Fingerprint
	f.mu.Unlock()
	if w.OnMismatch == wit.MismatchReload {
		f.at = position{fields: []wit.OffsetEntry{}}
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

// reopen opens the plugin again because what it worked out no longer fits. Where another version has taken the place of
// the one that the feed had, whose code is closed then, the feed goes on with that.
func (f *feed) reopen(ctx context.Context) error {
	if f.opened.code != f.task.plugin.Current() {
		return f.adoptWaiting(ctx)
	}
	o, err := f.task.plugin.Reopen(ctx, f.opened)
	if err == nil {
		err = f.move(ctx, o)
	}
	if f.task.plugin.Superseded(f.opened, err) {
		return f.adoptWaiting(ctx)
	}
	return err
}
