// Package chain is Kafka Connect's transforms and predicates. The plugin smt exports it; nothing here knows of
// WebAssembly, so it is tested as it is.
//
// There are two ways through a chain. The plain way takes a row through one stage after another, as Kafka does: it is
// the truth. The fast lane is for rows that are alike: for a topic and a schema (or the names of a map) all stages
// together become one program, which package kernel does to row after row. What it cannot do, it leaves to the plain
// way; tests compare the two.
//
// Where to look:
//
//   - component.go: the table of transforms and predicates. settings.go: how they read their settings.
//   - chain.go: the stages of a chain, and its context. engine.go: a call, the plain way, the result. view.go: a row on
//     the plain way.
//   - reader.go: where the members of a value begin. draft.go: a structure on its way through stages on fields.
//     program.go: the program that a draft becomes; what that does to one row. entries.go: the same for a map without
//     schema. edit.go: values that become others.
//   - lane.go: the fast lane. shape.go: programs for maps. compile.go: programs as the kernel takes them.
//   - insert.go, replace.go, mask.go, cast.go, timestamp.go, key.go (ValueToKey), headers.go, whole.go (ExtractField,
//     HoistField, SetSchemaMetadata), flatten.go, router.go, stamp.go (TimestampRouter): Kafka's transforms and
//     predicates. scalar.go: numbers as Java casts them. split.go, unwrap.go, extras.go: our own.
//
// Invariants: a row depends on no row before it. An engine is a cache: another one makes the same of the same call. The
// fast lane does a row as the plain way does it, or not at all; only the plain way fails rows.
package chain
