package config

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// TraceHeaders is the setting that adds the trace context to a source's records.
const TraceHeaders = "tracing.headers.enable"

// AutoRestart is the setting that restarts failed tasks.
const AutoRestart = "task.auto.restart"

var commonSettings = []wit.ConfigKey{
	commonSetting("name", wit.KindString, "", wit.High, formPosition("Common", 1, mediumField, "Connector name"),
		"Globally unique name of this connector."),
	commonSetting("connector.class", wit.KindString, "", wit.High, formPosition("Common", 2, longField,
		"Connector class"),
		"Class of the connector, or an alias of it.",
		wit.Rule{Required: wit.Set}),
	commonSetting("connector.plugin.version", wit.KindString, "", wit.Medium,
		formPosition("Common", 3, mediumField, "Connector version"),
		"Version of the plugin, or a range such as [1.0,2.0); default: the newest."),
	commonSetting("tasks.max", wit.KindInt, "1", wit.High, formPosition("Common", 4, shortField, "Tasks max"),
		"Maximum number of tasks.", atLeast(1)),
	commonSetting("tasks.max.enforce", wit.KindBoolean, "true", wit.Low, formPosition("Common", 5, shortField,
		"Enforce tasks max"),
		"Whether more tasks than tasks.max are rejected."),
	commonSetting("key.converter", wit.KindClass, "", wit.Low, formPosition("Common", 6, shortField,
		"Key converter class"),
		"Converter of keys; default: the worker's."),
	commonSetting("key.converter.plugin.version", wit.KindString, "", wit.Low,
		formPosition("Common", 7, shortField, "Key converter version"),
		"Version of the key converter."),
	commonSetting("value.converter", wit.KindClass, "", wit.Low, formPosition("Common", 8, shortField,
		"Value converter class"),
		"Converter of values; default: the worker's."),
	commonSetting("value.converter.plugin.version", wit.KindString, "", wit.Low,
		formPosition("Common", 9, shortField, "Value converter version"),
		"Version of the value converter."),
	commonSetting("header.converter", wit.KindClass, "", wit.Low, formPosition("Common", 10, shortField,
		"Header converter class"),
		"Converter of headers; default: the worker's."),
	commonSetting("header.converter.plugin.version", wit.KindString, "", wit.Low,
		formPosition("Common", 11, shortField, "Header converter version"),
		"Version of the header converter."),
	commonSetting("transforms", wit.KindList, "", wit.Low, formPosition("Transforms", 12, longField, "Transforms"),
		"Aliases of the transforms, in their order."),
	commonSetting("predicates", wit.KindList, "", wit.Low, formPosition("Predicates", 13, longField, "Predicates"),
		"Aliases of the predicates."),
	commonSetting("config.action.reload", wit.KindString, "restart", wit.Low, formPosition("Common", 14, mediumField,
		"Reload Action"),
		"What happens when a secret changes: restart, or none.", allowed("none", "restart")),
	commonSetting("errors.retry.timeout", wit.KindLong, "0", wit.Medium,
		formPosition("Error Handling", 1, mediumField, "Retry Timeout for Errors"),
		"How long failed transforms, and a sink's failed encodings and deliveries, are retried after transient "+
			"errors, in milliseconds; -1 means forever. Deliveries are retried at least as often as the connector's "+
			"own settings specify.",
		atLeast(-1)),
	commonSetting("errors.retry.delay.max.ms", wit.KindLong, "60000", wit.Medium,
		formPosition("Error Handling", 2, mediumField, "Maximum Delay Between Retries for Errors"),
		"Maximum delay between two such retries, in milliseconds; delays double from 300. Rows that the service "+
			"cannot accept now wait as the connector's own settings specify.", atLeast(1)),
	commonSetting("errors.tolerance", wit.KindString, "none", wit.Medium,
		formPosition("Error Handling", 3, shortField, "Error Tolerance"),
		"none fails the task at the first bad record, all skips bad records.",
		allowed("none", "all")),
	commonSetting("errors.log.enable", wit.KindBoolean, "false", wit.Medium,
		formPosition("Error Handling", 4, shortField, "Log Errors"),
		"Log skipped records as errors. They are logged in any case: false logs them as warnings."),
	commonSetting("errors.log.include.messages", wit.KindBoolean, "false", wit.Medium,
		formPosition("Error Handling", 5, shortField, "Log Error Details"),
		"Also log what identifies a skipped record: key and timestamp of a sink's record, topic and timestamp of a "+
			"source's."),
	commonSetting(AutoRestart, wit.KindBoolean, "", wit.Low, formPosition("Error Handling", 11, shortField,
		"Restart failed tasks"),
		"Whether a task restarts by itself after a transient error, such as an unavailable service: after 10 "+
			"seconds, then after twice the delay each time, up to 10 minutes. Tasks never restart by themselves "+
			"after a rejected logon, an invalid configuration, invalid data, or an error of exactly-once. Default: "+
			"the worker's."),
	commonSetting("unknown.settings", wit.KindString, "", wit.Low, formPosition("Common", 15, shortField,
		"Unknown settings"),
		"Whether an unknown key under the plugin's own prefix is an error or a warning: error, or warn. Default: "+
			"the worker's.", allowed("error", "warn")),
}

var sourceSettings = []wit.ConfigKey{
	commonSetting("topic.creation.groups", wit.KindList, "", wit.Low,
		formPosition("Topic Creation", 1, longField, "Topic Creation Groups"),
		"Groups of topics that are created with their own settings."),
	commonSetting("on.delete", wit.KindString, "keep", wit.Low, formPosition("Common", 16, shortField, "On deletion"),
		"What happens to subscriptions and delta queues at the service when the connector is deleted: keep leaves "+
			"them in place, terminate ends them.", allowed("keep", "terminate")),
	commonSetting("exactly.once.support", wit.KindString, "requested", wit.Medium,
		formPosition("Exactly Once Support", 2, shortField, "Exactly once support"),
		"Whether the connector requires exactly-once: requested uses it if the worker supports it.",
		allowed("requested", "required")),
	commonSetting("transaction.boundary", wit.KindString, "poll", wit.Medium,
		formPosition("Exactly Once Support", 3, shortField, "Transaction Boundary"),
		"Where transactions end: always after each page, whatever the value.",
		allowed("poll", "interval", "connector")),
	commonSetting("transaction.boundary.interval.ms", wit.KindLong, "", wit.Low,
		formPosition("Exactly Once Support", 4, shortField, "Transaction boundary interval"),
		"Has no effect: transactions end with each page.", atLeast(1)),
	commonSetting(TraceHeaders, wit.KindBoolean, "false", wit.Low, formPosition("Common", 17, shortField,
		"Trace headers"),
		"Whether records carry the trace context of their page in the W3C header traceparent, whatever "+
			"header.converter is. A row that already has this header keeps it. Requires the worker's "+
			"tracing.otlp.endpoint. Sinks always use such headers."),
	commonSetting("offsets.storage.topic", wit.KindString, "", wit.Low, formPosition("offsets.topic", 1, longField,
		"Offsets topic"),
		"Topic for the offsets of this connector only. Offsets that it does not contain are read from the worker's "+
			"topic."),
}

var sinkSettings = []wit.ConfigKey{
	commonSetting("topics", wit.KindList, "", wit.High, formPosition("Common", 4, longField, "Topics"),
		"Topics to read."),
	commonSetting("topics.regex", wit.KindString, "", wit.High, formPosition("Common", 4, longField, "Topics regex"),
		"Topics to read, as a regular expression."),
	commonSetting("errors.uncertain.send", wit.KindList, "", wit.Low,
		formPosition("Error Handling", 9, longField, "Uncertain records to send again"),
		"Records, as TOPIC-PARTITION@OFFSET, of which it is unknown whether they were written, and which are sent "+
			"again: once for each time that one is listed."),
	commonSetting("errors.uncertain.skip", wit.KindList, "", wit.Low,
		formPosition("Error Handling", 10, longField, "Uncertain records to leave out"),
		"Records, as TOPIC-PARTITION@OFFSET, of which it is unknown whether they were written, and which are skipped."),
}

var deadLetterSettings = []wit.ConfigKey{
	commonSetting("errors.deadletterqueue.topic.name", wit.KindString, "", wit.Medium,
		formPosition("Error Handling", 6, mediumField, "Dead Letter Queue Topic Name"),
		"Topic for records that could not be processed."),
	commonSetting("errors.deadletterqueue.topic.replication.factor", wit.KindShort, "3", wit.Medium,
		formPosition("Error Handling", 7, mediumField, "Dead Letter Queue Topic Replication Factor"),
		"Replication factor of the dead letter topic."),
	commonSetting("errors.deadletterqueue.context.headers.enable", wit.KindBoolean, "false", wit.Medium,
		formPosition("Error Handling", 8, mediumField, "Enable Error Context Headers"),
		"Whether headers describe the error."),
}

var common = Declare(slices.Concat(commonSettings, sourceSettings, sinkSettings, deadLetterSettings)...)

// IsCommonSetting reports whether a key is exactly one of Kafka Connect's settings of connectors.
func IsCommonSetting(key string) bool { return common.Declares(key) }

// CommonSettings returns Kafka Connect's own settings of a source or a sink, in its order.
func CommonSettings(kind wit.ComponentKind) []wit.ConfigKey {
	return slices.Clone(CommonTable(kind).Keys())
}

// Kafka Connect shows a sink's topics after the common part, and so do its tools.
var (
	commonOfSources = Declare(slices.Concat(commonSettings, sourceSettings, deadLetterSettings)...)
	commonOfSinks   = Declare(slices.Concat(commonSettings, sinkSettings, deadLetterSettings)...)
)

// CommonTable returns the table of [CommonSettings], which callers do not change.
func CommonTable(kind wit.ComponentKind) *Declarations {
	if kind == wit.ComponentSink {
		return commonOfSinks
	}
	return commonOfSources
}

// MaxSinkTasks is the largest number of tasks of a sink. Each is a Kafka client, even without a partition.
const MaxSinkTasks = 1000

// Widths of the fields in which tools show settings (ConfigDef.Width).
const (
	shortField uint8 = iota + 1
	mediumField
	longField
)

func formPosition(group string, order int32, width uint8, label string) []wit.Rule {
	return []wit.Rule{setting.InGroup(group), {Order: &order}, {Width: &width}, setting.Display(label)}
}

// commonSetting declares a setting with an importance and a position in forms.
func commonSetting(name string, kind wit.SettingKind, value string, importance wit.Importance, position []wit.Rule,
	doc string, rules ...wit.Rule) wit.ConfigKey {
	s := declared(name, kind, value, doc, append(position, rules...)...)
	s.Importance = importance
	return s
}
