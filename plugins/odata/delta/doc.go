// Package delta reads the changes of an entity set: the whole set once, then by delta links (SAP Gateway and others) or
// by the queue of an ODP service.
//
// The stored offset is a phase. [Set.Next] turns it into a request, [Page] reads the response and computes the next
// phase.
//
// Where to look:
//
//   - phase.go: the phases. offset.go: their stored form. set.go: [Set] and its delta links. next.go: the next request.
//   - response.go: a response, chunk by chunk. page.go: [Page]. rows.go: rows and deleted entities.
//   - images.go: ODP's change modes. reread.go: entities that are read again by key.
//   - transitions.go: the phase after a response. odp.go: the same for ODP services. snapshot.go: reading the
//     set again.
//
// Invariants: a delta link is requested once all rows before it are durable (P1). The first extraction of an ODP
// service is requested once (P13), and another reader's queue is taken over only if configured (P14). Changes follow
// from the token of the load before them, never from a later one.
package delta
