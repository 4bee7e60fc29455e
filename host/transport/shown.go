package transport

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// printable is a line of a request for a log: of its query the names, and the values of those alone that are the protocol's
// ($filter and the like) or say which client and language; others may be keys of gateways, or tokens.
func printable(line string) string {
	path, query, asks := strings.Cut(line, "?")
	if at := strings.LastIndexByte(path, '@'); at >= 0 && strings.Contains(path[:at], "//") {
		path = redactUser(path)
	}
	if !asks {
		return path
	}
	options := strings.Split(query, "&")
	for i, option := range options {
		name, value, _ := strings.Cut(option, "=")
		if plain, err := url.QueryUnescape(name); err == nil && value != "" && !isPublicOption(plain) {
			options[i] = name + "=" + hidden
		} else if err != nil {
			options[i] = hidden
		}
	}
	return path + "?" + strings.Join(options, "&")
}

// PrintableTarget is a request's target, as a guest has it, for a message: without user and password, and of a URL without
// the values of its query. Links to other origins are often good for whoever has them.
func PrintableTarget(target string) string {
	if strings.HasPrefix(target, "//") || strings.Contains(target, "://") && !strings.HasPrefix(target, "/") {
		return redactUser(printable(target))
	}
	return target
}

// LoggedTarget is a request's target for whoever may look at a worker, as the log has it: of its query the names, and
// the values of the protocol's own options alone.
func LoggedTarget(target string) string { return redactUser(printable(target)) }

// redactUser hides user:password in front of the @ of a URL, or of what was meant as one.
func redactUser(text string) string {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	start := 0
	if slashes := strings.Index(text[:at], "//"); slashes >= 0 {
		start = slashes + 2
	}
	return text[:start] + hidden + text[at:]
}

// isPublicOption says whether a query option's value may be shown.
func isPublicOption(name string) bool {
	switch name = strings.ToLower(name); name {
	case sapClient, "sap-language", "search", "skip", "top":
		return true
	}
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "!")
}

// shortestSecret is how long a secret is that is looked for inside of a text: shorter ones stand in many by chance, and count
// as a whole alone.
const shortestSecret = 4

// hidden stands for what a guest, or a log, must not show: guests know it by that.
const hidden = setting.Hidden

func redact(value string, secrets []string) string {
	for _, s := range secrets {
		switch {
		case len(s) >= shortestSecret:
			value = strings.ReplaceAll(value, s, hidden)
		case value == s:
			value = hidden
		}
	}
	return value
}

func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
