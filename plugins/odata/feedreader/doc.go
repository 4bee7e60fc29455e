// Package feedreader compiles a configured entity set and its metadata into a [Feed], and reads responses of the set
// with [Reader]. Full mode ([PageReader]), delta mode and notifications build on it.
//
// Where to look: feed.go and compile.go, with derived.go, track.go, cursor.go and errorhints.go; context.go and
// cache.go store feeds between calls. reader.go, read.go and page.go read responses, undeclared.go handles properties
// missing from the metadata, format.go $format, notfound.go missing entities, drafts.go drafts. headers.go, markers.go,
// deleted.go and guids.go write records; progress.go reads the progress of a load from its offset.
//
// Invariants: an instance can be replaced between any two calls, so all state is in contexts and offsets. A row, a
// deleted entity and a notification of the same entity have the same key bytes.
package feedreader
