// Package write is the OData v2 sink: rows of records become requests to entity sets, and answers become verdicts on
// the rows. It does no I/O: the host sends what Encode makes and hands the answers to Settle.
//
// Where to look, from the ground up; each file uses those before it alone:
//
//   - settings.go: the settings. hint.go: how a row is to be encoded once more. refusal.go: refusals of rows.
//   - structure.go: types of entities. keys.go: their keys. entityset.go: entity sets, and whether they can be written.
//     context.go: what Open works out, and what answers have shown of each service since.
//   - field.go: values where they are in a row's bytes. body.go: the rules for bodies, and JSON. atom.go: Atom.
//     scalar.go: values of usual kinds.
//   - request.go: what is sent for a row, as encode makes it and settle reads it back: memos are written and read here
//     alone. identity.go: RequestIDs. numbering.go: services that give keys of their own.
//   - row.go: a row on its way to a request. nested.go: updates of entities nested in it. check.go: reads that look for
//     an insert in doubt. encode.go: from the row to its request, by the operation and the hint.
//   - grouping.go: requests into deliveries, by lane.
//   - answer.go: what an answer says by itself. verdict.go: verdicts. own.go: which answers the service itself made.
//     match.go: whether it takes If-Match. entity.go: whether an entity that is found is a record's. settle.go: the
//     verdict on a row by the answer to its request.
//   - sentbatch.go: which answer of a batch is for which row.
//   - plugin.go: what the host calls. recommend.go: values of settings, checked with the service. tools.go: commands.
//
// Invariants: a row that stands in one delivery stands in no other. Two rows of one entity are in one lane and never in
// one delivery (P20). A POST is sent again only where the answer, or the service's repeatability, says that the one
// before was not applied (P19). What is learned of a service only ever comes from its answers, and is lost with the
// context.
package sink
