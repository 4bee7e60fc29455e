// Package setting declares, validates and reads settings, like Kafka's ConfigDef. One declaration drives parsing,
// defaults, validation, suggestions for misspelt names, documentation, REST, templates and reference pages. Plugins,
// the worker, its Kafka clients and Kafka Connect's own connector settings use it.
//
// A declaration is a [wit.ConfigKey], made by [Define]. A [Table] holds the declarations of a component and finds the
// one of a name. Names may be templates, in which {n} and {m} stand for one to three digits, kept as written, and
// {name} for any text. [Check] validates values, with the messages of Kafka Connect:
//
//	Invalid value 0 for configuration tasks.max: Value must be at least 1
//
// [Values] reads settings by their kinds and fills in defaults; a [Group] reads the settings of a numbered group.
//
// Plugins contain this package, so it does not use fmt and regexp, which are large. Patterns are checked only if
// [Check.Matches] is set, as in the host.
package setting
