package setup

import (
	"sync"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

// Parts holds what a worker has opened so far. The group and REST read it at any time.
type Parts struct {
	mu     sync.Mutex
	opened Opened
}

// Opened contains the parts of a worker that are open at one moment.
type Opened struct {
	REST     *rest.Server     // nil without listeners
	Plugins  *plugin.Manager  // nil while they are loaded
	Herder   *connect.Herder  // nil while the worker starts
	Tracer   *tracing.Tracer  // nil without traces
	Cluster  string           // the ID of the Kafka cluster, "" while the worker starts
	Reloader *reload.Reloader // nil while the worker starts, and in a run that ends by itself
	Files    *reload.Reloader // reloads the connector files; without a group it is Reloader
}

// Get returns the parts that are open now.
func (p *Parts) Get() Opened {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Set calls change with the opened parts under the lock.
func (p *Parts) Set(change func(*Opened)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.opened)
}

// Rescan reads the stored configurations again, whether or not they seem to have changed.
func (o Opened) Rescan() {
	if o.Reloader == nil {
		return
	}
	o.Reloader.Store().Refresh()
	if o.Files != o.Reloader {
		o.Files.Store().Refresh()
	}
}
