// Package delta reads what changed in an entity set: whole once, then by delta links (SAP Gateway and others) or by the
// queue of an ODP service.
//
// Where to look:
//
//   - phase.go: where delta mode stands, a type for each phase; offset.go: how it is stored.
//   - next.go: which request comes next; transitions.go: which phase follows an answer; odp.go: the same where only ODP
//     services have it.
//   - page.go: an answer, piece by piece; rows.go: its rows and deleted entities; images.go: rows of ODP that say what
//     happened; reread.go: entities that are read by their keys.
//   - rescan.go: the second reading of a set whose load counted rows; keyset.go: the keys that came with the load.
//
// Invariants: a delta link is asked for when all rows before it are durable (P1). A first extraction of an ODP service
// is asked for once (P13), and no queue of another reader's is taken unless the settings say so (P14). Changes follow
// from the token of the load before them, never from a later one.
package delta
