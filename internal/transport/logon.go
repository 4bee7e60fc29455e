package transport

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Logon identifies a user, an origin and a secret. Printing it does not show the secret.
type Logon struct {
	id       lockouts.Identity
	lockouts *lockouts.Store
}

// LogonOf returns the logon of clients with this configuration. It sends nothing and registers nothing. Errors are
// those of [New].
func LogonOf(c Config) (Logon, error) {
	d, err := prepareDestination(c)
	if err != nil {
		return Logon{}, err
	}
	return Logon{d.identity(d.client), d.config.Lockouts}, nil
}

// Needed reports whether there are credentials.
func (l Logon) Needed() bool { return l.id.Needed() }

// Status calls [lockouts.Store.Status].
func (l Logon) Status() (accepted, isRefused bool) { return l.lockouts.Status(l.id) }

// String returns the origin.
func (l Logon) String() string { return l.id.Origin }

func (l Logon) LogValue() slog.Value { return slog.StringValue(l.String()) }

// logonOf returns the gate of requests to an SAP client; "" means the configured or default one.
func (d *destination) logonOf(client string) *lockouts.Gate {
	if client = normalizeClient(client); client == normalizeClient(d.client) || client == "" {
		return d.logon
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g, ok := d.others[client]
	if !ok {
		if d.others == nil {
			d.others = map[string]*lockouts.Gate{}
		}
		g = d.config.Lockouts.Gate(d.identity(client))
		g.SetSuspect(d.config.Route.suspect())
		d.others[client] = g
	}
	return g
}

func (d *destination) logons() []*lockouts.Gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []*lockouts.Gate{d.logon}
	for _, client := range slices.Sorted(maps.Keys(d.others)) {
		all = append(all, d.others[client])
	}
	return all
}

// Refusal describes who was refused where and since when, and what to do; "" if the present secret was not refused.
func (c *Client) Refusal() string {
	for _, g := range c.target.Load().logons() {
		if why := g.Refusal(); why != "" {
			return why
		}
	}
	return ""
}
