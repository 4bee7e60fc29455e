// Package sourceconfig is what the settings say of each entity set that a connector reads: their declarations, what
// they come to, and what they may not say together.
//
// Where to look:
//
//   - entry.go: [EntitySetConfig], and the names of settings.
//   - reads.go: which rows are read, and what of them. cursor.go, tracking.go, subscribing.go: the settings of a
//     cursor, of delta mode, of subscriptions. settings.go: all settings, and their examination.
//   - function.go: the set that an entry names, or the function import, in the metadata.
//
// Invariants: a name of a setting stands here once. Two entries never read the same set under one identity.
package sourceconfig
