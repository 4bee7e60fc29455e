package host

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
)

// collector sets the garbage collector's target by what the worker does: while rows move, garbage may grow to four
// times what is alive, which is the largest single lever on throughput; at rest the target is Go's own and what is not
// needed goes back to the system. Memory is limited to half of the machine's, or of the container's, so that it cannot
// run away. What GOGC or GOMEMLIMIT say counts instead.
type collector struct {
	fixed   bool // GOGC is given
	working bool
	rest    int // looks without anything moving
	percent int // that is set
}

const (
	workingPercent = 400
	restingPercent = 100
	// garbage is what there may be of it while rows move; together with what is alive it may come to wholeHeap, but to
	// leastPercent of what is alive in any case.
	garbage      = 48 << 20
	wholeHeap    = 64 << 20
	leastPercent = 25
	// paceEvery is how often the target follows what is alive; lookEvery is how often the collector looks; restAfter is
	// after how many looks without a change the worker is at rest.
	paceEvery = 100 * time.Millisecond
	lookEvery = time.Second
	restAfter = 3
)

// atWork sets the target for work until the returned function is called: while rows move, and while a worker starts and
// plugins are loaded, which at the usual target costs a third more time.
func atWork() (done func()) {
	limit := debug.SetMemoryLimit(-1)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(available() / 2)
	}
	if os.Getenv("GOGC") != "" {
		return func() { debug.SetMemoryLimit(limit) }
	}
	percent := debug.SetGCPercent(workingPercent)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// tune follows what moved reports, a sum of counters, until ctx ends, and then leaves things as they were.
func tune(ctx context.Context, moved func() int64) {
	defer atWork()()
	forgetProgram()
	c := collector{fixed: os.Getenv("GOGC") != "", percent: workingPercent}
	c.working = true
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	pacer := time.NewTicker(paceEvery)
	defer pacer.Stop()
	for last := int64(-1); ; {
		select {
		case <-ctx.Done():
			return
		case <-pacer.C:
			if c.working {
				c.set(percentFor(alive()))
			}
			continue
		case <-ticker.C:
		}
		now := moved()
		c.look(now != last)
		last = now
	}
}

// look changes the target where work has begun or ended.
func (c *collector) look(moved bool) {
	switch {
	case moved && !c.working:
		c.working = true
		c.set(workingPercent)
	case moved:
		c.rest = 0
	case c.working:
		if c.rest++; c.rest == restAfter {
			c.working, c.rest = false, 0
			c.set(restingPercent)
			debug.FreeOSMemory()
			forgetProgram()
		}
	}
}

// set sets the target, unless it is that already, or nearly: each change stops the world for a moment.
func (c *collector) set(percent int) {
	if c.fixed || percent*10 >= c.percent*9 && percent*9 <= c.percent*10 {
		return
	}
	c.percent = percent
	debug.SetGCPercent(percent)
}

// percentFor is the target while rows move and so much is alive: four times a small heap costs little memory and saves
// much time, four times that of many feeds would be most of what the worker holds.
func percentFor(alive uint64) int {
	room := min(garbage, wholeHeap-min(wholeHeap, alive))
	if alive*workingPercent/100 <= room {
		return workingPercent
	}
	return int(max(room*100/alive, leastPercent))
}

// alive is what the last collection found to be in use, in bytes.
func alive() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// guestMemory is what all instances of plugins together may have: what the worker says, else a quarter of what there
// is.
func guestMemory(w *config.Worker) int64 {
	if n := w.Int(plugin.MemorySetting); n > 0 {
		return int64(n)
	}
	return available() / 4
}

// fallbackMemory is assumed where nothing tells how much there is.
const fallbackMemory = 2 << 30

// available is the memory that the container may use, or that the machine has, in bytes.
func available() int64 { return availableIn(os.DirFS("/")) }

// availableIn is the least that the machine has, and that the control groups of this process allow: its own and those
// around it, of version 2 and of version 1. In a container the path of the own group may be one that only the machine
// knows: then the mount's root is that group.
func availableIn(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	take := func(text string) {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 { // "max" is no number
			least = min(least, n)
		}
	}
	groups := func(mount, at, file string) {
		for at = path.Clean("/" + at); ; at = path.Dir(at) {
			if text, err := fs.ReadFile(root, path.Join(mount, at, file)); err == nil {
				take(string(text))
			}
			if at == "/" {
				return
			}
		}
	}
	const mount = "sys/fs/cgroup"
	own, second, first := "", "/", "/"
	if text, err := fs.ReadFile(root, "proc/self/cgroup"); err == nil {
		own = string(text)
	}
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		switch {
		case len(fields) < 3:
		case fields[1] == "":
			second = fields[2]
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			first = fields[2]
		}
	}
	groups(mount, second, "memory.max")
	groups(mount+"/memory", first, "memory.limit_in_bytes")
	text, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				least = min(least, kib<<10)
			}
		}
	}
	if least == math.MaxInt64 {
		return fallbackMemory
	}
	return least
}
