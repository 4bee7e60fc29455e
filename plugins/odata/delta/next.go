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
func (s Set) Next(offset []wit.OffsetEntry, reason wit.PollReason, now int64) (wit.NextAction, error) {
	current, err := readPhase(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	waiting, waits := current.(*idle)
	switch {
	case reason.Snapshot != nil && !waits:
		return wit.NextAction{Idle: wit.Set}, nil // until the current load ends
	case reason.Snapshot != nil:
		current = s.snapshotOnDemand(waiting, *reason.Snapshot, now)
	case waits && s.CheckProof(waiting.verdict == paging.Unproven) != nil:
		return wit.NextAction{}, s.CheckProof(true)
	case waits:
		current, err = s.pollChanges(waiting, reason, now)
	case current == nil:
		current = s.first(common{startedAt: int(now)})
	default:
		current = s.resume(current, reason, now)
	}
	if err != nil {
		return wit.NextAction{}, err
	}
	s.restoreLinks(current)
	fetch, err := s.fetch(current)
	if err != nil {
		return wit.NextAction{}, err
	}
	fields := writePhase(current)
	fetch.Position = &fields
	return wit.NextAction{Fetch: fetch}, nil
}

// snapshotOnDemand reads the set in addition to the changes, which continue from the same link afterwards.
func (s Set) snapshotOnDemand(waiting *idle, ident string, now int64) phase {
	number, err := strconv.Atoi(ident)
	if err != nil || number <= 0 {
		number = int(now)
	}
	c := common{startedAt: int(now), rewriteSettings: waiting.rewriteSettings, snapshot: number,
		verdict: waiting.verdict}
	return &readingSnapshot{common: c, link: waiting.link, onDemand: true, position: s.Paging.First(now).Fields()}
}

func (s Set) pollChanges(waiting *idle, reason wit.PollReason, now int64) (phase, error) {
	next := &readingChanges{common: waiting.common, url: waiting.link, unnotified: s.PolledOnNotification() &&
		reason.Poll != nil}
	next.startedAt = int(now)
	if reason.Start == nil {
		return next, nil
	}
	next.lostTokens = 0
	s.LogStart("nothing but changes", "read up to ", int64(waiting.readAt), "and its delta link continues from there")
	return next, s.rewrite(next)
}

// resume continues a phase. After a restart of the connector, changes follow without waiting for the next poll.
func (s Set) resume(current phase, reason wit.PollReason, now int64) phase {
	c := current.shared()
	c.resumed = c.resumed || reason.Start != nil
	switch current := current.(type) {
	case *subscribing:
		if current.step == stepExtract && reason.More == nil {
			current.url = s.FunctionURL(s.ODP.Subscribed)
			current.step = stepAwaitExtraction
		}
	case *readingSnapshot:
		if s.ODP == nil && !current.onDemand && !current.started {
			sdk.Log(wit.LevelWarn, s.Label()+": the load's next links count rows, or may do so: rows "+
				"deleted in the meantime may have hidden others, so the set is read again by key, and its rows are "+
				"delivered again, with the header "+feedreader.HeaderSnapshot+"; a "+
				s.Setting("page.size")+" of at least all rows avoids it")
		}
	case *readingChanges:
		current.retriedAfter202 = current.retriedAfter202 && reason.Start == nil
		current.retriedAfterLostPage = current.retriedAfterLostPage && reason.Start == nil
	case *legacyLoad:
		link := current.url
		switch {
		case current.deltaLink != "":
			link = current.deltaLink
		case current.token != "":
			link = s.tokenURL(current.token)
		}
		sdk.Log(wit.LevelWarn, s.Label()+": a load that an earlier version of this plugin started is restarted; rows "+
			"are delivered again")
		return &readingSnapshot{common: current.common, link: link, onDemand: current.deltaLink != "",
			position: s.Paging.First(now).Fields()}
	}
	return current
}

// restoreLinks restores the options of links that earlier versions stored unchanged.
func (s Set) restoreLinks(current phase) {
	for _, i := range current.fields() {
		if i.Name == "url" || i.Name == "link" {
			*i.Text, _ = s.Paging.RestoreOptions(*i.Text, s.Paging.UnorderedURL(false))
		}
	}
}

func (s Set) fetch(current phase) (fetch *wit.Fetch, err error) {
	timeout := wit.Ptr(uint32(s.Tracking.FirstByteTimeout))
	fetch = &wit.Fetch{Request: s.Request("", current.target())}
	r := &fetch.Request
	switch current := current.(type) {
	case *loading:
		preferTracking(r)
		if !current.continued {
			r.FirstByteTimeoutMs = timeout
		}
	case *readingSnapshot:
		*r, err = s.snapshotRequest(s.Feed, current)
		r.FirstByteTimeoutMs = timeout // the service may sort all rows
	case *comparing:
		var keys *feedreader.Feed
		if keys, err = s.KeysOnly(); err == nil {
			*r, err = s.snapshotRequest(keys, &current.readingSnapshot)
			r.FirstByteTimeoutMs = timeout
		}
	case *readingHidden:
		key, _ := current.nextKey()
		if len(key) == 0 {
			return nil, &wit.Error{Kind: wit.ErrorIncompatible,
				Message: "offset: expected keys in Base64 in field hidden"}
		}
		*r = s.Request("", s.Paging.FilteredURL(s.Keys.FilterEqual([][]byte{key})))
	case *readingChanges:
		preferTracking(r)
		fetch.Acknowledges = !current.continued
	case *subscribing:
		if current.step != stepExtract {
			*r = s.jsonRequest(current.url)
			break
		}
		// The request starts a job in the service, so the offset is stored first (RATIONALE.md P13).
		preferTracking(r)
		r.FirstByteTimeoutMs = timeout
		r.Repeatable = false
		fetch.Acknowledges = true
	default:
		*r = s.jsonRequest(current.target())
	}
	return fetch, err
}

func (s Set) jsonRequest(url string) wit.Request {
	return service.Get("", s.Query.AppendTo(url), "application/json")
}

func preferTracking(r *wit.Request) {
	for i := range r.Headers {
		if r.Headers[i].Name == "Prefer" {
			r.Headers[i].Value = TrackChanges + "," + r.Headers[i].Value
		}
	}
}

// rewrite applies the configured replacement to the stored link, once.
func (s Set) rewrite(changes *readingChanges) error {
	mark := s.rewriteSettings()
	if mark == "" || changes.rewriteSettings == mark {
		return nil
	}
	link, err := s.Tracking.Rewrite(changes.url)
	if err != nil {
		return sdk.NewConfigError(s.Setting(sourceconfig.NameRegex), err.Error())
	}
	changes.rewriteSettings = mark
	if link != changes.url {
		sdk.Log(wit.LevelWarn, s.Label()+": the stored delta link "+changes.url+" is rewritten by "+
			s.Setting(sourceconfig.NameRegex)+" to "+link)
		changes.url = link
	} else {
		sdk.Log(wit.LevelWarn, s.Label()+": "+s.Setting(sourceconfig.NameRegex)+
			" matches nothing of the stored delta link "+changes.url)
	}
	return nil
}
