package transport

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// printable redacts a request line for logs: it keeps names, and values of protocol options such as $filter.
func printable(line string) string {
	path, query, hasQuery := strings.Cut(line, "?")
	if end := strings.LastIndexByte(path, '@'); end >= 0 && strings.Contains(path[:end], "//") {
		path = redactUser(path)
	}
	if !hasQuery {
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

// PrintableTarget returns a target for messages: without user, password, and query values of absolute URLs.
func PrintableTarget(target string) string {
	if strings.HasPrefix(target, "//") || (strings.Contains(target, "://") && !strings.HasPrefix(target, "/")) {
		return redactUser(printable(target))
	}
	return target
}

// LoggedTarget redacts user, password and query values of any target for logs.
func LoggedTarget(target string) string { return redactUser(printable(target)) }

// redactUser hides everything between // (or the start) and the last @.
func redactUser(text string) string {
	end := strings.LastIndexByte(text, '@')
	if end < 0 {
		return text
	}
	start := 0
	if slashes := strings.Index(text[:end], "//"); slashes >= 0 {
		start = slashes + 2
	}
	return text[:start] + hidden + text[end:]
}

func isPublicOption(name string) bool {
	switch name = strings.ToLower(name); name {
	case sapClient, "sap-language", "search", "skip", "top":
		return true
	}
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "!")
}

// shortestSecret is the minimum length of a secret that is searched for in texts: shorter ones match by chance.
const shortestSecret = 4

const hidden = setting.Hidden

// redact hides secrets in a value. Those below shortestSecret are hidden only if they are the whole value.
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

// toUTF8 returns valid UTF-8 unchanged, and reads other text as ISO-8859-1.
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
