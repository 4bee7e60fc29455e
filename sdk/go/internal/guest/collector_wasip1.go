package guest

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

var (
	garbage collector
	// heap samples the total allocation and the memory that the last collection found live.
	heap = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
)

func init() { debug.SetGCPercent(gcPercent) }

// collectIfDue runs between two calls.
func collectIfDue() {
	// The workers of the garbage collector run only when a goroutine yields. Without this, a collection that began in a
	// call may never end in a guest with short calls, and memory grows to the limit (seen after some hundred calls;
	// yielding at every third call is not enough). It takes 0.9 µs.
	runtime.Gosched()
	if !garbage.mustCheck() {
		return
	}
	metrics.Read(heap)
	if garbage.mustCollect(heap[0].Value.Uint64(), heap[1].Value.Uint64()) {
		runtime.GC()
	}
}
