package host

import (
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// collector sets the garbage collector's target by what the worker does: while rows move, garbage may grow to four times what is
// alive, which is the largest single lever on throughput; at rest the target is Go's own and what is not needed goes back to the
// system. Memory is limited to half of the machine's, or of the container's, so that it cannot run away. What GOGC or GOMEMLIMIT
// say counts instead.
type collector struct {
	fixed   bool // GOGC is given
	working bool
	rest    int // looks without anything moving
}

const (
	workingPercent = 400
	restingPercent = 100
	// lookEvery is how often the collector looks; restAfter is after how many looks without a change the worker is at rest.
	lookEvery = time.Second
	restAfter = 3
)

// atWork sets the target for work until the returned function is called: while rows move, and while plugins are loaded, which at
// the usual target costs a third more time.
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
	c := collector{fixed: os.Getenv("GOGC") != ""}
	c.working = true
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for last := int64(-1); ; {
		select {
		case <-ctx.Done():
			return
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
		}
	}
}

func (c *collector) set(percent int) {
	if !c.fixed {
		debug.SetGCPercent(percent)
	}
}

// fallbackMemory is assumed where nothing tells how much there is.
const fallbackMemory = 2 << 30

// available is the memory that the container may use, or that the machine has, in bytes.
func available() int64 {
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			return n
		}
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fallbackMemory
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return fallbackMemory
}
