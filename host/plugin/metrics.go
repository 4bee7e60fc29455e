package plugin

import (
	"slices"
	"sync/atomic"
)

// Metrics are what a plugin version has done for connectors since it was loaded.
type Metrics struct {
	// Calls of functions of the contract, and Seconds spent in them, the copying of arguments and results included.
	Calls   int64
	Seconds float64
	// BytesIn went to guests as arguments, BytesOut came from them as results.
	BytesIn, BytesOut int64
	// Faults were said by the plugin, Traps ended a call and its instance.
	Faults, Traps int64
	// Stopped is how often the version was stopped for a connector because it broke too often.
	Stopped int64
	// LongestSeconds is the longest call.
	LongestSeconds float64
	// Ticks is how often guests came by because their fuel was used up: about once in 0.2 ms of work.
	Ticks int64
	// Aborted is how many calls broke a limit, by its name in the settings: `call.ms`.
	Aborted map[string]int64
	// MemoryBytes is the largest that one instance's memory was.
	MemoryBytes int64
	// Instances are there now, Started were made in all, Recycled were replaced because of their age or size.
	Instances, Started, Recycled int64
}

// counters are Metrics as they are counted.
type counters struct {
	calls, nanos, bytesIn, bytesOut, faults, traps, memory, instances, started, recycled, longest, ticks,
	stopped atomic.Int64
	aborted [len(fences)]atomic.Int64
}

// fences are the limits that calls can break.
var fences = [...]string{"call.ms", "memory.bytes", "result.bytes", "log.lines.per.second", "stack"}

// Fences are the limits that calls can break, as they are named in the settings.
func Fences() []string { return slices.Clone(fences[:]) }

// countAbort counts a call that broke a limit, "" for none.
func (c *counters) countAbort(limit string) {
	if at := slices.Index(fences[:], limit); at >= 0 {
		c.aborted[at].Add(1)
	}
}

func (c *counters) snapshot() Metrics {
	aborted := map[string]int64{}
	for at, name := range fences {
		if n := c.aborted[at].Load(); n > 0 {
			aborted[name] = n
		}
	}
	return Metrics{
		LongestSeconds: float64(c.longest.Load()) / 1e9, Ticks: c.ticks.Load(), Aborted: aborted,
		Calls: c.calls.Load(), Seconds: float64(c.nanos.Load()) / 1e9,
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Faults: c.faults.Load(), Traps: c.traps.Load(), Stopped: c.stopped.Load(), MemoryBytes: c.memory.Load(),
		Instances: c.instances.Load(), Started: c.started.Load(), Recycled: c.recycled.Load(),
	}
}

func (c *counters) observeMemory(bytes int64) { raise(&c.memory, bytes) }

// raise makes a counter at least n.
func raise(counter *atomic.Int64, n int64) {
	for {
		seen := counter.Load()
		if n <= seen || counter.CompareAndSwap(seen, n) {
			return
		}
	}
}
