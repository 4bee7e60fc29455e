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
//   - provider.go, brought.go: references such as ${file:…}, how they are read again, and what REST brings.
//     guest.go, masked.go: what a plugin, and what REST, may see. astray.go: where stored secrets may go.
//   - folder.go with folderlooks.go and folderfiles.go: connectors in files, and how changes are noticed.
//     connectorsfile.go: connectors that were made by REST. edit.go: how a text of properties is changed, and shown
//     without passwords. targets.go: target states. diff.go: what another configuration means for one that runs.
//
// Invariants: what is wrong is a problem with file, line and setting, and all of it is found at once. A value from a
// reference is a [secret.Value], which shows itself nowhere. A file counts when it has come to rest. Nothing is
// declared twice: that is why properties of security come from host/kafka/security ([security.Settings]), which knows
// nothing of this package.
package config
