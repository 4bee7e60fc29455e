// Package write is the OData v2 sink: rows of records become requests to entity sets, and answers become verdicts on
// the rows. It does no I/O: the host sends what Encode makes and hands the answers to Settle.
//
// Where to look:
//
//   - plugin.go: what the host calls. settings.go: the settings; recommend.go: their values, checked with the service;
//     tools.go: commands. context.go: what Open works out, and what answers have shown of each service since.
//   - request.go: what is sent for a row, as encode makes it and settle reads it back: memos and hints are written and
//     read here alone. encode.go: from a row to its request, by the operation and the hint. nested.go: updates of
//     entities nested in a row. identity.go: RequestIDs. check.go: reads that look for an insert in doubt.
//   - grouping.go: requests into deliveries, by lane. run.go: the same for rows that differ in key and body alone.
//   - tree.go, body.go, atom.go: bodies by way of trees, which hold the rules. kernel.go, program.go: the same straight
//     from bytes, for flat rows.
//   - settle.go: the verdict on a row by the answer to its request. sentbatch.go: which answer of a batch is for which
//     row. own.go: which answers the service itself has made. entity.go: whether an entity that is found is a record's.
//     numbering.go: services that give keys of their own.
//
// Invariants: a row that stands in one delivery stands in no other. Two rows of one entity are in one lane and never in
// one delivery (P20). A POST is sent again only where the answer, or the service's repeatability, says that the one
// before was not applied (P19). What is learned of a service only ever comes from its answers, and is lost with the
// context.
package write
