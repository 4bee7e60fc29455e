package delta

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// afterRows is the phase after a page of rows that was read to its end.
func (pg *Page) afterRows() (phase, error) {
	read := &pg.Out.Page
	follow, delta := read.Next, read.Delta
	if delta.Href == "" && isDeltaLink(follow.Href) {
		follow, delta = delta, follow // some hide the token in the last page's next link
	}
	var next, link string
	var err error
	if follow.Href != "" {
		next, err = pg.restoreOptions(follow)
	} else if delta.Href != "" {
		link, err = pg.restoreOptions(delta)
	}
	if err != nil {
		return nil, err
	}
	if at, ok := pg.at.(*readingChanges); ok {
		return pg.afterChanges(at, next, link)
	}
	return pg.afterLoad(pg.at.(*loading), next, link)
}

// restoreOptions is a link to further rows or to changes, with the options that the load was asked for with, or the
// request: those of a stored link may be others, by the settings before or by rewriting.
func (pg *Page) restoreOptions(link decode.Link) (string, error) {
	target, err := pg.Resolve(link)
	if err != nil {
		return "", err
	}
	asked := pg.at.target()
	if at, ok := pg.at.(*readingChanges); ok {
		asked = at.deltaLink() // links to further pages may leave options out
	}
	return pg.Feed.Paging.RestoreOptions(target, pg.Feed.Paging.WholeURL(false), pg.at.target(), asked)
}

// afterLoad goes on after a page of a load, by a link to the next page or to the changes.
func (pg *Page) afterLoad(at *loading, follow, link string) (phase, error) {
	f, c, next := pg.set(), pg.rows, *at
	next.seen += int(pg.Out.Page.Rows)
	next.linksCountRows = at.linksCountRows || at.lastKey != "" && pg.Feed.Paging.MayHideRows(at.lastKey, c.first)
	next.lastKey = ""
	if follow != "" {
		if err := pg.checkTracked(at); err != nil {
			return nil, err
		}
		if follow == at.url || next.followed.Visit(follow) {
			return nil, pg.loopError(follow)
		}
		if f.ODP == nil && !next.linksCountRows {
			next.linksCountRows, next.lastKey = pg.Feed.Paging.CountsRows(follow, at.url, c.last, next.seen)
		}
		next.url, next.continued = follow, true
		return &next, nil
	}
	if !next.linksCountRows {
		pg.logFinished("first load finished: ", wit.LevelInfo, &next.common, next.seen)
		pg.checkEndMarker(&next.common)
	}
	switch {
	case link == "" && f.ODP != nil:
		return f.findDeltaLink(next.common, whyLoaded, ""), nil
	case link == "":
		return nil, pg.noDeltaLinkError(at.applied, "load")
	case next.linksCountRows:
		next.rewritten = f.rewriteMark()
		sdk.Log(wit.LevelWarn, pg.Label()+": the load's next links count rows, or nothing shows that they don't: rows "+
			"that were deleted meanwhile may have hidden others, so the set is read again by key, and its rows are "+
			"delivered again, with the header "+entityset.HeaderSnapshot+"; a "+f.Setting("page.size")+" that holds "+
			"all rows avoids it")
		return f.startSnapshot(next.common, link, pg.Answer.ReceivedAt), nil
	}
	return f.idleAt(next.common, link, pg.Answer.ReceivedAt), nil
}

// checkEndMarker notes that the first row of changes has to say that a load with marks has ended, where its last page
// had no row for that.
func (pg *Page) checkEndMarker(c *common) {
	if c.snapshot > 0 && !pg.rows.markers.HasHeldRow() {
		c.endMarkerPending = c.snapshot
	}
}

// afterChanges goes on after a page of changes, by a link to the next page or to the changes after these.
func (pg *Page) afterChanges(at *readingChanges, follow, link string) (phase, error) {
	f, next := pg.set(), *at
	next.seen += int(pg.Out.Page.Rows)
	if follow != "" {
		if next.followed.Visit(follow) {
			return nil, pg.loopError(follow)
		}
		next.link, next.url, next.continued = at.deltaLink(), follow, true
		return &next, nil
	}
	level := wit.LevelInfo
	if next.seen == 0 {
		level = wit.LevelDebug
	}
	if next.unnotified && next.seen > 0 {
		sdk.Log(wit.LevelWarn, pg.Label()+": "+strconv.Itoa(
			next.seen)+" rows of changes came that no notification has "+
			"told of so far: if that is so each time, the service's subscription leads nowhere; see culvert "+
			"active-subscriptions, and the service's log of notifications")
	}
	pg.logFinished("changes read: ", level, &next.common, next.seen)
	next.lostTokens = 0 // the token was good
	switch {
	case link == "" && f.ODP != nil:
		return f.findDeltaLink(next.common, whyChanged, at.deltaLink()), nil
	case link == "":
		return nil, pg.noDeltaLinkError(false, "changes")
	}
	return f.idleAt(next.common, link, pg.Answer.ReceivedAt), nil
}

// asked is the delta link of the changes that are read.
func (p *readingChanges) deltaLink() string {
	if p.link != "" {
		return p.link
	}
	return p.url
}

// checkTracked fails a load that the service doesn't track, before all of it is read.
func (pg *Page) checkTracked(at *loading) error {
	if at.applied || !pg.Feed.DeclaresTracking {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorUnsupported,
		Message: pg.Label() + ": $metadata announces change tracking, but the service does not say that it applies " +
			TrackChanges + ": expected the header Preference-Applied; read the set with " +
			pg.Feed.Setting(sourceconfig.NameTrackChanges) + " = 0 unless the service is mended"}
}

// noDeltaLinkError is the fault of a load or of changes that end without a delta link.
func (pg *Page) noDeltaLinkError(applied bool, what string) error {
	text := pg.Label() + ": expected a delta link at the end of the " + what
	switch {
	case what == "changes":
		text += ", found none: the changes after them can't be asked for"
	case applied:
		text += ", found none, although the service says that it applies " + TrackChanges
	default:
		text += ", found none: the service doesn't track changes of this set"
	}
	if pg.Decoder.Atom && pg.Feed.ODP == nil {
		text += "; " + pg.Feed.Setting(sourceconfig.NameFormat) +
			" = json asks in the other format, in which some services give one"
	}
	return &wit.Error{Kind: wit.ErrorUnsupported, Message: text + "; " +
		pg.Feed.Setting(sourceconfig.NameTrackChanges) +
		" = 0 reads it whole each time"}
}

// logFinished says that a load, or changes, were read.
func (pg *Page) logFinished(what string, level wit.Level, c *common, seen int) {
	f, duration := pg.Feed, "?"
	if at := int(pg.Answer.ReceivedAt); c.startedAt > 0 && at >= c.startedAt {
		duration = (time.Duration(at-c.startedAt) * time.Millisecond).String()
	}
	when := "as " + f.Setting(sourceconfig.NameCron) + " says"
	switch {
	case f.PolledOnNotification():
		when = "when a notification comes"
	case f.Cron == "":
		when = "in " + (time.Duration(f.Period) * time.Second).String()
	}
	sdk.Log(level, pg.Label()+": "+what+strconv.Itoa(seen)+" rows in "+duration+"; changes are asked for again "+when)
}

// Bounds of how long an answer 202 is waited for before it is looked for again, and what holds where it says nothing.
const (
	minWait     = time.Second
	maxWait     = 10 * time.Minute
	defaultWait = 10 * time.Second
)

// afterAccepted goes on after an answer 202: the service prepares what was asked for, and says when and where it is to
// be asked for. That time may be over because the connector was down, so that changes are asked for once more then.
func (pg *Page) afterAccepted() (next phase, wait time.Duration, err error) {
	overdue := pg.at.shared().startedAt > 0 &&
		int(pg.Answer.ReceivedAt)-pg.at.shared().startedAt > pg.Feed.Tracking.FirstByteTimeout
	limit := initialRead(pg.Feed)
	if overdue {
		if at, ok := pg.at.(*readingChanges); ok && !at.continued && !at.retried {
			next := pg.retryFromLink(at,
				pg.Label()+": the service prepares its answer (202) for too long, or did while nobody "+
					"asked")
			next.retried = true
			return next, minWait, nil
		}
		return nil, 0, &wit.Error{Kind: wit.ErrorTransient, Message: pg.Label() +
			": the service has prepared its answer for longer than " + limit + ", and answers 202 still"}
	}
	url := pg.at.target()
	if location := entityset.HeaderValue(pg.headers, "Location"); location != "" {
		if url, err = pg.restoreOptions(decode.Link{Href: location}); err != nil {
			return nil, 0, err
		}
	}
	wait, ok := odataerror.RetryAfter(entityset.HeaderValue(pg.headers, "Retry-After"), pg.Answer.ReceivedAt)
	if !ok {
		wait = defaultWait
	}
	wait = min(max(wait, minWait), maxWait)
	sdk.Log(wit.LevelInfo, pg.Label()+": the service prepares its answer (202); asking again in "+wait.String())
	return withURL(pg.at, url), wait, nil
}

// withURL is a phase with its request at another address.
func withURL(p phase, url string) phase {
	switch p := p.(type) {
	case *loading:
		next := *p
		next.url = url
		return &next
	case *readingChanges:
		next := *p
		if next.url = url; url != p.url && !p.continued {
			next.link = p.deltaLink() // the address is no delta link, and may go
		}
		return &next
	case *subscribing:
		next := *p
		next.url = url
		return &next
	case *findingDeltaLink:
		next := *p
		next.url = url
		return &next
	}
	return p
}

// afterRefusal goes on after an answer that is no success.
func (pg *Page) afterRefusal() (phase, error) {
	failed := odataerror.FromResponse(pg.Label(), &pg.Answer, pg.Body)
	if url := pg.at.target(); pg.RefusesFormat(url) {
		if url = entityset.WithoutFormat(url); pg.opening { // refused, it began no job
			return &subscribing{common: *pg.at.shared(), step: stepOpen, url: url}, nil
		}
		return withURL(pg.at, url), nil
	}
	switch at := pg.at.(type) {
	case *readingChanges:
		moved := !at.continued && at.link != "" && (pg.Answer.Status == 404 || pg.Answer.Status == 410)
		lost := odataerror.LostToken(&pg.Answer, pg.Body)
		switch {
		case moved && at.retried:
			failed.Message += "; it is the address at which the service was to have the changes of " + at.link
			return nil, failed
		case moved:
			next := pg.retryFromLink(at, failed.Message)
			next.retried = true
			return next, nil
		case lost && at.continued && !at.relinked:
			next := pg.retryFromLink(at, failed.Message)
			next.relinked = true
			return next, nil
		case lost:
			return pg.lostToken(failed)
		}
	case *loading:
		if at.continued && odataerror.LostToken(&pg.Answer, pg.Body) {
			return pg.lostToken(failed)
		}
	}
	return nil, failed
}

// retryFromLink asks for changes from their delta link again, since a page of them, or the address at which the service
// was to have them, can't be had. That is done once for each.
func (pg *Page) retryFromLink(at *readingChanges, why string) *readingChanges {
	sdk.Log(wit.LevelWarn, why+"; asking for these changes from their delta link again, "+strconv.Itoa(at.seen)+
		" rows come again")
	next := &readingChanges{common: at.common, url: at.deltaLink(), retried: at.retried, relinked: at.relinked}
	next.startedAt = int(pg.Answer.ReceivedAt)
	return next
}

// MaxLostTokens is how many tokens may be lost one after another.
const MaxLostTokens = 3

// lostToken goes on as the settings say where the service no longer knows the token of the request (P8).
func (pg *Page) lostToken(failed *wit.Error) (phase, error) {
	f, c, url := pg.set(), pg.at.shared(), pg.at.target()
	changes, ok := pg.at.(*readingChanges)
	failed.Kind = wit.ErrorGone
	switch {
	case f.Tracking.OnLostToken != sourceconfig.LostFail && c.lostTokens+1 >= MaxLostTokens:
		failed.Message += "; the service no longer knows the token of " + url +
			", nor those that it gave in place of " +
			"others, " + strconv.Itoa(MaxLostTokens) + " times one after another. A restart tries it again"
		return nil, failed
	case f.Tracking.OnLostToken == sourceconfig.LostRecover && f.ODP != nil && ok:
		sdk.Log(wit.LevelWarn,
			failed.Message+"; the delta token is lost, going on from the oldest that the service keeps")
		next := f.findDeltaLink(*c, whyLost, changes.deltaLink())
		next.lostTokens++
		return next, nil
	case f.Tracking.OnLostToken == sourceconfig.LostReload:
		sdk.Log(wit.LevelWarn, failed.Message+"; the delta token is lost, the set is read whole again: rows that "+
			"were deleted meanwhile are not reported")
		again := common{startedAt: int(pg.Answer.ReceivedAt), snapshot: int(pg.Answer.ReceivedAt),
			lostTokens: c.lostTokens + 1}
		if f.ODP != nil && f.ODP.Terminate != "" {
			return &subscribing{common: again, step: stepEnd, url: f.FunctionURL(f.ODP.Terminate)}, nil
		}
		return f.first(again), nil
	}
	failed.Message += "; the service no longer knows the token of " + url + ". " + f.Setting(sourceconfig.NameLost) +
		" = reload reads the set whole again"
	if f.ODP != nil {
		failed.Message += ", recover goes on from the oldest link that the service keeps"
	} else if f.Tracking.OnLostToken == sourceconfig.LostRecover {
		failed.Message += "; recover needs an ODP service with a set DeltaLinksOf" + f.EntitySetConfig.Set
	}
	return nil, failed
}
