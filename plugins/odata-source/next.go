package main

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/paging"
	sdk "github.com/culvert-project/culvert/sdk/go"
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
	step, err := o.next(f, offset, cause, now)
	if err == nil && step.Fetch != nil {
		f.carryGuids(step.Fetch.Position, offset)
		step.Fetch.Position = withFormat(refused, step.Fetch.Position)
	}
	return step, err
}

// next is Next for a feed. A load that broke off goes on where it was; a complete one is repeated when its
// period is over, also when the period ended while the connector was down.
func (o *decodedContext) next(f *feed, offset []wit.Field, cause wit.Cause, now int64) (wit.Step, error) {
	if age := now - o.at; o.refresh > 0 && age >= int64(o.refresh) {
		return wit.Step{}, &wit.Fault{Kind: wit.FaultStale, Message: "$metadata was read " +
			(time.Duration(age) * time.Millisecond).String() + " ago, and is read again as " + metadataRefresh +
			" says"}
	}
	if f.tracking.on {
		return f.nextDelta(offset, cause, now)
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
			return f.fetchStore(!done, offset), nil
		}
		if done {
			due := cause.Poll != nil || cause.Wake != nil || cause.Start != nil && f.cron == "" &&
				now-when >= int64(f.period)*1000
			switch {
			case cause.Snapshot != nil:
				at = nil // all rows are read now, also where a cursor leaves most out
			case f.named() && cause.Wake != nil && *cause.Wake != "":
				return f.fetchNamed(*cause.Wake, offset), nil
			case f.named() && cause.Wake == nil && (cause.Start == nil || f.subscribing.catchup != catchupReload):
				f.restsAtStart(cause, when, "and entities that notifications name are read")
				return wit.Step{Idle: wit.Chosen}, nil
			case f.named():
			case f.period < 0 && f.cron == "":
				f.restsAtStart(cause, when, "and nothing more is read (exec-period=-1)")
				return wit.Step{Finished: wit.Chosen}, nil
			case !due:
				f.restsAtStart(cause, when, "and the next load begins at its time")
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
func (f *feed) restsAtStart(cause wit.Cause, complete int64, next string) {
	if cause.Start != nil {
		f.startsWith("nothing", "read completely at ", complete, next)
	}
}

// startsWith says what a start reads of a set that was read until some time.
func (f *feed) startsWith(what, was string, until int64, next string) {
	sdk.Log(wit.LevelInfo, f.what()+": this start reads "+what+" into topic "+f.topic+": the set was "+was+
		time.UnixMilli(until).UTC().Format(time.RFC3339)+", "+next+"; to read it again reset the connector's offsets, "+
		"or ask for a snapshot")
}

// request asks for a page, or for more of a feed inside one. A link of the service's own gets the client, too.
func (f *feed) request(tag, target string) wit.Request {
	accept := "application/json"
	if f.atom {
		accept = "application/atom+xml"
	}
	return wit.Request{Tag: tag, Method: "GET", Target: f.query.On(target), Repeatable: true, Headers: []wit.Header{
		{Name: "Accept", Value: accept},
		{Name: "MaxDataServiceVersion", Value: "2.0"},
		{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.pageSize)},
	}}
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
