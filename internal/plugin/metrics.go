package plugin

import (
	"slices"
	"sync/atomic"
)

// Metrics of a plugin version since it was loaded.
type Metrics struct {
	Calls          int64
	Seconds        float64 // includes copying of arguments and results
	BytesIn        int64
	BytesOut       int64
	Faults         int64 // counts calls that returned an error of the plugin
	Traps          int64
	Stopped        int64 // counts how often the version was stopped, see [StoppedError]
	LongestSeconds float64
	Ticks          int64            // counts how often fuel was used up: about once in 0.2 ms of work
	Aborted        map[string]int64 // counts calls that exceeded a limit, by its name: `call.ms`
	MemoryBytes    int64            // the largest memory of one instance
	Instances      int64            // instances that exist
	Started        int64            // all instances that were started
	Recycled       int64            // instances that were replaced because of age or size
}

// counters are the values of [Metrics]; times are in nanoseconds.
type counters struct {
	calls     atomic.Int64
	nanos     atomic.Int64
	bytesIn   atomic.Int64
	bytesOut  atomic.Int64
	faults    atomic.Int64
	traps     atomic.Int64
	memory    atomic.Int64
	instances atomic.Int64
	started   atomic.Int64
	recycled  atomic.Int64
	longest   atomic.Int64
	ticks     atomic.Int64
	stopped   atomic.Int64
	aborted   [len(callLimits)]atomic.Int64
}

var callLimits = [...]string{"call.ms", "memory.bytes", "result.bytes", "log.lines.per.second", "stack"}

// CallLimits returns the names of limits that calls can exceed.
func CallLimits() []string { return slices.Clone(callLimits[:]) }

func (c *counters) snapshot() Metrics {
	aborted := map[string]int64{}
	for i, name := range callLimits {
		if n := c.aborted[i].Load(); n > 0 {
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

// raise sets the counter to n unless it is larger already.
func raise(counter *atomic.Int64, n int64) {
	for {
		if seen := counter.Load(); n <= seen || counter.CompareAndSwap(seen, n) {
			return
		}
	}
}
