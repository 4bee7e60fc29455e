package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
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
	idling, isIdle := current.(*idle)
	switch {
	case reason.Snapshot != nil && !isIdle:
		return wit.NextAction{Idle: wit.Set}, nil // the snapshot starts after the current load
	case reason.Snapshot != nil:
		// A user requests that the set is read. The changes continue from the same link afterwards.
		number, err := strconv.Atoi(*reason.Snapshot)
		if err != nil || number <= 0 {
			number = int(now)
		}
		current = &readingSnapshot{link: idling.link, onDemand: true, position: s.Paging.First(now).Fields(),
			common: common{startedAt: int(now), rewriteSettings: idling.rewriteSettings, snapshot: number,
				verdict: idling.verdict}}
	case isIdle:
		if err := s.CheckProof(idling.verdict == paging.Unproven); err != nil {
			return wit.NextAction{}, err
		}
		next := &readingChanges{common: idling.common, url: idling.link, unnotified: s.PolledOnNotification() &&
			reason.Poll != nil}
		next.startedAt = int(now)
		if reason.Start != nil {
			next.lostTokens = 0
			s.LogStart("nothing but changes", "read up to ", int64(idling.readAt),
				"and its delta link continues from there")
			if err := s.rewrite(next); err != nil { // by the configured replacement
				return wit.NextAction{}, err
			}
		}
		current = next
	case current == nil:
		current = s.firstPhase(common{startedAt: int(now)})
	default:
		current = s.resume(current, reason)
	}
	// A link of another connector may have the query options that the service had sent.
	for _, field := range current.fields() {
		if field.Name == "url" || field.Name == "link" {
			*field.Text, _ = s.Paging.RestoreOptions(*field.Text, s.Paging.UnorderedURL(false))
		}
	}
	fetch, err := s.buildFetch(current)
	if err != nil {
		return wit.NextAction{}, err
	}
	fields := writePhase(current)
	fetch.Position = &fields
	return wit.NextAction{Fetch: fetch}, nil
}

// resume returns the phase that continues current, which it may change. After a restart of the connector, changes
// follow without waiting for the next poll.
func (s Set) resume(current phase, reason wit.PollReason) phase {
	c := current.shared()
	c.resumed = c.resumed || reason.Start != nil
	switch current := current.(type) {
	case *subscribing:
		if current.step == stepExtract && reason.More == nil { // an earlier run may have sent the request
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
		current.retriedAfter202 = current.retriedAfter202 && reason.Start == nil // a start allows another attempt
		current.retriedAfterLostPage = current.retriedAfterLostPage && reason.Start == nil
	}
	return current
}

// buildFetch returns the request of a phase. It stores the position of a snapshot with a restored link in the phase.
func (s Set) buildFetch(current phase) (fetch *wit.Fetch, err error) {
	timeout := wit.Ptr(uint32(s.Tracking.FirstByteTimeout))
	fetch = &wit.Fetch{Request: s.Request("", current.target())}
	request := &fetch.Request
	switch current := current.(type) {
	case *loading:
		s.preferTracking(request)
		if !current.continued {
			request.FirstByteTimeoutMs = timeout
		}
	case *readingSnapshot:
		*request, err = s.snapshotRequest(s.Feed, current)
		request.FirstByteTimeoutMs = timeout // the service may sort all rows
	case *comparing:
		var keys *feedreader.Feed
		if keys, err = s.KeysOnly(); err == nil {
			*request, err = s.snapshotRequest(keys, &current.readingSnapshot)
			request.FirstByteTimeoutMs = timeout
		}
	case *readingHidden:
		key, _ := current.nextKey()
		if len(key) == 0 {
			return nil, &wit.Error{Kind: wit.ErrorIncompatible,
				Message: "offset: expected keys in Base64 in field hidden"}
		}
		*request = s.Request("", s.Paging.FilteredURL(s.Keys.FilterEqual([][]byte{key})))
	case *readingChanges:
		s.preferTracking(request)
		fetch.Acknowledges = !current.continued
	case *subscribing:
		if current.step != stepExtract {
			*request = s.jsonRequest(current.url)
			break
		}
		// The request starts a job in the service, so the offset is stored first (RATIONALE.md P13).
		s.preferTracking(request)
		request.FirstByteTimeoutMs = timeout
		request.Repeatable = false
		fetch.Acknowledges = true
	default:
		*request = s.jsonRequest(current.target())
	}
	return fetch, err
}

func (s Set) jsonRequest(url string) wit.Request {
	return document.Get(s.Dialect, "", s.Query.AppendTo(url), "application/json")
}

func (s Set) preferTracking(request *wit.Request) {
	for i := range request.Headers {
		if request.Headers[i].Name == "Prefer" {
			request.Headers[i].Value = s.Dialect.TrackChanges + "," + request.Headers[i].Value
		}
	}
}

// rewrite applies the configured replacement to the stored delta link, once for each change of the settings.
func (s Set) rewrite(changes *readingChanges) error {
	settings := s.rewriteSettings()
	if settings == "" || changes.rewriteSettings == settings {
		return nil
	}
	link, err := s.Tracking.Rewrite(changes.url)
	if err != nil {
		return sdk.NewConfigError(s.Setting(sourceconfig.NameRegex), err.Error())
	}
	changes.rewriteSettings = settings
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
