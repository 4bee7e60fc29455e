package transport

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/transport/session"
)

// secrets are the values of a request as it was sent that no guest may see, the longest first.
func (d *destination) secrets(sent http.Header) []string { return d.secretsOf(sent, shortestCookie) }

// shortestCookie is how long a cookie's value is that says something about the session, shortestSession how long the id
// of a session is, as it may stand in addresses, where keys of entities stand too.
const shortestCookie, shortestSession = 8, 16

func (d *destination) secretsOf(sent http.Header, least int) []string {
	found := map[string]bool{}
	add := func(s string) {
		if s != "" {
			found[toUTF8(s)], found[url.QueryEscape(s)], found[url.PathEscape(s)] = true, true, true
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
	for _, name := range []string{"Authorization", "X-Csrf-Token", d.auth.header} {
		for _, value := range sent[name] {
			add(value)
			_, credentials, _ := strings.Cut(value, " ")
			add(credentials)
		}
	}
	for _, cookies := range sent["Cookie"] {
		for cookie := range strings.SplitSeq(cookies, "; ") {
			if name, value, _ := strings.Cut(cookie, "="); len(value) >= least && name != session.UserContext {
				add(value)
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(len(b)-len(a),
			strings.Compare(a, b))
	})
}

// withSecrets adds the secrets of the settings to the query of a request as it is sent.
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

// withoutSecrets takes from a line the parameters that settings give a secret value: a link of a service may repeat
// them, and what stands there is shown. What is left stays byte for byte as it was.
func (d *destination) withoutSecrets(line string) string {
	path, query, asks := strings.Cut(line, "?")
	if !asks || len(d.config.SecretQuery) == 0 {
		return line
	}
	var left []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if _, secret := d.config.SecretQuery[unescapedOnce(name)]; !secret {
			left = append(left, pair)
		}
	}
	if len(left) == 0 {
		return path
	}
	return path + "?" + strings.Join(left, "&")
}

func unescapedOnce(name string) string {
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// secretPairs are the parameters with a secret value as they may stand in a link.
func (d *destination) secretPairs() (pairs []string) {
	for name, value := range d.config.SecretQuery {
		for _, n := range []string{name, url.QueryEscape(name)} {
			for _, v := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
				pairs = append(pairs, n+"="+v)
			}
		}
	}
	slices.Sort(pairs)
	return slices.Compact(pairs)
}

// longSecret is how long a secret is that is hidden in the text of a refusal.
const longSecret = 8

// hiddenTexts are the texts that a guest is not to see in the body of an answer: parameters with a secret value, which links
// repeat; and in refusals, which like to say what was asked, the secrets themselves. Of other bodies they may be data.
func (d *destination) hiddenTexts(status int, secrets []string) []string {
	texts := d.secretPairs()
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

// resolve is [origin.resolve] for a request of a guest; a path that is not below the destination's own is put there.
// The destination's query is not in it, since that may hold a key: it is added when the request is built, and shows in
// no message, log or answer.
func (d *destination) resolve(target string) (string, error) {
	line, err := d.origin.resolve(target, "")
	line = d.withoutSecrets(line)
	if path, _, _ := strings.Cut(line, "?"); err == nil && d.config.Prefix != "" && !session.Below(path, d.config.Prefix) {
		line = d.config.Prefix + line
	}
	return line, err
}

// urlOf is the URL of a line, with the secrets of the settings and with the destination's query.
func (d *destination) urlOf(line string) *url.URL {
	return d.origin.urlOf(addQuery(d.withSecrets(line), d.config.Query), d.config.Route.Whole)
}
