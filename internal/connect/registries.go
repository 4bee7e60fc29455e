package connect

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/resolved"
)

// registries holds the schema registry clients of a run, one for each combination of settings.
type registries struct {
	// ctx is the context of the connector's start. Key stores are read with it.
	ctx context.Context
	log *slog.Logger

	mu      guard.Mutex
	clients map[string]*registry.Client
}

func (r *registries) client(settings registry.Settings) (*registry.Client, error) {
	key, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[string(key)]; c != nil {
		return c, nil
	}
	c, err := resolved.OpenRegistry(r.ctx, settings, r.log)
	if err != nil {
		return nil, err
	}
	if r.clients == nil {
		r.clients = map[string]*registry.Client{}
	}
	r.clients[string(key)] = c
	return c, nil
}

func (r *registries) outages() (reasons []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		if reason := c.Outage(); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}
