package connectivitytest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"
)

// maxLine bounds a header line, in bytes.
const maxLine = 8192

// Headers of the Connectivity proxy in canonical form.
const (
	locationHeader      = "Sap-Connectivity-Scc-Location_id"
	userHeader          = "Sap-Connectivity-Authentication"
	technicalUserHeader = "Sap-Connectivity-Technical-Authentication"
	proxyAuthorization  = "Proxy-Authorization"
)

// serveProxy is the handler of the HTTP port. Like SAP's proxy it accepts only http: requests in absolute form, no
// CONNECT: it checks the token and forwards to the system behind the virtual host. "assumption" marks what SAP's pages
// do not describe.
func (s *Server) serveProxy(w http.ResponseWriter, r *http.Request) {
	location := r.Header.Get(locationHeader) // plain, unlike in SOCKS5, where it is base64
	entry := Entry{Port: "http", Client: r.RemoteAddr, Target: r.URL.String(), Location: location,
		Header: headerNames(r), ID: s.Connectivity.ID}
	if r.Method == http.MethodConnect {
		entry.Target = r.RequestURI
	}
	scheme, token, _ := strings.Cut(r.Header.Get(proxyAuthorization), " ")
	isValid := false
	if token != "" {
		entry.Token, isValid = s.check(token, s.Connectivity)
		isValid = isValid && strings.EqualFold(scheme, "Bearer")
	}
	update := s.addEntry(entry)
	defer update(func(e *Entry) { e.Ended = time.Now() })
	response := &statusWriter{ResponseWriter: w,
		onStatus: func(status int) { update(func(e *Entry) { e.Code = status }) }}
	fail := func(status int, text string) { http.Error(response, text, status) }
	for name, values := range r.Header {
		for _, value := range values {
			if len(name)+len(": ")+len(value) > maxLine {
				fail(http.StatusRequestHeaderFieldsTooLarge, "header line too long: "+name) // assumption: "a 4xx"
				return
			}
		}
	}
	switch {
	case r.Method == http.MethodConnect, r.URL.Scheme == "https":
		fail(http.StatusMethodNotAllowed, "only http and absolute form")
	case r.URL.Scheme != "http" || r.URL.Host == "":
		fail(http.StatusBadRequest, "expected the absolute form of a request")
	case !isValid:
		fail(http.StatusProxyAuthRequired, "Proxy-Authorization is missing, invalid or expired")
	default:
		s.forward(response, r, location, fail)
	}
}

// forward sends a request to the system behind its virtual host.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, location string, fail func(int, string)) {
	virtual := r.URL.Host
	if r.URL.Port() == "" {
		virtual = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	system, isAttached, isExposed := s.lookUp(location, virtual)
	if !isAttached {
		// assumption: the text
		fail(http.StatusServiceUnavailable,
			"There is no SAP Cloud Connector (SCC) connected to your subaccount matching the requested tunnel")
		return
	}
	if !isExposed {
		fail(http.StatusForbidden, "Access denied to "+virtual) // assumption: 403, as for paths
		return
	}
	scheme := "http"
	if address, ok := strings.CutPrefix(system, "https://"); ok {
		scheme = "https"
		system = address
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			// ReverseProxy removes Proxy-Authorization
			p.Out.URL.Scheme = scheme
			p.Out.URL.Host = system
			// "Host In Request Header: Use Virtual Host", the Cloud Connector's default
			p.Out.Host = p.In.Host
			for _, name := range []string{locationHeader, userHeader, technicalUserHeader} {
				p.Out.Header.Del(name)
			}
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return s.dial(ctx, address)
			},
			// A Cloud Connector does not check the certificates of systems.
			TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				fail(http.StatusBadGateway, "cannot reach the system behind "+virtual) // assumption: 502
			}
		},
	}
	proxy.ServeHTTP(w, r)
}

// statusWriter reports the status of a response that calls WriteHeader.
type statusWriter struct {
	http.ResponseWriter
	onStatus func(int)
}

func (w *statusWriter) WriteHeader(status int) {
	w.onStatus(status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func headerNames(r *http.Request) []string {
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
