// Package delta reads the changes of an entity set: the whole set once, then by delta links (SAP Gateway and others) or
// by the queue of an ODP service.
//
// The stored offset is a phase. [Set.Next] turns it into a request; [Page] reads the response and computes the next
// phase.
//
// Where to look: phase.go and offset.go are the phases, set.go and next.go the requests. response.go and page.go read a
// response; rows.go merges rows and deleted entities, images.go reads ODP's change modes, reread.go requests entities
// again. transitions.go computes the next phase, odp.go for ODP services. snapshot.go reads the whole set again,
// compare.go its keys, and the rows that were hidden from a load. progress.go is the progress of a load.
//
// Invariants: a delta link is requested only after all rows before it are durable, because the request confirms them
// (RATIONALE.md P1). The first extraction of an ODP service is requested once, because each request starts a job (P13).
// Another reader's queue is taken over only if configured (P14). Changes follow from the token of the load before them.
package delta
