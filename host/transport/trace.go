package transport

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// exchanged tells at debug what one exchange was: its method, its target without what may be a secret, the status (0:
// no answer), the bytes of the body as they were read, and the time until the body's end. sent are the request's
// headers, whose secrets are nobody's.
func (d *destination) exchanged(e *exchange, sent http.Header, status int, bytes int64, began time.Time, err error) {
	log := d.config.Logger
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	secrets := d.secrets(sent)
	attributes := []any{"method", e.method, "path", e.elsewhere + without(shown(e.line), secrets), "status", status,
		"bytes", bytes, "ms", time.Since(began).Milliseconds()}
	if err != nil {
		attributes = append(attributes, "error", without(err.Error(), secrets))
	}
	log.Debug("request", attributes...)
}

// named is a request in a log: its method, and its target without what may be a secret.
func (d *destination) named(e *exchange) string {
	return e.method + " " + e.elsewhere + without(shown(e.line), d.secrets(nil))
}

// shown is a line of a request for a log: of its query the names, and the values of those alone that are the protocol's
// ($filter and the like) or say which client and language; others may be keys of gateways, or tokens.
func shown(line string) string {
	path, query, asks := strings.Cut(line, "?")
	if at := strings.LastIndexByte(path, '@'); at >= 0 && strings.Contains(path[:at], "//") {
		path = hideUser(path)
	}
	if !asks {
		return path
	}
	options := strings.Split(query, "&")
	for i, option := range options {
		name, value, _ := strings.Cut(option, "=")
		if plain, err := url.QueryUnescape(name); err == nil && value != "" && !openOption(plain) {
			options[i] = name + "=" + hidden
		} else if err != nil {
			options[i] = hidden
		}
	}
	return path + "?" + strings.Join(options, "&")
}

// ShownTarget is a request's target, as a guest has it, for a message: without user and password, and of a URL without
// the values of its query. Links to other origins are often good for whoever has them.
func ShownTarget(target string) string {
	if strings.HasPrefix(target, "//") || strings.Contains(target, "://") && !strings.HasPrefix(target, "/") {
		return hideUser(shown(target))
	}
	return target
}

// LoggedTarget is a request's target for whoever may look at a worker, as the log has it: of its query the names, and
// the values of the protocol's own options alone.
func LoggedTarget(target string) string { return hideUser(shown(target)) }

// hideUser hides user:password in front of the @ of a URL, or of what was meant as one.
func hideUser(text string) string {
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

// openOption says whether a query option's value may be shown.
func openOption(name string) bool {
	switch name = strings.ToLower(name); name {
	case sapClient, "sap-language", "search", "skip", "top":
		return true
	}
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "!")
}
