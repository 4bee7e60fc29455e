// Package delta reads what changed in an entity set: whole once, then by delta links (SAP Gateway and others) or by the
// queue of an ODP service.
//
// Where to look:
//
//   - position.go: where delta mode stands, its offset. delta.go: which request comes next and what follows an answer.
//   - page.go: an answer, piece by piece. deletes.go: changed and deleted entities of it, with bloom.go: which of them
//     came before.
//   - rescan.go: the second reading of a set whose load counted rows. odp.go: what ODP services have beside the set.
//
// Invariants: a delta link is asked for when all rows before it are durable (P1). A first extraction of an ODP service
// is asked for once (P13), and no queue of another reader's is taken unless the settings say so (P14).
package delta
