package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/wit"
)

// BindPlugin is [Manager.Bind] for the first component of a plugin.
func (m *Manager) BindPlugin(connector, name, version string) (*Binding, error) {
	for _, info := range m.Modules() {
		if info.Name == name && len(info.Components) > 0 {
			component := info.Components[0]
			query, err := newQuery(component.Kind, component.Name, version)
			if err != nil {
				return nil, err
			}
			query.plugin = name
			return m.bind(connector, query)
		}
	}
	return nil, fmt.Errorf("there is no plugin %s", name)
}

// LoadedModules returns the number of modules whose code is loaded.
func LoadedModules(m *Manager) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.sources {
		for _, mod := range []*module{source.active, source.previous} {
			if mod == nil {
				continue
			}
			mod.mu.Lock()
			if mod.code != nil {
				n++
			}
			mod.mu.Unlock()
		}
	}
	return n
}

// FreeIdleCode frees the code of modules without instances, as their timers do.
func FreeIdleCode(m *Manager) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.sources {
		for _, mod := range []*module{source.active, source.previous} {
			if mod != nil {
				mod.freeIdle()
			}
		}
	}
}

// BreaksToOpen is the number of traps that stop a version.
const BreaksToOpen = breaksToOpen

// Breaker is the circuit breaker of a version for a connector.
type Breaker struct{ breaker }

// NewBreaker returns a new breaker.
func NewBreaker() *Breaker { return &Breaker{} }

// Check is called before a call of a plugin; Good, Bad or Inconclusive after it, depending on its outcome.
func (b *Breaker) Check(function string, now time.Time) *StoppedError { return b.check(function, now) }
func (b *Breaker) Good(function string)                               { b.recordSuccess(function) }
func (b *Breaker) Bad(function string, now time.Time)                 { b.recordBreak(function, "call.ms", now) }
func (b *Breaker) Inconclusive(function string)                       { b.recordInconclusive(function) }

// CheckWithin is [Check] with another limit for all calls together.
func CheckWithin(ctx context.Context, path string, options Options, timeout time.Duration) (*CheckResult, error) {
	return check(ctx, path, options, timeout)
}

// Panic starts a call and panics before the call ends, like a mistake of the host.
func Panic(ctx context.Context, i *Instance) error {
	if _, err := i.beginCall(ctx, binary.Functions[wit.InterfacePlugin]["Describe"]); err != nil {
		return err
	}
	panic("a mistake")
}

// StopLongAgo stops the version of a binding by breaks of a function, and lets the pause pass.
func StopLongAgo(b *Binding, function string) {
	for range breaksToOpen {
		b.Current().breaker.recordBreak(function, "call.ms", time.Now().Add(-time.Hour))
	}
}

// OccupyProcessors takes all processors of a manager until free is called.
func OccupyProcessors(m *Manager) (free func()) {
	p := m.loader.processors
	n := cap(p.slots) - len(p.slots)
	for range n {
		p.slots <- struct{}{}
	}
	return func() {
		for range n {
			p.release()
		}
	}
}

// Running returns the number of calls that have a processor.
func Running(m *Manager) int { return len(m.loader.processors.slots) }
