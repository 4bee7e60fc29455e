package secret

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const maxRedirects = 10

// Redirect is an http.Client.CheckRedirect: to other origins requests have no credentials, and those with a body are
// not sent. Package http's rule lets credentials follow to other ports, to http and to subdomains.
func Redirect(next *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	redirected := !sameOrigin(via[0].URL, next.URL)
	for _, r := range via {
		redirected = redirected || !sameOrigin(via[0].URL, r.URL) // a server in between has chosen path and query
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

// RedirectError is the error of a request with a body that was redirected to another origin.
type RedirectError struct{ Origin string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("was redirected to %s, to which its body is not sent, since it may contain secrets: "+
		"configure that address "+
		"if it is correct", e.Origin)
}

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
