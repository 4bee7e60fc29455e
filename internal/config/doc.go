// Package config reads what users write: worker files, connector files, environment and flags. It knows Kafka
// Connect's settings and those of this worker by name, but no plugin's.
//
//   - entry.go, unresolved.go, duplicates.go: [Entry] with file and line, with unresolved references, or repeated.
//   - readfile.go, readdocument.go, properties.go, documents.go: entries from properties, JSON and YAML. files.go:
//     [Files], the files of an installation.
//   - worker*.go: [Worker], layers of defaults, file, environment and flags, which koanf merges.
//   - connector*.go, declarations.go: [Connector], the entries of a connector with their references resolved, and Kafka
//     Connect's settings of connectors. Package resolved has what they mean.
//   - provider.go, references.go, mask.go: references to secrets, and what REST may show of them.
//   - store.go, folder*.go, taskconfigs.go: [Store], connectors in files and how changes are noticed.
//     edit.go: changes of a file.
//
// Invariants: a problem has file, line and setting, and all problems are found at once. A value from a reference is a
// [secret.Value], which never prints itself. Keys stay flat, because Kafka Connect has keys that are prefixes of
// others.
package config
