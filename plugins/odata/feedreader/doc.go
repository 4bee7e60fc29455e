// Package feedreader compiles a configured entity set and its metadata into a [Feed], with schemas and row layout, and
// reads responses of the set with [Reader]. Full mode, delta mode and notifications build on it.
//
// Where to look:
//
//   - feed.go: [Feed]. compile.go: how it is made. track.go: what the service has for changes and subscriptions.
//   - context.go: how feeds are packed. cache.go: unpacked ones.
//   - reader.go: [Reader]. read.go: decoding a response. page.go: [PageReader] for full mode. format.go: $format.
//   - undeclared.go: properties missing from the metadata. advice.go: settings that would accept a value.
//   - headers.go, markers.go: record headers. deleted.go: deleted entities. notfound.go: responses that say so.
//   - cursor.go: the cursor's property. guids.go: the case of GUIDs in keys.
//
// Invariants: an instance can be replaced between any two calls, so all state is in contexts and offsets. A row, a
// deleted entity and a notification of the same entity have the same key bytes.
package feedreader
