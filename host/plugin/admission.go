package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"runtime"
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

	// sideBySide is how many connectors are at work for each processor before others wait: enough for a processor to
	// have something to do while the others wait for services and for Kafka.
	sideBySide = 4
	// stalledTime is how long after its last call a connector is at work: one that waits longer, for a slow service or
	// for Kafka, holds up nobody.
	stalledTime = time.Second
	// growSlowly and growQuickly are how often there may be one more connector at work while others wait, two where
	// there are twice as many as at the beginning: slowly while processors are busy, since more would only wait for
	// them, quickly when one has been free for as long. lookEvery is how often the queue is looked at.
	growSlowly  = time.Second
	growQuickly = 100 * time.Millisecond
	lookEvery   = 20 * time.Millisecond
	// longWait is after how long in the queue that is said.
	longWait = 5 * time.Second
)

// admission has the memory of all guests together keep to a bound, by letting connectors in, in the order in which they
// came. A connector is in as long as it has instances. Then it gets the first instance of each further plugin at once,
// so that no page waits for its transforms; more of the same plugin only where there is room and nobody waits for it.
// One connector is always let in.
//
// Far below the bound it has connectors begin one after another: a few for each processor are at work side by side,
// since more would hold memory and wait for a processor. Who waits for a service is not at work. As long as others wait
// there is one more each second, many more where processors are free. Who has begun is not held up again, nor is who
// asks a plugin something once, as a check does: this is for the start of many connectors and for nothing else.
//
// While others wait for memory, what is idle is closed, and a connector whose turn is over gets no new page and no new
// batch: it goes to the end of the queue when those under way have ended. Nobody waits who has something in use, so
// that none waits for another for good.
//
// An instance that was let in may grow as far as its own limit: a call cannot be stopped in the middle and made again.
// What it grew by is counted for those that come after it.
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
	width   width
	// free reports whether a processor is, busy is when none was at last.
	free func() bool
	busy time.Time
	// looking: the queue is looked at again soon; pressing: somebody in it waited for memory when it was last.
	looking, pressing bool
}

// width is how many connectors may be at work before others that begin wait, under the admission's lock.
type width struct {
	// allowed is that number, least what it begins with and comes back to, by one each second while nobody waits;
	// changed is when it was last changed or a queue began.
	allowed, least int
	changed        time.Time
}

// tenant is a connector, with its pools.
type tenant struct {
	admission *admission
	name      string
	// inUse is how many of its instances are held or have open pages.
	inUse atomic.Int64
	// called is when one of its instances was made, or last called, in nanoseconds since epoch.
	called atomic.Int64

	// Under the admission's lock: instances are those that it has, or makes; since is when its turn began, leaving that
	// it is over.
	instances int
	since     time.Time
	leaving   bool
	pools     map[*Pool]struct{}
	// begun: it was let in for its own work, and not for a question alone. said: it was logged that it waits long.
	begun, said bool
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
	plugin string
	need   int64
	// once: it asks something once.
	once  bool
	ready chan struct{}
	lease *lease
}

// once is the key of contexts of single calls, such as those of a check: they do not wait for a connector's turn.
type once struct{}

func isOnce(ctx context.Context) bool { return ctx.Value(once{}) != nil }

func newAdmission(bound int64, free func() bool, logger *slog.Logger) *admission {
	if bound <= 0 {
		bound = math.MaxInt64
	}
	least := sideBySide * runtime.GOMAXPROCS(0)
	return &admission{bound: bound, turn: turnOfMemory, logger: logger, free: free, tenants: map[string]*tenant{},
		width: width{least: least, allowed: least}}
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

// fits reports whether there is room; a.mu is held.
func (a *admission) fits(need int64) bool { return a.let == 0 || need <= a.bound-a.used }

// short reports whether somebody waits for memory; a.mu is held.
func (a *admission) short() bool {
	return slices.ContainsFunc(a.queue, func(w *applicant) bool { return !a.fits(w.need) })
}

// enters reports whether a connector that has no instances can be let in without waiting; a.mu is held.
func (a *admission) enters(t *tenant, need int64, once bool) bool {
	if !a.fits(need) {
		return false
	}
	if once || t.begun {
		return !a.short()
	}
	if len(a.queue) > 0 {
		return false
	}
	now := time.Now()
	seconds := int(min(now.Sub(a.width.changed)/growSlowly, math.MaxInt32))
	w := &a.width
	w.allowed, w.changed = max(w.least, w.allowed-seconds), w.changed.Add(time.Duration(seconds)*growSlowly)
	return a.atWork(now) < a.width.allowed
}

// atWork is how many connectors are, or a.width.allowed if there are more; a.mu is held.
func (a *admission) atWork(now time.Time) (n int) {
	for _, t := range a.tenants {
		if t.instances > 0 && int64(now.Sub(epoch))-t.called.Load() < int64(stalledTime) {
			if n++; n == a.width.allowed {
				break
			}
		}
	}
	return n
}

// epoch has a monotonic reading: a machine whose clock is set back is not to have all be at work for that long.
var epoch = time.Now()

// at notes a call.
func (t *tenant) at(now time.Time) { t.called.Store(int64(now.Sub(epoch))) }

// look goes through the queue from time to time while there is one: those who are at work become fewer without anybody
// saying so. a.mu is held.
func (a *admission) look() {
	if a.looking || len(a.queue) == 0 {
		return
	}
	a.looking = true
	time.AfterFunc(lookEvery, func() {
		defer guard.Recover(a.logger, "the queue of those who wait for plugins", nil)
		if a.looked() {
			a.press()
		}
	})
}

// looked looks through the queue. It reports whether memory has become short since it was last done.
func (a *admission) looked() (short bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looking = false
	now := time.Now()
	if !a.free() {
		a.busy = now
	}
	since := now.Sub(a.width.changed)
	if len(a.queue) > 0 && (since >= growSlowly || since >= growQuickly && now.Sub(a.busy) >= growQuickly) {
		w := &a.width
		w.allowed, w.changed = min(w.allowed+w.allowed/w.least, max(w.least, len(a.tenants))), now
	}
	a.serve()
	a.look()
	was := a.pressing
	a.pressing = a.short()
	return a.pressing && !was
}

// grant counts an instance; a.mu is held.
func (a *admission) grant(t *tenant, need int64) *lease {
	a.used += need
	if t != nil {
		a.let++
		if t.instances++; t.instances == 1 {
			t.since, t.leaving = time.Now(), false
			t.at(t.since)
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

// more reports whether there is room for one more instance of a plugin.
func (a *admission) more(need int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fits(need) && !a.short()
}

// pressed reports whether a connector is to close what is idle: others wait for memory, or its turn is over.
func (t *tenant) pressed() bool {
	a := t.admission
	if a.waiting.Load() == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return t.leaving || a.short()
}

// over reports whether a connector's turn is over while others wait for memory.
func (t *tenant) over() bool {
	a := t.admission
	if a.waiting.Load() == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return t.leaving || time.Since(t.since) >= a.turn && a.short()
}

// admit counts an instance of a pool that has none (first), waiting until the connector is let in, or one more, without
// waiting.
func (t *tenant) admit(ctx context.Context, p *Pool, first bool) (*lease, error) {
	a, need, once := t.admission, p.module.need(), isOnce(ctx)
	a.mu.Lock()
	if !first || t.instances > 0 && (t.inUse.Load() > 0 || !t.leaving) || a.enters(t, need, once) {
		defer a.mu.Unlock()
		t.begun = t.begun || !once
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
	w := &applicant{tenant: t, plugin: p.module.info.Name, need: need, once: isOnce(ctx), ready: make(chan struct{})}
	if len(a.queue) == 0 {
		a.width.changed = time.Now()
	}
	a.queue = append(a.queue, w)
	a.waiting.Add(1)
	a.look()
	say := !a.fits(need) && time.Since(a.said) > sayEvery
	if say {
		a.said = time.Now()
	}
	used := a.used
	a.mu.Unlock()
	if say {
		a.logger.Warn("the memory for plugins is used up: connectors take turns", "setting", MemorySetting, "bound",
			a.bound, "used", used, "connector", t.name)
	}
	a.press()
	long := time.AfterFunc(longWait, func() {
		defer guard.Recover(a.logger, "a long wait for a plugin", nil)
		a.tell(w)
	})
	defer long.Stop()
	select {
	case <-w.ready:
		return w.lease, nil
	case <-ctx.Done():
	case <-p.done:
	}
	a.mu.Lock()
	what := a.what(w)
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
		return nil, fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil, p.errClosed()
}

// what names for the log what an applicant waits for: memory, or its turn; a.mu is held.
func (a *admission) what(w *applicant) string {
	switch {
	case !a.fits(w.need) || w.once || w.tenant.begun:
		return fmt.Sprintf("memory for an instance of plugin %s (%s is %d)", w.plugin, MemorySetting, a.bound)
	default:
		return fmt.Sprintf("the connector's turn to begin with plugin %s (%d connectors are let begin at a time)",
			w.plugin, a.width.allowed)
	}
}

// tell logs that an applicant has waited for long, once for each connector.
func (a *admission) tell(w *applicant) {
	a.mu.Lock()
	said := w.tenant.said || !slices.Contains(a.queue, w)
	w.tenant.said = w.tenant.said || !said
	what := a.what(w)
	a.mu.Unlock()
	if !said {
		a.logger.Warn("a connector waits for others", "connector", w.tenant.name, "for", what, "waited", longWait)
	}
}

// serve goes over the queue in its order and lets in those for whom there is room now, and those whose connector has
// instances already; a.mu is held.
func (a *admission) serve() {
	var memory, turn bool // the first who waits for memory holds up all after him, for his turn those who begin, too
	now := time.Now()
	a.queue = slices.DeleteFunc(a.queue, func(w *applicant) bool {
		t := w.tenant
		in := t.instances > 0
		switch {
		case in && t.leaving:
			return false
		case in:
		case memory || !a.fits(w.need):
			memory = true
			return false
		case !w.once && !t.begun && (turn || a.atWork(now) >= a.width.allowed):
			turn = true
			return false
		}
		t.begun = t.begun || !w.once
		w.lease = a.grant(t, w.need)
		a.waiting.Add(-1)
		close(w.ready)
		return true
	})
}

// press has all connectors close their idle instances, since others wait for memory.
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
	for _, p := range t.all() {
		p.trim()
	}
}

// all are a connector's pools.
func (t *tenant) all() []*Pool {
	t.admission.mu.Lock()
	defer t.admission.mu.Unlock()
	return slices.Collect(maps.Keys(t.pools))
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

// MemorySetting is the worker's setting that [Options.MemoryBytes] comes from.
const MemorySetting = "plugins.memory.bytes"
