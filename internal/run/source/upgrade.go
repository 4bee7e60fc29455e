package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// upgrade switches to another version of the plugin if one is opened and compatible.
func (f *feed) upgrade(ctx context.Context) error {
	return f.upgradeWith(ctx, f.task.plugin.UpgradeIfOpened)
}

// upgradeWaiting is upgrade, but if there is a newer version, it waits until that is opened.
func (f *feed) upgradeWaiting(ctx context.Context) error {
	return f.upgradeWith(ctx, f.task.plugin.Upgrade)
}

func (f *feed) upgradeWith(ctx context.Context, getOpened func(context.Context) (*openedVersion, error)) error {
	for {
		opened, err := getOpened(ctx)
		if err != nil || opened == f.opened {
			return err
		}
		if err = f.switchTo(ctx, opened); !f.task.plugin.Superseded(opened, err) {
			return err
		}
	}
}

// compatible returns an error if a version cannot continue from the offsets of the task's feeds.
func (t *Task) compatible(ctx context.Context, opened *openedVersion) error {
	if err := checkFeeds(opened.feeds, t.count.startedAt); err != nil {
		return err
	}
	feeds := t.currentFeeds()
	if len(opened.feeds) != len(feeds) {
		return fmt.Errorf("expected %d feeds, found %d: restart the task to change feeds", len(feeds),
			len(opened.feeds))
	}
	for _, feed := range feeds {
		feed.mu.Lock()
		boundary := feed.boundary
		feed.mu.Unlock()
		if _, err := feed.checkVersion(ctx, opened, boundary); err != nil {
			return fmt.Errorf("feed %s: %w", feed.name, err)
		}
	}
	return nil
}

// checkVersion returns the index of the feed in a version, or an error if that cannot continue from the offset.
func (f *feed) checkVersion(ctx context.Context, opened *openedVersion,
	offset []wit.OffsetEntry) (index uint32, err error) {
	if index, err = opened.feedOf(f.partition); err != nil {
		return 0, err
	}
	spec := &opened.feeds[index]
	if current := f.currentFingerprint(); spec.Fingerprint != current {
		switch spec.OnMismatch {
		case wit.MismatchReload:
			return index, nil // the offset is not used
		case wit.MismatchFail:
			return 0, fmt.Errorf("its offsets belong to something else (%s)", describeDiff(current, spec.Fingerprint))
		}
	}
	if len(offset) > 0 {
		check := func(r Reader) error { return r.CheckOffset(ctx, f.partition, offset) }
		if err := task.Do(ctx, opened.code, check); err != nil {
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

func (f *feed) switchTo(ctx context.Context, opened *openedVersion) error {
	index, err := f.checkVersion(ctx, opened, f.position.fields)
	if err != nil {
		return fmt.Errorf("version %s of the plugin: %w", opened.code.Version(), err)
	}
	if opened.code != f.opened.code {
		f.forgetKeys(errors.New("another version of the plugin is used"))
	}
	f.opened = opened
	f.index = index
	if w := f.spec(); w.Fingerprint != f.currentFingerprint() {
		f.log.Info("the query of the feed has changed", "changed", describeDiff(f.currentFingerprint(), w.Fingerprint),
			"read again", w.OnMismatch == wit.MismatchReload)
		f.forgetKeys(errors.New("the query of the feed has changed"))
		f.mu.Lock()
		f.fingerprint = w.Fingerprint // following offsets are stored with it
		f.mu.Unlock()
		// The plugin decides whether the previous offset remains valid.
		if w.OnMismatch == wit.MismatchReload {
			f.position = position{fields: []wit.OffsetEntry{}}
			f.pageStart = f.position.fields
			f.atBeginning = true
			f.setBoundary(f.pageStart)
			f.setLoad(nil)
		}
	}
	return nil
}

func (f *feed) currentFingerprint() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fingerprint
}

// reopen opens the plugin again because its context is stale. If another version has replaced the feed's in the
// meantime, the feed upgrades to that.
func (f *feed) reopen(ctx context.Context, stale error) error {
	if f.opened.code != f.task.plugin.Current() {
		return f.upgradeWaiting(ctx)
	}
	opened, err := f.task.plugin.Reopen(ctx, f.opened, stale)
	if err == nil {
		err = f.switchTo(ctx, opened)
	}
	if f.task.plugin.Superseded(f.opened, err) {
		return f.upgradeWaiting(ctx)
	}
	return err
}
