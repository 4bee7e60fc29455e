package rest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/base/loopback"
)

// A page on the web may have its own name resolved to this machine (DNS rebinding); a browser then takes REST for a
// part of that page and lets it read everything. The request's Host still is the page's, so what comes to a loopback
// listener has to name this machine. Where REST listens for others nobody but the user knows its names: there Host is
// checked when they are given. Where they are not, and nobody has to log on, a name that a page may have is answered
// without passwords, and may change nothing.

// checkHost refuses requests whose Host is none of ours. `/health` is for load balancers and kubelets, which ask by any
// address, and says nothing. `/metrics` is for Prometheus, which asks pods by their address: that is no name which a
// page could have had resolved to us.
func checkHost(next http.Handler, o *Options, guard *hostGuard) http.Handler {
	names := make([]string, len(o.AllowedHosts))
	for i, name := range o.AllowedHosts {
		names[i] = normalizeHost(name)
	}
	// Any page may have a browser send what needs no leave, such as POST without a body, with a right Host: it may not
	// read the answer, but it would have been done. Browsers say so in Sec-Fetch-Site or Origin.
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acceptedOn, _ := r.Context().Value(listenerKey{}).(net.Listener)
		if isHealthCheck(r) || !isLoopback(acceptedOn) && (len(names) == 0 || isScrape(r)) ||
			isOwnHost(r.Host, names) ||
			o.advertises(r.Host) {
			// What a page's form asks for may be any method of REST's, so that none is let in by its own.
			if err := origins.Check(r); err != nil && (isPage(r) || !fromOneOf(o.Origins, r) ||
				!slices.Contains(o.Methods, r.Method)) {
				writeError(w, http.StatusForbidden,
					"The request comes from a page of another origin: pages in a browser may not change this worker")
				return
			}
			if !isLoopback(acceptedOn) && len(names) == 0 {
				r = guard.restrict(r)
			}
			next.ServeHTTP(w, r)
			return
		}
		writeError(w, http.StatusForbidden,
			"Host is none of this worker's names: expected localhost, an address of the "+
				"loopback interface, or a name of rest.allowed.hosts")
	})
}

// isOwnHost reports whether a Host names this machine, or is one of the names. What a proxy says about the Host before
// it, as in X-Forwarded-Host, anybody could say: it does not count.
func isOwnHost(host string, names []string) bool {
	host = normalizeHost(host)
	return host != "" && (isLoopbackName(host) || slices.Contains(names, host))
}

func (o *Options) advertises(host string) bool {
	if o.Cluster == nil || host == "" {
		return false
	}
	own, err := url.Parse(o.Cluster.Membership().URL)
	return err == nil && normalizeHost(own.Host) == normalizeHost(host)
}

func isScrape(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	path, ok := segments(r.URL.EscapedPath())
	_, err := netip.ParseAddr(normalizeHost(r.Host))
	return ok && slices.Equal(path, []string{"metrics"}) && err == nil
}

func normalizeHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopbackName: names below localhost are this machine for every resolver (RFC 6761), so no page elsewhere has one.
// Other addresses than those of the loopback interface don't count, 0.0.0.0 among them.
func isLoopbackName(host string) bool {
	return loopback.Is(host) && !strings.HasSuffix(host, ".") || strings.HasSuffix(host, ".localhost")
}

type listenerKey struct{}

func withListener(l net.Listener) context.Context {
	return context.WithValue(context.Background(), listenerKey{}, l)
}

func isLoopback(l net.Listener) bool {
	if l == nil {
		return false
	}
	address, ok := l.Addr().(*net.TCPAddr)
	return ok && address.IP.IsLoopback()
}
