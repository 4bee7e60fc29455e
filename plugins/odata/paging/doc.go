// Package paging reads a whole entity set page by page: it decides which page to request next, checks that no row is
// missing and that pages do not repeat forever, and stores the state of a load in an offset. It does no I/O.
//
// A [Page] is created from a [Position], the offset; rows are passed to [Page.Observe]; [Page.Next] returns the next
// position. Its pager is chosen after the first page: further pages are requested by next links, by the last key
// ($filter), or by $skip. A failed check restarts the load, or fails it with exactly-once. verdict.go decides how a
// load ends: with the name of a proof, without proof, or by an error.
//
// Where to look: page.go, next.go (what follows a page) and pagers.go; errors.go and probes.go handle other responses,
// transition.go restarts a load. evidence.go lists what is known about the service, and what supports or contradicts
// the end of a load; verdict.go decides. position.go and offsetfields.go are the stored state. set.go builds URLs;
// links.go and tokens.go read next links; keys.go compares the keys of rows. Checks are in order.go, repeats.go,
// loopdetector.go and rows.go. cursor.go and seenrows.go handle loads of rows that changed since the previous load.
//
// Invariants: a load whose verdict names a proof has all rows that existed throughout it. Rows of probes are not
// emitted. Any page may be read twice, or by another instance.
package paging
