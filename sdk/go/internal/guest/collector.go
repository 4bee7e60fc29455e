package guest

// Garbage is collected between two calls. A guest has one thread and a write barrier slows down a collection during a
// call: it took a third of the call's time and lasted into the next calls. Between calls little memory is live and
// nothing is written.
//
// Linear memory never shrinks. Therefore a collection starts at minGarbage or when there is as much garbage as live
// memory, not at Go's 4 MiB. If a single call makes more, Go's own rule starts a collection, from 8 MiB on.
const (
	minGarbage = 1 << 20
	gcPercent  = 200
	maxSkip    = 64 // the maximum number of calls between two checks of the allocated memory
)

type collector struct {
	collectedAt uint64 // the total allocation in bytes at the last collection
	checkedAt   uint64 // the total allocation in bytes at the last check
	calls       int    // the number of calls since the last check
	skip        int    // the number of calls after a check that are not checked
}

// mustCheck counts a call and reports whether to check the allocated memory.
func (c *collector) mustCheck() bool {
	c.calls++
	return c.calls > c.skip
}

// mustCollect reports whether to collect garbage, and begins a new count of calls. allocated is the total allocation so
// far, live the live memory after the last collection, in bytes.
func (c *collector) mustCollect(allocated, live uint64) bool {
	bytesPerCall := (allocated - c.checkedAt) / uint64(c.calls)
	c.checkedAt = allocated
	c.calls = 0
	c.skip = 0
	threshold := max(minGarbage, live)
	garbage := allocated - c.collectedAt
	if garbage >= threshold {
		c.collectedAt = allocated
		return true
	}
	// Skip half of the calls that fit, since later calls may allocate more.
	c.skip = int(min((threshold-garbage)/(2*max(bytesPerCall, 1)), maxSkip))
	return false
}
