package delta

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// after is the phase after a page of rows that was read to its end.
func (pg *Page) after() (phase, error) {
	read := &pg.Out.Page
	follow, delta := read.Next, read.Delta
	if delta.Href == "" && leadsToChanges(follow.Href) {
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
	if at, ok := pg.at.(*changing); ok {
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
	if at, ok := pg.at.(*changing); ok {
		asked = at.asked() // links to further pages may leave options out
	}
	return pg.Feed.Pages.RestoreOptions(target, pg.Feed.Pages.Plain(false), pg.at.target(), asked)
}

// afterLoad goes on after a page of a load, by a link to the next page or to the changes.
func (pg *Page) afterLoad(at *loading, follow, link string) (phase, error) {
	f, c, next := pg.set(), pg.rows, *at
	next.seen += int(pg.Out.Page.Rows)
	next.counted = at.counted || at.doubt != "" && pg.Feed.Pages.Hides(at.doubt, c.first)
	next.doubt = ""
	if follow != "" {
		if err := pg.checkTracked(at); err != nil {
			return nil, err
		}
		if follow == at.url || next.followed.Passed(follow) {
			return nil, pg.circle(follow)
		}
		if f.ODP == nil && !next.counted {
			next.counted, next.doubt = pg.Feed.Pages.CountsRows(follow, at.url, c.last, next.seen)
		}
		next.url, next.inside = follow, true
		return &next, nil
	}
	if !next.counted {
		pg.finished("first load finished: ", wit.LevelInfo, &next.course, next.seen)
		pg.leaveUnmarked(&next.course)
	}
	switch {
	case link == "" && f.ODP != nil:
		return f.list(next.course, whyLoaded, ""), nil
	case link == "":
		return nil, pg.noLink(at.applied, "load")
	case next.counted:
		next.rewritten = f.rewriting()
		sdk.Log(wit.LevelWarn, pg.What()+": the load's next links count rows, or nothing shows that they don't: rows "+
			"that were deleted meanwhile may have hidden others, so the set is read again by key, and its rows are "+
			"delivered again, with the header "+feed.HeaderSnapshot+"; a "+f.Setting("page.size")+" that holds "+
			"all rows avoids it")
		return f.rescan(next.course, link, pg.Answer.ReceivedAt), nil
	}
	return f.rest(next.course, link, pg.Answer.ReceivedAt), nil
}

// leaveUnmarked notes that the first row of changes has to say that a load with marks has ended, where its last page
// had no row for that.
func (pg *Page) leaveUnmarked(c *course) {
	if c.snapshot > 0 && !pg.rows.marks.Holds() {
		c.unmarked = c.snapshot
	}
}

// afterChanges goes on after a page of changes, by a link to the next page or to the changes after these.
func (pg *Page) afterChanges(at *changing, follow, link string) (phase, error) {
	f, next := pg.set(), *at
	next.seen += int(pg.Out.Page.Rows)
	if follow != "" {
		if next.followed.Passed(follow) {
			return nil, pg.circle(follow)
		}
		next.link, next.url, next.inside = at.asked(), follow, true
		return &next, nil
	}
	level := wit.LevelInfo
	if next.seen == 0 {
		level = wit.LevelDebug
	}
	if next.unnotified && next.seen > 0 {
		sdk.Log(wit.LevelWarn, pg.What()+": "+strconv.Itoa(next.seen)+" rows of changes came that no notification has "+
			"told of so far: if that is so each time, the service's subscription leads nowhere; see culvert "+
			"active-subscriptions, and the service's log of notifications")
	}
	pg.finished("changes read: ", level, &next.course, next.seen)
	next.pass = 0 // the token was good
	switch {
	case link == "" && f.ODP != nil:
		return f.list(next.course, whyChanged, at.asked()), nil
	case link == "":
		return nil, pg.noLink(false, "changes")
	}
	return f.rest(next.course, link, pg.Answer.ReceivedAt), nil
}

// asked is the delta link of the changes that are read.
func (p *changing) asked() string {
	if p.link != "" {
		return p.link
	}
	return p.url
}

// checkTracked fails a load that the service doesn't track, before all of it is read.
func (pg *Page) checkTracked(at *loading) error {
	if at.applied || !pg.Feed.Announced {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorUnsupported,
		Message: pg.What() + ": $metadata announces change tracking, but the service does not say that it applies " +
			TrackChanges + ": expected the header Preference-Applied; read the set with " +
			pg.Feed.Setting(entry.NameTrackChanges) + " = 0 unless the service is mended"}
}

// noLink is the fault of a load or of changes that end without a delta link.
func (pg *Page) noLink(applied bool, what string) error {
	text := pg.What() + ": expected a delta link at the end of the " + what
	switch {
	case what == "changes":
		text += ", found none: the changes after them can't be asked for"
	case applied:
		text += ", found none, although the service says that it applies " + TrackChanges
	default:
		text += ", found none: the service doesn't track changes of this set"
	}
	if pg.Decoder.Atom && pg.Feed.ODP == nil {
		text += "; " + pg.Feed.Setting(entry.NameFormat) +
			" = json asks in the other format, in which some services give one"
	}
	return &wit.Error{Kind: wit.ErrorUnsupported, Message: text + "; " + pg.Feed.Setting(entry.NameTrackChanges) +
		" = 0 reads it whole each time"}
}

// finished says that a load, or changes, were read.
func (pg *Page) finished(what string, level wit.Level, c *course, seen int) {
	f, took := pg.Feed, "?"
	if at := int(pg.Answer.ReceivedAt); c.began > 0 && at >= c.began {
		took = (time.Duration(at-c.began) * time.Millisecond).String()
	}
	when := "as " + f.Setting(entry.NameCron) + " says"
	switch {
	case f.OnlyNotified():
		when = "when a notification comes"
	case f.Cron == "":
		when = "in " + (time.Duration(f.Period) * time.Second).String()
	}
	sdk.Log(level, pg.What()+": "+what+strconv.Itoa(seen)+" rows in "+took+"; changes are asked for again "+when)
}

// Bounds of how long an answer 202 is waited for before it is looked for again, and what holds where it says nothing.
const (
	leastWait = time.Second
	maxWait   = 10 * time.Minute
	usualWait = 10 * time.Second
)

// accepted goes on after an answer 202: the service prepares what was asked for, and says when and where it is to be
// asked for. That time may be over because the connector was down, so that changes are asked for once more then.
func (pg *Page) accepted() (next phase, wait time.Duration, err error) {
	overdue := pg.at.carried().began > 0 && int(pg.Answer.ReceivedAt)-pg.at.carried().began > pg.Feed.Tracking.Patience
	limit := initialRead(pg.Feed)
	if overdue {
		if at, ok := pg.at.(*changing); ok && !at.inside && !at.again {
			next := pg.fromLink(at,
				pg.What()+": the service prepares its answer (202) for too long, or did while nobody "+
					"asked")
			next.again = true
			return next, leastWait, nil
		}
		return nil, 0, &wit.Error{Kind: wit.ErrorTransient, Message: pg.What() +
			": the service has prepared its answer for longer than " + limit + ", and answers 202 still"}
	}
	url := pg.at.target()
	if location := feed.HeaderValue(pg.headers, "Location"); location != "" {
		if url, err = pg.restoreOptions(decode.Link{Href: location}); err != nil {
			return nil, 0, err
		}
	}
	wait, ok := fault.RetryAfter(feed.HeaderValue(pg.headers, "Retry-After"), pg.Answer.ReceivedAt)
	if !ok {
		wait = usualWait
	}
	wait = min(max(wait, leastWait), maxWait)
	sdk.Log(wit.LevelInfo, pg.What()+": the service prepares its answer (202); asking again in "+wait.String())
	return readdressed(pg.at, url), wait, nil
}

// readdressed is a phase with its request at another address.
func readdressed(p phase, url string) phase {
	switch p := p.(type) {
	case *loading:
		next := *p
		next.url = url
		return &next
	case *changing:
		next := *p
		if next.url = url; url != p.url && !p.inside {
			next.link = p.asked() // the address is no delta link, and may go
		}
		return &next
	case *asking:
		next := *p
		next.url = url
		return &next
	case *listing:
		next := *p
		next.url = url
		return &next
	}
	return p
}

// refused goes on after an answer that is no success.
func (pg *Page) refused() (phase, error) {
	failed := fault.Of(pg.What(), &pg.Answer, pg.Body)
	if url := pg.at.target(); pg.RefusesFormat(url) {
		if url = feed.WithoutFormat(url); pg.opening { // refused, it began no job
			return &asking{course: *pg.at.carried(), step: stepOpen, url: url}, nil
		}
		return readdressed(pg.at, url), nil
	}
	switch at := pg.at.(type) {
	case *changing:
		moved := !at.inside && at.link != "" && (pg.Answer.Status == 404 || pg.Answer.Status == 410)
		lost := fault.LostToken(&pg.Answer, pg.Body)
		switch {
		case moved && at.again:
			failed.Message += "; it is the address at which the service was to have the changes of " + at.link
			return nil, failed
		case moved:
			next := pg.fromLink(at, failed.Message)
			next.again = true
			return next, nil
		case lost && at.inside && !at.relinked:
			next := pg.fromLink(at, failed.Message)
			next.relinked = true
			return next, nil
		case lost:
			return pg.lostToken(failed)
		}
	case *loading:
		if at.inside && fault.LostToken(&pg.Answer, pg.Body) {
			return pg.lostToken(failed)
		}
	}
	return nil, failed
}

// fromLink asks for changes from their delta link again, since a page of them, or the address at which the service was
// to have them, can't be had. That is done once for each.
func (pg *Page) fromLink(at *changing, why string) *changing {
	sdk.Log(wit.LevelWarn, why+"; asking for these changes from their delta link again, "+strconv.Itoa(at.seen)+
		" rows come again")
	next := &changing{course: at.course, url: at.asked(), again: at.again, relinked: at.relinked}
	next.began = int(pg.Answer.ReceivedAt)
	return next
}

// MaxPasses is how many tokens may be lost one after another.
const MaxPasses = 3

// lostToken goes on as the settings say where the service no longer knows the token of the request (P8).
func (pg *Page) lostToken(failed *wit.Error) (phase, error) {
	f, c, url := pg.set(), pg.at.carried(), pg.at.target()
	changes, ok := pg.at.(*changing)
	failed.Kind = wit.ErrorGone
	switch {
	case f.Tracking.Lost != entry.LostFail && c.pass+1 >= MaxPasses:
		failed.Message += "; the service no longer knows the token of " + url +
			", nor those that it gave in place of " +
			"others, " + strconv.Itoa(MaxPasses) + " times one after another. A restart tries it again"
		return nil, failed
	case f.Tracking.Lost == entry.LostRecover && f.ODP != nil && ok:
		sdk.Log(wit.LevelWarn,
			failed.Message+"; the delta token is lost, going on from the oldest that the service keeps")
		next := f.list(*c, whyLost, changes.asked())
		next.pass++
		return next, nil
	case f.Tracking.Lost == entry.LostReload:
		sdk.Log(wit.LevelWarn, failed.Message+"; the delta token is lost, the set is read whole again: rows that "+
			"were deleted meanwhile are not reported")
		again := course{began: int(pg.Answer.ReceivedAt), snapshot: int(pg.Answer.ReceivedAt), pass: c.pass + 1}
		if f.ODP != nil && f.ODP.Terminate != "" {
			return &asking{course: again, step: stepEnd, url: f.FunctionURL(f.ODP.Terminate)}, nil
		}
		return f.first(again), nil
	}
	failed.Message += "; the service no longer knows the token of " + url + ". " + f.Setting(entry.NameLost) +
		" = reload reads the set whole again"
	if f.ODP != nil {
		failed.Message += ", recover goes on from the oldest link that the service keeps"
	} else if f.Tracking.Lost == entry.LostRecover {
		failed.Message += "; recover needs an ODP service with a set DeltaLinksOf" + f.Entry.Set
	}
	return nil, failed
}
