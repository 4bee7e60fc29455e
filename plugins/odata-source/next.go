package main

import (
	"time"

	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Next says which page comes next.
func (p *plugin) Next(context []byte, number uint32, offset []wit.Field, cause wit.Cause, now int64) (wit.Step, error) {
	o, f, err := p.contexts.feed(context, number)
	if err != nil {
		return wit.Step{}, err
	}
	refused := unformatted(offset)
	f.useFormat(refused)
	step, err := next(o, f, offset, cause, now)
	if err == nil && step.Fetch != nil {
		f.carryGuids(step.Fetch.Position, offset)
		step.Fetch.Position = withFormat(refused, step.Fetch.Position)
	}
	return step, err
}

// next is Next for a feed. A load that broke off goes on where it was; a complete one is repeated when its
// period is over, also when the period ended while the connector was down.
func next(o *Context, f *Feed, offset []wit.Field, cause wit.Cause, now int64) (wit.Step, error) {
	if age := now - o.at; o.refresh > 0 && age >= int64(o.refresh) {
		return wit.Step{}, &wit.Fault{Kind: wit.FaultStale, Message: "$metadata was read " +
			(time.Duration(age) * time.Millisecond).String() + " ago, and is read again as " + metadataRefresh +
			" says"}
	}
	if f.tracking.on {
		return deltaSet{f}.next(offset, cause, now)
	}
	if tracked(offset) {
		return wit.Step{}, &wit.Fault{Kind: wit.FaultIncompatible, Message: "offset: it is one of delta mode, and " +
			f.setting(nameTrackChanges) + " is 0: reset the connector's offsets"}
	}
	at, err := paging.Read(offset)
	if err != nil {
		return wit.Step{}, err
	}
	if at != nil {
		done, when := at.Done()
		if !done && cause.Snapshot != nil {
			return wit.Step{Idle: wit.Chosen}, nil // behind what is being read
		}
		if f.stores() && cause.Start != nil {
			return notifySet{f}.fetchStore(!done, offset), nil
		}
		if done {
			due := cause.Poll != nil || cause.Wake != nil || cause.Start != nil && f.cron == "" &&
				now-when >= int64(f.period)*1000
			switch {
			case cause.Snapshot != nil:
				at = nil // all rows are read now, also where a cursor leaves most out
			case f.named() && cause.Wake != nil && *cause.Wake != "":
				return notifySet{f}.fetchNamed(*cause.Wake, offset), nil
			case f.named() && cause.Wake == nil && (cause.Start == nil || f.subscribing.catchup != catchupReload):
				restsAtStart(f, cause, when, "and entities that notifications name are read")
				return wit.Step{Idle: wit.Chosen}, nil
			case f.named():
			case f.period < 0 && f.cron == "":
				restsAtStart(f, cause, when, "and nothing more is read (exec-period=-1)")
				return wit.Step{Finished: wit.Chosen}, nil
			case !due:
				restsAtStart(f, cause, when, "and the next load begins at its time")
				return wit.Step{Idle: wit.Chosen}, nil
			}
			if at != nil {
				at = f.pages.FirstBehind(at, now)
			}
		}
	}
	if at == nil {
		at = f.pages.First(now)
	}
	target, repeats := f.pages.Request(at)
	position := at.Fields()
	return wit.Step{Fetch: &wit.Fetch{Request: f.request("", target), Position: &position, RepeatsExactly: repeats}},
		nil
}

// restsAtStart says that a start reads nothing because a load was complete before: with another topic, or an empty one,
// no row would come and nothing would say why.
func restsAtStart(f *Feed, cause wit.Cause, complete int64, next string) {
	if cause.Start != nil {
		f.startsWith("nothing", "read completely at ", complete, next)
	}
}

// CheckOffset tells whether an offset, stored by another version or set by an operator, can be gone on from.
func (p *plugin) CheckOffset(partition []wit.Field, offset []wit.Field) error {
	for _, name := range []string{"service", "entityset"} {
		v, ok := wit.Lookup(partition, name)
		if !ok || v.Text == nil {
			return &wit.Fault{Kind: wit.FaultIncompatible,
				Message: "partition: expected the texts service and entityset, found no " + name}
		}
	}
	if tracked(offset) {
		_, err := readDelta(offset)
		return err
	}
	_, err := paging.Read(offset)
	return err
}
