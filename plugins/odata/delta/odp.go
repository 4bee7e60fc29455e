package delta

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// An ODP service keeps a queue of changes for each user. The first request with Prefer: odata.track-changes opens it
// and begins a job that reads everything; each such request begins another. Beside the set Facts stand the set
// DeltaLinksOfFacts, with the tokens that can still be asked for, and the functions SubscribedToFacts and
// TerminateDeltasForFacts.

// answeredODP goes on after an answer that holds no rows of the set.
func (pg *Page) answeredODP() (next phase, wait time.Duration, err error) {
	f := pg.set()
	switch at := pg.at.(type) {
	case *listing:
		return pg.listed(at)
	case *asking:
		if at.step != stepEnd {
			next, err = pg.subscribed(at)
			return next, 0, err
		}
		if done, ok := Truth(pg.Body, "ResultFlag"); !ok || !done {
			return nil, 0, &wit.Error{Kind: wit.ErrorData,
				Message: pg.What() + ": " + at.url + " did not end the subscription: expected ResultFlag true, found " +
					fault.Excerpt(pg.Body)}
		}
		sdk.Log(wit.LevelInfo, pg.What()+": the subscription was ended")
		return &asking{course: at.course, step: stepAsk, url: f.FunctionURL(f.ODP.Subscribed), ended: true}, 0, nil
	}
	return nil, 0, &wit.Error{Kind: wit.ErrorInternal, Message: "an answer without rows in phase " + pg.at.name()}
}

// subscribed goes on by whether somebody has opened the queue.
func (pg *Page) subscribed(at *asking) (phase, error) {
	f := pg.set()
	open, ok := Truth(pg.Body, "SubscribedFlag")
	switch {
	case !ok:
		return nil, fault.NotData(pg.What()+": "+at.url, "SubscribedFlag", pg.Body)
	case !open:
		// Nobody has, ourselves included: the first extraction that may have been asked for never came there.
		return &asking{course: at.course, step: stepOpen, url: f.Pages.Plain(false)}, nil
	case at.step == stepWait:
		return f.list(at.course, whyOpened, ""), nil
	case at.ended:
		return nil, &wit.Error{Kind: wit.ErrorData,
			Message: pg.What() + ": the service said that it ended the subscription, and has it still: " +
				"of two readers each would get a part of the changes. End it at the service; it is " +
				"looked for again at a restart"}
	case !f.Tracking.Takeover:
		return nil, fault.Config(entry.DeltaTakeover,
			pg.What()+": this user has a subscription already, which is not this connector's: "+
				"of two readers each would get a part of the changes. Delete the other one, or give this "+
				"one a user of its own; "+entry.DeltaTakeover+" = true ends the subscription and begins anew")
	case f.ODP.Terminate == "":
		return nil, fault.Config(entry.DeltaTakeover, pg.What()+
			": the subscription can't be taken over, the service has no function TerminateDeltasFor"+f.Entry.Set)
	}
	sdk.Log(wit.LevelWarn, pg.What()+": ending a subscription of another reader, as "+entry.DeltaTakeover+" says")
	return &asking{course: at.course, step: stepEnd, url: f.FunctionURL(f.ODP.Terminate)}, nil
}

// Truth finds a flag of that name in an answer, in JSON or XML, however deep.
func Truth(body []byte, name string) (value, ok bool) {
	text := ""
	if v, err := jsontext.Parse(body); err == nil {
		found, some := anywhere(v, name, 0)
		if !some {
			return false, false
		}
		text = found.Text
		if found.Kind == jsontext.True || found.Kind == jsontext.False {
			return found.Kind == jsontext.True, true
		}
	} else {
		r := markup.NewReader(body)
		for {
			kind, err := r.Next()
			if err != nil || kind == markup.End {
				return false, false
			}
			if kind == markup.Open && r.Local == name {
				if text, err = r.Content(); err != nil {
					return false, false
				}
				break
			}
		}
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "x", "1":
		return true, true
	case "false", "", "0":
		return false, true
	}
	return false, false
}

// anywhere finds a member by its name, however deep.
func anywhere(v jsontext.Value, name string, depth int) (jsontext.Value, bool) {
	if depth > 6 {
		return v, false
	}
	for _, m := range v.Members {
		if m.Name == name {
			return m.Value, true
		}
	}
	for _, m := range v.Members {
		if found, ok := anywhere(m.Value, name, depth+1); ok {
			return found, true
		}
	}
	for i := range v.Items {
		if found, ok := anywhere(v.Items[i], name, depth+1); ok {
			return found, true
		}
	}
	return v, false
}

// readLinks reads a page of DeltaLinksOf….
func readLinks(body []byte) (rows []deltaLinkRow, next string, ok bool) {
	v, err := document.Parse(body)
	items, ok := document.Items(v)
	if err != nil || !ok {
		return nil, "", false
	}
	for _, item := range items {
		if item.Get("DeltaToken").Text == "" {
			return nil, "", false
		}
		initial := item.Get("IsInitialLoad")
		rows = append(rows, deltaLinkRow{item.Get("DeltaToken").Text, moment(item.Get("CreatedAt").Text),
			initial.Kind == jsontext.True || initial.Text == "X" || initial.Text == "true"})
	}
	return rows, v.Get("__next").Text, true
}

// moment makes times comparable as texts: milliseconds with leading zeros, or what ISO has.
func moment(text string) string {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "/Date(") {
		return text
	}
	var m datetime.DateTime
	if !m.Parse([]byte(text)) || m.UTC() < 0 {
		return ""
	}
	return strconv.FormatInt(1e16+m.UTC(), 10)[1:]
}

// listed goes on by the delta links that the service keeps.
func (pg *Page) listed(at *listing) (phase, time.Duration, error) {
	links, follow, ok := readLinks(pg.Body)
	if !ok {
		return nil, 0, fault.NotData(pg.What()+": "+at.url,
			"rows with DeltaToken, CreatedAt and IsInitialLoad in JSON", pg.Body)
	}
	next := *at
	for _, r := range links {
		if next.token == "" || better(at.why, r, next.deltaLinkRow) {
			next.deltaLinkRow = r
		}
	}
	if follow != "" {
		target, err := pg.Resolve(decode.Link{Href: follow})
		if err != nil {
			return nil, 0, err
		}
		if target == at.url || next.followed.Passed(target) {
			return nil, 0, pg.circle(target)
		}
		next.url = target
		return &next, 0, nil
	}
	if next.token == "" && at.why == whyOpened {
		return pg.stillWorking(at)
	}
	to, err := pg.fromToken(&next)
	return to, 0, err
}

// fromToken goes on from the token that was chosen.
func (pg *Page) fromToken(at *listing) (phase, error) {
	f, now := pg.set(), int(pg.Answer.ReceivedAt)
	gone := func(text string) error {
		return &wit.Error{Kind: wit.ErrorGone, Message: pg.What() + text + f.Setting(entry.NameLost) +
			" = reload reads the set whole again"}
	}
	link, lost := f.relink(at.link, at.token), TokenOf(at.link)
	switch {
	case at.token == "":
		return nil, &wit.Error{Kind: wit.ErrorGone,
			Message: pg.What() + ": the service gave no delta link, and " + f.ODP.Links + " has none either: " +
				f.Setting(entry.NameLost) + " = reload reads the set whole again when the link that there was is lost"}
	case at.why == whyLost && younger(at.token, lost):
		return nil, gone(": the oldest delta link that the service keeps, " + at.token +
			", is younger than the lost one, " +
			lost + ": changes between them would be missing. ")
	case at.why == whyLost && lost == strings.Trim(at.token, "'"):
		return nil, gone(": the oldest delta link that the service keeps is the one that it refuses, " + at.token +
			". ")
	case at.why == whyLost:
		sdk.Log(wit.LevelWarn, pg.What()+": going on from the delta token "+at.token+" of "+at.created+
			"; changes since then come again")
		c := course{began: now, rewritten: f.rewriting(), pass: at.pass, unmarked: at.unmarked}
		return &changing{course: c, url: link}, nil
	case at.why == whyOpened:
		// The load that was asked for has ended unheard. What it read is read without beginning another; changes follow
		// from its token.
		sdk.Log(wit.LevelWarn, pg.What()+": the first extraction was asked for before and has ended; the set is read "+
			"without asking for another, changes follow from the token "+at.token)
		c := course{began: at.began, rewritten: f.rewriting(), snapshot: at.snapshot, pass: at.pass}
		return &rescanning{course: c, link: link, walk: f.Pages.First(int64(now)).Fields()}, nil
	}
	return f.rest(at.course, link, int64(now)), nil
}

// better reports whether a link is to be taken rather than another: of a first load its own, the newest; of changes the
// newest; for a lost token the oldest.
func better(why string, a, b deltaLinkRow) bool {
	if why == whyLost {
		return a.created < b.created || a.created == b.created && a.token < b.token
	}
	if why != whyChanged && a.first != b.first {
		return a.first
	}
	return a.created > b.created || a.created == b.created && a.token > b.token
}

// younger reports whether one of ODP's tokens, which begin with D and a time, is younger than another. It isn't known
// of others.
func younger(a, b string) bool {
	a, b = strings.Trim(a, "'"), strings.Trim(b, "'")
	timed := func(s string) bool {
		return len(s) >= 15 && s[0] == 'D' && !slices.ContainsFunc([]byte(s[1:15]),
			func(c byte) bool { return c < '0' || c > '9' })
	}
	return timed(a) && timed(b) && a > b
}

// stillWorking looks again later: the first extraction was asked for, and hasn't ended.
func (pg *Page) stillWorking(at *listing) (phase, time.Duration, error) {
	f := pg.set()
	if at.began > 0 && int(pg.Answer.ReceivedAt)-at.began > f.Tracking.Patience {
		return nil, 0, &wit.Error{Kind: wit.ErrorGone,
			Message: pg.What() + ": the first extraction was asked for before and has not ended in " +
				initialRead(pg.Feed) + ": end the subscription at the service, by " + f.ODP.Terminate +
				", and reset the connector's offsets"}
	}
	sdk.Log(wit.LevelInfo, pg.What()+": the first extraction was asked for before and is still being "+
		"worked on; looking again in "+usualWait.String())
	return f.list(at.course, whyOpened, ""), usualWait, nil
}
