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

// Next returns the next request of a feed.
func (p *plugin) Next(context []byte, number uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	o, f, err := p.contexts.Feed(context, number)
	if err != nil {
		return wit.NextAction{}, err
	}
	refused := feedreader.FormatRefused(offset)
	f.SetFormatRefused(refused)
	step, err := nextAction(o, f, offset, cause, now)
	if err == nil && step.Fetch != nil {
		f.AddGuidCase(step.Fetch.Position, offset)
		step.Fetch.Position = feedreader.WithFormat(refused, step.Fetch.Position)
	}
	return step, err
}

// nextAction continues an unfinished load and repeats a complete one when its period is over, also if it ended while
// the connector was down.
func nextAction(o *feedreader.Context, f *feedreader.Feed, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	if age := now - o.ReadAt; o.Refresh > 0 && age >= int64(o.Refresh) {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorStale, Message: "$metadata was read " +
			(time.Duration(age) * time.Millisecond).String() + " ago, and is read again as " +
			sourceconfig.MetadataRefresh +
			" says"}
	}
	if f.Tracking.On {
		return delta.Set{Feed: f}.Next(offset, cause, now)
	}
	if delta.IsDeltaOffset(offset) {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: it is one of delta mode, and " +
				f.Setting(sourceconfig.NameTrackChanges) + " is 0: reset the connector's offsets"}
	}
	at, err := paging.Read(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	if at != nil {
		done, when := at.Done()
		if !done && cause.Snapshot != nil {
			return wit.NextAction{Idle: wit.Set}, nil // until the current load ends
		}
		if f.UsesNotificationStore() && cause.Start != nil {
			return notifications.Set{Feed: f}.FetchStore(!done, offset), nil
		}
		if done {
			if action := withoutLoad(f, when, offset, cause, now); action != nil {
				return *action, nil
			}
			at = f.Paging.FirstAfter(at, now)
		}
	}
	if at == nil || cause.Snapshot != nil { // a snapshot reads all rows, even with a cursor
		at = f.Paging.First(now)
	}
	at = f.Paging.RestoreLink(at)
	target, repeats := f.Paging.Request(at)
	position := at.Fields()
	return wit.NextAction{Fetch: &wit.Fetch{Request: f.Request("", target), Position: &position,
			RepeatsExactly: repeats}},
		nil
}

// withoutLoad returns what follows a complete load instead of another one, or nil.
func withoutLoad(f *feedreader.Feed, complete int64, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) *wit.NextAction {
	due := cause.Poll != nil || cause.Trigger != nil || cause.Start != nil && f.Cron == "" &&
		now-complete >= int64(f.Period)*1000
	switch {
	case cause.Snapshot != nil:
	case f.NotificationOnly() && cause.Trigger != nil && *cause.Trigger != "":
		return wit.Ptr(notifications.Set{Feed: f}.FetchEntity(*cause.Trigger, offset))
	case f.NotificationOnly() && cause.Trigger == nil && (cause.Start == nil ||
		f.Subscribing.Catchup != sourceconfig.CatchupReload):
		logNothingToRead(f, cause, complete, "and entities that notifications name are read")
		return &wit.NextAction{Idle: wit.Set}
	case f.NotificationOnly():
	case f.Period < 0 && f.Cron == "":
		logNothingToRead(f, cause, complete, "and nothing more is read (exec-period=-1)")
		return &wit.NextAction{Finished: wit.Set}
	case !due:
		logNothingToRead(f, cause, complete, "and the next load starts as scheduled")
		return &wit.NextAction{Idle: wit.Set}
	}
	return nil
}

// logNothingToRead logs at a start that nothing is read: with another topic, users would wonder why no rows arrive.
func logNothingToRead(f *feedreader.Feed, cause wit.PollReason, complete int64, next string) {
	if cause.Start != nil {
		f.LogStart("nothing", "read completely at ", complete, next)
	}
}

// CheckOffset reports whether an offset from another version or from an operator can be continued.
func (p *plugin) CheckOffset(partition []wit.OffsetEntry, offset []wit.OffsetEntry) error {
	for _, name := range []string{"service", "entityset"} {
		v, ok := wit.Lookup(partition, name)
		if !ok || v.String == nil {
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
