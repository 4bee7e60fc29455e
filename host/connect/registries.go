package connect

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/guard"
)

// registries are the clients of schema registries that the converters of a connector share, one for each of their
// settings.
type registries struct {
	// ctx ends the reading of key stores for clients; it is that of the connector's start.
	ctx context.Context
	log *slog.Logger

	mu      guard.Mutex
	clients map[string]*registry.Client
}

// client returns the client for settings, making it when it is the first.
func (r *registries) client(s registry.Settings) (*registry.Client, error) {
	key, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[string(key)]; c != nil {
		return c, nil
	}
	c, err := check.OpenRegistry(r.ctx, s, r.log)
	if err != nil {
		return nil, err
	}
	if r.clients == nil {
		r.clients = map[string]*registry.Client{}
	}
	r.clients[string(key)] = c
	return c, nil
}

// unavailable says which registries do not answer.
func (r *registries) unavailable() (notes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		if away := c.Away(); away != "" {
			notes = append(notes, away)
		}
	}
	return notes
}
