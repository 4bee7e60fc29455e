package transport

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// exchanged tells at debug what one exchange was: its method, its target without what may be a secret, the status (0: no answer), the
// bytes of the body as they were read, and the time until the body's end.
func (d *destination) exchanged(e *exchange, status int, bytes int64, began time.Time, err error) {
	log := d.config.Logger
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attributes := []any{"method", e.method, "path", d.shown(e.line), "status", status, "bytes", bytes, "ms", time.Since(began).Milliseconds()}
	if err != nil {
		attributes = append(attributes, "error", d.without(err.Error()))
	}
	log.Debug("request", attributes...)
}

// shown is a line of a request for a log: of its query the names, and the values of those alone that are the protocol's ($filter and
// the like) or say which client and language; others may be keys of gateways, or tokens.
func (d *destination) shown(line string) string {
	path, query, asks := strings.Cut(line, "?")
	if at := strings.LastIndexByte(path, '@'); at >= 0 && strings.Contains(path[:at], "//") { // user:password@host in a path
		path = path[:strings.Index(path, "//")+2] + hidden + path[at:]
	}
	if !asks {
		return d.without(path)
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
	return d.without(path + "?" + strings.Join(options, "&"))
}

// openOption tells whether a query option's value may be shown.
func openOption(name string) bool {
	switch name = strings.ToLower(name); name {
	case sapClient, "sap-language", "search", "skip", "top":
		return true
	}
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "!")
}

// without takes the connector's own secrets out of a text, wherever they stand.
func (d *destination) without(text string) string {
	secrets := []string{d.config.Password, d.config.Identity.Secret}
	for name, value := range d.config.Headers {
		if name = strings.ToLower(name); name != sapClient && name != "sap-language" {
			secrets = append(secrets, value)
		}
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if len(form) > 3 { // of what is shorter, texts are full
				text = strings.ReplaceAll(text, form, hidden)
			}
		}
	}
	return text
}
