// Package paging reads a whole entity set page by page: it decides which page to request next, checks that no row is
// missing and that pages do not repeat forever, and stores the state of a load in an offset. It does no I/O.
//
// A [Page] is created from a [Position], the offset; rows are passed to [Page.Observe]; [Page.Next] returns the next
// position. The first page is requested the same way for all pagers, and its end decides for one: nextLinkPager follows
// next links, keysetPager filters by the last key, skipPager uses $skip. What was learned about the service
// ([Capabilities]) is stored in the offset.
//
// Checks look at each row: orderCheck (rows of a keyset page ascend), the row count, repeatCheck (a key on two pages,
// so another row may be missing), [LoopDetector]. A failed check restarts the load, or fails it with exactly-once.
//
// Start with page.go, next.go (what follows a page) and pagers.go; errors.go and probes.go handle other responses, and
// transition.go the end of a load. position.go is the stored state, set.go builds URLs, seenrows.go and cursor.go
// handle loads of rows that changed since the previous load. The checks are in order.go, repeats.go and
// loopdetector.go.
//
// Invariants: a load never completes with fewer rows than the service counts, unless the service now counts fewer and
// no row can have been hidden. Any page may be read twice, or by another instance. Rows of probes are never emitted.
package paging
