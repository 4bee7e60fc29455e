// Package config reads what users write: worker files, connector files, environment and flags. It knows Kafka Connect's
// settings and those of this worker by name, and the settings of plugins only by their declarations and roles.
//
// Keys stay flat. Kafka Connect has keys that are prefixes of others (`transforms` and `transforms.a.type`), so nothing
// here ever makes a tree of them, and `#` or `{}` in a key mean nothing to the readers.
//
// Where to look:
//
//   - entry.go, properties.go, documents.go, files.go: entries with file and line, out of properties, JSON and YAML.
//   - worker.go with workersettings.go and workersecurity.go: the worker, in layers of defaults, file, environment and
//     flags, which koanf merges.
//   - connector.go with connectorsettings.go: a connector, its transforms, its converters.
//   - declaration.go, check.go: what is wrong with settings. roles.go: settings by what the host uses them for.
//   - authors.go: who wanted connectors to be as they are.
//   - provider.go, brought.go: references such as ${file:…}, how they are read again, and which of them
//     REST wrote. guest.go, masked.go: what a plugin, and what REST, may see. astray.go: where secrets go that who
//     sends a configuration need not know.
//   - folder.go with folderlooks.go and folderfiles.go: where connectors are kept, how changes are noticed
//     and how files are written. edit.go: how a text of properties is changed, and shown without passwords.
//     targets.go, noted.go: what is noted of connectors. diff.go: what another configuration means for one that runs.
//
// Invariants: what is wrong is a problem with file, line and setting, and all of it is found at once. A value from a
// reference is a [secret.Value], which shows itself nowhere. A file counts when it has come to rest. Nothing is
// declared twice: that is why properties of security come from host/kafka/security ([security.Settings]), which knows
// nothing of this package.
package config
