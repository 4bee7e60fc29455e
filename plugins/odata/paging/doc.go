// Package paging reads a whole entity set page by page: it decides which page comes next, checks that no row is missing
// and that pages do not repeat forever, and converts the state of a load to and from an offset. It does not depend on
// the format of pages, does no I/O and keeps nothing between calls.
//
// A [Page] is created from a [Position]; rows are passed to [Page.Observe]; [Page.Next] returns the next position. The
// first page is the same for all pagers, so the pager is chosen at its end: nextLinkPager follows next links,
// keysetPager filters by the last key, skipPager uses $skip. If pages end below the service's count, the load changes
// the pager without repeating a row. What was learned about the service ([Capabilities]) is kept in the offset.
//
// Checks look at each row and never repair anything: orderCheck (rows of a keyset page ascend), the row count,
// repeatCheck (a key on two pages while pages are counted, so another row may be missing), LoopDetector (pages or links
// repeat). A failed check restarts the load, at most maxAttempts times, with another pager if the service is at fault.
// With exactly-once it fails the load.
//
// Where to look:
//
//   - loopdetector.go: hashes and [LoopDetector]. capabilities.go: what is known about a service.
//   - position.go, offsetfields.go: [Position] and its stored form.
//   - cursor.go, seenrows.go: loads of what changed since the previous one. rows.go: [Rows] and digests of pages.
//   - set.go: [Set] and the URLs of its pages. links.go, tokens.go: next links and whether they count rows.
//   - order.go, repeats.go: the checks. page.go: [Page]. transition.go: how a load ends or restarts.
//   - pagers.go: the next request. questions.go: answers to questions, and refusals. next.go: what follows a page.
//
// Invariants:
//
//   - A load never completes with fewer rows than the service counts, unless the service now counts fewer and no row
//     can have been hidden.
//   - Any page may be read by another instance, or twice: only the position is passed on.
//   - No row of an answer to a question is emitted.
package paging
