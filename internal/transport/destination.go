package transport

import (
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/session"
)

// destination is a validated, immutable [Config] with the state of requests. Changed settings create a new one.
type destination struct {
	config       Config // with defaults
	origin       endpoint
	auth         authentication
	sapClient    string // from headers, or the destination's query
	gate         *lockouts.Gate
	headerGate   *lockouts.Gate // only observes secret headers next to the logon; nil without such headers
	routeGate    *lockouts.Gate // of the proxy's password, or of its token's secret; nil without one
	transport    *http.Transport
	roundTripper http.RoundTripper // transport, or the route around it

	responses responseTracker

	// Shared with other clients:
	limits   *limits.Client
	sessions *session.Pool
	partner  *away.Partner // whether the service responds

	mu            guard.Mutex
	gatesByClient map[string]*lockouts.Gate // by the SAP client in requests, if none is configured

	furtherOrigins map[string]*destination // by origin, besides the service's own
}

func (d *destination) identity(client string) lockouts.Identity {
	return lockouts.Identity{Origin: d.address(), Client: client, User: d.auth.identity.User,
		Secret: d.auth.identity.Secret}
}

func (d *destination) headerIdentity() lockouts.Identity {
	return lockouts.Identity{Origin: d.address(), Secret: d.auth.headers.Secret}
}

// address is the key of shared state: the origin, plus the network behind a Cloud Connector.
func (d *destination) address() string {
	address := strings.ToLower(d.origin.String())
	if d.config.Route.Network != "" {
		address += " by " + d.config.Route.Network
	}
	return address
}

// forTarget returns the further origin of a target, or d, which rejects targets of other origins.
func (d *destination) forTarget(target string) *destination {
	if len(d.furtherOrigins) == 0 {
		return d
	}
	if strings.HasPrefix(target, "//") {
		target = d.origin.scheme + ":" + target
	}
	if !strings.Contains(target, "://") || schemeOf(target) == "" {
		return d
	}
	base, _ := cutAuthority(target)
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || d.origin.matches(u) {
		return d
	}
	for _, other := range d.furtherOrigins {
		if other.origin.matches(u) {
			return other
		}
	}
	return d
}

// closeIdle closes idle connections, now or once no response is arriving.
func (d *destination) closeIdle() {
	d.responses.mu.Lock()
	defer d.responses.mu.Unlock()
	d.responses.mustCloseIdle = true
	d.responses.closeIdleIfDue(d.transport)
}

func (d *destination) roundTrip(r *http.Request) (*http.Response, error) {
	response := &arrivingResponse{}
	defer func() { d.responses.end(response, d.transport) }()
	return d.roundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		// A route may repeat the request after a response, which requests a connection again.
		GetConn:              func(string) { d.responses.restart(response, d.transport) },
		GotFirstResponseByte: func() { d.responses.begin(response) },
	})))
}
