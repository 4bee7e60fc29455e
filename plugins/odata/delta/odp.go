package delta

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// An ODP service keeps a queue of changes for each user. The first request with Prefer: odata.track-changes opens it
// and begins a job that reads everything; each such request begins another. Beside the set Facts stand the set
// DeltaLinksOfFacts, with the tokens that can still be asked for, and the functions SubscribedToFacts and
// TerminateDeltasForFacts.

// afterODPResponse goes on after an answer that holds no rows of the set.
func (pg *Page) afterODPResponse() (next phase, wait time.Duration, err error) {
	f := pg.set()
	switch at := pg.at.(type) {
	case *findingDeltaLink:
		return pg.afterDeltaLinks(at)
	case *subscribing:
		if at.step != stepEnd {
			next, err = pg.afterSubscribedTo(at)
			return next, 0, err
		}
		if done, ok := FindFlag(pg.Body, "ResultFlag"); !ok || !done {
			return nil, 0, &wit.Error{Kind: wit.ErrorData,
				Message: pg.Label() + ": " + at.url +
					" did not end the subscription: expected ResultFlag true, found " +
					odataerror.Excerpt(pg.Body)}
		}
		sdk.Log(wit.LevelInfo, pg.Label()+": the subscription was ended")
		return &subscribing{common: at.common, step: stepAsk, url: f.FunctionURL(f.ODP.Subscribed), terminated: true},
			0, nil
	}
	return nil, 0, &wit.Error{Kind: wit.ErrorInternal, Message: "an answer without rows in phase " + pg.at.name()}
}

// afterSubscribedTo goes on by whether somebody has opened the queue.
func (pg *Page) afterSubscribedTo(at *subscribing) (phase, error) {
	f := pg.set()
	open, ok := FindFlag(pg.Body, "SubscribedFlag")
	switch {
	case !ok:
		return nil, odataerror.NotData(pg.Label()+": "+at.url, "SubscribedFlag", pg.Body)
	case !open:
		// Nobody has, ourselves included: the first extraction that may have been asked for never came there.
		return &subscribing{common: at.common, step: stepOpen, url: f.Paging.WholeURL(false)}, nil
	case at.step == stepWait:
		return f.findDeltaLink(at.common, whyOpened, ""), nil
	case at.terminated:
		return nil, &wit.Error{Kind: wit.ErrorData,
			Message: pg.Label() + ": the service said that it ended the subscription, and has it still: " +
				"of two readers each would get a part of the changes. End it at the service; it is " +
				"looked for again at a restart"}
	case !f.Tracking.TakeOver:
		return nil, odataerror.ForSetting(sourceconfig.DeltaTakeover,
			pg.Label()+": this user has a subscription already, which is not this connector's: "+
				"of two readers each would get a part of the changes. Delete the other one, or give this "+
				"one a user of its own; "+sourceconfig.DeltaTakeover+" = true ends the subscription and begins anew")
	case f.ODP.Terminate == "":
		return nil, odataerror.ForSetting(sourceconfig.DeltaTakeover, pg.Label()+
			": the subscription can't be taken over, the service has no function "+
			"TerminateDeltasFor"+f.EntitySetConfig.Set)
	}
	sdk.Log(wit.LevelWarn, pg.Label()+": ending a subscription of another reader, as "+sourceconfig.DeltaTakeover+" "+
		"says")
	return &subscribing{common: at.common, step: stepEnd, url: f.FunctionURL(f.ODP.Terminate)}, nil
}

// FindFlag finds a flag of that name in an answer, in JSON or XML, however deep.
func FindFlag(body []byte, name string) (value, ok bool) {
	text := ""
	if v, err := jsontext.Parse(body); err == nil {
		found, some := findMember(v, name, 0)
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

// findMember finds a member by its name, however deep.
func findMember(v jsontext.Value, name string, depth int) (jsontext.Value, bool) {
	if depth > 6 {
		return v, false
	}
	for _, m := range v.Members {
		if m.Name == name {
			return m.Value, true
		}
	}
	for _, m := range v.Members {
		if found, ok := findMember(m.Value, name, depth+1); ok {
			return found, true
		}
	}
	for i := range v.Items {
		if found, ok := findMember(v.Items[i], name, depth+1); ok {
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
		if item.At("DeltaToken").Text == "" {
			return nil, "", false
		}
		initial := item.At("IsInitialLoad")
		rows = append(rows, deltaLinkRow{item.At("DeltaToken").Text, comparableTime(item.At("CreatedAt").Text),
			initial.Kind == jsontext.True || initial.Text == "X" || initial.Text == "true"})
	}
	return rows, v.At("__next").Text, true
}

// comparableTime makes times comparable as texts: milliseconds with leading zeros, or what ISO has.
func comparableTime(text string) string {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "/Date(") {
		return text
	}
	var m datetime.Moment
	if !m.Parse([]byte(text)) || m.UTC() < 0 {
		return ""
	}
	return strconv.FormatInt(1e16+m.UTC(), 10)[1:]
}

// afterDeltaLinks goes on by the delta links that the service keeps.
func (pg *Page) afterDeltaLinks(at *findingDeltaLink) (phase, time.Duration, error) {
	links, follow, ok := readLinks(pg.Body)
	if !ok {
		return nil, 0, odataerror.NotData(pg.Label()+": "+at.url,
			"rows with DeltaToken, CreatedAt and IsInitialLoad in JSON", pg.Body)
	}
	next := *at
	for _, r := range links {
		if next.token == "" || isBetter(at.why, r, next.deltaLinkRow) {
			next.deltaLinkRow = r
		}
	}
	if follow != "" {
		target, err := pg.Resolve(decode.Link{Href: follow})
		if err != nil {
			return nil, 0, err
		}
		if target == at.url || next.followed.Visit(target) {
			return nil, 0, pg.loopError(target)
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
func (pg *Page) fromToken(at *findingDeltaLink) (phase, error) {
	f, now := pg.set(), int(pg.Answer.ReceivedAt)
	goneError := func(text string) error {
		return &wit.Error{Kind: wit.ErrorGone, Message: pg.Label() + text + f.Setting(sourceconfig.NameLost) +
			" = reload reads the set whole again"}
	}
	link, lost := f.relink(at.link, at.token), TokenOf(at.link)
	switch {
	case at.token == "":
		return nil, &wit.Error{Kind: wit.ErrorGone,
			Message: pg.Label() + ": the service gave no delta link, and " + f.ODP.Links + " has none either: " +
				f.Setting(sourceconfig.NameLost) +
				" = reload reads the set whole again when the link that there was is lost"}
	case at.why == whyLost && isYounger(at.token, lost):
		return nil, goneError(": the oldest delta link that the service keeps, " + at.token +
			", is younger than the lost one, " +
			lost + ": changes between them would be missing. ")
	case at.why == whyLost && lost == strings.Trim(at.token, "'"):
		return nil, goneError(": the oldest delta link that the service keeps is the one that it refuses, " + at.token +
			". ")
	case at.why == whyLost:
		sdk.Log(wit.LevelWarn, pg.Label()+": going on from the delta token "+at.token+" of "+at.created+
			"; changes since then come again")
		c := common{startedAt: now, rewritten: f.rewriteMark(), lostTokens: at.lostTokens,
			endMarkerPending: at.endMarkerPending}
		return &readingChanges{common: c, url: link}, nil
	case at.why == whyOpened:
		// The load that was asked for has ended unheard. What it read is read without beginning another; changes follow
		// from its token.
		sdk.Log(wit.LevelWarn, pg.Label()+": the first extraction was asked for before and has ended; the set is read "+
			"without asking for another, changes follow from the token "+at.token)
		c := common{startedAt: at.startedAt, rewritten: f.rewriteMark(), snapshot: at.snapshot,
			lostTokens: at.lostTokens}
		return &readingSnapshot{common: c, link: link, position: f.Paging.First(int64(now)).Fields()}, nil
	}
	return f.idleAt(at.common, link, int64(now)), nil
}

// isBetter reports whether a link is to be taken rather than another: of a first load its own, the newest; of changes
// the newest; for a lost token the oldest.
func isBetter(why string, a, b deltaLinkRow) bool {
	if why == whyLost {
		return a.created < b.created || a.created == b.created && a.token < b.token
	}
	if why != whyChanged && a.first != b.first {
		return a.first
	}
	return a.created > b.created || a.created == b.created && a.token > b.token
}

// isYounger reports whether one of ODP's tokens, which begin with D and a time, is younger than another. It isn't known
// of others.
func isYounger(a, b string) bool {
	a, b = strings.Trim(a, "'"), strings.Trim(b, "'")
	timed := func(s string) bool {
		return len(s) >= 15 && s[0] == 'D' && !slices.ContainsFunc([]byte(s[1:15]),
			func(c byte) bool { return c < '0' || c > '9' })
	}
	return timed(a) && timed(b) && a > b
}

// stillWorking looks again later: the first extraction was asked for, and hasn't ended.
func (pg *Page) stillWorking(at *findingDeltaLink) (phase, time.Duration, error) {
	f := pg.set()
	if at.startedAt > 0 && int(pg.Answer.ReceivedAt)-at.startedAt > f.Tracking.FirstByteTimeout {
		return nil, 0, &wit.Error{Kind: wit.ErrorGone,
			Message: pg.Label() + ": the first extraction was asked for before and has not ended in " +
				initialRead(pg.Feed) + ": end the subscription at the service, by " + f.ODP.Terminate +
				", and reset the connector's offsets"}
	}
	sdk.Log(wit.LevelInfo, pg.Label()+": the first extraction was asked for before and is still being "+
		"worked on; looking again in "+defaultWait.String())
	return f.findDeltaLink(at.common, whyOpened, ""), defaultWait, nil
}
