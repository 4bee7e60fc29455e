// Package entry is what the settings say of each entity set that a connector reads: their declarations, what they come
// to, and what they may not say together.
//
// Where to look:
//
//   - settings.go: the settings, [Entry], and the examination of all. reads.go: which rows are read, and what of them.
//     cursor.go, tracking.go, subscribing.go: those of a cursor, of delta mode, of subscriptions.
//   - function.go: the set that an entry names, or the function import, in the metadata.
//
// Invariants: a name of a setting stands here once. Two entries never read the same set under one identity.
package entry
