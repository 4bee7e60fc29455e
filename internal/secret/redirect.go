package secret

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const maxRedirects = 10

// Redirect is a function for [http.Client.CheckRedirect]. After a redirect to another origin, also back to the first
// one, it removes credentials from the request, or returns a [RedirectError] if the request has a body. Package http
// sends credentials to other ports, to http and to subdomains.
func Redirect(next *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	leftOrigin := !sameOrigin(via[0].URL, next.URL)
	for _, r := range via {
		// Back at its origin, a request has a path and a query that another server has chosen.
		leftOrigin = leftOrigin || !sameOrigin(via[0].URL, r.URL)
	}
	if !leftOrigin {
		return nil
	}
	if next.ContentLength != 0 {
		return &RedirectError{Origin: next.URL.Scheme + "://" + next.URL.Host}
	}
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization"} {
		next.Header.Del(name)
	}
	return nil
}

// RedirectError is the error of a request with a body that was redirected to another origin.
type RedirectError struct{ Origin string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("was redirected to %s, to which its body is not sent, since it may contain secrets: "+
		"configure that address if it is correct", e.Origin)
}

// sameOrigin compares scheme, host and port; a missing port is the scheme's default.
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
