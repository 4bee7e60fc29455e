package load

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// repeated are the options by which rows are chosen and shaped, which services repeat in their links.
var repeated = []string{"$filter", "$select", "$expand", "$orderby"}

// RestoreOptions returns a service's link with its options as they were asked, first or by requests that it came of.
// Services repeat them in another form, some so that they mean something else: a + for %2B is a blank to most. One with
// another value than were asked first is a fault, since it leads to other rows, and stays as it is. What a link leaves
// out, or adds to the options that were asked first, is the service's own.
func (s *Set) RestoreOptions(link, first string, requests ...string) (_ string, err error) {
	path, query, has := strings.Cut(link, "?")
	if !has {
		return link, nil
	}
	options := strings.Split(query, "&")
	for i, option := range options {
		name, value, _ := strings.Cut(option, "=")
		if name = uri.Unescape(name); !slices.Contains(repeated, name) {
			continue
		}
		ours := optionOf(first, name)
		texts := []string{ours}
		for _, request := range requests {
			texts = append(texts, optionOf(request, name))
		}
		at := slices.IndexFunc(texts, func(text string) bool {
			_, sent, has := strings.Cut(text, "=")
			return has && (text == option || sameForm(name, value, sent))
		})
		if at >= 0 {
			options[i] = texts[at]
		} else if ours != "" && err == nil {
			err = &wit.Error{Kind: wit.ErrorData, Message: s.What() + ": the service's link " + link + " has " +
				option + ", expected " + ours + " as it was asked: it leads to other rows"}
		}
	}
	return path + "?" + strings.Join(options, "&"), err
}

// Restored returns a stored position whose link has its options as they are asked: versions before stored links as
// services wrote them. An option with another value stays: the settings before asked for it.
func (s *Set) Restored(at *Position) *Position {
	if _, linked := at.walk.(byLinks); !linked {
		return at
	}
	url, _ := s.RestoreOptions(at.url, s.page(at, "", 0))
	return at.At(url)
}

// optionOf returns an option of an address together with its name, "" if the address lacks it.
func optionOf(address, name string) string {
	_, query, _ := strings.Cut(address, "?")
	for option := range strings.SplitSeq(query, "&") {
		if n, _, has := strings.Cut(option, "="); has && uri.Unescape(n) == name {
			return option
		}
	}
	return ""
}

// sameForm reports whether an option of a link has the value that was sent, in any form: decoded, encoded once more, or
// with plus signs for blanks. In lists blanks and the word asc say nothing, nor does the order but for $orderby.
func sameForm(name, value, sent string) bool {
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
