// Package setting is the engine of settings: a declaration, made once, drives parsing, default, check, nearest name,
// typed reading, documentation and what REST, templates and reference pages show. Plugins, the worker, its Kafka
// clients and Kafka Connect's own settings of connectors declare with it.
//
// A declaration is a [wit.SettingSpec]; [Define] and the functions next to it make one. A [Table] holds those of a
// component and finds the one that a name goes by: names may be templates, in which {n} and {m} stand for one to three
// digits, kept as written, and {name} for any text. [Check] says what is wrong with a value in the words of Kafka
// Connect:
//
//	Invalid value 0 for configuration tasks.max: Value must be at least 1
//
// [Values] reads settings by their kinds, with the defaults after them, and a [Group] those of a numbered group.
//
// The package is part of plugins, so it does without fmt and regexp, which are large. Patterns are checked where
// [Check.Matches] is set, which the host does.
package setting
