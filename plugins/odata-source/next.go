package main

import (
	"time"

	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

func (p *plugin) Next(context []byte, number uint32, offset []wit.OffsetEntry, reason wit.PollReason,
	now int64) (wit.NextAction, error) {
	opened, feed, err := p.contexts.Feed(context, number)
	if err != nil {
		return wit.NextAction{}, err
	}
	feed.SetFormatRefused(feedreader.FormatRefused(offset))
	step, err := nextAction(opened, feed, offset, reason, now)
	if err == nil && step.Fetch != nil {
		step.Fetch.Position = withLearned(feed, offset, step.Fetch.Position)
	}
	return step, err
}

// withLearned copies to the next offset what the offset contains about the service.
func withLearned(feed *feedreader.Feed, offset []wit.OffsetEntry, next *[]wit.OffsetEntry) *[]wit.OffsetEntry {
	feed.AddGuidCase(next, offset)
	return feedreader.WithFormat(feedreader.FormatRefused(offset), next)
}

// nextAction continues an unfinished load, or repeats a complete one if its period has passed, even during a stop.
func nextAction(opened *feedreader.Context, feed *feedreader.Feed, offset []wit.OffsetEntry, reason wit.PollReason,
	now int64) (wit.NextAction, error) {
	if age := now - opened.ReadAt; opened.Refresh > 0 && age >= int64(opened.Refresh) {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorStale, Message: "$metadata was read " +
			(time.Duration(age) * time.Millisecond).String() + " ago; it is read again because of " +
			sourceconfig.MetadataRefresh}
	}
	if feed.Tracking.On {
		return delta.Set{Feed: feed}.Next(offset, reason, now)
	}
	if delta.IsDeltaOffset(offset) {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: it was stored in delta mode, and " +
				feed.Setting(sourceconfig.NameTrackChanges) + " is 0: reset the connector's offsets"}
	}
	// Continue the load in the offset, or begin the next one if that has ended. A nil position begins the first load.
	current, err := paging.Read(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	isFirstSinceStart := reason.Start != nil
	if current != nil {
		done, when := current.Done()
		isFirstSinceStart = isFirstSinceStart || when < opened.ReadAt // no load has begun or ended since the start
		if !done && reason.Snapshot != nil {
			return wit.NextAction{Idle: wit.Set}, nil // until the current load ends
		}
		if feed.UsesNotificationStore() && reason.Start != nil {
			return notifications.Set{Feed: feed}.FetchStore(!done, offset), nil
		}
		if done {
			isUnproven := current.Verdict() == paging.Unproven && reason.Snapshot == nil
			if err := feed.CheckProof(isUnproven); err != nil {
				return wit.NextAction{}, err
			}
			if action := withoutLoad(feed, when, offset, reason, now); action != nil {
				return *action, nil
			}
			current = feed.Paging.FirstAfter(current, now)
		}
	}
	if current == nil {
		if err := feed.CheckProof(!feed.Paging.CanProve()); err != nil {
			return wit.NextAction{}, err
		}
	}
	if isFirst := current == nil; isFirst || reason.Snapshot != nil { // a snapshot reads all rows, even with a cursor
		current = feed.Paging.First(now)
		if !isFirst {
			current.SetAnswered()
		}
	}
	// Request its next page.
	current = feed.Paging.RestoreLink(current)
	if isFirstSinceStart {
		current.SetStarted()
	}
	target, repeats := feed.Paging.Request(current)
	position := current.Fields()
	return wit.NextAction{Fetch: &wit.Fetch{Request: feed.Request("", target), Position: &position,
		RepeatsExactly: repeats}}, nil
}

// withoutLoad returns the action after a complete load if the set is not read again now. Nil means that it is.
func withoutLoad(feed *feedreader.Feed, complete int64, offset []wit.OffsetEntry, reason wit.PollReason,
	now int64) *wit.NextAction {
	periodPassed := feed.Cron == "" && now-complete >= int64(feed.Period)*1000
	due := reason.Poll != nil || reason.Trigger != nil || (reason.Start != nil && periodPassed)
	switch {
	case reason.Snapshot != nil:
		// a snapshot always reads the set
	case feed.NotificationOnly() && reason.Trigger != nil && *reason.Trigger != "":
		return wit.Ptr(notifications.Set{Feed: feed}.FetchEntity(*reason.Trigger, offset))
	case feed.NotificationOnly() && reason.Trigger == nil && (reason.Start == nil ||
		feed.Subscribing.Catchup != sourceconfig.CatchupReload):
		logNothingToRead(feed, reason, complete, "and entities that notifications name are read")
		return &wit.NextAction{Idle: wit.Set}
	case feed.NotificationOnly():
		// the set is read: a notification names no entity, or a start catches up
	case feed.Period < 0 && feed.Cron == "":
		logNothingToRead(feed, reason, complete, "and nothing more is read (exec-period=-1)")
		return &wit.NextAction{Finished: wit.Set}
	case !due:
		logNothingToRead(feed, reason, complete, "and the next load starts as scheduled")
		return &wit.NextAction{Idle: wit.Set}
	}
	return nil
}

// logNothingToRead logs at a start that nothing is read: with another topic, users would wonder why no rows arrive.
func logNothingToRead(f *feedreader.Feed, reason wit.PollReason, complete int64, next string) {
	if reason.Start != nil {
		f.LogStart("nothing", "read completely at ", complete, next)
	}
}

// CheckOffset returns an error if an offset from another version or from an operator cannot be continued.
func (p *plugin) CheckOffset(partition, offset []wit.OffsetEntry) error {
	for _, name := range []string{"service", "entityset"} {
		if v, ok := wit.Lookup(partition, name); !ok || v.String == nil {
			return &wit.Error{Kind: wit.ErrorIncompatible,
				Message: "partition: expected the texts service and entityset, found no " + name}
		}
	}
	if delta.IsDeltaOffset(offset) {
		return delta.CheckOffset(offset)
	}
	_, err := paging.Read(offset)
	return err
}
