package config

import (
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// TraceHeaders is the setting that has a source's records carry the trace context.
const TraceHeaders = "tracing.headers.enable"

// AutoRestart is the setting that has failed tasks go on by themselves.
const AutoRestart = "task.auto.restart"

// commonSettings are Kafka Connect's own settings of every connector, in its order.
var commonSettings = []wit.SettingSpec{
	framed("name", wit.KindText, "", wit.High, "Globally unique name of this connector."),
	framed("connector.class", wit.KindText, "", wit.High, "Class of the connector, or an alias of it.",
		wit.Rule{Required: wit.Chosen}),
	framed("connector.plugin.version", wit.KindText, "", wit.Medium, "Version of the plugin; the newest unless given."),
	framed("tasks.max", wit.KindInt, "1", wit.High, "Largest number of tasks.", atLeast(1)),
	framed("tasks.max.enforce", wit.KindBoolean, "true", wit.Low, "Whether more tasks than tasks.max are refused."),
	framed("key.converter", wit.KindClassName, "", wit.Low, "Converter of keys; the worker's unless given."),
	framed("key.converter.plugin.version", wit.KindText, "", wit.Low, "Its version."),
	framed("value.converter", wit.KindClassName, "", wit.Low, "Converter of values; the worker's unless given."),
	framed("value.converter.plugin.version", wit.KindText, "", wit.Low, "Its version."),
	framed("header.converter", wit.KindClassName, "", wit.Low, "Converter of headers; the worker's unless given."),
	framed("header.converter.plugin.version", wit.KindText, "", wit.Low, "Its version."),
	framed("transforms", wit.KindListOfText, "", wit.Low, "Aliases of the transforms, in their order."),
	framed("predicates", wit.KindListOfText, "", wit.Low, "Aliases of the predicates."),
	framed("config.action.reload", wit.KindText, "restart", wit.Low, "What a changed secret does.", allowed("none",
		"restart")),
	framed("errors.retry.timeout", wit.KindLong, "0", wit.Medium,
		"For how long transforms, and a sink's encodings and deliveries, are tried again that failed and may do "+
			"better, in milliseconds; -1: for ever. Deliveries are tried as often as the connector's own settings say "+
			"in any case.",
		atLeast(-1)),
	framed("errors.retry.delay.max.ms", wit.KindLong, "60000", wit.Medium,
		"Longest pause between two such tries, in milliseconds: they double from 300. Rows that the service does not "+
			"take now wait as the connector's own settings say.", atLeast(1)),
	framed("errors.tolerance", wit.KindText, "none", wit.Medium, "none stops at the first bad record, all goes on.",
		allowed("none", "all")),
	framed("errors.log.enable", wit.KindBoolean, "false", wit.Medium,
		"Log skipped records as errors. They are logged in any case: false logs them as warnings."),
	framed("errors.log.include.messages", wit.KindBoolean, "false", wit.Medium, "And with them what they hold that "+
		"tells them apart: key and timestamp of a sink's record, topic and timestamp of a source's."),
	framed(AutoRestart, wit.KindBoolean, "", wit.Low, "Whether a task that failed by what may pass, such as a service "+
		"that is away, goes on by itself, after 10 seconds and then twice as long each time, up to 10 minutes; never "+
		"after a refused logon, a configuration or data that are wrong, or what exactly-once refuses. The worker's "+
		"unless given."),
	framed("unknown.settings", wit.KindText, "", wit.Low, "What an unknown key under the plugin's own prefix is: "+
		"error, or warn; the worker's unless given.", allowed("error", "warn")),
}

var sourceSettings = []wit.SettingSpec{
	framed("topic.creation.groups", wit.KindListOfText, "", wit.Low,
		"Groups of topics that are created with settings of their own."),
	framed("on.delete", wit.KindText, "keep", wit.Low,
		"What the deletion of the connector leaves at its service: keep "+
			"leaves subscriptions and queues of changes in place, terminate ends them.", allowed("keep", "terminate")),
	framed("exactly.once.support", wit.KindText, "requested", wit.Medium,
		"Whether the connector must have exactly-once: requested has it where the worker does it.", allowed("requested",
			"required")),
	framed("transaction.boundary", wit.KindText, "poll", wit.Medium,
		"Where transactions end: poll and connector with each page, interval with the first "+
			"page behind the interval.", allowed("poll",
			"interval", "connector")),
	framed("transaction.boundary.interval.ms", wit.KindLong, "", wit.Low,
		"How often transactions end, in milliseconds: by default offset.flush.interval.ms of the worker, "+
			"but no more than half of transaction.timeout.ms, within which they end in any case.", atLeast(1)),
	framed(TraceHeaders, wit.KindBoolean, "false", wit.Low,
		"Whether records carry the trace context of the page that they come from, in a header traceparent as the W3C "+
			"defines it, whatever header.converter is. A row that has one keeps it. Needs tracing.otlp.endpoint of "+
			"the worker. Sinks take such headers in any case."),
	framed("offsets.storage.topic", wit.KindText, "", wit.Low, "Topic with the offsets of this connector alone. "+
		"What it does not hold is read from the worker's."),
}

var sinkSettings = []wit.SettingSpec{
	framed("topics", wit.KindListOfText, "", wit.High, "Topics to read."),
	framed("topics.regex", wit.KindText, "", wit.High, "Topics to read, as a regular expression."),
	framed("errors.uncertain.send", wit.KindListOfText, "", wit.Low, "Records, as TOPIC-PARTITION@OFFSET, of which "+
		"nobody knows whether they were written, that are to be sent again: once for each time that one is named."),
	framed("errors.uncertain.skip", wit.KindListOfText, "", wit.Low, "Records, as TOPIC-PARTITION@OFFSET, of which "+
		"nobody knows whether they were written, that are to be left out."),
}

// deadLetterSettings are Kafka Connect's for sinks, and here for sources, too.
var deadLetterSettings = []wit.SettingSpec{
	framed("errors.deadletterqueue.topic.name", wit.KindText, "", wit.Medium,
		"Topic for records that could not be handled."),
	framed("errors.deadletterqueue.topic.replication.factor", wit.KindShort, "3", wit.Medium, "Its replicas."),
	framed("errors.deadletterqueue.context.headers.enable", wit.KindBoolean, "false", wit.Medium,
		"Whether headers tell what happened."),
}

// common declares all of them, for defaults.
var common = Declare(joined(commonSettings, sourceSettings, sinkSettings, deadLetterSettings)...)

// CommonSettings are Kafka Connect's own settings of a source or a sink, in its order.
func CommonSettings(kind wit.ComponentKind) []wit.SettingSpec {
	switch kind {
	case wit.ComponentSource:
		return joined(commonSettings, sourceSettings, deadLetterSettings)
	case wit.ComponentSink:
		// Kafka Connect shows topics behind the common part, and so do its tools.
		return joined(commonSettings, sinkSettings, deadLetterSettings)
	}
	return commonSettings
}

// lacking says what a setting of a connector needs that the worker does not have.
func lacking(e Entry, worker *Worker, embedded bool) string {
	v := setting.Trim(e.Value.Reveal())
	if e.Key != "exactly.once.support" || !strings.EqualFold(v, "required") || worker != nil && worker.ExactlyOnce() {
		return ""
	}
	why := ""
	switch {
	case worker == nil || worker.File == "":
		why = "; there is no worker's file, and the embedded broker, which is used then, cannot do it"
	case embedded:
		why = "; bootstrap.servers is the embedded broker, which cannot do it"
	}
	return "expected requested, found required: exactly-once needs a worker's file with bootstrap.servers of a " +
		"Kafka, group.id and exactly.once.source.support=enabled" + why
}

func framed(name string, kind wit.SettingKind, value string, importance wit.Importance, doc string,
	rules ...wit.Rule) wit.SettingSpec {
	s := declared(name, kind, value, doc, rules...)
	s.Importance = importance
	return s
}

func joined(lists ...[]wit.SettingSpec) []wit.SettingSpec {
	var all []wit.SettingSpec
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
