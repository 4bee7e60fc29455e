package delta

import (
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/uri"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Delta mode reads a set whole once and follows the delta link at the end of that, and of each answer from then on
// (P1): the link is asked for when all rows before it are durable, since asking for it tells the service so.

const TrackChanges = "odata.track-changes"

// nextDelta says which request comes next.
func (f Set) Next(offset []wit.Field, cause wit.Cause, now int64) (wit.Step, error) {
	at, err := ReadDelta(offset)
	switch {
	case err != nil:
		return wit.Step{}, err
	case cause.Snapshot != nil && (at == nil || !at.rest):
		return wit.Step{Idle: wit.Chosen}, nil // behind what is being read
	case cause.Snapshot != nil:
		return f.fetchDelta(f.aside(at, *cause.Snapshot, now)), nil
	case at == nil:
		at = f.firstDelta(now)
	case at.phase == phaseOpen && cause.More == nil:
		at.phase, at.url = phaseWait, f.FunctionURL(f.Odp.Subscribed)
	}
	if at.phase == PhaseChanges && at.counted {
		// Of a version that looked for deleted entities in these changes, behind a load whose links count rows.
		at = f.secondOf(&position{began: at.began, rewritten: at.rewritten, pass: at.pass, owed: at.owed},
			at.asked(), now)
	}
	begun := len(offset) > 0 && !at.rest
	if at.rest {
		at.rest, at.began, at.untold = false, int(now), f.Told() && cause.Poll != nil
		if cause.Start != nil {
			f.StartsWith("nothing but changes", "read up to ", int64(at.at), "and its delta link leads on from there")
			if err := f.rewrite(at); err != nil {
				return wit.Step{}, err
			}
		}
	}
	at.resumed = at.resumed || begun && cause.Start != nil
	if cause.Start != nil {
		// Who ended a subscription once, or read a snapshot once more, does not do it again because of a restart; nor
		// is a set read whole without end where pages fail meanwhile.
		if !begun {
			at.pass = 0
		}
		at.again, at.relinked = at.again && (at.kept != "" || at.phase == phaseAsk), false
	}
	return f.fetchDelta(at), nil
}

// aside is a load of the whole set beside the changes: the link that is rested at is gone on from behind it, so that
// nothing that changes or is deleted meanwhile is missing from the changes.
func (f Set) aside(at *position, ident string, now int64) *position {
	number, err := strconv.Atoi(ident)
	if err != nil || number <= 0 {
		number = int(now)
	}
	return &position{phase: phaseLoad, url: f.Pages.Plain(!at.uncounted), plain: true, kept: at.url,
		rewritten: at.rewritten, uncounted: at.uncounted, began: int(now), snapshot: number}
}

// firstDelta is where delta mode begins.
func (f Set) firstDelta(now int64) *position {
	if f.Odp != nil {
		return &position{phase: phaseAsk, url: f.FunctionURL(f.Odp.Subscribed), began: int(now)}
	}
	return &position{phase: phaseLoad, url: f.loadURL(), began: int(now)}
}

// loadURL is where the set is read whole.
func (f Set) loadURL() string {
	return f.Pages.Plain(false)
}

// fetchDelta is the request at a position.
func (f Set) fetchDelta(at *position) wit.Step {
	position := at.fields()
	fetch := &wit.Fetch{Position: &position}
	switch at.phase {
	case phaseLoad, phaseOpen:
		fetch.Request = f.Request("", at.url)
		if !at.plain {
			prefer(&fetch.Request, TrackChanges)
		}
		if !at.inside {
			fetch.Request.PatienceMs = wit.Ptr(uint32(f.Tracking.Patience))
		}
		// An ODP service begins a job with each such request. The offset that says that it was asked for is stored
		// first (P13).
		fetch.Request.Repeatable, fetch.Acknowledges = at.phase == phaseLoad, at.phase == phaseOpen
	case phaseSecond:
		fetch.Request = f.fetchSecond(at)
		fetch.Request.PatienceMs = wit.Ptr(uint32(f.Tracking.Patience)) // the service may sort all rows
	case PhaseChanges:
		fetch.Request = f.Request("", at.url)
		prefer(&fetch.Request, TrackChanges)
		fetch.Acknowledges = !at.inside
	default:
		fetch.Request = wit.Request{Method: "GET", Target: f.Query.On(at.url), Repeatable: true, Headers: []wit.Header{
			{Name: "Accept", Value: "application/json"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}
	}
	return wit.Step{Fetch: fetch}
}

// prefer puts a preference before those of a request.
func prefer(r *wit.Request, what string) {
	for i := range r.Headers {
		if r.Headers[i].Name == "Prefer" {
			r.Headers[i].Value = what + "," + r.Headers[i].Value
			return
		}
	}
	r.Headers = append(r.Headers, wit.Header{Name: "Prefer", Value: what})
}

// rewrite replaces in a stored link what the settings say, once.
func (f Set) rewrite(at *position) error {
	mark := f.rewriting()
	if mark == "" || at.rewritten == mark {
		return nil
	}
	link, err := f.Tracking.Rewrite(at.url)
	if err != nil {
		return sdk.FailSetting(f.Setting(entry.NameRegex), err.Error())
	}
	at.rewritten = mark
	if link != at.url {
		sdk.Log(wit.LevelWarn,
			f.What()+": the stored delta link "+at.url+" is rewritten as "+f.Setting(entry.NameRegex)+
				" says: "+link)
		at.url = link
	} else {
		sdk.Log(wit.LevelWarn,
			f.What()+": "+f.Setting(entry.NameRegex)+" matches nothing of the stored delta link "+at.url)
	}
	return nil
}

// rewriting marks the settings by which links are rewritten, "" for none.
func (f Set) rewriting() string {
	if f.Tracking.Regex == "" {
		return ""
	}
	return strconv.Quote(f.Tracking.Regex) + " " + strconv.Quote(f.Tracking.Replacement)
}

// wait goes on with a position after an answer 202, when the service says.
func (pg *Page) wait() (wit.Portion, error) {
	next := pg.delta
	if location := feed.Header(pg.headers, "Location"); location != "" {
		target, err := pg.Origin.Resolve(location, "", pg.Base)
		if err != nil {
			return wit.Portion{}, &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": it answered 202: " +
				err.Error()}
		}
		if next.phase == PhaseChanges {
			next.link = next.asked() // the address is no delta link, and may go
		}
		next.url = target
	}
	if next.phase == phaseOpen {
		next.phase = phaseLoad // the job is there: asking for it again begins no other
	}
	switch limit := int64(pg.set().Tracking.Patience); {
	case !pg.overdue():
	case pg.delta.phase == PhaseChanges && !pg.delta.inside && !pg.delta.again:
		if pg.delta.link != "" {
			return pg.byLink(pg.What() + ": the service prepares its answer (202) for too long, " +
				"or did while nobody asked")
		}
		next.began, next.again = int(pg.Answer.At), true
	default:
		return wit.Portion{}, &wit.Fault{Kind: wit.FaultTransient,
			Message: pg.What() + ": the service has prepared its answer for longer than " +
				entry.InitialRead + ", " + strconv.FormatInt(limit, 10) + " ms, and answers 202 still"}
	}
	wait := retryAfter(feed.Header(pg.headers, "Retry-After"), pg.Answer.At)
	sdk.Log(wit.LevelInfo, pg.What()+": the service prepares its answer (202); asking again in "+wait.String())
	fields := next.fields()
	return wit.Portion{Next: &fields, More: true, WaitMs: uint32(wait / time.Millisecond)}, nil
}

// Bounds of how long an answer 202 is waited for before it is looked for again, and what holds where it says nothing.
const (
	leastWait = time.Second
	maxWait   = 10 * time.Minute
	usualWait = 10 * time.Second
)

// retryAfter is how long an answer asks to wait, within bounds.
func retryAfter(text string, now int64) time.Duration {
	wait, ok := fault.RetryAfter(text, now)
	if !ok {
		wait = usualWait
	}
	return min(max(wait, leastWait), maxWait)
}

// applies tells whether the answer says that changes are tracked.
func applies(headers []wit.Header) bool {
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "Preference-Applied") {
			continue
		}
		for part := range strings.SplitSeq(h.Value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), TrackChanges) {
				return true
			}
		}
	}
	return false
}

// afterDelta is the position behind a page that was read to its end.
func (pg *Page) afterDelta() (*position, error) {
	at, read := &pg.delta, &pg.Out.Page
	next := *at
	next.phase, next.again = at.phase, at.again && at.kept != ""
	if at.phase == phaseOpen {
		next.phase = phaseLoad
	}
	next.counted = at.counted || at.doubt != "" && pg.Hides(at.doubt, pg.changes.firstKey)
	next.doubt = ""
	follow, delta := read.Next, read.Delta
	if at.check {
		follow, delta = decode.Link{}, decode.Link{}
	} else {
		next.seen += int(read.Rows)
	}
	if pg.set().Pages.Count && at.plain && !at.inside && !at.check && read.Count > int64(read.Rows) {
		next.total = int(read.Count)
	}
	if delta.Href == "" && leadsToChanges(follow.Href) {
		follow, delta = delta, follow // some hide the token in the last page's next link
	}
	if follow.Href != "" {
		target, err := pg.Resolve(follow)
		if err != nil {
			return nil, err
		}
		if next.followed.Passed(target) {
			return nil, &wit.Fault{Kind: wit.FaultData,
				Message: pg.What() + ": the service's pages go in a circle: the link " + target +
					" was followed before"}
		}
		if at.phase != PhaseChanges && !at.inside {
			if err := pg.checkTracked(); err != nil {
				return nil, err
			}
		}
		if at.phase == PhaseChanges && !at.inside {
			next.link = at.asked()
		}
		if at.phase == phaseLoad && pg.set().Odp == nil && !next.counted {
			next.counted, next.doubt = pg.Shifts(target, at.url, pg.changes.lastKey, next.seen, next.followed.Steps())
		}
		if next.counted && at.plain { // nothing but rows is at the end of these links
			return pg.set().secondOf(&next, at.kept, pg.Answer.At), nil
		}
		next.url, next.inside = target, true
		if at.phase == PhaseChanges {
			pg.changes.remember(&next)
		}
		return &next, nil
	}
	switch {
	case at.check && (read.Count < 0 || read.Count > int64(at.seen)):
		return pg.truncated()
	case at.check:
		next.check = false
	case next.seen < next.total:
		// Rows were deleted meanwhile, or the service gives no more than these (P4).
		next.check, next.url, next.inside, next.followed = true, pg.set().Pages.Plain(true), false, paging.Trail{}
		return &next, nil
	}
	if !next.counted {
		pg.finished(&next)
		if pg.changes.marks.Snapshot > 0 && !pg.changes.marks.Holds() {
			next.owed = at.snapshot // the page has no row that could say that it was the last one
		}
	}
	link := ""
	switch {
	case at.kept != "" && next.counted:
		return pg.set().secondOf(&next, at.kept, pg.Answer.At), nil
	case at.kept != "":
		return pg.set().back(&next, pg.Answer.At), nil
	case at.plain:
		next.pass = 0 // it counts loads that were short, and no tokens
		link = pg.set().tokenURL(at.token)
	case delta.Href != "":
		target, err := pg.Resolve(delta)
		if err != nil {
			return nil, err
		}
		if link = target; link == at.asked() && at.phase == PhaseChanges && next.seen > 0 {
			sdk.Log(wit.LevelWarn, pg.What()+": "+strconv.Itoa(next.seen)+
				" rows of changes came, and the delta link behind them is the one that was asked for: "+
				"they come again each time")
		}
	case pg.set().Odp != nil:
		why := whyLoaded
		if at.phase == PhaseChanges {
			why = whyChanged
		}
		return pg.set().askLinks(&next, why, pg.Answer.At), nil
	default:
		return nil, pg.noLink()
	}
	if next.counted {
		next.rewritten = pg.set().rewriting()
		return pg.set().secondOf(&next, link, pg.Answer.At), nil
	}
	return pg.set().resting(link, &next, pg.Answer.At), nil
}

// truncated reads a plain load again that has fewer rows than the service counts at its end as well: so does one into
// whose read part rows came, while others went that had not been read. Where that is so each time, a snapshot is given
// up, its last row without a mark and the changes untouched, and the first load of an ODP service fails.
func (pg *Page) truncated() (*position, error) {
	f, at, count := pg.set(), &pg.delta, "no longer counts them"
	if n := pg.Out.Page.Count; n >= 0 {
		count = "counts " + strconv.FormatInt(n, 10) + " now"
	}
	text := pg.What() + ": the service says that it has " + strconv.Itoa(at.total) + " rows, " + strconv.Itoa(at.seen) +
		" came without a link to others, and it " + count
	if at.pass+1 < MaxPasses {
		next := *at
		next.check, next.seen, next.total, next.counted, next.followed = false, 0, 0, false, paging.Trail{}
		next.url, next.inside, next.pass, next.began = f.Pages.Plain(true), false, at.pass+1, int(pg.Answer.At)
		if at.kept == "" {
			next.snapshot = int(pg.Answer.At)
		}
		sdk.Log(wit.LevelWarn, text+"; it is read anew from its start, rows that came are delivered again")
		return &next, nil
	}
	text += "; it was read " + strconv.Itoa(MaxPasses) + " times"
	if at.kept == "" {
		return nil, &wit.Fault{Kind: wit.FaultData, Message: text + "; if it counts rows that it doesn't give, " +
			f.Setting(entry.NameCount) + " = none takes what comes. Reset the connector's offsets to begin anew"}
	}
	sdk.Log(wit.LevelError, text+"; the snapshot is given up, its last row has no mark "+feed.HeaderMark+
		"; going on with changes")
	return f.back(at, pg.Answer.At), nil
}

// MaxPasses is how many times in succession a set is read whole where fewer rows come than the service counts.
const MaxPasses = 3

// resting is the position at which all is read. Changes that were read show that their token was good; until then the
// tokens that were lost one after another are counted.
func (f Set) resting(link string, before *position, now int64) *position {
	next := &position{phase: PhaseChanges, url: link, rest: true, at: int(now), rewritten: f.rewriting(),
		owed: before.owed}
	if before.phase != PhaseChanges {
		next.pass = before.pass
	}
	return next
}

// back is the position behind a load that somebody has asked for: the link from before it.
func (f Set) back(at *position, now int64) *position {
	next := f.resting(at.kept, at, now)
	next.rewritten, next.pass = at.rewritten, 0
	return next
}

// leadsToChanges tells whether a link asks for changes since a token, and not for a page of an answer.
func leadsToChanges(link string) bool {
	_, query, _ := strings.Cut(link, "?")
	_, skips := uri.Option(query, "$skiptoken")
	_, counts := uri.Option(query, "$skip")
	_, since := uri.Option(query, "!deltatoken")
	return since && !skips && !counts
}

// checkTracked fails a load that the service doesn't track, before all of it is read.
func (pg *Page) checkTracked() error {
	if pg.delta.applied || pg.delta.plain || !pg.set().Announced {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultUnsupported,
		Message: pg.What() + ": $metadata announces change tracking, but the service does not say that it applies " +
			TrackChanges + ": expected the header Preference-Applied; read the set with " +
			pg.set().Setting(entry.NameTrackChanges) + " = 0 unless the service is mended"}
}

// noLink is the fault of a load or of changes that end without a delta link.
func (pg *Page) noLink() error {
	text := pg.What() + ": expected a delta link at the end of the "
	switch {
	case pg.delta.phase == PhaseChanges:
		text += "changes, found none: the changes behind them can't be asked for"
	case pg.delta.applied:
		text += "load, found none, although the service says that it applies " + TrackChanges
	default:
		text += "load, found none: the service doesn't track changes of this set"
	}
	if pg.Atom && pg.set().Odp == nil {
		text += "; " + pg.set().Setting(entry.NameFormat) +
			" = json asks in the other format, in which some services give one"
	}
	return &wit.Fault{Kind: wit.FaultUnsupported, Message: text + "; " + pg.set().Setting(entry.NameTrackChanges) +
		" = 0 reads it whole each time"}
}

func (pg *Page) finished(next *position) {
	took := "?"
	if at := int(pg.Answer.At); next.began > 0 && at >= next.began {
		took = (time.Duration(at-next.began) * time.Millisecond).String()
	}
	what, level := "first load finished: ", wit.LevelInfo
	switch {
	case next.kept != "":
		what = "snapshot finished: "
	case next.phase == PhaseChanges:
		what = "changes read: "
		if next.seen == 0 {
			level = wit.LevelDebug
		}
	}
	when := "as " + pg.set().Setting(entry.NameCron) + " says"
	switch f := pg.set(); {
	case f.Told():
		when = "when a notification comes"
	case f.Cron == "":
		when = "in " + (time.Duration(f.Period) * time.Second).String()
	}
	if next.untold && next.seen > 0 {
		sdk.Log(wit.LevelWarn, pg.What()+": "+strconv.Itoa(next.seen)+" rows of changes came that no notification has "+
			"told of so far: if that is so each time, the service's subscription leads nowhere; see culvert "+
			"active-subscriptions, and the service's log of notifications")
	}
	sdk.Log(level, pg.What()+": "+what+strconv.Itoa(next.seen)+" rows in "+took+"; changes are asked for again "+when)
}

// refusedDelta goes on after an answer that is no success.
func (pg *Page) refusedDelta() (wit.Portion, error) {
	at := &pg.delta
	failed := fault.Of(pg.What(), &pg.Answer, pg.Body)
	f, status := pg.set(), pg.Answer.Status
	if pg.RefusesFormat(at.url) {
		next := *at
		next.url = feed.WithoutFormat(at.url)
		return pg.goOn(&next)
	}
	if at.phase == PhaseChanges && !at.inside && at.link != "" && (status == 404 || status == 410) {
		return pg.unprepared(failed)
	}
	if !pg.lost(failed) {
		return pg.uncounted(failed)
	}
	failed.Kind = wit.FaultGone
	switch {
	case at.kept != "" && !at.again:
		sdk.Log(wit.LevelWarn, failed.Message+"; the snapshot is read from its beginning again")
		next := f.aside(&position{url: at.kept, rewritten: at.rewritten, uncounted: at.uncounted},
			strconv.Itoa(at.snapshot), pg.Answer.At)
		next.again = true
		return pg.goOn(next)
	case at.kept != "":
		sdk.Log(wit.LevelError, failed.Message+"; the snapshot is given up, its last row has no mark "+feed.HeaderMark+
			"; going on with changes")
		return pg.goOn(f.back(&position{kept: at.kept, rewritten: at.rewritten}, pg.Answer.At))
	case at.phase == PhaseChanges && at.inside && at.link != "" && !at.relinked:
		return pg.fromLink(failed.Message)
	case f.Tracking.Lost != entry.LostFail && at.pass+1 >= MaxPasses:
		failed.Message += "; the service no longer knows the token of " + at.url +
			", nor those that it gave in place of others, " +
			strconv.Itoa(MaxPasses) + " times one after another. A restart tries it again"
		return wit.Portion{}, failed
	case f.Tracking.Lost == entry.LostRecover && f.Odp != nil && at.phase == PhaseChanges:
		sdk.Log(wit.LevelWarn, failed.Message+"; the delta token is lost, going on from the "+
			"oldest that the service keeps")
		return pg.goOn(f.askLinks(at, whyLost, pg.Answer.At))
	case f.Tracking.Lost == entry.LostReload:
		next := f.firstDelta(pg.Answer.At)
		if f.Odp != nil && f.Odp.Terminate != "" {
			next.phase, next.url = phaseEnd, f.FunctionURL(f.Odp.Terminate)
		}
		next.snapshot, next.pass = int(pg.Answer.At), at.pass+1
		sdk.Log(wit.LevelWarn, failed.Message+"; the delta token is lost, the set is read whole again: rows that "+
			"were deleted meanwhile are not told of")
		return pg.goOn(next)
	}
	failed.Message += "; the service no longer knows the token of " + at.url + ". " + f.Setting(entry.NameLost) +
		" = reload reads the set whole again"
	if f.Odp != nil {
		failed.Message += ", recover goes on from the oldest link that the service keeps"
	} else if f.Tracking.Lost == entry.LostRecover {
		failed.Message += "; recover needs an ODP service with a set DeltaLinksOf" + f.Set
	}
	return wit.Portion{}, failed
}

// fromLink asks for changes from their delta link again, since a page of them can't be had. That is done once.
func (pg *Page) fromLink(why string) (wit.Portion, error) {
	at := &pg.delta
	sdk.Log(wit.LevelWarn, why+"; asking for these changes from their delta link again, "+strconv.Itoa(at.seen)+
		" rows come again")
	return pg.goOn(&position{phase: PhaseChanges, url: at.link, began: at.began, rewritten: at.rewritten,
		relinked: true, pass: at.pass, owed: at.owed})
}

// nothingMore goes on behind a page of changes that is answered 204, without rows and without a link. One that is not
// the first leaves open what stands behind it.
func (pg *Page) nothingMore() (wit.Portion, error) {
	f, at := pg.set(), &pg.delta
	const what = ": the service answers a page of changes with 204, without a delta link"
	switch {
	case !at.inside: // nothing changed: the link that there was goes on
		return pg.goOn(f.resting(at.asked(), at, pg.Answer.At))
	case !at.relinked && at.link != "":
		return pg.fromLink(pg.What() + what)
	}
	return wit.Portion{}, &wit.Fault{Kind: wit.FaultData, Message: pg.What() + what +
		", twice: what stands behind it can't be had"}
}

// unprepared asks for changes by their delta link again where the address is gone at which the service was to have
// them.
func (pg *Page) unprepared(failed *wit.Fault) (wit.Portion, error) {
	at := &pg.delta
	if limit := int64(pg.set().Tracking.Patience); pg.overdue() && at.again {
		failed.Message += "; it is the address at which the service was to have the changes of " + at.link +
			", which were asked for more than " +
			entry.InitialRead + ", " + strconv.FormatInt(limit, 10) + " ms, ago"
		return wit.Portion{}, failed
	}
	return pg.byLink(failed.Message + "; the address at which the service was to have the changes is gone")
}

// overdue tells whether the answer has been prepared for longer than it may be.
func (pg *Page) overdue() bool {
	began := int64(pg.delta.began)
	return began > 0 && pg.Answer.At-began > int64(pg.set().Tracking.Patience)
}

// byLink asks for changes by their delta link in place of the address at which the service was to have them. Once it
// may prepare them from then on: the time that it had may have gone by while the connector was down.
func (pg *Page) byLink(why string) (wit.Portion, error) {
	sdk.Log(wit.LevelWarn, why+"; asking for the changes from their delta link again")
	next := pg.delta
	if pg.overdue() {
		next.began, next.again = int(pg.Answer.At), true
	}
	next.url, next.link = next.link, ""
	portion, err := pg.goOn(&next)
	portion.WaitMs = uint32(leastWait / time.Millisecond)
	return portion, err
}

// uncounted asks for the first page of a plain load without the count where the service refuses it with the count. 500
// with a code is what services of SAP say to options that they never implemented.
func (pg *Page) uncounted(failed *wit.Fault) (wit.Portion, error) {
	at, status := &pg.delta, pg.Answer.Status
	plain := pg.set().Pages.Plain(false)
	refused := status == 400 || status == 501 || status == 500 && failed.Code != nil
	if !at.plain || at.inside || at.check || at.uncounted || !refused || plain == pg.set().Pages.Plain(true) {
		return wit.Portion{}, failed
	}
	sdk.Log(wit.LevelWarn, failed.Message+"; asking again without a count, so that nothing tells whether all rows come")
	next := *at
	next.url, next.uncounted = plain, true
	return pg.goOn(&next)
}

// goOn ends a page without rows at a position.
func (pg *Page) goOn(next *position) (wit.Portion, error) {
	pg.goesOn(next)
	fields := next.fields()
	return wit.Portion{Next: &fields, More: !next.rest}, nil
}

// goesOn has changes asked for at once behind a load, or behind changes, that an earlier start of the connector began:
// what was changed since is in neither, and who reads once expects it.
func (pg *Page) goesOn(next *position) {
	if next.resumed = pg.delta.resumed; next.rest && next.resumed {
		next.rest, next.resumed, next.began = false, false, int(pg.Answer.At)
	}
}

// lost tells whether an answer says that a token isn't known any more (P8): 410, or a refusal whose code or text names
// the token, and SAP's error 536.
//
// Assumption: which status comes with SAP's message /IWFND/CM_MGW/090 "Invalid Delta Token" no document says.
func (pg *Page) lost(failed *wit.Fault) bool {
	at := &pg.delta
	if at.phase != PhaseChanges && !at.inside {
		return false
	}
	switch pg.Answer.Status {
	case 410:
		return true
	case 400, 404, 412, 500:
	default:
		return false
	}
	code := ""
	if failed.Code != nil {
		code = *failed.Code
	}
	text := strings.ToLower(strings.ReplaceAll(code+" "+failed.Message, " ", ""))
	for _, sign := range []string{"deltatoken", "delta_token", "deltalink", "skiptoken", "skip_token", "cm_mgw/090",
		"recoveryofoldrequests", "error536", "(536)"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return strings.HasSuffix(code, "536")
}
