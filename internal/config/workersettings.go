package config

import (
	"slices"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	JSONConverter   = "org.apache.kafka.connect.json.JsonConverter"
	HeaderConverter = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
)

// LoggerLevelPrefix begins settings of logger levels; the logger's name follows.
const LoggerLevelPrefix = "logging.level."

var workerSettings = slices.Concat(generalSettings, groupSettings, restSettings, proxySettings, securitySettings,
	tracingSettings)

var workerDeclarations = sync.OnceValue(func() *Declarations { return Declare(workerSettings...) })

// FindWorkerSetting returns the declaration of exactly this setting of the worker.
func FindWorkerSetting(name string) (spec *wit.ConfigKey, ok bool) {
	i := slices.IndexFunc(workerSettings, func(s wit.ConfigKey) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &workerSettings[i], true
}

var generalSettings = []wit.ConfigKey{
	declared("bootstrap.servers", wit.KindList, "embedded", "Kafka brokers as host:port, or `embedded` "+
		"(`embedded:PORT`) for the built-in broker, which is meant for trials."),
	declared("plugin.path", wit.KindList, "",
		"Folders with .wasm plugins, in addition to the built-in plugins; a module in a folder replaces a built-in "+
			"one of the same name, one with transforms only with plugin.NAME.replace=true."),
	declared("cache.dir", wit.KindString, "", "Folder for compiled plugins; by default plugins.cache in the data "+
		"folder, and for commands without one in the user's cache folder. It must belong to the worker's user or "+
		"root, and nobody else may write to it; otherwise plugins are compiled at each start. culvert plugins warm "+
		"fills it."),
	declared("plugins.memory.bytes", wit.KindLong, "",
		"Maximum total memory of the instances of sources and sinks, in bytes; the same maximum applies separately to "+
			"transforms. Each instance counts with its limit memory.bytes. At the maximum, connectors run in turn; at "+
			"least one always runs. Default: a quarter of the memory limit (GOMEMLIMIT, the control group, the "+
			"machine), at most 2 GiB.",
		atLeast(1)),
	declared("key.converter", wit.KindClass, JSONConverter,
		"Converter of record keys; its own settings follow as key.converter.…"),
	declared("value.converter", wit.KindClass, JSONConverter,
		"Converter of record values; its own settings follow as value.converter.…"),
	declared("header.converter", wit.KindClass, HeaderConverter, "Converter of header values."),
	declared("offset.storage.topic", wit.KindString, "connect-offsets", "Topic with the offsets of sources."),
	declared("offset.flush.interval.ms", wit.KindLong, "60000", "How often offsets are written, in milliseconds.",
		atLeast(1)),
	declared("offset.flush.timeout.ms", wit.KindLong, "5000",
		"How long a flush of offsets may take, in milliseconds; offsets that are not written in time are written by "+
			"the next flush.", atLeast(1)),
	declared("offset.storage.partitions", wit.KindInt, "", "Partitions of the offsets topic if it has to be created."),
	declared("offset.storage.replication.factor", wit.KindShort, "",
		"Replication factor of the offsets topic if it has to be created; default: the broker's."),
	declared("task.shutdown.graceful.timeout.ms", wit.KindLong, "5000",
		"How long all tasks together may take to stop, in milliseconds.", atLeast(0)),
	declared("listeners", wit.KindList, "http://:8083",
		"Addresses of the REST API: http://HOST:PORT, or https://HOST:PORT, which requires "+
			"listeners.https.ssl.keystore.…; no host means all addresses, an empty value no REST API. Default "+
			"without a worker's file: http://127.0.0.1:8083."),
	declared("rest.basic.auth.file", wit.KindString, "",
		"File of the users who may use the REST API, with a line NAME:HASH for each, as written by `htpasswd -B` "+
			"(bcrypt only). It is read again after each change; /health requires no logon."),
	declared("rest.read.only", wit.KindBoolean, "false",
		"true: the REST API rejects (403) all requests that change something."),
	declared("console.enable", wit.KindBoolean, "true",
		"Whether the REST API serves the console for browsers at /console/."),
	declared("console.title", wit.KindString, "",
		"Name of the installation, such as PRD, which every page of the console shows."),
	declared("console.accent", wit.KindString, "",
		"Color of the installation on every page of the console: red, amber, green, blue or violet.",
		allowed("red", "amber", "green", "blue", "violet")),
	declared("rest.allowed.hosts", wit.KindList, "",
		"Host names that REST requests may use for this worker in their Host header, in addition to localhost and "+
			"loopback addresses. Without this setting, Host is checked only on loopback listeners; on other "+
			"listeners without logon, requests with another host name, which may come from a web page (DNS "+
			"rebinding), see masked passwords and are read-only."),
	declared("rest.config.masked", wit.KindBoolean, "false",
		"true: REST shows "+Mask+" instead of passwords; false: configurations as written, as Kafka Connect does."),
	declared("console.records", wit.KindString, "full",
		"How much of records REST shows: full, shape (types and sizes instead of values) or off. Values are shown "+
			"only on loopback listeners and to users who have logged on.", allowed("full", "shape", "off")),
	declared("rest.advertised.host.name", wit.KindString, "",
		"Host at which the other workers of the group reach this worker; part of worker_id. Default: the host of "+
			"its listener, or else the machine's name."),
	declared("rest.advertised.port", wit.KindInt, "",
		"Port at which the other workers of the group reach this worker; part of worker_id. Default: the port of "+
			"its first listener of the advertised protocol."),
	declared(AutoRestart, wit.KindBoolean, "true",
		"Default for connectors: whether tasks restart by themselves after transient errors."),
	declared("unknown.settings", wit.KindString, "error",
		"Whether an unknown key under a plugin's own prefix is an error or a warning: error, or warn.",
		allowed("error", "warn")),
	declared("config.providers", wit.KindList, "",
		"Names of config providers. Files may always use file, dir and env; configurations received by REST may use "+
			"only the providers listed here."),
	declared("errors.tolerance", wit.KindString, "none",
		"Default for connectors: none fails the task at the first bad record, all skips bad records.",
		allowed("none", "all")),
	declared("errors.log.enable", wit.KindBoolean, "false",
		"Default for connectors: log skipped records as errors instead of warnings."),
	declared("errors.log.include.messages", wit.KindBoolean, "false",
		"Default for connectors: also log what identifies a skipped record."),
	declared("errors.retry.timeout", wit.KindLong, "0",
		"Default for connectors: how long tasks retry after transient errors, in milliseconds; -1 means forever.",
		atLeast(-1)),
	declared("errors.retry.delay.max.ms", wit.KindLong, "60000",
		"Default for connectors: maximum delay between two retries, in milliseconds.", atLeast(1)),
	declared(LoggerLevelPrefix+"{name}", wit.KindString, "",
		"Lowest level that the logger NAME and its children write, with the names shown by GET /admin/loggers; for "+
			"root, the level of all other loggers, instead of --log-level.",
		allowed(logging.LevelNames()...)),
	declared("client.id", wit.KindString, "", "Prefix of the client IDs of this worker's Kafka clients."),
	declared("topic.creation.enable", wit.KindBoolean, "true", "Whether missing topics are created."),

	withoutEffectSetting("offset.storage.file.filename", wit.KindString,
		"offsets are kept in the topic that offset.storage.topic names"),
	withoutEffectSetting("plugin.discovery", wit.KindString, "there are no Java plugins"),
	declared("connector.client.config.override.policy", wit.KindString, "All", "Which settings of their Kafka clients "+
		"connectors may override: All, None, Principal (security.protocol, sasl.mechanism, sasl.jaas.config) or "+
		"Allowlist."),
	declared("connector.client.config.override.allowlist", wit.KindList, "",
		"Settings that the policy Allowlist permits, without a prefix."),
	declared("exactly.once.source.support", wit.KindString, "disabled", "Exactly-once for sources.", allowed("disabled",
		"preparing", "enabled")),
	declared("admin.listeners", wit.KindList, "",
		"Addresses of /admin, in the form of listeners. If set, /admin is available only there; an empty value "+
			"disables it."),
	declared("rest.extension.classes", wit.KindList, "", "Java classes that extend the REST API: rejected, use "+
		"rest.basic.auth.file and rest.read.only."),
	declared("access.control.allow.origin", wit.KindList, "", "Origins whose pages may use REST in a browser "+
		"(CORS), or *; default: none."),
	declared("access.control.allow.methods", wit.KindList, "",
		"Methods that these pages may use; default: GET, POST and HEAD."),
	declared("response.http.headers.config", wit.KindString, "",
		"Headers that REST adds to responses: `ACTION NAME: VALUE`, separated by commas. ACTION is set, add, "+
			"setDate or addDate; the value of the last two is in milliseconds from now."),
	declared("topic.tracking.enable", wit.KindBoolean, "true",
		"Whether REST shows the topics that a connector has used."),
	declared("topic.tracking.allow.reset", wit.KindBoolean, "true",
		"Whether REST may clear the topics that a connector has used."),
	withoutEffectSetting("metric.reporters", wit.KindList, "there are no Java plugins"),
	declared("metrics.names", wit.KindList, "strimzi",
		"Names under which /metrics shows Kafka Connect's JMX metrics: strimzi, as Strimzi's rules for the "+
			"Prometheus JMX exporter. confluent is accepted: Prometheus creates those names with "+
			"examples/monitoring/confluent.yaml.", setting.Allowed("strimzi", "confluent")),
	withoutEffectSetting("metrics.num.samples", wit.KindInt, "not supported yet"),
	withoutEffectSetting("metrics.recording.level", wit.KindString, "not supported yet"),
	withoutEffectSetting("metrics.sample.window.ms", wit.KindLong, "not supported yet"),
	withoutEffectSetting("internal.key.converter", wit.KindClass, "internal topics have one format"),
	withoutEffectSetting("internal.value.converter", wit.KindClass, "internal topics have one format"),
	withoutEffectSetting("internal.key.converter.schemas.enable", wit.KindBoolean, "internal topics have one format"),
	withoutEffectSetting("internal.value.converter.schemas.enable", wit.KindBoolean, "internal topics have one format"),
	withoutEffectSetting("rest.host.name", wit.KindString, "use listeners"),
	withoutEffectSetting("rest.port", wit.KindInt, "use listeners"),
}

// groupSettings have no effect without a group, except for those of exactly-once, see [Worker.InGroup].
var groupSettings = []wit.ConfigKey{
	declared("group.id", wit.KindString, "",
		"Name of the group of workers. A worker joins it if config.storage.topic and status.storage.topic are set, "+
			"too."),
	declared("config.storage.topic", wit.KindString, "", "Topic with the configurations of the group's connectors."),
	declared("config.storage.replication.factor", wit.KindShort, "",
		"Replication factor of config.storage.topic, if it has to be created."),
	declared(SecretsSetting, wit.KindString, "verbatim",
		"Passwords of connectors in config.storage.topic: verbatim stores them as written; refuse accepts only "+
			"passwords that contain a reference to a config provider. It applies to REST, --config and culvert "+
			"cluster adopt.",
		allowed("verbatim", "refuse")),
	declared("status.storage.topic", wit.KindString, "", "Topic with the states of the group's connectors and tasks."),
	declared("status.storage.partitions", wit.KindInt, "5",
		"Partitions of status.storage.topic, if it has to be created."),
	declared("status.storage.replication.factor", wit.KindShort, "",
		"Replication factor of status.storage.topic, if it has to be created."),
	declared("group.instance.id", wit.KindString, "",
		"Name of this worker in its group, such as the name of its pod. A worker that returns with it within "+
			"session.timeout.ms keeps its assignment without a rebalance. At SIGTERM such a worker stops its tasks "+
			"without handing them over; culvert drain hands them over first."),
	declared("rest.advertised.listener", wit.KindString, "",
		"Protocol that other workers of the group use to reach this one. Default: http, or https if listeners has "+
			"only https.", allowed("http", "https")),
	declared("session.timeout.ms", wit.KindInt, "10000",
		"Time without a heartbeat after which the group removes this worker, in milliseconds.", atLeast(1)),
	declared("rebalance.timeout.ms", wit.KindInt, "60000", "How long the group waits for its members to join a new "+
		"generation, in milliseconds.", atLeast(1)),
	declared("heartbeat.interval.ms", wit.KindInt, "3000", "How often this worker sends a heartbeat to its group, in "+
		"milliseconds; less than session.timeout.ms.", atLeast(1)),
	declared("worker.sync.timeout.ms", wit.KindInt, "3000",
		"How long the group's leader waits until it has read config.storage.topic as far as the other workers, in "+
			"milliseconds. Another worker that does not catch up with the leader in this time stops its tasks until "+
			"it has.", atLeast(1)),
	withoutEffectSetting("worker.unsync.backoff.ms", wit.KindInt,
		"a worker that has not read enough stays in its group, without tasks"),
	withoutEffectSetting("connect.protocol", wit.KindString,
		"workers of a group rebalance incrementally and cooperatively, and sign requests to each other"),
	declared("scheduled.rebalance.max.delay.ms", wit.KindInt, "300000",
		"How long the tasks of a lost worker wait for its return before other workers get them, in milliseconds. "+
			"Tasks of a worker that left the group properly do not wait.",
		atLeast(0)),
	withoutEffectSetting("plugin.rollout", wit.KindString,
		"a group runs the newest version of a plugin that all its workers have"),
	declared("inter.worker.key.generation.algorithm", wit.KindString, "HmacSHA256",
		"Algorithm of the key with which workers of a group sign requests to each other."),
	declared("inter.worker.signature.algorithm", wit.KindString, "HmacSHA256",
		"Algorithm of the signatures of these requests."),
	declared("inter.worker.key.ttl.ms", wit.KindInt, "3600000",
		"Time after which the leader creates a new key, in milliseconds.", atLeast(1)),
	declared("inter.worker.key.size", wit.KindInt, "",
		"Size of the key in bits; default: the size of the algorithm's hash.",
		atLeast(1)),
	declared("inter.worker.verification.algorithms", wit.KindList, "HmacSHA256", "Accepted signature algorithms."),
}

// withoutEffect begins the documentation of settings that are accepted so that existing files run; the reason follows.
const withoutEffect = "Has no effect: "

func withoutEffectSetting(name string, kind wit.SettingKind, reason string) wit.ConfigKey {
	return declared(name, kind, "", withoutEffect+reason+".")
}

// exactlyOnceSettings are groupSettings that have an effect without a group, too, if exactly-once is enabled.
var exactlyOnceSettings = []string{"group.id", "config.storage.topic", "config.storage.replication.factor"}

func (w *Worker) noEffect(spec *wit.ConfigKey) string {
	if reason, ok := strings.CutPrefix(spec.Documentation, withoutEffect); ok {
		return strings.TrimSuffix(reason, ".")
	}
	forGroup := slices.ContainsFunc(groupSettings, func(s wit.ConfigKey) bool { return s.Name == spec.Name })
	if !forGroup || w.InGroup() || (w.ExactlyOnce() && slices.Contains(exactlyOnceSettings, spec.Name)) {
		return ""
	}
	return "this worker does not join a group"
}

// InGroup reports whether the worker forms a group: it has the three settings of Kafka Connect's distributed workers.
func (w *Worker) InGroup() bool {
	for _, name := range []string{"group.id", "config.storage.topic", "status.storage.topic"} {
		if w.Text(name) == "" {
			return false
		}
	}
	return !slices.ContainsFunc(w.List("bootstrap.servers"), clientconfig.IsEmbedded)
}

// WorkerSettings returns the declarations of a worker's settings without those of its Kafka clients.
func WorkerSettings() []wit.ConfigKey { return slices.Clone(workerSettings) }
