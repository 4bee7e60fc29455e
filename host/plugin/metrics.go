package plugin

import "sync/atomic"

// Metrics are what a plugin version has done since it was loaded.
type Metrics struct {
	// Calls of functions of the contract, and Seconds spent in them, the copying of arguments and results included.
	Calls   int64
	Seconds float64
	// BytesIn went to guests as arguments, BytesOut came from them as results.
	BytesIn, BytesOut int64
	// Faults were said by the plugin, Traps ended a call and its instance.
	Faults, Traps int64
	// MemoryBytes is the largest that one instance's memory was.
	MemoryBytes int64
	// Instances are there now, Started were made in all, Recycled were replaced because of their age or size.
	Instances, Started, Recycled int64
}

// counters are Metrics as they are counted.
type counters struct {
	calls, nanos, bytesIn, bytesOut, faults, traps, memory, instances, started, recycled atomic.Int64
}

func (c *counters) snapshot() Metrics {
	return Metrics{
		Calls: c.calls.Load(), Seconds: float64(c.nanos.Load()) / 1e9,
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Faults: c.faults.Load(), Traps: c.traps.Load(), MemoryBytes: c.memory.Load(),
		Instances: c.instances.Load(), Started: c.started.Load(), Recycled: c.recycled.Load(),
	}
}

func (c *counters) sawMemory(bytes int64) {
	for {
		seen := c.memory.Load()
		if bytes <= seen || c.memory.CompareAndSwap(seen, bytes) {
			return
		}
	}
}
