package transport

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Logon identifies a user, an origin and a secret, which printing does not reveal.
type Logon struct {
	id       lockouts.Identity
	lockouts *lockouts.Store
}

// LogonOf returns the logon of a configuration without sending or registering anything.
func LogonOf(c Config) (Logon, error) {
	d, err := prepareDestination(c)
	if err != nil {
		return Logon{}, err
	}
	return Logon{d.identity(d.sapClient), d.config.Lockouts}, nil
}

// Needed reports whether there are credentials.
func (l Logon) Needed() bool { return l.id.Needed() }

// Status calls [lockouts.Store.Status].
func (l Logon) Status() (accepted, isRefused bool) { return l.lockouts.Status(l.id) }

func (l Logon) String() string { return l.id.Origin }

func (l Logon) LogValue() slog.Value { return slog.StringValue(l.String()) }

// gateFor returns the gate of an SAP client; "" means the configured or default one.
func (d *destination) gateFor(client string) *lockouts.Gate {
	if client = normalizeClient(client); client == normalizeClient(d.sapClient) || client == "" {
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

func (d *destination) gates() []*lockouts.Gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []*lockouts.Gate{d.gate}
	for _, client := range slices.Sorted(maps.Keys(d.gatesByClient)) {
		all = append(all, d.gatesByClient[client])
	}
	return all
}

// Refusal says who was refused where and since when, and what to do; "" if the current secret was not refused.
func (c *Client) Refusal() string {
	for _, g := range c.target.Load().gates() {
		if why := g.Refusal(); why != "" {
			return why
		}
	}
	return ""
}
