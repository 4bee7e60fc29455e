// Package config reads what users write: worker files, connector files, environment and flags. It knows Kafka
// Connect's settings and those of this worker by name, and the settings of plugins by their declarations and roles.
//
//   - entry.go, unresolved.go, duplicates.go: [Entry] with file and line, with unresolved references, or repeated.
//   - readfile.go, readdocument.go, properties.go, documents.go: entries from properties, JSON and YAML. files.go:
//     [Files], the files of an installation.
//   - worker*.go: [Worker], layers of defaults, file, environment and flags, which koanf merges.
//   - connector*.go, declarations.go, check*.go, roles.go: [Connector], its declared settings ([Declarations]), their
//     problems ([Checker]), and their roles.
//   - provider.go, references.go, mask.go, pluginview.go, secretscope.go: references to secrets, what REST and plugins
//     may see of them, and where stored secrets may go.
//   - store.go, folder*.go, targetstates.go, taskconfigs.go: [Store], connectors in files and how changes are noticed.
//     edit.go, diff.go: changes of a file and of a running connector.
//
// Invariants: a problem has file, line and setting, and all problems are found at once. A value from a reference is a
// [secret.Value], which never prints itself. Keys stay flat, because Kafka Connect has keys that are prefixes of
// others.
package config
