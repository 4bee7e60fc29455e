package transport

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/host/transport/lockouts"
)

// Logon is who a client would log on as, where, and by what secret. It shows no secret when printed.
type Logon struct {
	id       lockouts.Identity
	lockouts *lockouts.Store
}

// LogonOf is the logon of the clients of a configuration. It sends nothing, and nobody remembers it. Errors are those
// that [New] would have.
func LogonOf(c Config) (Logon, error) {
	d, err := prepareDestination(c)
	if err != nil {
		return Logon{}, err
	}
	return Logon{d.identity(d.client), d.config.Lockouts}, nil
}

// Needed says whether there is anything to log on with.
func (l Logon) Needed() bool { return l.id.Needed() }

// Status is [lockouts.Store.Status] of it.
func (l Logon) Status() (accepted, isRefused bool) { return l.lockouts.Status(l.id) }

// String is where it logs on.
func (l Logon) String() string { return l.id.Origin }

// LogValue is String.
func (l Logon) LogValue() slog.Value { return slog.StringValue(l.String()) }

// logonOf is the logon of requests that ask a client; "": the configured one, or the system's own.
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

// logons are all of them, the configured one first.
func (d *destination) logons() []*lockouts.Gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []*lockouts.Gate{d.logon}
	for _, client := range slices.Sorted(maps.Keys(d.others)) {
		all = append(all, d.others[client])
	}
	return all
}

// Refusal says who was refused where and since when, and how that is mended; "" if the secret that the client has now
// was not refused.
func (c *Client) Refusal() string {
	for _, g := range c.target.Load().logons() {
		if why := g.Refusal(); why != "" {
			return why
		}
	}
	return ""
}
