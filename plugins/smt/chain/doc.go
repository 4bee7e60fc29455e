// Package chain is Kafka Connect's transforms and predicates. The plugin smt exports it; nothing here knows of
// WebAssembly, so it is tested as it is.
//
// There are two ways through a chain. The plain way takes a row through one stage after another, as Kafka does: it is
// the truth. The fast lane is for rows that are alike: for a topic and a schema (or the names of a map) all stages
// together become one program, which package kernel does to row after row. What it cannot do, it leaves to the plain
// way; tests compare the two.
//
// Where to look, from the top floor down; a file uses nothing of a floor above its own:
//
//   - engine.go: a call, the plain way, the result. lane.go: the fast lane, and the call and result of both ways.
//   - chain.go: the stages of a context, and what they come to for a topic in the fast lane. stage.go: a transform with
//     its condition. component.go: the table of transforms and predicates.
//   - insert.go, replace.go, mask.go, cast.go, timestamp.go, key.go (ValueToKey), headers.go, extract.go, hoist.go,
//     metadata.go (SetSchemaMetadata), flatten.go, router.go, stamp.go (TimestampRouter), predicate.go: Kafka's
//     transforms and predicates. split.go, unwrap.go, coalesce.go, tombstone.go: our own. scalar.go: numbers as Java
//     casts them.
//   - program.go: the program that stages on fields come to, and what it does to one row. shape.go: the same for maps.
//     whole.go: operations on a key or value as a whole. operation.go: what a transform is, and its row.
//   - compile.go: programs as the kernel takes them. draft.go: a structure on its way through stages on fields.
//     entries.go: a map on that way. part.go: what a program copies and writes. edit.go: values that become others.
//   - reader.go: where the members of a value begin. view.go: a row on the plain way. headerlist.go: a row's headers.
//     schemas.go: schemas, and what is compiled for them. failure.go: what a row fails by, with Java's names of
//     classes. settings.go: how components read their settings.
//
// Invariants: a row depends on no row before it. An engine is a cache: another one makes the same of the same call. The
// fast lane does a row as the plain way does it, or not at all; only the plain way fails rows.
package chain
