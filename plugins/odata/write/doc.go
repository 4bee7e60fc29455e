// Package write is the OData v2 sink: rows of records become requests to entity sets, and answers become verdicts on
// the rows. It does no I/O: the host sends what Encode makes and hands the answers to Settle.
//
// Where to look:
//
//   - plugin.go: what the host calls. settings.go: the settings; recommend.go: their values, checked with the service;
//     tools.go: commands. context.go: what Open works out, and what answers have shown of each service since.
//   - encode.go: from a row to a request, by the operation and the hint. grouping.go: requests into deliveries.
//     nested.go: updates of entities nested in a row. identity.go: RequestIDs. hint.go: how a row is encoded once more.
//   - tree.go, body.go, atom.go: bodies by way of trees, which hold the rules. kernel.go, program.go: the same straight
//     from bytes, for flat rows. plain.go: batches of rows that differ in key and body alone.
//   - settle.go: verdicts on one request; together.go: on a batch; own.go: which answers the service itself has made;
//     check.go, entity.go: whether an insert in doubt was applied; numbering.go: services that give keys of their own.
//
// Invariants: a row that stands in one delivery stands in no other. Two rows of one entity are in one lane and never in
// one delivery (P20). A POST is sent again only where the answer, or the service's repeatability, says that the one
// before was not applied (P19). What is learned of a service only ever comes from its answers, and is lost with the
// context.
package write
