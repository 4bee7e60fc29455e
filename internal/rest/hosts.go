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

// A web page may have its own name resolved to this machine (DNS rebinding); a browser then treats REST as part of that
// page and lets it read everything. The request's Host still is the page's name. So loopback listeners accept only
// names of this machine. Other listeners check the Host if rest.allowed.hosts is set; otherwise, without logon,
// requests with a name that a page may own are read-only and see no passwords.

// checkHost rejects requests with a foreign Host. `/health` is open to load balancers and kubelets and reveals nothing;
// `/metrics` accepts addresses, which Prometheus uses for pods and no page can own.
func checkHost(next http.Handler, o *Options, guard *hostGuard) http.Handler {
	names := make([]string, len(o.AllowedHosts))
	for i, name := range o.AllowedHosts {
		names[i] = normalizeHost(name)
	}
	// A page can make a browser send simple requests, such as POST without a body, with a correct Host. It cannot read
	// the response, but the change would be made. Browsers reveal that in Sec-Fetch-Site or Origin.
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acceptedOn, _ := r.Context().Value(listenerKey{}).(net.Listener)
		needsOwnHost := isLoopback(acceptedOn) || (len(names) > 0 && !isScrape(r))
		if needsOwnHost && !isHealthCheck(r) && !isOwnHost(r.Host, names) && !o.advertises(r.Host) {
			writeError(w, http.StatusForbidden,
				"Host is not a name of this worker: expected localhost, an address of the loopback interface, or "+
					"a name of rest.allowed.hosts")
			return
		}
		isAllowedOrigin := !isPage(r) && isFromOrigin(o.Origins, r) && slices.Contains(o.Methods, r.Method)
		if origins.Check(r) != nil && !isAllowedOrigin {
			writeError(w, http.StatusForbidden,
				"The request comes from a page of another origin: pages in a browser may not change this worker")
			return
		}
		if !isLoopback(acceptedOn) && len(names) == 0 {
			r = guard.restrict(r)
		}
		next.ServeHTTP(w, r)
	})
}

// isOwnHost reports whether a Host is this machine or one of the names. X-Forwarded-Host is ignored: anyone can set it.
func isOwnHost(host string, names []string) bool {
	host = normalizeHost(host)
	return host != "" && (isLoopbackName(host) || slices.Contains(names, host))
}

func (o *Options) advertises(host string) bool {
	if host == "" {
		return false
	}
	advertised, err := url.Parse(o.cluster().Membership().URL)
	return err == nil && normalizeHost(advertised.Host) == normalizeHost(host)
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

// isLoopbackName reports whether a name is this machine for every resolver, as are names below localhost (RFC 6761).
// 0.0.0.0 is not.
func isLoopbackName(host string) bool {
	return (loopback.Is(host) && !strings.HasSuffix(host, ".")) || strings.HasSuffix(host, ".localhost")
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
