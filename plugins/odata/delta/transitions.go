package delta

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// afterRows returns the phase after a page of rows.
func (pg *Page) afterRows() (phase, error) {
	if hidden, ok := pg.phase.(*readingHidden); ok {
		return pg.afterHiddenRow(hidden), nil
	}
	page := &pg.Out.Page
	nextLink := page.Next
	deltaLink := page.Delta
	if deltaLink.Href == "" && pg.set().isDeltaLink(nextLink.Href) {
		nextLink, deltaLink = deltaLink, nextLink
	}
	var nextURL, deltaURL string
	var err error
	if nextLink.Href != "" {
		nextURL, err = pg.restoreOptions(nextLink)
	} else if deltaLink.Href != "" {
		deltaURL, err = pg.restoreOptions(deltaLink)
	}
	if err != nil {
		return nil, err
	}
	if changes, ok := pg.phase.(*readingChanges); ok {
		return pg.afterChanges(changes, nextURL, deltaURL)
	}
	return pg.afterLoad(pg.phase.(*loading), nextURL, deltaURL)
}

// restoreOptions restores the options of a link from the request or the load, which differ if links are rewritten.
func (pg *Page) restoreOptions(link decode.Link) (string, error) {
	target, err := pg.Resolve(link)
	if err != nil {
		return "", err
	}
	requested := pg.phase.target()
	if changes, ok := pg.phase.(*readingChanges); ok {
		requested = changes.deltaLink() // links to further pages may omit options
	}
	return pg.Feed.Paging.RestoreOptions(target, pg.Feed.Paging.UnorderedURL(false), pg.phase.target(), requested)
}

// afterLoad returns the phase after a page of a load: its next page, or what follows the load.
func (pg *Page) afterLoad(load *loading, nextURL, deltaURL string) (phase, error) {
	set := pg.set()
	rows := pg.rows
	next := *load
	next.rowsRead += int(pg.Out.Page.Rows)
	if !load.continued && int(pg.Out.Page.Count) > int(pg.Out.Page.Rows) {
		next.totalCount = int(pg.Out.Page.Count)
	}
	// The first row of this page shows whether the number in the last link was a key.
	next.linksCountRows = load.linksCountRows || (load.lastKey != "" &&
		pg.Feed.Paging.MayHideRows(load.lastKey, rows.firstKey))
	next.lastKey = ""
	if nextURL != "" {
		if !load.applied && pg.Feed.DeclaresTracking && pg.Feed.Dialect.ConfirmsTracking { // fail early
			return nil, &wit.Error{Kind: wit.ErrorUnsupported,
				Message: pg.Label() + ": $metadata announces change tracking, but the service does not confirm " +
					pg.Feed.Dialect.TrackChanges + ": expected the header Preference-Applied; read the set with " +
					pg.Feed.Setting(sourceconfig.NameTrackChanges) + " = 0 until the service is fixed"}
		}
		if nextURL == load.url || next.followed.Visit(nextURL) {
			return nil, pg.loopError(nextURL)
		}
		if set.ODP == nil && !next.linksCountRows {
			next.linksCountRows, next.lastKey = pg.Feed.Paging.CountsRows(nextURL, load.url, rows.lastKey,
				next.rowsRead)
		}
		next.url = nextURL
		next.continued = true
		next.isEarlyLink = next.isEarlyLink || pg.Out.Page.Delta.Href != ""
		return &next, nil
	}
	// This was the last page.
	isMissing := next.totalCount > next.rowsRead
	if isMissing && set.ODP != nil { // a queue cannot be read again by key
		return nil, &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": the service counts " +
			strconv.Itoa(next.totalCount) + " rows of the first extraction, and returned " +
			strconv.Itoa(next.rowsRead) + ": end the subscription at the service, and reset the connector's offsets, " +
			"to extract all rows again"}
	}
	next.linksCountRows = next.linksCountRows || isMissing // the set is read again, by key
	if !next.linksCountRows {
		next.verdict = provenByDelta
		switch {
		case pg.Feed.Paging.Partial, (deltaURL == "" || next.isEarlyLink) && next.totalCount != next.rowsRead:
			next.verdict = paging.Unproven
		case deltaURL == "" || next.isEarlyLink:
			next.verdict = paging.ProvenByCount // of more than one page
		}
		set.logLoaded(&next.common, next.rowsRead, pg.Response.ReceivedAt)
		// The last page of a snapshot may have no row for the end marker.
		if next.snapshot > 0 && !pg.rows.markers.HasBufferedRow() {
			next.endMarkerPending = next.snapshot
		}
	}
	switch {
	case deltaURL == "" && set.ODP != nil:
		return set.findDeltaLink(next.common, reasonLoaded, ""), nil
	case deltaURL == "":
		return nil, pg.noDeltaLinkError(load.applied, "load")
	case next.linksCountRows:
		next.rewriteSettings = set.rewriteSettings()
		return set.startSnapshot(next.common, deltaURL, pg.Response.ReceivedAt), nil
	}
	return set.idleAt(next.common, deltaURL, pg.Response.ReceivedAt), nil
}

// afterChanges returns the phase after a page of changes: its next page, the search for a delta link (ODP), or idle.
func (pg *Page) afterChanges(changes *readingChanges, nextURL, deltaURL string) (phase, error) {
	set := pg.set()
	next := *changes
	next.rowsRead += int(pg.Out.Page.Rows)
	if nextURL != "" {
		if next.followed.Visit(nextURL) {
			return nil, pg.loopError(nextURL)
		}
		next.link = changes.deltaLink()
		next.url = nextURL
		next.continued = true
		return &next, nil
	}
	level := wit.LevelInfo
	if next.rowsRead == 0 {
		level = wit.LevelDebug
	}
	if next.unnotified && next.rowsRead > 0 {
		sdk.Log(wit.LevelWarn, pg.Label()+": "+strconv.Itoa(next.rowsRead)+" rows of changes were read without a "+
			"preceding notification: if this repeats, the subscription does not deliver notifications; see culvert "+
			"active-subscriptions, and the service's log of notifications")
	}
	set.logFinished("changes read: ", level, &next.common, next.rowsRead, pg.Response.ReceivedAt)
	next.lostTokens = 0
	switch {
	case deltaURL == "" && set.ODP != nil:
		return set.findDeltaLink(next.common, reasonChanged, changes.deltaLink()), nil
	case deltaURL == "" && set.Dialect.DeltaEnds:
		return pg.handleLostToken(&wit.Error{Message: pg.Label() + ": expected a delta link at the end of the " +
			"changes, found none: the service ignored the token of the delta link and answered with something else"})
	case deltaURL == "":
		return nil, pg.noDeltaLinkError(false, "changes")
	}
	return set.idleAt(next.common, deltaURL, pg.Response.ReceivedAt), nil
}

// deltaLink returns the link with which these changes started.
func (r *readingChanges) deltaLink() string {
	if r.link != "" {
		return r.link
	}
	return r.url
}

// noDeltaLinkError returns the error of a load or of changes (subject) that end without a delta link.
func (pg *Page) noDeltaLinkError(applied bool, subject string) error {
	message := pg.Label() + ": expected a delta link at the end of the " + subject
	switch {
	case subject == "changes":
		message += ", found none: later changes cannot be requested"
	case applied:
		message += ", found none, although the service confirms " + pg.Feed.Dialect.TrackChanges
	default:
		message += ", found none: the service does not track changes of this set"
		if pg.Feed.Dialect.DeltaEnds {
			message += "; " + pg.Feed.Setting(sourceconfig.NameCursor) + ", a property that grows with each change, " +
				"reads changed rows only"
		}
	}
	if pg.Decoder.Atom && pg.Feed.ODP == nil {
		message += "; " + pg.Feed.Setting(sourceconfig.NameFormat) +
			" = json requests the other format, in which some services return one"
	}
	return &wit.Error{Kind: wit.ErrorUnsupported, Message: message + "; " +
		pg.Feed.Setting(sourceconfig.NameTrackChanges) + " = 0 reads it whole each time"}
}

// logLoaded logs the end of a first load, with its proof.
func (s Set) logLoaded(shared *common, rowsRead int, now int64) {
	s.logFinished("first load finished, complete="+shared.verdict+": ", wit.LevelInfo, shared, rowsRead, now)
}

func (s Set) logFinished(subject string, level wit.Level, shared *common, rowsRead int, now int64) {
	duration := "?"
	if endedAt := int(now); shared.startedAt > 0 && endedAt >= shared.startedAt {
		duration = (time.Duration(endedAt-shared.startedAt) * time.Millisecond).String()
	}
	when := "scheduled by " + s.Setting(sourceconfig.NameCron)
	switch {
	case s.PolledOnNotification():
		when = "on notification"
	case s.Cron == "":
		when = "in " + (time.Duration(s.Period) * time.Second).String()
	}
	sdk.Log(level, s.Label()+": "+subject+strconv.Itoa(rowsRead)+" rows in "+duration+
		"; the next request for changes is "+when)
}

// Limits of the wait after a 202.
const (
	minWait     = time.Second
	maxWait     = 10 * time.Minute
	defaultWait = 10 * time.Second
)

// afterAccepted handles a 202: the service prepares the response and returns when and where to request it. That time
// may have passed while the connector was stopped, so changes are then requested once more.
func (pg *Page) afterAccepted() (next phase, wait time.Duration, err error) {
	isOverdue := pg.phase.shared().startedAt > 0 &&
		int(pg.Response.ReceivedAt)-pg.phase.shared().startedAt > pg.Feed.Tracking.FirstByteTimeout
	limit := initialReadTimeout(pg.Feed)
	if isOverdue {
		if changes, ok := pg.phase.(*readingChanges); ok && !changes.continued && !changes.retriedAfter202 {
			next := pg.retryFromLink(changes, pg.Label()+": the service answered 202 for longer than "+limit+
				", or the connector was stopped in the meantime")
			next.retriedAfter202 = true
			return next, minWait, nil
		}
		return nil, 0, &wit.Error{Kind: wit.ErrorTransient, Message: pg.Label() +
			": the service kept answering 202 for longer than " + limit}
	}
	url := pg.phase.target()
	if location := feedreader.HeaderValue(pg.headers, "Location"); location != "" {
		if url, err = pg.restoreOptions(decode.Link{Href: location}); err != nil {
			return nil, 0, err
		}
	}
	wait, ok := odataerror.RetryAfter(feedreader.HeaderValue(pg.headers, "Retry-After"), pg.Response.ReceivedAt)
	if !ok {
		wait = defaultWait
	}
	wait = min(max(wait, minWait), maxWait)
	sdk.Log(wit.LevelInfo, pg.Label()+": the service prepares its response (202); requesting it again in "+
		wait.String())
	return withURL(pg.phase, url), wait, nil
}

// withURL returns the phase with another URL to request.
func withURL(current phase, url string) phase {
	switch current := current.(type) {
	case *loading:
		next := *current
		next.url = url
		return &next
	case *readingChanges:
		next := *current
		next.url = url
		if url != current.url && !current.continued {
			next.link = current.deltaLink() // the URL is temporary
		}
		return &next
	case *subscribing:
		next := *current
		next.url = url
		return &next
	case *findingDeltaLink:
		next := *current
		next.url = url
		return &next
	}
	return current
}

// afterError returns the phase after an error response, or the error.
func (pg *Page) afterError() (phase, error) {
	serviceError := odataerror.FromResponse(pg.Label(), &pg.Response, pg.Body)
	// Repeat a request without the option that the service rejects.
	if url := pg.phase.target(); pg.RefusesFormat(url) {
		url = pg.Feed.WithoutFormat(url)
		if pg.firstExtraction { // no job was started
			return &subscribing{common: *pg.phase.shared(), step: stepExtract, url: url}, nil
		}
		return withURL(pg.phase, url), nil
	}
	if load, ok := pg.phase.(*loading); ok && !load.continued && pg.refusesCount(load) {
		sdk.Log(wit.LevelWarn, serviceError.Message+"; requesting the rows without a count")
		url := pg.Feed.Paging.UnorderedURL(false)
		if pg.firstExtraction { // no job was started
			return &subscribing{common: load.common, step: stepExtract, url: url}, nil
		}
		return withURL(load, url), nil
	}
	// Continue after a link, page or session that the service no longer knows.
	switch current := pg.phase.(type) {
	case *readingChanges:
		isNotFound := pg.Response.Status == 404 || pg.Response.Status == 410
		isPreparedLost := isNotFound && !current.continued && current.link != ""
		isPageLost := current.continued && odataerror.LostPage(&pg.Response, pg.Body)
		switch {
		case isPreparedLost && current.retriedAfter202:
			serviceError.Message += "; it is the URL that the service announced for the changes of " + current.link
		case isPreparedLost:
			next := pg.retryFromLink(current, serviceError.Message)
			next.retriedAfter202 = true
			return next, nil
		case isPageLost && !current.retriedAfterLostPage:
			next := pg.retryFromLink(current, serviceError.Message)
			next.retriedAfterLostPage = true
			return next, nil
		case odataerror.LostToken(&pg.Response, pg.Body):
			return pg.handleLostToken(serviceError)
		}
	case *loading:
		isFirst := current.snapshot == 0 && pg.set().ODP == nil
		switch {
		case current.continued && isFirst && odataerror.LostSession(&pg.Response, pg.Body):
			sdk.Log(wit.LevelWarn, serviceError.Message+"; the first load begins again, rows are delivered again")
			return pg.restartLoad(), nil
		case current.continued && odataerror.LostPage(&pg.Response, pg.Body):
			return pg.handleLostToken(serviceError)
		}
	case *readingHidden:
		if serviceError.Kind == wit.ErrorData && odataerror.FromService(&pg.Response, pg.Body) {
			return pg.readSetAgain(current, serviceError.Message), nil
		}
	}
	pg.MarkOutage(serviceError)
	return nil, serviceError
}

// refusesCount reports whether the service itself rejects the first request of a load, which requests a count.
func (pg *Page) refusesCount(load *loading) bool {
	status := pg.Response.Status
	return load.url != pg.Feed.Paging.UnorderedURL(false) && load.url == pg.Feed.Paging.UnorderedURL(true) &&
		(status == 400 || status == 501) && odataerror.FromService(&pg.Response, pg.Body)
}

// retryFromLink logs the reason and returns the phase that requests changes from their delta link again, after a page
// or a prepared response was lost.
func (pg *Page) retryFromLink(changes *readingChanges, reason string) *readingChanges {
	sdk.Log(wit.LevelWarn, reason+"; requesting these changes from their delta link again, "+
		strconv.Itoa(changes.rowsRead)+" rows are delivered again")
	next := &readingChanges{common: changes.common, url: changes.deltaLink(), retriedAfter202: changes.retriedAfter202,
		retriedAfterLostPage: changes.retriedAfterLostPage}
	next.startedAt = int(pg.Response.ReceivedAt)
	return next
}

// restartLoad returns the first phase of a load in place of one whose token is lost.
func (pg *Page) restartLoad() phase {
	set := pg.set()
	shared := common{startedAt: int(pg.Response.ReceivedAt), snapshot: int(pg.Response.ReceivedAt),
		lostTokens: pg.phase.shared().lostTokens + 1}
	if set.ODP != nil && set.ODP.Terminate != "" {
		return &subscribing{common: shared, step: stepTerminate, url: set.FunctionURL(set.ODP.Terminate)}
	}
	return set.firstPhase(shared)
}

// MaxLostTokens limits consecutive lost tokens.
const MaxLostTokens = 3

// handleLostToken handles a token that the service no longer knows, as configured by delta.lost (RATIONALE.md P8).
func (pg *Page) handleLostToken(serviceError *wit.Error) (phase, error) {
	set := pg.set()
	shared := pg.phase.shared()
	url := pg.phase.target()
	changes, isChanges := pg.phase.(*readingChanges)
	serviceError.Kind = wit.ErrorGone
	switch {
	case set.Tracking.OnLostToken != sourceconfig.LostFail && shared.lostTokens+1 >= MaxLostTokens:
		serviceError.Message += "; the service no longer knows the token of " + url +
			", nor the next ones, " + strconv.Itoa(MaxLostTokens) + " times in succession. A restart tries again"
		return nil, serviceError
	case set.Tracking.OnLostToken == sourceconfig.LostRecover && set.ODP != nil && isChanges:
		sdk.Log(wit.LevelWarn,
			serviceError.Message+"; the delta token is lost, continuing from the oldest one that the service keeps")
		next := set.findDeltaLink(*shared, reasonLost, changes.deltaLink())
		next.lostTokens++
		return next, nil
	case set.Tracking.OnLostToken == sourceconfig.LostReload:
		sdk.Log(wit.LevelWarn, serviceError.Message+"; the delta token is lost, the whole set is read again: rows "+
			"that were deleted in the meantime are not reported")
		return pg.restartLoad(), nil
	}
	serviceError.Message += "; the service no longer knows the token of " + url + ". " +
		set.Setting(sourceconfig.NameLost) + " = reload reads the whole set again"
	if set.ODP != nil {
		serviceError.Message += ", recover continues from the oldest link that the service keeps"
	} else if set.Tracking.OnLostToken == sourceconfig.LostRecover {
		serviceError.Message += "; recover needs an ODP service with a set DeltaLinksOf" + set.EntitySetConfig.Set
	}
	return nil, serviceError
}
