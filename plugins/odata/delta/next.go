package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Next returns the request for the phase in an offset. now is in milliseconds since 1970.
func (f Set) Next(offset []wit.OffsetEntry, reason wit.PollReason, now int64) (wit.NextAction, error) {
	current, err := readPhase(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	waiting, waits := current.(*idle)
	switch {
	case reason.Snapshot != nil && !waits:
		return wit.NextAction{Idle: wit.Set}, nil // until the current load ends
	case reason.Snapshot != nil:
		current = f.snapshotOnDemand(waiting, *reason.Snapshot, now)
	case waits && f.CheckProof(waiting.verdict == paging.Unproven) != nil:
		return wit.NextAction{}, f.CheckProof(true)
	case waits:
		current, err = f.pollChanges(waiting, reason, now)
	case current == nil:
		current = f.first(common{startedAt: int(now)})
	default:
		current = f.resume(current, reason, now)
	}
	if err != nil {
		return wit.NextAction{}, err
	}
	f.restoreLinks(current)
	fetch, err := f.fetch(current)
	if err != nil {
		return wit.NextAction{}, err
	}
	fields := writePhase(current)
	fetch.Position = &fields
	return wit.NextAction{Fetch: fetch}, nil
}

// snapshotOnDemand reads the set in addition to the changes, which continue from the same link afterwards.
func (f Set) snapshotOnDemand(waiting *idle, ident string, now int64) phase {
	number, err := strconv.Atoi(ident)
	if err != nil || number <= 0 {
		number = int(now)
	}
	c := common{startedAt: int(now), rewriteSettings: waiting.rewriteSettings, snapshot: number,
		verdict: waiting.verdict}
	return &readingSnapshot{common: c, link: waiting.link, onDemand: true, position: f.Paging.First(now).Fields()}
}

func (f Set) pollChanges(waiting *idle, reason wit.PollReason, now int64) (phase, error) {
	next := &readingChanges{common: waiting.common, url: waiting.link, unnotified: f.PolledOnNotification() &&
		reason.Poll != nil}
	if next.startedAt = int(now); reason.Start == nil {
		return next, nil
	}
	next.lostTokens = 0
	f.LogStart("nothing but changes", "read up to ", int64(waiting.at), "and its delta link continues from there")
	return next, f.rewrite(next)
}

// resume continues a phase. After a restart of the connector, changes follow without waiting for the next poll.
func (f Set) resume(current phase, reason wit.PollReason, now int64) phase {
	c := current.shared()
	c.resumed = c.resumed || reason.Start != nil
	switch current := current.(type) {
	case *subscribing:
		if current.step == stepExtract && reason.More == nil {
			current.step, current.url = stepAwaitExtraction, f.FunctionURL(f.ODP.Subscribed)
		}
	case *readingSnapshot:
		if f.ODP == nil && !current.onDemand && !current.started {
			sdk.Log(wit.LevelWarn, f.Label()+": the load's next links count rows, or may do so: rows "+
				"deleted in the meantime may have hidden others, so the set is read again by key, and its rows are "+
				"delivered again, with the header "+feedreader.HeaderSnapshot+"; a "+
				f.Setting("page.size")+" of at least all rows avoids it")
		}
	case *readingChanges:
		current.retriedAfter202, current.retriedAfterLostPage = current.retriedAfter202 && reason.Start == nil,
			current.retriedAfterLostPage &&
				reason.Start == nil
	case *legacyLoad:
		link := current.url
		switch {
		case current.deltaLink != "":
			link = current.deltaLink
		case current.token != "":
			link = f.tokenURL(current.token)
		}
		sdk.Log(wit.LevelWarn, f.Label()+": a load that an earlier version of this plugin started is restarted; rows "+
			"are delivered again")
		return &readingSnapshot{common: current.common, link: link, onDemand: current.deltaLink != "",
			position: f.Paging.First(now).Fields()}
	}
	return current
}

// restoreLinks restores the options of links that earlier versions stored unchanged.
func (f Set) restoreLinks(at phase) {
	for _, i := range at.fields() {
		if i.Name == "url" || i.Name == "link" {
			*i.Text, _ = f.Paging.RestoreOptions(*i.Text, f.Paging.UnorderedURL(false))
		}
	}
}

func (f Set) fetch(current phase) (fetch *wit.Fetch, err error) {
	timeout := wit.Ptr(uint32(f.Tracking.FirstByteTimeout))
	fetch = &wit.Fetch{Request: f.Request("", current.target())}
	r := &fetch.Request
	switch current := current.(type) {
	case *loading:
		preferTracking(r)
		if !current.continued {
			r.FirstByteTimeoutMs = timeout
		}
	case *readingSnapshot:
		*r, err = f.snapshotRequest(f.Feed, current)
		r.FirstByteTimeoutMs = timeout // the service may sort all rows
	case *comparing:
		var keys *feedreader.Feed
		if keys, err = f.KeysOnly(); err == nil {
			*r, err = f.snapshotRequest(keys, &current.readingSnapshot)
			r.FirstByteTimeoutMs = timeout
		}
	case *readingHidden:
		key, _ := current.nextKey()
		if len(key) == 0 {
			return nil, &wit.Error{Kind: wit.ErrorIncompatible,
				Message: "offset: expected keys in Base64 in field hidden"}
		}
		*r = f.Request("", f.Paging.FilteredURL(f.Keys.FilterEqual([][]byte{key})))
	case *readingChanges:
		preferTracking(r)
		fetch.Acknowledges = !current.continued
	case *subscribing:
		if current.step != stepExtract {
			*r = f.jsonRequest(current.url)
			break
		}
		// The request starts a job in the service, so the offset is stored first (RATIONALE.md P13).
		preferTracking(r)
		r.FirstByteTimeoutMs, r.Repeatable, fetch.Acknowledges = timeout, false, true
	default:
		*r = f.jsonRequest(current.target())
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
func (f Set) rewrite(changes *readingChanges) error {
	mark := f.rewriteSettings()
	if mark == "" || changes.rewriteSettings == mark {
		return nil
	}
	link, err := f.Tracking.Rewrite(changes.url)
	if err != nil {
		return sdk.NewConfigError(f.Setting(sourceconfig.NameRegex), err.Error())
	}
	changes.rewriteSettings = mark
	if link != changes.url {
		sdk.Log(wit.LevelWarn, f.Label()+": the stored delta link "+changes.url+" is rewritten by "+
			f.Setting(sourceconfig.NameRegex)+" to "+link)
		changes.url = link
	} else {
		sdk.Log(wit.LevelWarn, f.Label()+": "+f.Setting(sourceconfig.NameRegex)+
			" matches nothing of the stored delta link "+changes.url)
	}
	return nil
}
