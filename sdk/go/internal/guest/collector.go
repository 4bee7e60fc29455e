package guest

// Go's collector lets a heap grow to 4 MiB before it looks at it for the first time, and to twice what is alive then.
// Linear memory never shrinks, so that each instance keeps these 4 MiB for what is mostly some 100 KB. Here the heap is
// looked at from leastHeap on, and then at twice what is alive: the least heap is 4 MiB times the collector's
// percentage, so that the percentage follows what is alive.
const (
	leastHeap    = 1 << 20
	goHeap       = 4 << 20
	leastPercent = 100 * leastHeap / goHeap
	maxPercent   = 100
)

// percentFor makes the least heap twice what is alive.
func percentFor(alive uint64) int {
	return int(max(leastPercent, min(maxPercent, 100*2*alive/goHeap)))
}
