package guest

// Garbage is collected between two calls. While a collection is under way each pointer that is written is noted, and a
// guest has one thread: one that began in the middle of a call lasted to its end and into the next ones, and took a
// third of the call's time. Between calls little is alive and nothing is written.
//
// Linear memory never shrinks, so that heaps are looked at when there is as much garbage as is alive, from leastGarbage
// on, and not first at Go's 4 MiB. A call that makes more than that by itself has its garbage collected by Go's own
// rule, from 8 MiB on.
const (
	minGarbage = 1 << 20
	gcPercent  = 200
	// maxSkip is how many calls go by at most before it is looked how much was allocated.
	maxSkip = 64
)

// collector decides when.
type collector struct {
	// collectedAt is how much had been allocated when garbage was collected last, seen when it was looked at last,
	// after so many calls.
	collectedAt, checkedAt uint64
	calls, skip            int
}

// mustCheck tells whether it is to be looked how much was allocated.
func (c *collector) mustCheck() bool {
	c.calls++
	return c.calls > c.skip
}

// mustCollect tells whether garbage is to be collected, by how much was allocated since the start and how much was
// alive after the last collection.
func (c *collector) mustCollect(allocated, alive uint64) bool {
	each := (allocated - c.checkedAt) / uint64(c.calls)
	c.checkedAt, c.calls, c.skip = allocated, 0, 0
	most := max(minGarbage, alive)
	garbage := allocated - c.collectedAt
	if garbage >= most {
		c.collectedAt = allocated
		return true
	}
	// Half of the calls that fit are let go by: what they allocate may change.
	c.skip = int(min((most-garbage)/(2*max(each, 1)), maxSkip))
	return false
}
