package route

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/http/httpproxy"

	"github.com/culvert-project/culvert/internal/base/loopback"
)

// HTTPProxy is how HTTP requests go through a proxy that reads them: an ordinary one, or SAP Connectivity's.
type HTTPProxy struct {
	route *Route
	// proxyFor is the proxy for a request's address, nil where it goes without.
	proxyFor func(*url.URL) (*url.URL, error)

	mu       sync.Mutex
	refused  string // the token that was not taken last
	location int    // which of the locations has its turn
}

// HTTPProxy is nil where requests go through connections of [Route.DialContext] alone.
func (r *Route) HTTPProxy() *HTTPProxy { return r.http }

func (r *Route) newHTTPProxy() *HTTPProxy {
	s := &r.settings
	environment := s.Environment
	if environment == nil {
		environment = httpproxy.FromEnvironment()
	}
	switch r.proxyType {
	case Unset:
		return &HTTPProxy{route: r, proxyFor: environment.ProxyFunc()}
	case HTTP:
		own := url.URL{Scheme: "http", Host: r.address}
		if s.User != "" {
			own.User = url.UserPassword(s.User, s.Password)
		}
		others := (&httpproxy.Config{HTTPProxy: own.String(), HTTPSProxy: own.String(),
			NoProxy: environment.NoProxy}).ProxyFunc()
		return &HTTPProxy{route: r, proxyFor: func(u *url.URL) (*url.URL, error) {
			if !loopback.Is(u.Hostname()) {
				return others(u)
			}
			if isExcluded(u, environment.NoProxy) {
				return nil, nil
			}
			return &own, nil
		}}
	case ConnectivityHTTP:
		own := &url.URL{Scheme: "http", Host: r.address}
		return &HTTPProxy{route: r, proxyFor: func(*url.URL) (*url.URL, error) { return own, nil }}
	}
	return nil
}

// URL is the proxy for a request, nil where it goes without. It fits http.Transport.Proxy.
func (h *HTTPProxy) URL(r *http.Request) (*url.URL, error) { return h.proxyFor(r.URL) }

// Headers are those that SAP Connectivity's proxy wants on each request, with a token other than the refused one; there
// are none for other proxies, whose user and password are in URL. Callers do not log them.
func (h *HTTPProxy) Headers(ctx context.Context, refused string) (http.Header, error) {
	if h.route.proxyType != ConnectivityHTTP {
		return nil, nil
	}
	token, err := h.route.tokens.Token(ctx, refused)
	if err != nil {
		return nil, fmt.Errorf("token for the Connectivity proxy: %w", err)
	}
	headers := http.Header{"Proxy-Authorization": {"Bearer " + token}}
	if location := h.currentLocation(); location != "" {
		// in plain text here, unlike in SOCKS5; and the name as it stands, which http.Header would spell otherwise
		headers["SAP-Connectivity-SCC-Location_ID"] = []string{location}
	}
	return headers, nil
}

func (h *HTTPProxy) currentLocation() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.route.settings.Locations) == 0 {
		return ""
	}
	return h.route.settings.Locations[h.location]
}

// RoundTripper lets the transport's connections and requests go this way: it sets DialContext and Proxy and returns
// what requests are to be given to. For SAP Connectivity's HTTP proxy that adds the headers, asks for a fresh token
// once where the proxy does not take one (407), and goes to the next location id for the requests after a 503; the 503
// is the caller's to repeat.
func (r *Route) RoundTripper(t *http.Transport) http.RoundTripper {
	if r.http == nil {
		t.DialContext, t.Proxy = r.DialContext, nil
		return t
	}
	t.DialContext, t.Proxy = r.settings.Forward.DialContext, r.http.URL
	if r.proxyType != ConnectivityHTTP && len(r.addressMap) == 0 {
		return t
	}
	return &roundTripper{r.http, t}
}

// roundTripper is an http.Transport behind a proxy that wants something of each request.
type roundTripper struct {
	*HTTPProxy
	transport *http.Transport
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *roundTripper) CloseIdleConnections() { t.transport.CloseIdleConnections() }

func (t *roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	mapped, err := t.mapRequest(request)
	if err != nil {
		closeBody(request)
		return nil, err
	}
	if t.route.proxyType != ConnectivityHTTP {
		return t.transport.RoundTrip(mapped)
	}
	t.mu.Lock()
	refused, location := t.refused, t.location
	t.mu.Unlock()
	for fresh := false; ; fresh = true {
		response, token, err := t.try(mapped, refused)
		if err != nil {
			return nil, err
		}
		switch response.StatusCode {
		case http.StatusServiceUnavailable:
			t.nextLocation(location)
		case http.StatusProxyAuthRequired:
			refused = token
			t.mu.Lock()
			t.refused = token
			t.mu.Unlock()
			if again, ok := rewind(mapped); ok && !fresh {
				response.Body.Close()
				mapped = again
				continue
			}
		}
		return response, nil
	}
}

// nextLocation goes to the location after the one that was used, unless somebody has been there already.
func (t *roundTripper) nextLocation(used int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.route.settings.Locations); n > 1 && t.location == used {
		t.location = (used + 1) % n
	}
}

func (t *roundTripper) try(request *http.Request, refused string) (*http.Response, string, error) {
	headers, err := t.Headers(request.Context(), refused)
	if err != nil {
		closeBody(request)
		return nil, "", err
	}
	clone := request.Clone(request.Context())
	for name, values := range headers {
		clone.Header[name] = values
	}
	token := strings.TrimPrefix(clone.Header.Get("Proxy-Authorization"), "Bearer ")
	response, err := t.transport.RoundTrip(clone)
	return response, token, err
}

// mapRequest is the request with the address that the map says.
func (t *roundTripper) mapRequest(request *http.Request) (*http.Request, error) {
	s := &t.route.settings
	if t.route.proxyType == ConnectivityHTTP && request.URL.Scheme != "http" {
		return nil, s.errorf(NameType, "%s takes http addresses alone, found %s://%s: TLS to the system is made "+
			"behind the Cloud Connector; use http here, or %s",
			s.Type, request.URL.Scheme, request.URL.Host, ConnectivitySOCKS5)
	}
	address := request.URL.Host
	if request.URL.Port() == "" {
		address += map[string]string{"http": ":80", "https": ":443"}[request.URL.Scheme]
	}
	to := t.route.MapAddress(address)
	if to == address {
		return request, nil
	}
	if request.URL.Scheme != "http" {
		return nil, s.errorf(NameAddressMap, "%s is in it, which an https address cannot be through a proxy of type %s",
			address, s.Type)
	}
	clone := request.Clone(request.Context())
	clone.URL.Host, clone.Host = to, to // an absolute form is written from Host
	return clone, nil
}

// rewind is the request with its body from the start, if it can be had again.
func rewind(request *http.Request) (*http.Request, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, false
	}
	clone := request.Clone(request.Context())
	clone.Body = body
	return clone, true
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		request.Body.Close()
	}
}
