package guest

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

var (
	garbage collector
	// heap is how much was allocated since the start, and what the last collection found alive.
	heap = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
)

func init() { debug.SetGCPercent(gcPercent) }

// collectIfDue is what is done between two calls.
func collectIfDue() {
	// The collector's workers run only when somebody yields: without this a collection that began in a call may never
	// end in a guest whose calls are all short, and its memory grows to the limit (seen after some hundred calls; at
	// every third call it is not enough). 0.9 µs.
	runtime.Gosched()
	if !garbage.mustCheck() {
		return
	}
	metrics.Read(heap)
	if garbage.mustCollect(heap[0].Value.Uint64(), heap[1].Value.Uint64()) {
		runtime.GC()
	}
}
