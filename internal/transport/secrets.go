package transport

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/session"
)

// secrets returns the secrets of the configuration and of a request's header, in all encodings, longest first.
func (d *destination) secrets(sent http.Header) []string { return d.secretsOf(sent, shortestCookie) }

// Cookie values below these lengths are not hidden: in texts, and in addresses, where a short value may equal the key
// of an entity.
const shortestCookie, shortestCookieInAddress = 8, 16

// secretsOf is secrets with another minimum length of cookie values.
func (d *destination) secretsOf(sent http.Header, minCookie int) []string {
	secrets := map[string]bool{}
	add := func(s string) {
		if s != "" {
			secrets[toUTF8(s)] = true
			secrets[url.QueryEscape(s)] = true
			secrets[url.PathEscape(s)] = true
		}
	}
	add(d.config.Password)
	for name, value := range d.config.Headers {
		if !slices.Contains(publicHeaders, name) {
			add(value)
		}
	}
	for _, value := range d.config.SecretQuery {
		add(value)
	}
	for _, name := range []string{"Authorization", "X-Csrf-Token"} {
		for _, value := range sent[name] {
			add(value)
			_, credentials, _ := strings.Cut(value, " ")
			add(credentials)
		}
	}
	for _, cookies := range sent["Cookie"] {
		for cookie := range strings.SplitSeq(cookies, "; ") {
			name, value, _ := strings.Cut(cookie, "=")
			if len(value) >= minCookie && name != session.UserContext { // it has only client and language
				add(value)
			}
		}
	}
	return slices.SortedFunc(maps.Keys(secrets), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
}

func (d *destination) withSecrets(line string) string {
	if len(d.config.SecretQuery) == 0 {
		return line
	}
	secrets := url.Values{}
	for name, value := range d.config.SecretQuery {
		secrets.Set(name, value)
	}
	return addQuery(line, secrets)
}

// withoutSecrets removes secret parameters from a link of the service, which may repeat them.
func (d *destination) withoutSecrets(line string) string {
	path, query, hasQuery := strings.Cut(line, "?")
	if !hasQuery || len(d.config.SecretQuery) == 0 {
		return line
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if _, ok := d.config.SecretQuery[name]; !ok {
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}

const longSecret = 8 // minimum length of secrets that are hidden in bodies

// hiddenTexts returns what is redacted in a body: secret parameters, and all secrets in error responses.
func (d *destination) hiddenTexts(status int, secrets []string) []string {
	// Secret parameters are hidden as NAME=VALUE, in all encodings.
	var texts []string
	for name, value := range d.config.SecretQuery {
		for _, n := range []string{name, url.QueryEscape(name)} {
			for _, v := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
				texts = append(texts, n+"="+v)
			}
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if status < 400 {
		return texts
	}
	for _, s := range secrets {
		if len(s) >= longSecret {
			texts = append(texts, s)
		}
	}
	return texts
}

// resolve returns the path and query of a target below the configured prefix, without secret parameters.
func (d *destination) resolve(target string) (string, error) {
	line, err := d.origin.resolve(target, "")
	if err != nil {
		return "", err
	}
	line = d.withoutSecrets(line)
	if path, _, _ := strings.Cut(line, "?"); d.config.Prefix != "" && !session.Below(path, d.config.Prefix) {
		line = d.config.Prefix + line
	}
	return line, nil
}

func (d *destination) urlOf(line string) *url.URL {
	return d.origin.urlOf(addQuery(d.withSecrets(line), d.config.Query), d.config.Route.AbsoluteForm)
}
