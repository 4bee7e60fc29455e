package load

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// repeated are the options by which rows are chosen and shaped, which services repeat in their links.
var repeated = []string{"$filter", "$select", "$expand", "$orderby"}

// RestoreOptions is a link of the service with its options as they were asked. Services repeat them in another form,
// some so that they mean something else: a + for %2B is a blank to most. One with another value is a fault, since it
// leads to other rows. What a link leaves out, or adds, is the service's own.
func (s *Set) RestoreOptions(link, asked string) (string, error) {
	path, query, has := strings.Cut(link, "?")
	if !has {
		return link, nil
	}
	_, sent, _ := strings.Cut(asked, "?")
	options := strings.Split(query, "&")
	for i, option := range options {
		name, value, _ := strings.Cut(option, "=")
		if name = uri.Unescape(name); !slices.Contains(repeated, name) {
			continue
		}
		for ours := range strings.SplitSeq(sent, "&") {
			n, text, _ := strings.Cut(ours, "=")
			switch {
			case uri.Unescape(n) != name, ours == option:
			case sameForm(name, value, text):
				options[i] = ours
			default:
				return link, &wit.Fault{Kind: wit.FaultData, Message: s.What() + ": the service's link " + link +
					" has " + option + ", expected " + ours + " as it was asked: it leads to other rows"}
			}
		}
	}
	return path + "?" + strings.Join(options, "&"), nil
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
