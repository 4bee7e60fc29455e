package secret

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many redirects are followed for one request.
const maxRedirects = 10

// Redirect is a CheckRedirect by which nothing secret goes to another origin than the one that it was meant for: there
// requests go without credentials, and what has a body, which may hold some, does not go at all. It replaces the rule
// of package http, by which credentials follow to other ports, to http in the place of https, and to hosts below.
func Redirect(next *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	redirected := !sameOrigin(via[0].URL, next.URL)
	for _, r := range via {
		redirected = redirected || !sameOrigin(via[0].URL, r.URL) // what stood between has chosen path and query
	}
	if !redirected {
		return nil
	}
	if next.ContentLength != 0 {
		return &RedirectError{next.URL.Scheme + "://" + next.URL.Host}
	}
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization"} {
		next.Header.Del(name)
	}
	return nil
}

// RedirectError is the error of a request that was redirected to another origin, and is not sent there.
type RedirectError struct{ Origin string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("was redirected to %s, where its body, which may hold secrets, is not sent: name that address "+
		"if it is the right one", e.Origin)
}

// sameOrigin tells whether two addresses have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return u.Port()
		case strings.EqualFold(u.Scheme, "https"):
			return "443"
		}
		return "80"
	}
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}
