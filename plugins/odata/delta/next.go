package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Next returns the next request.
func (f Set) Next(offset []wit.OffsetEntry, reason wit.PollReason, now int64) (wit.NextAction, error) {
	at, err := readPhase(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	rest, rests := at.(*idle)
	switch {
	case reason.Snapshot != nil && !rests:
		return wit.NextAction{Idle: wit.Set}, nil // until the current load ends
	case reason.Snapshot != nil:
		at = f.snapshotOnDemand(rest, *reason.Snapshot, now)
	case rests:
		at, err = f.pollChanges(rest, reason, now)
	case at == nil:
		at = f.first(common{startedAt: int(now)})
	default:
		at = f.resume(at, reason, now)
	}
	if err != nil {
		return wit.NextAction{}, err
	}
	f.restoreLinks(at)
	fetch, err := f.fetch(at)
	if err != nil {
		return wit.NextAction{}, err
	}
	fields := writePhase(at)
	fetch.Position = &fields
	return wit.NextAction{Fetch: fetch}, nil
}

// snapshotOnDemand reads the set besides the changes, which continue from the same link: nothing that changes in the
// meantime is missing from them.
func (f Set) snapshotOnDemand(rest *idle, ident string, now int64) phase {
	number, err := strconv.Atoi(ident)
	if err != nil || number <= 0 {
		number = int(now)
	}
	c := common{startedAt: int(now), rewriteSettings: rest.rewriteSettings, snapshot: number}
	return &readingSnapshot{common: c, link: rest.link, onDemand: true, position: f.Paging.First(now).Fields()}
}

func (f Set) pollChanges(rest *idle, reason wit.PollReason, now int64) (phase, error) {
	next := &readingChanges{common: rest.common, url: rest.link, unnotified: f.PolledOnNotification() &&
		reason.Poll != nil}
	if next.startedAt = int(now); reason.Start == nil {
		return next, nil
	}
	next.lostTokens = 0
	f.LogStart("nothing but changes", "read up to ", int64(rest.at), "and its delta link continues from there")
	return next, f.rewrite(next)
}

// resume continues a phase. After a restart of the connector, changes follow without waiting for the next poll.
func (f Set) resume(at phase, reason wit.PollReason, now int64) phase {
	c := at.shared()
	c.resumed = c.resumed || reason.Start != nil
	switch p := at.(type) {
	case *subscribing:
		if p.step == stepExtract && reason.More == nil {
			p.step, p.url = stepAwaitExtraction, f.FunctionURL(f.ODP.Subscribed)
		}
	case *readingChanges:
		p.retriedAfter202, p.retriedAfterLostPage = p.retriedAfter202 && reason.Start == nil, p.retriedAfterLostPage &&
			reason.Start == nil
	case *legacyLoad:
		link := p.url
		switch {
		case p.deltaLink != "":
			link = p.deltaLink
		case p.token != "":
			link = f.tokenURL(p.token)
		}
		sdk.Log(wit.LevelWarn,
			f.Label()+": a load that an earlier version of this plugin started is restarted; rows "+
				"are delivered again")
		return &readingSnapshot{common: p.common, link: link, onDemand: p.deltaLink != "",
			position: f.Paging.First(now).Fields()}
	}
	return at
}

// restoreLinks restores the options of stored links: earlier versions stored links as services wrote them.
func (f Set) restoreLinks(at phase) {
	for _, i := range at.fields() {
		if i.Name == "url" || i.Name == "link" {
			*i.Text, _ = f.Paging.RestoreOptions(*i.Text, f.Paging.UnorderedURL(false))
		}
	}
}

func (f Set) fetch(at phase) (fetch *wit.Fetch, err error) {
	patience := wit.Ptr(uint32(f.Tracking.FirstByteTimeout))
	fetch = &wit.Fetch{Request: f.Request("", at.target())}
	r := &fetch.Request
	switch p := at.(type) {
	case *loading:
		preferTracking(r)
		if !p.continued {
			r.FirstByteTimeoutMs = patience
		}
	case *readingSnapshot:
		*r, err = f.snapshotRequest(p)
		r.FirstByteTimeoutMs = patience // the service may sort all rows
	case *readingChanges:
		preferTracking(r)
		fetch.Acknowledges = !p.continued
	case *subscribing:
		if p.step != stepExtract {
			*r = f.jsonRequest(p.url)
			break
		}
		// Each such request starts a job in an ODP service, so the offset that says so is stored first (P13).
		preferTracking(r)
		r.FirstByteTimeoutMs, r.Repeatable, fetch.Acknowledges = patience, false, true
	default:
		*r = f.jsonRequest(at.target())
	}
	return fetch, err
}

func (f Set) jsonRequest(url string) wit.Request {
	return service.Get("", f.Query.AppendTo(url), "application/json")
}

func preferTracking(r *wit.Request) {
	for i := range r.Headers {
		if r.Headers[i].Name == "Prefer" {
			r.Headers[i].Value = TrackChanges + "," + r.Headers[i].Value
		}
	}
}

// rewrite applies the configured replacement to the stored link, once.
func (f Set) rewrite(at *readingChanges) error {
	mark := f.rewriteSettings()
	if mark == "" || at.rewriteSettings == mark {
		return nil
	}
	link, err := f.Tracking.Rewrite(at.url)
	if err != nil {
		return sdk.NewConfigError(f.Setting(sourceconfig.NameRegex), err.Error())
	}
	at.rewriteSettings = mark
	if link != at.url {
		sdk.Log(wit.LevelWarn, f.Label()+": the stored delta link "+at.url+" is rewritten as "+
			f.Setting(sourceconfig.NameRegex)+" says: "+link)
		at.url = link
	} else {
		sdk.Log(wit.LevelWarn, f.Label()+": "+f.Setting(sourceconfig.NameRegex)+
			" matches nothing of the stored delta link "+at.url)
	}
	return nil
}
