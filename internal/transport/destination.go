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

// destination is a validated, immutable [Config] with what requests need: origin, route and credentials. A client
// whose settings change gets another one.
type destination struct {
	config       Config // with defaults
	origin       endpoint
	auth         authentication
	sapClient    string // SAP's, that requests ask: by header, or by the destination's query
	gate         *lockouts.Gate
	transport    *http.Transport
	roundTripper http.RoundTripper // what requests are given to: the transport, or what leads to it

	responses responseTracker

	// what it shares with other clients
	limits   *limits.Client
	sessions *session.Pool
	partner  *away.Partner

	mu            guard.Mutex
	gatesByClient map[string]*lockouts.Gate // by the client that a request named where none is configured

	furtherOrigins map[string]*destination // by origin: those that the user names in addition to the service's
}

func (d *destination) identity(client string) lockouts.Identity {
	return lockouts.Identity{Origin: d.address(), Client: client, User: d.auth.identity.User,
		Secret: d.auth.identity.Secret}
}

// address returns the origin in lower case, plus the route if names have another meaning there. All spellings of a
// host share the count of refused logons.
func (d *destination) address() string {
	address := strings.ToLower(d.origin.String())
	if d.config.Route.Network != "" {
		address += " by " + d.config.Route.Network
	}
	return address
}

// forTarget returns the destination of an absolute target: the service's own, or a further origin of the settings.
// Any other target is left to the service's own, which rejects it.
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
	before, _ := cutAuthority(target)
	u, err := url.Parse(before)
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

// destinationFor returns the destination of a request whose settings may have changed since it began.
func (d *destination) destinationFor(e *exchange) (*destination, error) {
	if e.otherOrigin == "" {
		return d, nil
	}
	if other := d.furtherOrigins[e.otherOrigin]; other != nil {
		return other, nil
	}
	return nil, d.config.names.errorf(d.config.names.origins, "origins",
		"expected %s among them, which a request that is under way goes to, found it no longer", e.otherOrigin)
}

// endIdle closes idle connections, now or as soon as arriving responses are delivered.
func (d *destination) closeIdle() {
	d.responses.mu.Lock()
	defer d.responses.mu.Unlock()
	d.responses.closeWanted = true
	d.responses.closeIdleIfDue(d.transport)
}

func (d *destination) roundTrip(r *http.Request) (*http.Response, error) {
	one := &arrivingResponse{}
	defer func() { d.responses.finished(one, true, d.transport) }()
	return d.roundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		// The route asks for a connection once more where it repeats the request, with the answer before in its hands.
		GetConn:              func(string) { d.responses.finished(one, false, d.transport) },
		GotFirstResponseByte: func() { d.responses.started(one) },
	})))
}
