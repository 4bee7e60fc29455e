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
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// afterODPResponse handles the response to a request that is not for rows of the entity set. An ODP service keeps a
// queue of changes per user, the subscription. Each request with Prefer: odata.track-changes starts a job that reads
// everything; the first one opens the subscription. For a set Facts, the service also has the set DeltaLinksOfFacts
// with the valid tokens, and the functions SubscribedToFacts and TerminateDeltasForFacts.
//
// The steps: stepCheckSubscribed asks whether a subscription is open. If it is, and may be taken over, stepTerminate
// ends it, and the check is repeated. stepExtract starts the first extraction, whose delta link findingDeltaLink finds;
// stepAwaitExtraction waits for one that an earlier run has started, because a second request would start another job.
func (pg *Page) afterODPResponse() (next phase, wait time.Duration, err error) {
	set := pg.set()
	switch current := pg.phase.(type) {
	case *findingDeltaLink:
		return pg.afterDeltaLinks(current)
	case *subscribing:
		if current.step != stepTerminate {
			next, err = pg.afterSubscribedTo(current)
			return next, 0, err
		}
		if done, ok := document.FindFlag(pg.Body, "ResultFlag"); !ok || !done {
			return nil, 0, &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": " + current.url +
				" did not end the subscription: expected ResultFlag true, found " + odataerror.Excerpt(pg.Body)}
		}
		sdk.Log(wit.LevelInfo, pg.Label()+": the subscription was ended")
		next = &subscribing{common: current.common, step: stepCheckSubscribed, terminated: true,
			url: set.FunctionURL(set.ODP.Subscribed)}
		return next, 0, nil
	}
	return nil, 0, &wit.Error{Kind: wit.ErrorInternal, Message: "a response without rows in phase " + pg.phase.name()}
}

// afterSubscribedTo returns the phase after the answer whether a subscription is open.
func (pg *Page) afterSubscribedTo(subscription *subscribing) (phase, error) {
	set := pg.set()
	isSubscribed, ok := document.FindFlag(pg.Body, "SubscribedFlag")
	switch {
	case !ok:
		return nil, odataerror.NotData(pg.Label()+": "+subscription.url, "SubscribedFlag", pg.Body)
	case !isSubscribed:
		// No subscription exists, so the service never received a request for the first extraction.
		return &subscribing{common: subscription.common, step: stepExtract, url: set.Paging.UnorderedURL(true)}, nil
	case subscription.step == stepAwaitExtraction:
		return set.findDeltaLink(subscription.common, reasonOpened, ""), nil
	case subscription.terminated:
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
	sdk.Log(wit.LevelWarn, pg.Label()+": ending another reader's subscription, because "+sourceconfig.DeltaTakeover+
		" is set")
	return &subscribing{common: subscription.common, step: stepTerminate, url: set.FunctionURL(set.ODP.Terminate)}, nil
}

// readLinks reads a page of delta links, and the link of the next page. ok is false for another response.
func readLinks(body []byte) (rows []deltaLinkRow, next string, ok bool) {
	value, err := document.Parse(body)
	items, ok := document.Items(value)
	if err != nil || !ok {
		return nil, "", false
	}
	for _, item := range items {
		if item.Get("DeltaToken").Text == "" {
			return nil, "", false
		}
		initial := item.Get("IsInitialLoad")
		rows = append(rows, deltaLinkRow{
			token:       item.Get("DeltaToken").Text,
			created:     comparableTime(item.Get("CreatedAt").Text),
			initialLoad: initial.Kind == jsontext.True || initial.Text == "X" || initial.Text == "true",
		})
	}
	return rows, value.Get("__next").Text, true
}

// comparableTime converts a time to a form that sorts as text: milliseconds with leading zeros, or ISO unchanged. It
// returns "" for an invalid time.
func comparableTime(text string) string {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "/Date(") {
		return text
	}
	var instant datetime.DateTime
	if !instant.Parse([]byte(text)) || instant.UTC() < 0 {
		return ""
	}
	return strconv.FormatInt(1e16+instant.UTC(), 10)[1:] // 16 digits
}

// afterDeltaLinks returns the phase after a page of delta links: the next page, or what the best link is for.
func (pg *Page) afterDeltaLinks(search *findingDeltaLink) (phase, time.Duration, error) {
	links, nextLink, ok := readLinks(pg.Body)
	if !ok {
		return nil, 0, odataerror.NotData(pg.Label()+": "+search.url,
			"rows with DeltaToken, CreatedAt and IsInitialLoad in JSON", pg.Body)
	}
	next := *search
	for _, row := range links {
		if next.token == "" || isPreferred(search.reason, row, next.deltaLinkRow) {
			next.deltaLinkRow = row
		}
	}
	if nextLink != "" {
		target, err := pg.Resolve(decode.Link{Href: nextLink})
		if err != nil {
			return nil, 0, err
		}
		if target == search.url || next.followed.Visit(target) {
			return nil, 0, pg.loopError(target)
		}
		next.url = target
		return &next, 0, nil
	}
	if next.token == "" && search.reason == reasonOpened {
		// The delta link is searched for again, unless the first extraction takes longer than the first byte may.
		set := pg.set()
		if search.startedAt > 0 && int(pg.Response.ReceivedAt)-search.startedAt > set.Tracking.FirstByteTimeout {
			return nil, 0, &wit.Error{Kind: wit.ErrorGone, Message: pg.Label() +
				": the first extraction was requested before and has not ended within " +
				initialReadTimeout(pg.Feed) + ": end the subscription at the service, by " + set.ODP.Terminate +
				", and reset the connector's offsets"}
		}
		sdk.Log(wit.LevelInfo, pg.Label()+": the first extraction was requested before and is still "+
			"running; checking again in "+defaultWait.String())
		return set.findDeltaLink(search.common, reasonOpened, ""), defaultWait, nil
	}
	nextPhase, err := pg.continueFromToken(&next)
	return nextPhase, 0, err
}

// continueFromToken returns the phase that continues from the delta link that was found, for the reason of the search.
func (pg *Page) continueFromToken(search *findingDeltaLink) (phase, error) {
	set := pg.set()
	receivedAt := int(pg.Response.ReceivedAt)
	expiredError := func(problem string) error {
		return &wit.Error{Kind: wit.ErrorGone, Message: pg.Label() + problem + set.Setting(sourceconfig.NameLost) +
			" = reload reads the whole set again"}
	}
	link := set.relink(search.link, search.token)
	lostToken := TokenOf(search.link)
	switch {
	case search.token == "":
		return nil, &wit.Error{Kind: wit.ErrorGone, Message: pg.Label() + ": the service returned no delta link, and " +
			set.ODP.Links + " has none either: " + set.Setting(sourceconfig.NameLost) +
			" = reload reads the whole set again when the link is lost"}
	case search.reason == reasonLost && isNewerToken(search.token, lostToken):
		return nil, expiredError(": the oldest delta link that the service keeps, " + search.token +
			", is younger than the lost one, " + lostToken + ": changes between them would be missing. ")
	case search.reason == reasonLost && lostToken == strings.Trim(search.token, "'"):
		return nil, expiredError(": the oldest delta link that the service keeps is the one that it refuses, " +
			search.token + ". ")
	case search.reason == reasonLost:
		sdk.Log(wit.LevelWarn, pg.Label()+": continuing from the delta token "+search.token+" of "+search.created+
			"; changes since then are delivered again")
		c := common{startedAt: receivedAt, rewriteSettings: set.rewriteSettings(), lostTokens: search.lostTokens,
			endMarkerPending: search.endMarkerPending, verdict: search.verdict}
		return &readingChanges{common: c, url: link}, nil
	case search.reason == reasonOpened:
		// The extraction has ended, but its response was lost. Do not start another job.
		sdk.Log(wit.LevelWarn, pg.Label()+": the first extraction was requested before and has ended; the set is read "+
			"without requesting another one, changes follow from the token "+search.token)
		c := common{startedAt: search.startedAt, rewriteSettings: set.rewriteSettings(), snapshot: search.snapshot,
			lostTokens: search.lostTokens}
		return &readingSnapshot{common: c, link: link, position: set.Paging.First(int64(receivedAt)).Fields()}, nil
	}
	return set.idleAt(search.common, link, int64(receivedAt)), nil
}

// isPreferred reports whether a is a better link than b: the oldest after a lost token, else the newest, and the link
// of the first load before others.
func isPreferred(reason string, a, b deltaLinkRow) bool {
	if reason == reasonLost {
		return a.created < b.created || (a.created == b.created && a.token < b.token)
	}
	if reason != reasonChanged && a.initialLoad != b.initialLoad {
		return a.initialLoad
	}
	return a.created > b.created || (a.created == b.created && a.token > b.token)
}

// isNewerToken reports whether ODP token a is newer than b. It is false unless both are D followed by a time.
func isNewerToken(a, b string) bool {
	a = strings.Trim(a, "'")
	b = strings.Trim(b, "'")
	isODPToken := func(s string) bool { // D and 14 digits of a time
		return len(s) >= 15 && s[0] == 'D' && !slices.ContainsFunc([]byte(s[1:15]),
			func(c byte) bool { return c < '0' || c > '9' })
	}
	return isODPToken(a) && isODPToken(b) && a > b
}
