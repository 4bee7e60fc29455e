package transport

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// Logon identifies the secrets for the service, in headers next to it, and for the route. It prints no secrets.
type Logon struct {
	secrets  []logonSecret
	origin   string
	lockouts *lockouts.Store
}

// logonSecret is a secret with the role of its setting. An empty role means the logon at the service.
type logonSecret struct {
	id   lockouts.Identity
	role string
	// isObserved means that a refusal counts for the logon next to this secret, so that it stops no request.
	isObserved bool
}

// LogonOf returns the logon of a configuration without sending or registering anything.
func LogonOf(c Config) (Logon, error) {
	d, err := prepareDestination(c)
	if err != nil {
		return Logon{}, err
	}
	headerRole := ""
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !slices.Contains(publicHeaders, strings.ToLower(name)) {
			headerRole = role.Header + name
			break
		}
	}
	serviceSecret := logonSecret{id: d.identity(d.sapClient)}
	if c.User == "" && (c.Auth == "" || c.Auth == AuthNone) {
		serviceSecret.role = headerRole
	}
	headerSecret := logonSecret{id: d.headerIdentity(), role: headerRole, isObserved: true}
	routeSecret := logonSecret{id: d.config.Route.identity(d.origin),
		role: role.Proxy + d.config.Route.Settings.Logon().Setting}
	secrets := []logonSecret{serviceSecret, headerSecret, routeSecret}
	secrets = slices.DeleteFunc(secrets, func(s logonSecret) bool { return !s.id.Needed() })
	return Logon{secrets: secrets, origin: d.address(), lockouts: d.config.Lockouts}, nil
}

// Accepted reports whether there are secrets and all were accepted.
func (l Logon) Accepted() bool {
	_, isUntried := l.Untried()
	_, isRefused := l.Refused()
	return len(l.secrets) > 0 && !isUntried && !isRefused
}

// Untried returns the role of the first secret that was not accepted before, "" for the service's; !ok if there is
// no such secret, or if one was refused.
func (l Logon) Untried() (roleName string, ok bool) {
	if _, isRefused := l.Refused(); isRefused {
		return "", false
	}
	for _, s := range l.secrets {
		if accepted, _ := l.lockouts.Status(s.id); !accepted {
			return s.role, true
		}
	}
	return "", false
}

// Refused returns the role of the first secret that was refused, "" for the service's; !ok if there is no such secret.
func (l Logon) Refused() (roleName string, ok bool) {
	for _, s := range l.secrets {
		if s.isObserved {
			continue
		}
		if _, isRefused := l.lockouts.Status(s.id); isRefused {
			return s.role, true
		}
	}
	return "", false
}

func (l Logon) String() string { return l.origin }

func (l Logon) LogValue() slog.Value { return slog.StringValue(l.String()) }

// gateFor returns the gate of an SAP client; "" means the configured or default one.
func (d *destination) gateFor(client string) *lockouts.Gate {
	client = normalizeClient(client)
	if client == normalizeClient(d.sapClient) || client == "" {
		return d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g, ok := d.gatesByClient[client]
	if !ok {
		if d.gatesByClient == nil {
			d.gatesByClient = map[string]*lockouts.Gate{}
		}
		g = d.config.Lockouts.Gate(d.identity(client))
		g.SetProxyHint(d.config.Route.proxyHint())
		d.gatesByClient[client] = g
	}
	return g
}

// gates returns the gates that may stop requests. A gate is nil if it has no secret.
func (d *destination) gates() []*lockouts.Gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	gates := []*lockouts.Gate{d.gate, d.routeGate}
	for _, client := range slices.Sorted(maps.Keys(d.gatesByClient)) {
		gates = append(gates, d.gatesByClient[client])
	}
	return gates
}

// Logons returns the users of the service and of the proxy, without their secrets.
func (c *Client) Logons() (users []lockouts.Identity) {
	for _, g := range c.target.Load().gates() {
		if g != nil {
			users = append(users, g.Identity)
		}
	}
	return users
}

// Refusal describes the refused logon: the user, the place, the time, and what to do; "" if the secrets may be sent.
func (c *Client) Refusal() string {
	for _, g := range c.target.Load().gates() {
		if refusal := g.Refusal(); refusal != "" {
			return refusal
		}
	}
	return ""
}
