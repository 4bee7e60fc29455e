package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

const (
	// turnOfMemory is how long a connector keeps its instances from one page or batch to the next while others wait for
	// memory.
	turnOfMemory = time.Second
	// briefly is how long one that has instances and does not use them keeps them within its turn.
	briefly = 50 * time.Millisecond
	// provenCalls is after how many calls an instance counts with what it has: before, with what others of its module
	// came to.
	provenCalls = 16
	// stuckTime is after how long a call gets an instance of its own although there is no memory for it: those who hold
	// the others may wait for one another.
	stuckTime = 10 * time.Second
	// sayEvery is how often it is said that memory is short.
	sayEvery = time.Minute
)

// admission has the memory of all guests together keep to a bound, by letting connectors in, in the order in which they
// came. A connector is in as long as it has instances. Then it gets the first instance of each further plugin at once,
// so that no page waits for its transforms; more of the same plugin only where there is room and nobody waits. One
// connector is always let in.
//
// While others wait, what is idle is closed, and a connector whose turn is over gets no new page and no new batch: it
// goes to the end of the queue when those under way have ended. Nobody waits who has something in use, so that none
// waits for another for good.
//
// An instance that was let in may grow as far as its own limit: a call cannot be stopped in the middle and made again.
// What it grew by is counted for those that come behind it.
type admission struct {
	bound  int64
	turn   time.Duration
	logger *slog.Logger
	// waiting is how many are in the queue.
	waiting atomic.Int64

	mu guard.Mutex
	// used is what is counted for all instances, in bytes; let is how many of them belong to connectors.
	used  int64
	let   int
	queue []*applicant
	// tenants are the connectors that have pools.
	tenants map[string]*tenant
	said    time.Time
}

// tenant is a connector, with its pools.
type tenant struct {
	admission *admission
	name      string
	// inUse is how many of its instances are held or have open pages.
	inUse atomic.Int64

	// Under the admission's lock: instances are those that it has, or makes; since is when its turn began, leaving that
	// it is over.
	instances int
	since     time.Time
	leaving   bool
	pools     map[*Pool]struct{}
}

// lease is the memory that is counted for an instance. The tenant is nil for the host's own.
type lease struct {
	admission *admission
	tenant    *tenant
	least     int64 // until it is proven
	counted   int64
}

// applicant is who waits to be let in.
type applicant struct {
	tenant *tenant
	need   int64
	ready  chan struct{}
	lease  *lease
}

func newAdmission(bound int64, logger *slog.Logger) *admission {
	if bound <= 0 {
		bound = math.MaxInt64
	}
	return &admission{bound: bound, turn: turnOfMemory, logger: logger, tenants: map[string]*tenant{}}
}

// Memory is what all instances of plugins take together.
type Memory struct {
	// Used is what is counted for them, Bound what it may come to, in bytes.
	Used, Bound int64
	// Waiting is how many calls wait until there is room for an instance.
	Waiting int64
}

// Memory tells how much memory instances take.
func (m *Manager) Memory() Memory {
	a := m.loader.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	return Memory{a.used, a.bound, int64(len(a.queue))}
}

// join notes a pool of a connector's.
func (a *admission) join(connector string, p *Pool) *tenant {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tenants[connector]
	if t == nil {
		t = &tenant{admission: a, name: connector, pools: map[*Pool]struct{}{}}
		a.tenants[connector] = t
	}
	t.pools[p] = struct{}{}
	return t
}

// leave forgets a pool that has no instances any more.
func (t *tenant) leave(p *Pool) {
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	delete(t.pools, p)
	if len(t.pools) == 0 && t.admission.tenants[t.name] == t {
		delete(t.admission.tenants, t.name)
	}
}

// fits tells whether there is room; a.mu is held.
func (a *admission) fits(need int64) bool { return a.let == 0 || need <= a.bound-a.used }

// grant counts an instance; a.mu is held.
func (a *admission) grant(t *tenant, need int64) *lease {
	a.used += need
	if t != nil {
		a.let++
		if t.instances++; t.instances == 1 {
			t.since, t.leaving = time.Now(), false
		}
	}
	return &lease{admission: a, tenant: t, least: need, counted: need}
}

// own counts an instance of the host's own, which does not wait.
func (a *admission) own(need int64) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.grant(nil, need)
}

// more tells whether there is room for an instance beside one of the same plugin.
func (a *admission) more(need int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue) == 0 && a.fits(need)
}

// over tells whether a connector's turn is over while others wait.
func (t *tenant) over() bool {
	a := t.admission
	if a.waiting.Load() == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return t.leaving || time.Since(t.since) >= a.turn
}

// admit counts an instance of a pool that has none (first), waiting until the connector is let in, or one more, without
// waiting.
func (t *tenant) admit(ctx context.Context, p *Pool, first bool) (*lease, error) {
	a, need := t.admission, p.module.need()
	a.mu.Lock()
	if !first || t.instances > 0 && (t.inUse.Load() > 0 || !t.leaving) || len(a.queue) == 0 && a.fits(need) {
		defer a.mu.Unlock()
		return a.grant(t, need), nil
	}
	return a.wait(ctx, t, p, need)
}

// begin is asked for before each page: a connector whose turn is over waits for the next one, which comes with what is
// counted for an instance. nil: the turn goes on.
func (t *tenant) begin(ctx context.Context, p *Pool) (*lease, error) {
	if !t.over() {
		return nil, nil
	}
	a := t.admission
	a.mu.Lock()
	if t.instances == 0 {
		a.mu.Unlock()
		return nil, nil // who makes an instance waits
	}
	t.leaving = true
	return a.wait(ctx, t, p, p.module.need())
}

// wait waits in the queue; a.mu is held, and free on return.
func (a *admission) wait(ctx context.Context, t *tenant, p *Pool, need int64) (*lease, error) {
	w := &applicant{tenant: t, need: need, ready: make(chan struct{})}
	a.queue = append(a.queue, w)
	a.waiting.Add(1)
	say := time.Since(a.said) > sayEvery
	if say {
		a.said = time.Now()
	}
	used := a.used
	a.mu.Unlock()
	if say {
		a.logger.Warn("the memory for plugins is used up: connectors take turns", "setting", MemorySetting, "bound", a.bound, "used", used, "connector", t.name)
	}
	a.press()
	select {
	case <-w.ready:
		return w.lease, nil
	case <-ctx.Done():
	case <-p.done:
	}
	a.mu.Lock()
	at := slices.Index(a.queue, w)
	if at >= 0 {
		a.queue = slices.Delete(a.queue, at, at+1)
		a.waiting.Add(-1)
		a.serve() // who is next may need less
	}
	a.mu.Unlock()
	if at < 0 { // at the same moment
		w.lease.release()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("waiting for memory for an instance of plugin %s (%s is %d): %w", p.module.info.Name, MemorySetting, a.bound, err)
	}
	return nil, p.errClosed()
}

// serve lets in who comes next, and whose connector is in already; a.mu is held.
func (a *admission) serve() {
	passed := false // the first who cannot be let in holds up those behind him
	a.queue = slices.DeleteFunc(a.queue, func(w *applicant) bool {
		in := w.tenant.instances > 0
		if in && w.tenant.leaving || !in && (passed || !a.fits(w.need)) {
			passed = passed || !in
			return false
		}
		w.lease = a.grant(w.tenant, w.need)
		a.waiting.Add(-1)
		close(w.ready)
		return true
	})
}

// press has closed what is idle.
func (a *admission) press() {
	a.mu.Lock()
	all := slices.Collect(maps.Values(a.tenants))
	a.mu.Unlock()
	for _, t := range all {
		t.trim()
	}
}

// trim closes a connector's instances that are idle, as far as its turn is over.
func (t *tenant) trim() {
	t.admission.mu.Lock()
	pools := slices.Collect(maps.Keys(t.pools))
	t.admission.mu.Unlock()
	for _, p := range pools {
		p.trim()
	}
}

// finish ends a connector's turn, if that is over and nothing of it is in use.
func (t *tenant) finish() bool {
	if t.inUse.Load() > 0 || !t.over() {
		return false
	}
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	t.leaving = true
	return true
}

// settle counts what an instance has after so many calls.
func (l *lease) settle(bytes, calls int64) {
	if calls <= provenCalls {
		bytes = max(bytes, l.least)
	}
	if bytes == l.counted {
		return
	}
	a := l.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used += bytes - l.counted
	less := bytes < l.counted
	l.counted = bytes
	if less {
		a.serve()
	}
}

// release gives the memory back, once.
func (l *lease) release() {
	if l == nil {
		return
	}
	a := l.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used -= l.counted
	if l.tenant != nil {
		a.let--
		if l.tenant.instances--; l.tenant.instances == 0 {
			l.tenant.leaving = false
		}
	}
	a.serve()
}

// need is what an instance of a module is counted with before it shows what it takes: what others came to, at least
// what it begins with.
func (m *module) need() int64 {
	return min(max(int64(m.binary.MemoryPages)*pageBytes, m.counters.memory.Load()), m.limits.MemoryBytes)
}
