// Package feed is an entity set as it is read: its schemas and the layout of its rows, made of an entry and the
// metadata, and what all ways to read it have in common.
//
// Where to look:
//
//   - feed.go: [Feed]; context.go: how feeds stand in a context; cache.go: those that an instance has made.
//   - track.go: what a service has next to the set for changes and subscriptions; cursor.go, headers.go, advice.go.
//   - reader.go: [Reader], which makes rows of an answer's pieces; undeclared.go: properties that the metadata lack;
//     format.go: services that refuse $format; load.go: a page of a set that is read whole.
//   - marks.go: the marks of a load that takes the place of what a reader had (P8).
//   - keys.go: entities' addresses and encoded keys; guids.go: their case;
//     deleted.go: rows of deleted entities; missing.go: answers that say that an entity isn't there.
//
// Invariants: an instance can be replaced between any two calls, so nothing that counts stands outside of contexts and
// offsets. A row, a deleted entity and a notification of the same entity have the same bytes as their key.
package feed
