package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Next says which request comes next.
func (f Set) Next(offset []wit.OffsetEntry, cause wit.PollReason, now int64) (wit.NextAction, error) {
	at, err := read(offset)
	if err != nil {
		return wit.NextAction{}, err
	}
	rest, rests := at.(*resting)
	switch {
	case cause.Snapshot != nil && !rests:
		return wit.NextAction{Idle: wit.Set}, nil // after what is being read
	case cause.Snapshot != nil:
		at = f.readWhole(rest, *cause.Snapshot, now)
	case rests:
		at, err = f.wake(rest, cause, now)
	case at == nil:
		at = f.first(course{began: int(now)})
	default:
		at = f.resume(at, cause, now)
	}
	if err != nil {
		return wit.NextAction{}, err
	}
	f.restoreLinks(at)
	fetch, err := f.fetch(at)
	if err != nil {
		return wit.NextAction{}, err
	}
	fields := fields(at)
	fetch.Position = &fields
	return wit.NextAction{Fetch: fetch}, nil
}

// readWhole is a load of the whole set next to the changes: they go on from the link at which they rest, so that
// nothing that changes or is deleted meanwhile is missing from them.
func (f Set) readWhole(rest *resting, ident string, now int64) phase {
	number, err := strconv.Atoi(ident)
	if err != nil || number <= 0 {
		number = int(now)
	}
	c := course{began: int(now), rewritten: rest.rewritten, snapshot: number}
	return &rescanning{course: c, link: rest.link, onDemand: true, walk: f.Pages.First(now).Fields()}
}

// wake asks for changes.
func (f Set) wake(rest *resting, cause wit.PollReason, now int64) (phase, error) {
	next := &changing{course: rest.course, url: rest.link, unnotified: f.OnlyNotified() && cause.Poll != nil}
	if next.began = int(now); cause.Start == nil {
		return next, nil
	}
	next.pass = 0
	f.StartsWith("nothing but changes", "read up to ", int64(rest.at), "and its delta link leads on from there")
	return next, f.rewrite(next)
}

// resume goes on with what was begun. What a start of the connector finds begun is followed by changes at once.
func (f Set) resume(at phase, cause wit.PollReason, now int64) phase {
	c := at.carried()
	c.resumed = c.resumed || cause.Start != nil
	switch p := at.(type) {
	case *asking:
		if p.step == stepOpen && cause.More == nil {
			p.step, p.url = stepWait, f.FunctionURL(f.ODP.Subscribed)
		}
	case *changing:
		p.again, p.relinked = p.again && cause.Start == nil, p.relinked && cause.Start == nil
	case *plainLoad:
		link := p.url
		switch {
		case p.kept != "":
			link = p.kept
		case p.token != "":
			link = f.tokenURL(p.token)
		}
		sdk.Log(wit.LevelWarn,
			f.What()+": a load that an earlier version of this plugin began is begun again; rows that "+
				"came are delivered again")
		return &rescanning{course: p.course, link: link, onDemand: p.kept != "", walk: f.Pages.First(now).Fields()}
	}
	return at
}

// restoreLinks gives stored links their options as they are asked: versions before stored links as services wrote them.
// What has another value was asked by the settings before, or is the result of rewriting.
func (f Set) restoreLinks(at phase) {
	for _, i := range at.items() {
		if i.Name == "url" || i.Name == "link" {
			*i.Text, _ = f.Pages.RestoreOptions(*i.Text, f.Pages.Plain(false))
		}
	}
}

// fetch is the request of a phase.
func (f Set) fetch(at phase) (fetch *wit.Fetch, err error) {
	patience := wit.Ptr(uint32(f.Tracking.Patience))
	fetch = &wit.Fetch{Request: f.Request("", at.target())}
	r := &fetch.Request
	switch p := at.(type) {
	case *loading:
		prefer(r)
		if !p.inside {
			r.FirstByteTimeoutMs = patience
		}
	case *rescanning:
		*r, err = f.walkRequest(p)
		r.FirstByteTimeoutMs = patience // the service may sort all rows
	case *changing:
		prefer(r)
		fetch.Acknowledges = !p.inside
	case *asking:
		if p.step != stepOpen {
			*r = f.question(p.url)
			break
		}
		// An ODP service begins a job with each such request. The offset that says that it was asked for is stored
		// first (P13).
		prefer(r)
		r.FirstByteTimeoutMs, r.Repeatable, fetch.Acknowledges = patience, false, true
	default:
		*r = f.question(at.target())
	}
	return fetch, err
}

// question asks what an ODP service says in addition to the set.
func (f Set) question(url string) wit.Request {
	return service.Get("", f.Query.AppendTo(url), "application/json")
}

// prefer has changes tracked, before what else a request prefers.
func prefer(r *wit.Request) {
	for i := range r.Headers {
		if r.Headers[i].Name == "Prefer" {
			r.Headers[i].Value = TrackChanges + "," + r.Headers[i].Value
		}
	}
}

// rewrite replaces in a stored link what the settings say, once.
func (f Set) rewrite(at *changing) error {
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
		sdk.Log(wit.LevelWarn, f.What()+": the stored delta link "+at.url+" is rewritten as "+
			f.Setting(entry.NameRegex)+" says: "+link)
		at.url = link
	} else {
		sdk.Log(wit.LevelWarn, f.What()+": "+f.Setting(entry.NameRegex)+
			" matches nothing of the stored delta link "+at.url)
	}
	return nil
}
