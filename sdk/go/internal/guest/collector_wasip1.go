package guest

import (
	"runtime"
	"runtime/debug"
)

// percent is the one that is set.
var percent = leastPercent

func init() {
	debug.SetGCPercent(percent)
	afterCollection(&collected{})
}

// collected is garbage from the start: its finalizer tells when garbage was collected.
type collected struct{ _ [16]byte }

func afterCollection(c *collected) { runtime.SetFinalizer(c, adjust) }

// adjust sets the percentage by what is alive, unless it is nearly that.
func adjust(c *collected) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	wanted := percentFor(stats.HeapAlloc)
	if 4*wanted > 5*percent || 5*wanted < 4*percent {
		percent = wanted
		debug.SetGCPercent(percent)
	}
	afterCollection(c)
}
