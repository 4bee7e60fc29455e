package delta

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Set is an entity set in delta mode.
type Set struct{ *feedreader.Feed }

// firstPhase returns the first phase of a load.
func (s Set) firstPhase(shared common) phase {
	if s.ODP != nil {
		return &subscribing{common: shared, step: stepCheckSubscribed, url: s.FunctionURL(s.ODP.Subscribed)}
	}
	return &loading{common: shared, url: s.Paging.UnorderedURL(true)}
}

// findDeltaLink returns the phase that searches the delta links of an ODP service. link is the lost or previous one.
func (s Set) findDeltaLink(c common, reason, link string) *findingDeltaLink {
	return &findingDeltaLink{common: c, reason: reason, url: s.FunctionURL(s.ODP.Links), link: link}
}

func (s Set) idleAt(c common, link string, now int64) phase {
	return &idle{common: common{rewriteSettings: s.rewriteSettings(), endMarkerPending: c.endMarkerPending,
		lostTokens: c.lostTokens, verdict: c.verdict}, link: link, readAt: int(now)}
}

// rewriteSettings identifies the settings that rewrite links. "" means that links are not rewritten.
func (s Set) rewriteSettings() string {
	if s.Tracking.Regex == "" {
		return ""
	}
	return strconv.Quote(s.Tracking.Regex) + " " + strconv.Quote(s.Tracking.Replacement)
}

// FunctionURL returns the URL of a function or set, in JSON.
func (s Set) FunctionURL(name string) string {
	return s.Query.AppendTo(s.Service + "/" + name + "?" + s.Dialect.FormatOption)
}

func (s Set) tokenURL(token string) string {
	return s.Query.AppendTo(s.Service + "/" + s.Address + "?" + s.Dialect.DeltaToken + "='" +
		strings.ReplaceAll(strings.Trim(token, "'"), "'", "''") + "'")
}

// relink returns a delta link with another token.
func (s Set) relink(link, token string) string {
	i := strings.Index(link, "deltatoken=")
	if i < 0 {
		return s.tokenURL(token)
	}
	i += len("deltatoken=")
	oldToken, options, hasOptions := strings.Cut(link[i:], "&")
	if hasOptions {
		options = "&" + options
	}
	switch token = strings.Trim(token, "'"); { // in the quotes of the old token
	case strings.HasPrefix(oldToken, "'"):
		token = "'" + token + "'"
	case strings.HasPrefix(oldToken, "%27"):
		token = "%27" + token + "%27"
	}
	return link[:i] + token + options
}

// TokenOf returns the token of a delta link, or "".
func TokenOf(link string) string {
	_, query, _ := strings.Cut(link, "?")
	for option := range strings.SplitSeq(query, "&") {
		if name, token, _ := strings.Cut(option, "="); strings.HasSuffix(name, "deltatoken") {
			return strings.Trim(token, "'")
		}
	}
	return ""
}

// isDeltaLink reports whether a next link requests changes, not a further page.
func (s Set) isDeltaLink(link string) bool {
	_, query, _ := strings.Cut(link, "?")
	_, hasSkipToken := uri.Option(query, "$skiptoken")
	_, hasSkip := uri.Option(query, "$skip")
	_, hasDeltaToken := uri.Option(query, s.Dialect.DeltaToken)
	return s.Dialect.DeltaInNext && hasDeltaToken && !hasSkipToken && !hasSkip
}

func initialReadTimeout(feed *feedreader.Feed) string {
	return sourceconfig.InitialRead + ", " + strconv.Itoa(feed.Tracking.FirstByteTimeout) + " ms"
}
