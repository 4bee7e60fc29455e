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

// HTTPProxy selects a proxy, and its headers, for HTTP requests.
type HTTPProxy struct {
	route *Route
	// proxyFor returns the proxy for a URL, or nil.
	proxyFor func(*url.URL) (*url.URL, error)

	mu           sync.Mutex
	refusedToken string // the last one
	location     int    // index of the current one of Settings.Locations
}

// HTTPProxy returns the proxy of HTTP requests, or nil if they use connections of [Route.DialContext] only.
func (r *Route) HTTPProxy() *HTTPProxy { return r.http }

// newHTTPProxy returns the proxy of HTTP requests by the type of the route, nil for other types.
func (r *Route) newHTTPProxy() *HTTPProxy {
	settings := &r.settings
	environment := settings.Environment
	if environment == nil {
		environment = httpproxy.FromEnvironment()
	}
	switch r.proxyType {
	case Unset:
		return &HTTPProxy{route: r, proxyFor: environment.ProxyFunc()}
	case HTTP:
		proxy := url.URL{Scheme: "http", Host: r.address}
		if settings.User != "" {
			proxy.User = url.UserPassword(settings.User, settings.Password)
		}
		config := &httpproxy.Config{
			HTTPProxy:  proxy.String(),
			HTTPSProxy: proxy.String(),
			NoProxy:    environment.NoProxy,
		}
		proxyFor := config.ProxyFunc()
		// Package httpproxy never selects a proxy for loopback hosts, but a configured one applies to them, too.
		return &HTTPProxy{route: r, proxyFor: func(u *url.URL) (*url.URL, error) {
			if !loopback.Is(u.Hostname()) {
				return proxyFor(u)
			}
			if isExcluded(u, environment.NoProxy) {
				return nil, nil
			}
			return &proxy, nil
		}}
	case ConnectivityHTTP:
		proxy := &url.URL{Scheme: "http", Host: r.address}
		return &HTTPProxy{route: r, proxyFor: func(*url.URL) (*url.URL, error) { return proxy, nil }}
	}
	return nil
}

// URL returns the proxy for a request, or nil; it is a http.Transport.Proxy.
func (h *HTTPProxy) URL(request *http.Request) (*url.URL, error) { return h.proxyFor(request.URL) }

// Headers returns the secret headers for SAP Connectivity's proxy, with a token other than refused, or nil.
func (h *HTTPProxy) Headers(ctx context.Context, refused string) (http.Header, error) {
	if h.route.proxyType != ConnectivityHTTP {
		return nil, nil
	}
	token, err := h.route.tokens.Token(ctx, refused)
	if err != nil {
		return nil, fmt.Errorf("token for the Connectivity proxy: %w", err)
	}
	headers := http.Header{"Proxy-Authorization": {"Bearer " + token}}
	if locations := h.route.settings.Locations; len(locations) > 0 {
		h.mu.Lock()
		location := locations[h.location]
		h.mu.Unlock()
		if location != "" {
			// Plain text, unlike in SOCKS5. Header.Set would change the case of the name.
			headers["SAP-Connectivity-SCC-Location_ID"] = []string{location}
		}
	}
	return headers, nil
}

// RoundTripper sets DialContext and Proxy of t. For SAP Connectivity's HTTP proxy it adds headers, retries once with a
// fresh token after 407, and uses the next location id after a 503, which the caller must retry.
func (r *Route) RoundTripper(t *http.Transport) http.RoundTripper {
	if r.http == nil {
		t.DialContext = r.DialContext
		t.Proxy = nil
		return t
	}
	t.DialContext = r.settings.Forward.DialContext
	t.Proxy = r.http.URL
	if r.proxyType != ConnectivityHTTP && len(r.addressMap) == 0 {
		return t
	}
	return &roundTripper{HTTPProxy: r.http, transport: t}
}

// roundTripper sends requests to mapped addresses, and with SAP Connectivity's headers.
type roundTripper struct {
	*HTTPProxy
	transport *http.Transport
}

// CloseIdleConnections is called by [http.Client.CloseIdleConnections].
func (t *roundTripper) CloseIdleConnections() { t.transport.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper]; see [Route.RoundTripper] for retries.
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
	refused := t.refusedToken
	location := t.location
	t.mu.Unlock()
	for isRetry := false; ; isRetry = true {
		response, token, err := t.try(mapped, refused)
		if err != nil {
			return nil, err
		}
		switch response.StatusCode {
		case http.StatusServiceUnavailable:
			t.mu.Lock()
			if n := len(t.route.settings.Locations); n > 1 && t.location == location { // else another request moved on
				t.location = (location + 1) % n
			}
			t.mu.Unlock()
		case http.StatusProxyAuthRequired:
			refused = token
			t.mu.Lock()
			t.refusedToken = token
			t.mu.Unlock()
			if repeated, ok := rewind(mapped); ok && !isRetry {
				response.Body.Close()
				mapped = repeated
				continue
			}
		}
		return response, nil
	}
}

// try sends a request with the proxy's headers, and also returns the token in them.
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

// mapRequest returns the request with its address mapped. It does not change request.
func (t *roundTripper) mapRequest(request *http.Request) (*http.Request, error) {
	settings := &t.route.settings
	if t.route.proxyType == ConnectivityHTTP && request.URL.Scheme != "http" {
		return nil, settings.errorf(NameType, "%s supports http addresses only, found %s://%s: the Cloud Connector "+
			"uses TLS to the system; use http here, or %s",
			settings.Type, request.URL.Scheme, request.URL.Host, ConnectivitySOCKS5)
	}
	address := request.URL.Host
	if request.URL.Port() == "" {
		address += map[string]string{"http": ":80", "https": ":443"}[request.URL.Scheme]
	}
	mappedAddress := t.route.MapAddress(address)
	if mappedAddress == address {
		return request, nil
	}
	if request.URL.Scheme != "http" {
		return nil, settings.errorf(NameAddressMap,
			"it contains %s, but https addresses cannot be mapped with a proxy of type %s", address, settings.Type)
	}
	clone := request.Clone(request.Context())
	// In the absolute form the host comes from Host.
	clone.URL.Host = mappedAddress
	clone.Host = mappedAddress
	return clone, nil
}

// rewind returns the request with a body that can be sent again, or false if there is no such body.
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
