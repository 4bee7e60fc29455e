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

// An ODP service keeps a queue of changes per user. Each request with Prefer: odata.track-changes starts a job that
// reads everything; the first one opens the queue. Next to a set Facts, the service has the set DeltaLinksOfFacts with
// valid tokens and the functions SubscribedToFacts and TerminateDeltasForFacts.

func (pg *Page) afterODPResponse() (next phase, wait time.Duration, err error) {
	set := pg.set()
	switch at := pg.phase.(type) {
	case *findingDeltaLink:
		return pg.afterDeltaLinks(at)
	case *subscribing:
		if at.step != stepTerminate {
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
		return &subscribing{common: at.common, step: stepCheckSubscribed, url: set.FunctionURL(set.ODP.Subscribed),
				terminated: true},
			0, nil
	}
	return nil, 0, &wit.Error{Kind: wit.ErrorInternal, Message: "an answer without rows in phase " + pg.phase.name()}
}

func (pg *Page) afterSubscribedTo(at *subscribing) (phase, error) {
	set := pg.set()
	open, ok := FindFlag(pg.Body, "SubscribedFlag")
	switch {
	case !ok:
		return nil, odataerror.NotData(pg.Label()+": "+at.url, "SubscribedFlag", pg.Body)
	case !open:
		// No subscription exists, so the service never received a request for the first extraction.
		return &subscribing{common: at.common, step: stepExtract, url: set.Paging.UnorderedURL(false)}, nil
	case at.step == stepAwaitExtraction:
		return set.findDeltaLink(at.common, reasonOpened, ""), nil
	case at.terminated:
		return nil, &wit.Error{Kind: wit.ErrorData,
			Message: pg.Label() + ": the service confirmed the end of the subscription, but still has it: " +
				"two readers would each get a part of the changes. End it at the service; it is " +
				"checked again at a restart"}
	case !set.Tracking.TakeOver:
		return nil, odataerror.ForSetting(sourceconfig.DeltaTakeover,
			pg.Label()+": this user already has a subscription, which is not this connector's: "+
				"two readers would each get a part of the changes. Delete the other one, or give this "+
				"one a user of its own; "+sourceconfig.DeltaTakeover+" = true ends the subscription and starts over")
	case set.ODP.Terminate == "":
		return nil, odataerror.ForSetting(sourceconfig.DeltaTakeover, pg.Label()+
			": the subscription can't be taken over, the service has no function "+
			"TerminateDeltasFor"+set.EntitySetConfig.Set)
	}
	sdk.Log(wit.LevelWarn, pg.Label()+": ending a subscription of another reader, as "+sourceconfig.DeltaTakeover+" "+
		"says")
	return &subscribing{common: at.common, step: stepTerminate, url: set.FunctionURL(set.ODP.Terminate)}, nil
}

// FindFlag finds a boolean by name at any depth of a JSON or XML document.
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
		rows = append(rows, deltaLinkRow{item.Get("DeltaToken").Text, comparableTime(item.Get("CreatedAt").Text),
			initial.Kind == jsontext.True || initial.Text == "X" || initial.Text == "true"})
	}
	return rows, v.Get("__next").Text, true
}

// comparableTime makes times comparable as texts: zero-padded milliseconds, or ISO as it is.
func comparableTime(text string) string {
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

func (pg *Page) afterDeltaLinks(at *findingDeltaLink) (phase, time.Duration, error) {
	links, follow, ok := readLinks(pg.Body)
	if !ok {
		return nil, 0, odataerror.NotData(pg.Label()+": "+at.url,
			"rows with DeltaToken, CreatedAt and IsInitialLoad in JSON", pg.Body)
	}
	next := *at
	for _, r := range links {
		if next.token == "" || isPreferred(at.reason, r, next.deltaLinkRow) {
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
	if next.token == "" && at.reason == reasonOpened {
		return pg.stillWorking(at)
	}
	to, err := pg.fromToken(&next)
	return to, 0, err
}

func (pg *Page) fromToken(at *findingDeltaLink) (phase, error) {
	set, now := pg.set(), int(pg.Response.ReceivedAt)
	expired := func(text string) error {
		return &wit.Error{Kind: wit.ErrorGone, Message: pg.Label() + text + set.Setting(sourceconfig.NameLost) +
			" = reload reads the whole set again"}
	}
	link, lost := set.relink(at.link, at.token), TokenOf(at.link)
	switch {
	case at.token == "":
		return nil, &wit.Error{Kind: wit.ErrorGone,
			Message: pg.Label() + ": the service returned no delta link, and " + set.ODP.Links + " has none either: " +
				set.Setting(sourceconfig.NameLost) +
				" = reload reads the whole set again when the link is lost"}
	case at.reason == reasonLost && isNewerToken(at.token, lost):
		return nil, expired(": the oldest delta link that the service keeps, " + at.token +
			", is younger than the lost one, " +
			lost + ": changes between them would be missing. ")
	case at.reason == reasonLost && lost == strings.Trim(at.token, "'"):
		return nil, expired(": the oldest delta link that the service keeps is the one that it refuses, " + at.token +
			". ")
	case at.reason == reasonLost:
		sdk.Log(wit.LevelWarn, pg.Label()+": continuing from the delta token "+at.token+" of "+at.created+
			"; changes since then are delivered again")
		c := common{startedAt: now, rewriteSettings: set.rewriteSettings(), lostTokens: at.lostTokens,
			endMarkerPending: at.endMarkerPending}
		return &readingChanges{common: c, url: link}, nil
	case at.reason == reasonOpened:
		// The load has ended, but its response was lost. Read the set without starting another job; changes follow from
		// the token.
		sdk.Log(wit.LevelWarn, pg.Label()+": the first extraction was requested before and has ended; the set is read "+
			"without requesting another one, changes follow from the token "+at.token)
		c := common{startedAt: at.startedAt, rewriteSettings: set.rewriteSettings(), snapshot: at.snapshot,
			lostTokens: at.lostTokens}
		return &readingSnapshot{common: c, link: link, position: set.Paging.First(int64(now)).Fields()}, nil
	}
	return set.idleAt(at.common, link, int64(now)), nil
}

// isPreferred prefers the oldest token after a lost one, else the newest, that of the first load before others.
func isPreferred(reason string, a, b deltaLinkRow) bool {
	if reason == reasonLost {
		return a.created < b.created || a.created == b.created && a.token < b.token
	}
	if reason != reasonChanged && a.initialLoad != b.initialLoad {
		return a.initialLoad
	}
	return a.created > b.created || a.created == b.created && a.token > b.token
}

// isNewerToken compares two ODP tokens, D followed by a time. It returns false for other tokens.
func isNewerToken(a, b string) bool {
	a, b = strings.Trim(a, "'"), strings.Trim(b, "'")
	timed := func(s string) bool {
		return len(s) >= 15 && s[0] == 'D' && !slices.ContainsFunc([]byte(s[1:15]),
			func(c byte) bool { return c < '0' || c > '9' })
	}
	return timed(a) && timed(b) && a > b
}

func (pg *Page) stillWorking(at *findingDeltaLink) (phase, time.Duration, error) {
	set := pg.set()
	if at.startedAt > 0 && int(pg.Response.ReceivedAt)-at.startedAt > set.Tracking.FirstByteTimeout {
		return nil, 0, &wit.Error{Kind: wit.ErrorGone,
			Message: pg.Label() + ": the first extraction was requested before and has not ended within " +
				initialReadTimeout(pg.Feed) + ": end the subscription at the service, by " + set.ODP.Terminate +
				", and reset the connector's offsets"}
	}
	sdk.Log(wit.LevelInfo, pg.Label()+": the first extraction was requested before and is still "+
		"running; checking again in "+defaultWait.String())
	return set.findDeltaLink(at.common, reasonOpened, ""), defaultWait, nil
}
