// Package delta reads what changed in an entity set: whole once, then by delta links (SAP Gateway and others) or by the
// queue of an ODP service.
//
// Where to look, from the lowest file up; none uses what stands in a later one:
//
//   - phase.go: where delta mode stands, a type for each phase.
//   - set.go: the set, its delta links, and the phases that it begins with; offset.go: how phases are stored.
//   - page.go: what is kept of an answer while it is read, and how a page ends.
//   - images.go: rows of ODP that say what happened; reread.go: entities that are read by their keys; rows.go: rows and
//     deleted entities.
//   - rescan.go: the second reading of a set whose load's links counted rows; transitions.go: which phase follows an
//     answer; odp.go: the same where only ODP services have it.
//   - answer.go: an answer, piece by piece; next.go: which request comes next.
//
// Invariants: a delta link is asked for when all rows before it are durable (P1). A first extraction of an ODP service
// is asked for once (P13), and no queue of another reader's is taken unless the settings say so (P14). Changes follow
// from the token of the load before them, never from a later one.
package delta
