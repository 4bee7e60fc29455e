package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// upgrade switches to another version of the plugin at a page boundary if one is opened and fits.
func (f *feed) upgrade(ctx context.Context) error {
	return f.upgradeWith(ctx, f.task.plugin.UpgradeIfOpened)
}

func (f *feed) upgradeWaiting(ctx context.Context) error {
	return f.upgradeWith(ctx, f.task.plugin.Upgrade)
}

func (f *feed) upgradeWith(ctx context.Context, get func(context.Context) (*openedVersion, error)) error {
	for {
		o, err := get(ctx)
		if err != nil || o == f.opened {
			return err
		}
		if err = f.switchTo(ctx, o); !f.task.plugin.Superseded(o, err) {
			return err
		}
	}
}

// compatible returns an error if a version cannot continue from the offsets of the task's feeds.
func (t *Task) compatible(ctx context.Context, o *openedVersion) error {
	if err := checkFeeds(o.feeds); err != nil {
		return err
	}
	feeds := t.currentFeeds()
	if len(o.feeds) != len(feeds) {
		return fmt.Errorf("expected %d feeds, found %d: restart the task to change feeds", len(feeds),
			len(o.feeds))
	}
	for _, f := range feeds {
		f.mu.Lock()
		at := f.boundary
		f.mu.Unlock()
		if _, err := f.fitsVersion(ctx, o, at); err != nil {
			return fmt.Errorf("feed %s: %w", f.name, err)
		}
	}
	return nil
}

func (f *feed) fitsVersion(ctx context.Context, o *openedVersion, at []wit.OffsetEntry) (index uint32, err error) {
	if index, err = o.feedOf(f.partition); err != nil {
		return 0, err
	}
	w := &o.feeds[index]
	if prior := f.currentFingerprint(); w.Fingerprint != prior {
		switch w.OnMismatch {
		case wit.MismatchReload:
			return index, nil // the offset is not used
		case wit.MismatchFail:
			return 0, fmt.Errorf("its offsets belong to something else (%s)", describeDiff(prior, w.Fingerprint))
		}
	}
	if len(at) > 0 {
		check := func(r Reader) error { return r.CheckOffset(ctx, f.partition, at) }
		if err := task.Do(ctx, o.code, check); err != nil {
			return 0, fmt.Errorf("it rejects the offset: %w", err)
		}
	}
	return index, nil
}

// feedOf finds a feed by its partition, which identifies it in all versions.
func (o *openedVersion) feedOf(partition []wit.OffsetEntry) (index uint32, err error) {
	i := slices.IndexFunc(o.feeds, func(w wit.Feed) bool { return sameFields(w.Partition, partition) })
	if i < 0 {
		return 0, errors.New("it has no such feed: restart the task to change feeds")
	}
	return uint32(i), nil
}

func (f *feed) switchTo(ctx context.Context, o *openedVersion) error {
	index, err := f.fitsVersion(ctx, o, f.position.fields)
	if err != nil {
		return fmt.Errorf("version %s of the plugin: %w", o.code.Version(), err)
	}
	f.opened, f.index = o, index
	if w := f.spec(); w.Fingerprint != f.currentFingerprint() {
		f.changeFingerprint(w)
	}
	return nil
}

// changeFingerprint adopts the fingerprint of another query for the offsets from now on. The plugin decides whether the
// previous offset remains valid.
func (f *feed) changeFingerprint(w *wit.Feed) {
	f.log.Info("the query of the feed has changed", "changed", describeDiff(f.currentFingerprint(), w.Fingerprint),
		"read again", w.OnMismatch == wit.MismatchReload)
	f.mu.Lock()
	f.fingerprint = w.Fingerprint
	f.mu.Unlock()
	if w.OnMismatch == wit.MismatchReload {
		f.position = position{fields: []wit.OffsetEntry{}}
		f.pageStart = f.position.fields
		f.setBoundary(f.pageStart)
	}
}

func (f *feed) currentFingerprint() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fingerprint
}

// reopen opens the plugin again because its context is stale. If another version has replaced the feed's, whose code is
// closed then, the feed upgrades to that.
func (f *feed) reopen(ctx context.Context) error {
	if f.opened.code != f.task.plugin.Current() {
		return f.upgradeWaiting(ctx)
	}
	o, err := f.task.plugin.Reopen(ctx, f.opened)
	if err == nil {
		err = f.switchTo(ctx, o)
	}
	if f.task.plugin.Superseded(f.opened, err) {
		return f.upgradeWaiting(ctx)
	}
	return err
}
