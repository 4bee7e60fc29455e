package main

import (
	"time"

	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/plugins/odata/notify"
	"github.com/culvert-project/culvert/wit"
)

// Next says which page comes next.
func (p *plugin) Next(context []byte, number uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	o, f, err := p.contexts.Feed(context, number)
	if err != nil {
		return wit.NextAction{}, err
	}
	refused := feed.FormatRefused(offset)
	f.UseFormat(refused)
	step, err := next(o, f, offset, cause, now)
	if err == nil && step.Fetch != nil {
		f.CarryGuids(step.Fetch.Position, offset)
		step.Fetch.Position = feed.WithFormat(refused, step.Fetch.Position)
	}
	return step, err
}

// next is Next for a feed. A load that broke off goes on where it was; a complete one is repeated when its
// period is over, also when the period ended while the connector was down.
func next(o *feed.Context, f *feed.Feed, offset []wit.OffsetEntry, cause wit.PollReason, now int64) (wit.NextAction,
	error) {
	if age := now - o.At; o.Refresh > 0 && age >= int64(o.Refresh) {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorStale, Message: "$metadata was read " +
			(time.Duration(age) * time.Millisecond).String() + " ago, and is read again as " + entry.MetadataRefresh +
			" says"}
	}
	if f.Tracking.On {
		return delta.Set{Feed: f}.Next(offset, cause, now)
	}
	if delta.Tracked(offset) {
		return wit.NextAction{}, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: it is one of delta mode, and " +
				f.Setting(entry.NameTrackChanges) + " is 0: reset the connector's offsets"}
	}
	at, err := load.Read(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	if at != nil {
		done, when := at.Done()
		if !done && cause.Snapshot != nil {
			return wit.NextAction{Idle: wit.Set}, nil // after what is being read
		}
		if f.Stores() && cause.Start != nil {
			return notify.Set{Feed: f}.FetchStore(!done, offset), nil
		}
		if done {
			due := cause.Poll != nil || cause.Trigger != nil || cause.Start != nil && f.Cron == "" &&
				now-when >= int64(f.Period)*1000
			switch {
			case cause.Snapshot != nil:
				at = nil // all rows are read now, also where a cursor leaves most out
			case f.Named() && cause.Trigger != nil && *cause.Trigger != "":
				return notify.Set{Feed: f}.FetchNamed(*cause.Trigger, offset), nil
			case f.Named() && cause.Trigger == nil && (cause.Start == nil ||
				f.Subscribing.Catchup != entry.CatchupReload):
				restsAtStart(f, cause, when, "and entities that notifications name are read")
				return wit.NextAction{Idle: wit.Set}, nil
			case f.Named():
			case f.Period < 0 && f.Cron == "":
				restsAtStart(f, cause, when, "and nothing more is read (exec-period=-1)")
				return wit.NextAction{Finished: wit.Set}, nil
			case !due:
				restsAtStart(f, cause, when, "and the next load begins at its time")
				return wit.NextAction{Idle: wit.Set}, nil
			}
			if at != nil {
				at = f.Pages.FirstAfter(at, now)
			}
		}
	}
	if at == nil {
		at = f.Pages.First(now)
	}
	at = f.Pages.Restored(at)
	target, repeats := f.Pages.Request(at)
	position := at.Fields()
	return wit.NextAction{Fetch: &wit.Fetch{Request: f.Request("", target), Position: &position,
			RepeatsExactly: repeats}},
		nil
}

// restsAtStart says that a start reads nothing because a load was complete before: with another topic, or an empty one,
// no row would come and nothing would say why.
func restsAtStart(f *feed.Feed, cause wit.PollReason, complete int64, next string) {
	if cause.Start != nil {
		f.StartsWith("nothing", "read completely at ", complete, next)
	}
}

// CheckOffset reports whether an offset, stored by another version or set by an operator, can be gone on from.
func (p *plugin) CheckOffset(partition []wit.OffsetEntry, offset []wit.OffsetEntry) error {
	for _, name := range []string{"service", "entityset"} {
		v, ok := wit.Lookup(partition, name)
		if !ok || v.String == nil {
			return &wit.Error{Kind: wit.ErrorIncompatible,
				Message: "partition: expected the texts service and entityset, found no " + name}
		}
	}
	if delta.Tracked(offset) {
		return delta.Check(offset)
	}
	_, err := load.Read(offset)
	return err
}
