package guest

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

var (
	scheduler collector
	// heapSamples are the total allocation and the memory that the last collection found live.
	heapSamples = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
)

func init() { debug.SetGCPercent(gcPercent) }

// collectIfDue runs between two calls. It collects garbage if the collector decides to.
func collectIfDue() {
	// The workers of the garbage collector run only when a goroutine yields. Without this, a collection that began in a
	// call may never end in a guest with short calls, and memory grows to the limit (seen after some hundred calls;
	// yielding at every third call is not enough). It takes 0.9 µs.
	runtime.Gosched()
	if !scheduler.mustCheck() {
		return
	}
	metrics.Read(heapSamples)
	if scheduler.mustCollect(heapSamples[0].Value.Uint64(), heapSamples[1].Value.Uint64()) {
		runtime.GC()
	}
}
