package paging

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

var repeatedOptions = []string{"$filter", "$select", "$expand", "$orderby"}

// RestoreOptions returns a service's link with the options of the first request, or of later ones. Services repeat
// options in another form, some of which mean something else: a + for %2B is a space to most. An option with a
// different value is an error, because it selects other rows; the link is then returned as it is. Options that the link
// omits or adds are left to the service.
func (s *Set) RestoreOptions(link, first string, requests ...string) (_ string, err error) {
	path, query, has := strings.Cut(link, "?")
	if !has {
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
		at := slices.IndexFunc(texts, func(text string) bool {
			_, sent, has := strings.Cut(text, "=")
			return has && (text == option || sameValue(name, value, sent))
		})
		if at >= 0 {
			options[i] = texts[at]
		} else if requested != "" && err == nil {
			err = &wit.Error{Kind: wit.ErrorData, Message: s.Label() + ": the service's link " + link + " has " +
				option + ", expected " + requested + " as requested: it selects other rows"}
		}
	}
	return path + "?" + strings.Join(options, "&"), err
}

// RestoreLink restores the options of a link that an earlier version stored as the service wrote it.
func (s *Set) RestoreLink(at *Position) *Position {
	if _, linked := at.pager.(nextLinkPager); !linked {
		return at
	}
	url, _ := s.RestoreOptions(at.url, s.pageURL(at, "", 0))
	return at.WithURL(url)
}

func optionOf(address, name string) string {
	_, query, _ := strings.Cut(address, "?")
	for option := range strings.SplitSeq(query, "&") {
		if n, _, has := strings.Cut(option, "="); has && uri.Unescape(n) == name {
			return option
		}
	}
	return ""
}

// sameValue reports whether an option of a link has the value that was sent, in any encoding. In lists, spaces and the
// word asc are ignored, and so is the order except in $orderby.
func sameValue(name, value, sent string) bool {
	plain := func(text string) string {
		if text = strings.ReplaceAll(text, "+", " "); name == "$filter" {
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
	sent = plain(uri.Unescape(sent))
	for range 3 {
		if plain(value) == sent {
			return true
		}
		value = uri.Unescape(value)
	}
	return false
}
