package delta

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// TrackChanges is the preference by which changes are tracked.
const TrackChanges = "odata.track-changes"

// Set is an entity set whose changes are read.
type Set struct{ *feed.Feed }

// first is where delta mode begins.
func (f Set) first(c course) phase {
	if f.ODP != nil {
		return &asking{course: c, step: stepAsk, url: f.FunctionURL(f.ODP.Subscribed)}
	}
	return &loading{course: c, url: f.Pages.Plain(false)}
}

// list goes on with the question for the delta links that the service keeps.
func (f Set) list(c course, why, link string) *listing {
	return &listing{course: c, why: why, url: f.FunctionURL(f.ODP.Links), link: link}
}

// rest is the phase in which all is read.
func (f Set) rest(c course, link string, now int64) phase {
	return &resting{course: course{rewritten: f.rewriting(), unmarked: c.unmarked, pass: c.pass}, link: link,
		at: int(now)}
}

// rewriting marks the settings by which links are rewritten, "" for none.
func (f Set) rewriting() string {
	if f.Tracking.Regex == "" {
		return ""
	}
	return strconv.Quote(f.Tracking.Regex) + " " + strconv.Quote(f.Tracking.Replacement)
}

// FunctionURL asks for a function, or for a set in JSON.
func (f Set) FunctionURL(name string) string {
	return f.Query.AppendTo(f.Service + "/" + name + "?$format=json")
}

// tokenURL is a delta link made of a token.
func (f Set) tokenURL(token string) string {
	return f.Query.AppendTo(f.Service + "/" + f.Address + "?!deltatoken='" +
		strings.ReplaceAll(strings.Trim(token, "'"), "'",
			"''") + "'")
}

// relink is a delta link with another token, in the form of the one before, if there is one.
func (f Set) relink(link, token string) string {
	i := strings.Index(link, "deltatoken=")
	if i < 0 {
		return f.tokenURL(token)
	}
	i += len("deltatoken=")
	old, rest, more := strings.Cut(link[i:], "&")
	if more {
		rest = "&" + rest
	}
	switch token = strings.Trim(token, "'"); {
	case strings.HasPrefix(old, "'"):
		token = "'" + token + "'"
	case strings.HasPrefix(old, "%27"):
		token = "%27" + token + "%27"
	}
	return link[:i] + token + rest
}

// TokenOf is the token in a delta link.
func TokenOf(link string) string {
	_, query, _ := strings.Cut(link, "?")
	for option := range strings.SplitSeq(query, "&") {
		if name, token, _ := strings.Cut(option, "="); strings.HasSuffix(name, "deltatoken") {
			return strings.Trim(token, "'")
		}
	}
	return ""
}

// leadsToChanges reports whether a link asks for changes since a token, and not for a page of an answer.
func leadsToChanges(link string) bool {
	_, query, _ := strings.Cut(link, "?")
	_, skips := uri.Option(query, "$skiptoken")
	_, counts := uri.Option(query, "$skip")
	_, since := uri.Option(query, "!deltatoken")
	return since && !skips && !counts
}

// initialRead is the time that the service may take, as messages have it.
func initialRead(f *feed.Feed) string {
	return entry.InitialRead + ", " + strconv.Itoa(f.Tracking.Patience) + " ms"
}
