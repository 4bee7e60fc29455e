// Package entityset is an entity set as it is read: its schemas and the layout of its rows, made of an entry and the
// metadata, and what all ways to read it have in common.
//
// Where to look, from the lowest file up; none uses what stands in a later one:
//
//   - marks.go: the marks of a load that takes the place of what a reader had (P8).
//   - feed.go: [Feed]; keys.go: encoded keys; guids.go: the case of GUIDs in them; headers.go: the headers of rows;
//     cursor.go: the cursor's property; advice.go: the settings that would take a value.
//   - track.go: what a service has next to the set for changes and subscriptions; missing.go: answers that say that an
//     entity isn't there; compile.go: how a feed is made of its entry and the metadata.
//   - context.go: how feeds stand in a context; cache.go: those that an instance has made.
//   - reader.go: [Reader], which makes rows of an answer; format.go: services that refuse $format; deleted.go: rows of
//     deleted entities; undeclared.go: properties that the metadata lack; read.go: an answer, piece by piece.
//   - load.go: a page of a set that is read whole.
//
// Invariants: an instance can be replaced between any two calls, so nothing that counts stands outside of contexts and
// offsets. A row, a deleted entity and a notification of the same entity have the same bytes as their key.
package entityset
