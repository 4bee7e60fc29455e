package paging

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

var repeatedOptions = []string{"$filter", "$select", "$expand", "$orderby"}

// RestoreOptions returns a service's link with the options as in the first URL or in later requests: services repeat
// options in forms that mean something else, such as + for %2B. A different value is an error because it selects other
// rows. If the link omits an option without $, such as search, it is appended as requested: only options with $ may be
// in the token. Options that the link adds are not changed.
func (s *Set) RestoreOptions(link, first string, requests ...string) (_ string, err error) {
	link = s.appendOmitted(link)
	path, query, hasQuery := strings.Cut(link, "?")
	if !hasQuery {
		return link, nil
	}
	options := strings.Split(query, "&")
	for i, option := range options {
		name, value, _ := strings.Cut(option, "=")
		if name = uri.Unescape(name); !slices.Contains(repeatedOptions, name) {
			continue
		}
		requested := optionOf(first, name)
		texts := []string{requested}
		for _, request := range requests {
			texts = append(texts, optionOf(request, name))
		}
		index := slices.IndexFunc(texts, func(text string) bool {
			_, sentValue, hasQuery := strings.Cut(text, "=")
			return hasQuery && (text == option || sameValue(name, value, sentValue))
		})
		if index >= 0 {
			options[i] = texts[index]
		} else if requested != "" && err == nil {
			err = &wit.Error{Kind: wit.ErrorData, Message: s.Label() + ": the service's link " + link + " has " +
				option + ", expected " + requested + " as requested: it selects other rows"}
		}
	}
	return path + "?" + strings.Join(options, "&"), err
}

// appendOmitted appends the set's options without $ that a link to the set omits. Other URLs, such as the URL of a
// prepared response or of a function, are no requests of the set. Names are case-sensitive, as OData's custom options
// are. [uri.Query.AppendTo] adds the SAP client when the link is requested.
func (s *Set) appendOmitted(link string) string {
	path, query, _ := strings.Cut(link, "?")
	if uri.Unescape(path) != uri.Unescape(s.Service+"/"+s.Address) {
		return link
	}
	var names []string
	for option := range strings.SplitSeq(query, "&") {
		names = append(names, optionName(option))
	}
	for _, option := range s.Options {
		name := optionName(option)
		if name == "" || name[0] == '$' || name[0] == '!' || slices.Contains(names, name) { // !deltatoken is SAP's
			continue
		}
		if query != "" {
			query += "&"
		}
		query += option
		link = path + "?" + query
	}
	return link
}

func optionName(option string) string {
	name, _, _ := strings.Cut(option, "=")
	return uri.Unescape(name)
}

// RestoreLink restores the options of a stored link: settings may have changed since.
func (s *Set) RestoreLink(position *Position) *Position {
	if position.pager.kind != byLink {
		return position
	}
	restored, _ := s.RestoreOptions(position.url, s.pageURL(position, "", 0))
	return position.WithURL(restored)
}

func optionOf(address, name string) string {
	_, query, _ := strings.Cut(address, "?")
	for option := range strings.SplitSeq(query, "&") {
		if candidate, _, has := strings.Cut(option, "="); has && uri.Unescape(candidate) == name {
			return option
		}
	}
	return ""
}

// sameValue reports whether a link's option has the value that was sent. It ignores the encoding, spaces in lists, the
// word asc, and the order except in $orderby.
func sameValue(name, value, sent string) bool {
	normalize := func(text string) string {
		text = strings.ReplaceAll(text, "+", " ")
		if name == "$filter" {
			return text
		}
		parts := strings.Split(text, ",")
		for i, part := range parts {
			parts[i] = strings.TrimSuffix(strings.Join(strings.Fields(part), " "), " asc")
		}
		if name != "$orderby" {
			slices.Sort(parts)
		}
		return strings.Join(parts, ",")
	}
	sent = normalize(uri.Unescape(sent))
	for range 3 { // services escape links once more than needed
		if normalize(value) == sent {
			return true
		}
		value = uri.Unescape(value)
	}
	return false
}
