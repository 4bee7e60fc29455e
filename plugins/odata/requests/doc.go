// Package requests turns rows into deliveries: single requests and $batch requests.
//
// Encode reads each row, decides on the operation by settings and hint, and groups the requests. A Target is the part
// of a request that the response needs. The state of a delivery contains its targets, and ReadDelivery decodes it.
// A Hint specifies how to encode a row again.
//
// Invariants: a row is in one delivery only. Rows of one entity have the same ordering key and are never in the same
// delivery: otherwise an older update could overwrite a newer one (RATIONALE.md P20). A POST is repeated only if a
// response, or the service's RequestIDs, prove that it was not applied before: otherwise a service that numbers its
// documents would create two (P19).
package requests
