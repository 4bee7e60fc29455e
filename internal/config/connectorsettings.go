package config

import (
	"slices"
	"strings"

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
		"Version of the plugin; the newest unless given."),
	commonSetting("tasks.max", wit.KindInt, "1", wit.High, formPosition("Common", 4, shortField, "Tasks max"),
		"Largest number of tasks.", atLeast(1)),
	commonSetting("tasks.max.enforce", wit.KindBoolean, "true", wit.Low, formPosition("Common", 5, shortField,
		"Enforce tasks max"),
		"Whether more tasks than tasks.max are refused."),
	commonSetting("key.converter", wit.KindClass, "", wit.Low, formPosition("Common", 6, shortField,
		"Key converter class"),
		"Converter of keys; the worker's unless given."),
	commonSetting("key.converter.plugin.version", wit.KindString, "", wit.Low,
		formPosition("Common", 7, shortField, "Key converter version"),
		"Its version."),
	commonSetting("value.converter", wit.KindClass, "", wit.Low, formPosition("Common", 8, shortField,
		"Value converter class"),
		"Converter of values; the worker's unless given."),
	commonSetting("value.converter.plugin.version", wit.KindString, "", wit.Low,
		formPosition("Common", 9, shortField, "Value converter version"),
		"Its version."),
	commonSetting("header.converter", wit.KindClass, "", wit.Low, formPosition("Common", 10, shortField,
		"Header converter class"),
		"Converter of headers; the worker's unless given."),
	commonSetting("header.converter.plugin.version", wit.KindString, "", wit.Low,
		formPosition("Common", 11, shortField, "Header converter version"),
		"Its version."),
	commonSetting("transforms", wit.KindList, "", wit.Low, formPosition("Transforms", 12, longField, "Transforms"),
		"Aliases of the transforms, in their order."),
	commonSetting("predicates", wit.KindList, "", wit.Low, formPosition("Predicates", 13, longField, "Predicates"),
		"Aliases of the predicates."),
	commonSetting("config.action.reload", wit.KindString, "restart", wit.Low, formPosition("Common", 14, mediumField,
		"Reload Action"),
		"What a changed secret does.", allowed("none",
			"restart")),
	commonSetting("errors.retry.timeout", wit.KindLong, "0", wit.Medium,
		formPosition("Error Handling", 1, mediumField, "Retry Timeout for Errors"),
		"For how long transforms, and a sink's encodings and deliveries, are tried again that failed and may do "+
			"better, in milliseconds; -1: for ever. Deliveries are tried as often as the connector's own settings say "+
			"in any case.",
		atLeast(-1)),
	commonSetting("errors.retry.delay.max.ms", wit.KindLong, "60000", wit.Medium,
		formPosition("Error Handling", 2, mediumField, "Maximum Delay Between Retries for Errors"),
		"Longest pause between two such tries, in milliseconds: they double from 300. Rows that the service does not "+
			"take now wait as the connector's own settings say.", atLeast(1)),
	commonSetting("errors.tolerance", wit.KindString, "none", wit.Medium,
		formPosition("Error Handling", 3, shortField, "Error Tolerance"),
		"none stops at the first bad record, all goes on.",
		allowed("none", "all")),
	commonSetting("errors.log.enable", wit.KindBoolean, "false", wit.Medium,
		formPosition("Error Handling", 4, shortField, "Log Errors"),
		"Log skipped records as errors. They are logged in any case: false logs them as warnings."),
	commonSetting("errors.log.include.messages", wit.KindBoolean, "false", wit.Medium,
		formPosition("Error Handling", 5, shortField, "Log Error Details"),
		"And with them what they hold that "+
			"tells them apart: key and timestamp of a sink's record, topic and timestamp of a source's."),
	commonSetting(AutoRestart, wit.KindBoolean, "", wit.Low, formPosition("Error Handling", 11, shortField,
		"Restart failed tasks"),
		"Whether a task that failed by what may pass, such as a service that is away, goes on by itself, after 10 "+
			"seconds and then twice as long each time, up to 10 minutes; never after a refused logon, a "+
			"configuration or data that are wrong, or what exactly-once refuses. The worker's unless given."),
	commonSetting("unknown.settings", wit.KindString, "", wit.Low, formPosition("Common", 15, shortField,
		"Unknown settings"),
		"What an unknown key under the plugin's own prefix is: "+
			"error, or warn; the worker's unless given.", allowed("error", "warn")),
}

var sourceSettings = []wit.ConfigKey{
	commonSetting("topic.creation.groups", wit.KindList, "", wit.Low,
		formPosition("Topic Creation", 1, longField, "Topic Creation Groups"),
		"Groups of topics that are created with settings of their own."),
	commonSetting("on.delete", wit.KindString, "keep", wit.Low, formPosition("Common", 16, shortField, "On deletion"),
		"What the deletion of the connector leaves at its service: keep "+
			"leaves subscriptions and queues of changes in place, terminate ends them.", allowed("keep", "terminate")),
	commonSetting("exactly.once.support", wit.KindString, "requested", wit.Medium,
		formPosition("Exactly Once Support", 2, shortField, "Exactly once support"),
		"Whether the connector must have exactly-once: requested has it where the worker does it.", allowed("requested",
			"required")),
	commonSetting("transaction.boundary", wit.KindString, "poll", wit.Medium,
		formPosition("Exactly Once Support", 3, shortField, "Transaction Boundary"),
		"Where transactions end: with each page, whichever is set.", allowed("poll", "interval", "connector")),
	commonSetting("transaction.boundary.interval.ms", wit.KindLong, "", wit.Low,
		formPosition("Exactly Once Support", 4, shortField, "Transaction boundary interval"),
		"Has no effect: transactions end with each page.", atLeast(1)),
	commonSetting(TraceHeaders, wit.KindBoolean, "false", wit.Low, formPosition("Common", 17, shortField,
		"Trace headers"),
		"Whether records carry the trace context of the page that they come from, in a header traceparent as the W3C "+
			"defines it, whatever header.converter is. A row that has one keeps it. Needs tracing.otlp.endpoint of "+
			"the worker. Sinks take such headers in any case."),
	commonSetting("offsets.storage.topic", wit.KindString, "", wit.Low, formPosition("offsets.topic", 1, longField,
		"Offsets topic"),
		"Topic with the offsets of this connector alone. "+
			"What it does not hold is read from the worker's."),
}

var sinkSettings = []wit.ConfigKey{
	commonSetting("topics", wit.KindList, "", wit.High, formPosition("Common", 4, longField, "Topics"),
		"Topics to read."),
	commonSetting("topics.regex", wit.KindString, "", wit.High, formPosition("Common", 4, longField, "Topics regex"),
		"Topics to read, as a regular expression."),
	commonSetting("errors.uncertain.send", wit.KindList, "", wit.Low,
		formPosition("Error Handling", 9, longField, "Uncertain records to send again"),
		"Records, as TOPIC-PARTITION@OFFSET, of which "+
			"nobody knows whether they were written, that are to be sent again: once for each time that one is named."),
	commonSetting("errors.uncertain.skip", wit.KindList, "", wit.Low,
		formPosition("Error Handling", 10, longField, "Uncertain records to leave out"),
		"Records, as TOPIC-PARTITION@OFFSET, of which "+
			"nobody knows whether they were written, that are to be left out."),
}

var deadLetterSettings = []wit.ConfigKey{
	commonSetting("errors.deadletterqueue.topic.name", wit.KindString, "", wit.Medium,
		formPosition("Error Handling", 6, mediumField, "Dead Letter Queue Topic Name"),
		"Topic for records that could not be handled."),
	commonSetting("errors.deadletterqueue.topic.replication.factor", wit.KindShort, "3", wit.Medium,
		formPosition("Error Handling", 7, mediumField, "Dead Letter Queue Topic Replication Factor"),
		"Its replicas."),
	commonSetting("errors.deadletterqueue.context.headers.enable", wit.KindBoolean, "false", wit.Medium,
		formPosition("Error Handling", 8, mediumField, "Enable Error Context Headers"),
		"Whether headers tell what happened."),
}

var common = Declare(slices.Concat(commonSettings, sourceSettings, sinkSettings, deadLetterSettings)...)

// CommonSettings returns Kafka Connect's own settings of a source or a sink, in its order.
func CommonSettings(kind wit.ComponentKind) []wit.ConfigKey {
	switch kind {
	case wit.ComponentSource:
		return slices.Concat(commonSettings, sourceSettings, deadLetterSettings)
	case wit.ComponentSink:
		// Kafka Connect shows topics after the common part, and so do its tools.
		return slices.Concat(commonSettings, sinkSettings, deadLetterSettings)
	}
	return commonSettings
}

func exactlyOnceUnavailable(entry Entry, worker *Worker, embedded bool) string {
	v := setting.Trim(entry.Value.Reveal())
	if entry.Key != "exactly.once.support" || !strings.EqualFold(v, "required") || worker != nil &&
		worker.ExactlyOnce() {
		return ""
	}
	reason := ""
	switch {
	case worker == nil || worker.File == "":
		reason = "; there is no worker's file, and the embedded broker, which is used then, cannot do it"
	case embedded:
		reason = "; bootstrap.servers is the embedded broker, which cannot do it"
	}
	return "expected requested, found required: exactly-once needs a worker's file with bootstrap.servers of a " +
		"Kafka, group.id and exactly.once.source.support=enabled" + reason
}

const (
	shortField uint8 = iota + 1
	mediumField
	longField
)

func formPosition(group string, order int32, width uint8, label string) []wit.Rule {
	return []wit.Rule{setting.InGroup(group), {Order: &order}, {Width: &width}, setting.Display(label)}
}

func commonSetting(name string, kind wit.SettingKind, value string, importance wit.Importance, position []wit.Rule,
	doc string,
	rules ...wit.Rule) wit.ConfigKey {
	s := declared(name, kind, value, doc, append(position, rules...)...)
	s.Importance = importance
	return s
}
