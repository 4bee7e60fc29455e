package host

import (
	"runtime"
	"sync"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// checked keeps the instances with which connectors were checked until these start and go on with them: an instance
// takes longer to be made than to check or plan with. It holds no more than there are processors, which start at once.
// Safe for use by several goroutines.
type checked struct {
	mu       sync.Mutex
	bindings map[string]*plugin.Binding // by the connector's name
}

// hold binds the plugins of connectors that are going to be checked and to run.
func (k *checked) hold(m *plugin.Manager, connectors []*config.Connector,
	target func(*config.Connector) connect.TargetState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bindings = map[string]*plugin.Binding{}
	for _, c := range connectors {
		if len(k.bindings) >= runtime.GOMAXPROCS(0) {
			return
		}
		if c.Problems.Err() != nil || k.bindings[c.Name] != nil || target(c) != connect.Running {
			continue
		}
		version := c.Text("connector.plugin.version")
		_, component, err := check.Find(m, c.Text("connector.class"), version, wit.ComponentSource, wit.ComponentSink)
		if err != nil {
			continue // which the check finds, too
		}
		if b, err := m.Bind(c.Name, component.Kind, component.Name, version); err == nil {
			k.bindings[c.Name] = b
		}
	}
}

// release lets go of a connector's instance: it has started with it, or could not.
func (k *checked) release(connector string) {
	k.mu.Lock()
	b := k.bindings[connector]
	delete(k.bindings, connector)
	k.mu.Unlock()
	if b != nil {
		b.Close()
	}
}

// releaseAll lets go of all.
func (k *checked) releaseAll() {
	k.mu.Lock()
	all := k.bindings
	k.bindings = nil
	k.mu.Unlock()
	for _, b := range all {
		b.Close()
	}
}
