// Package check validates connectors: settings by their declarations and with the plugin itself, transforms,
// converters, Kafka clients, topics, the service, and resources that only one connector may use. [Checker] has checks
// without and with requests to the service; [Tool] runs commands of a connector's plugin at its service.
//
// Files: check.go has the order of all checks, settings.go, rules.go and stage.go rules by declarations, secretscope.go
// where stored secrets may go, group.go consumer groups, boundplugin.go calls of a connector's plugin, topics.go topics
// that no record reaches, plans.go the plans of plugins and conflicts between them, originchanged.go a source whose
// system changes, online.go requests to a service, validation.go the response of REST's validate, tool.go commands.
//
// Invariants: a check changes nothing and stores nothing but plans ([Plans]). Each error is a problem with file, line
// and setting, also if a plugin reports it. Tasks use the same functions as checks: a class, a claim or a topic that
// passed a check means the same to the task.
package check
