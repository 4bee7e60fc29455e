// Package transforms contains the transforms ([Operation]) and predicates ([Predicate]) of the plugin, with the names,
// settings and documentation of Kafka's classes. [Components] describes them, [NewStage] creates a chain's [Stage].
//
// Invariants: results and messages are those of Kafka's classes, if there is one. An operation depends on no earlier
// row, except for caches. A predicate never changes a record. A router computes the topic from the old topic and the
// timestamp only. An edit and its kernel conversion have the same result. A transform of fields returns
// [record.NotTraceable] for a traced object if its effect depends on values that a program does not check.
//
// Files: each transform has one of its name, apart from
//   - classes, catalog: the table of all classes, and how they are created
//   - operation, settings, predicates: what transforms implement, how settings are read, and all predicates
//   - castvalue, number, timeformat: conversions for Cast and TimestampConverter
//   - headers: DropHeaders and InsertHeader; totombstone: also Filter; splititems: the items that Split reads
package transforms
