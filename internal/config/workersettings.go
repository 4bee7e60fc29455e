package config

import (
	"slices"
	"strings"
	"sync"

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

var generalSettings = []wit.ConfigKey{
	declared("bootstrap.servers", wit.KindList, "embedded", "Kafka brokers as host:port, or `embedded` "+
		"(`embedded:PORT`) for the broker that is built in, which is for trying out."),
	declared("plugin.path", wit.KindList, "", "Folders with .wasm plugins, besides those that are built in; a "+
		"module in a folder goes before a built-in one of the same name."),
	declared("cache.dir", wit.KindString, "", "Folder for compiled plugins; by default plugins.cache in the data "+
		"folder, and for commands without one in the user's cache folder. It must belong to the worker's user or "+
		"root, and nobody else may write there: else plugins are compiled at each start; culvert plugins warm "+
		"fills it."),
	declared("plugins.memory.bytes", wit.KindLong, "",
		"Memory of the instances of all sources and sinks, and of those of "+
			"all transforms, in bytes, each counted with its limit memory.bytes; a quarter of what the machine or its "+
			"control group gives, at most 2 GiB, unless given. Connectors that find none left take turns; one is "+
			"always "+
			"let in.",
		atLeast(1)),
	declared("key.converter", wit.KindClass, JSONConverter,
		"Converter of record keys; its own settings follow as key.converter.…"),
	declared("value.converter", wit.KindClass, JSONConverter,
		"Converter of record values; its own settings follow as value.converter.…"),
	declared("header.converter", wit.KindClass, HeaderConverter, "Converter of header values."),
	declared("offset.storage.topic", wit.KindString, "connect-offsets", "Topic with the offsets of sources."),
	declared("offset.flush.interval.ms", wit.KindLong, "60000", "How often offsets are written, in milliseconds.",
		atLeast(1)),
	declared("offset.flush.timeout.ms", wit.KindLong, "5000", "How long one writing of offsets may take, in "+
		"milliseconds; what is not written then is written with the next.", atLeast(1)),
	declared("offset.storage.partitions", wit.KindInt, "", "Partitions of the offsets topic if it has to be made."),
	declared("offset.storage.replication.factor", wit.KindShort, "",
		"Replicas of the offsets topic if it has to be made; the broker's default unless given."),
	declared("task.shutdown.graceful.timeout.ms", wit.KindLong, "5000",
		"How long tasks may take to stop, all together, in milliseconds.", atLeast(0)),
	declared("listeners", wit.KindList, "http://:8083", "Where REST listens: http://HOST:PORT or "+
		"https://HOST:PORT, which needs listeners.https.ssl.keystore.…; no host means all addresses. Empty: no REST. "+
		"Without a worker's file: http://127.0.0.1:8083."),
	declared("rest.basic.auth.file", wit.KindString, "", "File of those who may use REST, a line NAME:HASH for each, "+
		"as `htpasswd -B` writes it (bcrypt alone). It is read again when it has changed; /health needs no logon."),
	declared("rest.read.only", wit.KindBoolean, "false", "true: REST refuses (403) whatever changes something."),
	declared("console.enable", wit.KindBoolean, "true",
		"Whether there are pages for browsers below /console/ of REST."),
	declared("rest.allowed.hosts", wit.KindList, "", "Names that requests to REST may call this worker by, in "+
		"their Host, besides localhost and loopback addresses. Without it Host is checked on "+
		"loopback listeners alone; on others, while nobody has to log on, a name that a web page may have sees "+
		"passwords masked and changes nothing."),
	declared("rest.config.masked", wit.KindBoolean, "false", "true: REST shows "+Mask+" for values of "+
		"password settings; false: configurations as they are written, as Kafka Connect does."),
	declared("console.records", wit.KindString, "full",
		"How much of records REST shows: full, shape (types and sizes in "+
			"the place of values) or off. Values are shown to requests by a listener of this machine alone, and to "+
			"users "+
			"who have logged on.", allowed("full", "shape", "off")),
	declared("rest.advertised.host.name", wit.KindString, "",
		"Host by which the workers of the group reach this one, and "+
			"users know it (worker_id); that of its listener unless given, or else the machine's name."),
	declared("rest.advertised.port", wit.KindInt, "",
		"Port by which the workers of the group reach this one, and users "+
			"know it (worker_id); that of its first listener of the advertised protocol unless given."),
	declared(AutoRestart, wit.KindBoolean, "true", "For connectors that do not say: whether tasks that failed by what "+
		"may pass go on by themselves."),
	declared("unknown.settings", wit.KindString, "error",
		"What an unknown key under a plugin's own prefix is: error, or warn.", allowed("error", "warn")),
	declared("config.providers", wit.KindList, "",
		"Names of config providers. In files file, dir and env are there anyway; for what comes by REST only "+
			"those that stand here count."),
	declared("errors.tolerance", wit.KindString, "none",
		"For connectors that do not say: none stops at the first bad record, all goes on.", allowed("none", "all")),
	declared("errors.log.enable", wit.KindBoolean, "false",
		"For connectors that do not say: log skipped records as errors, not as warnings."),
	declared("errors.log.include.messages", wit.KindBoolean, "false",
		"For connectors that do not say: and with them what they hold that tells them apart."),
	declared("errors.retry.timeout", wit.KindLong, "0", "For connectors that do not say: for how long tasks try again "+
		"what failed and may do better, in milliseconds; -1: for ever.", atLeast(-1)),
	declared("errors.retry.delay.max.ms", wit.KindLong, "60000",
		"For connectors that do not say: longest pause between two tries, in milliseconds.", atLeast(1)),
	declared(LoggerLevelPrefix+"{name}", wit.KindString, "",
		"Least level of the logger NAME and those below it, by the "+
			"names that GET /admin/loggers shows; of root, that of all others, in place of --log-level.",
		allowed(logging.LevelNames()...)),
	declared("client.id", wit.KindString, "", "Prefix of the names under which Kafka knows this worker's clients."),
	declared("topic.creation.enable", wit.KindBoolean, "true", "Whether missing topics are created."),

	withoutEffectSetting("offset.storage.file.filename", wit.KindString,
		"offsets are kept in the topic that offset.storage.topic names"),
	withoutEffectSetting("plugin.discovery", wit.KindString, "there are no Java plugins"),
	declared("connector.client.config.override.policy", wit.KindString, "All", "Which settings of their Kafka clients "+
		"connectors may override: All, None, Principal (security.protocol, sasl.mechanism, sasl.jaas.config) or "+
		"Allowlist."),
	declared("connector.client.config.override.allowlist", wit.KindList, "",
		"Those that the policy Allowlist lets them override, without a prefix."),
	declared("exactly.once.source.support", wit.KindString, "disabled", "Exactly-once for sources.", allowed("disabled",
		"preparing", "enabled")),
	declared("admin.listeners", wit.KindList, "", "Where /admin listens, as listeners; where it is given it is "+
		"nowhere else, and empty nowhere at all."),
	declared("rest.extension.classes", wit.KindList, "", "Java classes that extend REST: refused, use "+
		"rest.basic.auth.file and rest.read.only."),
	declared("access.control.allow.origin", wit.KindList, "", "Origins whose pages may use REST in a browser "+
		"(CORS), or *; none unless given."),
	declared("access.control.allow.methods", wit.KindList, "", "What they may do; GET, POST and HEAD unless "+
		"given."),
	declared("response.http.headers.config", wit.KindString, "",
		"Headers that REST adds: `ACTION NAME: VALUE`, several "+
			"separated by commas; set, add, setDate or addDate, for the last two milliseconds from now."),
	declared("topic.tracking.enable", wit.KindBoolean, "true", "Whether REST tells a connector's topics."),
	declared("topic.tracking.allow.reset", wit.KindBoolean, "true", "Whether REST forgets them."),
	withoutEffectSetting("metric.reporters", wit.KindList, "there are no Java plugins"),
	declared("metrics.names", wit.KindList, "strimzi", "Under which names /metrics shows what Kafka Connect has "+
		"by JMX: those of Strimzi's rules for Prometheus' JMX exporter. confluent is accepted: Prometheus makes its "+
		"names by examples/monitoring/confluent.yaml.", setting.Allowed("strimzi", "confluent")),
	withoutEffectSetting("metrics.num.samples", wit.KindInt, "not built yet"),
	withoutEffectSetting("metrics.recording.level", wit.KindString, "not built yet"),
	withoutEffectSetting("metrics.sample.window.ms", wit.KindLong, "not built yet"),
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
		"Name of the group of workers. A worker joins it where config.storage.topic "+
			"and status.storage.topic are given, too."),
	declared("config.storage.topic", wit.KindString, "", "Topic with the configurations of the group's connectors."),
	declared("config.storage.replication.factor", wit.KindShort, "", "Its replicas, if it has to be made."),
	declared(SecretsSetting, wit.KindString, "verbatim",
		"Passwords of connectors in that topic: verbatim keeps them as they "+
			"are written; refuse takes only those that hold a reference to a config provider (also beside other "+
			"text), of "+
			"REST, --config and culvert cluster adopt.",
		allowed("verbatim", "refuse")),
	declared("status.storage.topic", wit.KindString, "", "Topic with the states of the group's connectors and tasks."),
	declared("status.storage.partitions", wit.KindInt, "5", "Its partitions, if it has to be made."),
	declared("status.storage.replication.factor", wit.KindShort, "", "Its replicas, if it has to be made."),
	declared("group.instance.id", wit.KindString, "",
		"Name of this worker in its group, such as that of its pod: a worker "+
			"that comes back with it within session.timeout.ms has what it had, and nothing moves. So a worker with "+
			"one "+
			"stops its tasks at SIGTERM and hands nothing over; culvert drain before it does."),
	declared("rest.advertised.listener", wit.KindString, "",
		"Protocol by which other workers of the group reach this one; "+
			"http unless listeners has https alone.", allowed("http", "https")),
	declared("session.timeout.ms", wit.KindInt, "10000", "After how long without a heartbeat the group gives this "+
		"worker up, in milliseconds.", atLeast(1)),
	declared("rebalance.timeout.ms", wit.KindInt, "60000", "How long the group waits for its members to join a new "+
		"generation, in milliseconds.", atLeast(1)),
	declared("heartbeat.interval.ms", wit.KindInt, "3000", "How often this worker sends a heartbeat to its group, in "+
		"milliseconds; less than session.timeout.ms.", atLeast(1)),
	declared("worker.sync.timeout.ms", wit.KindInt, "3000",
		"How long the group's leader reads on for what other workers "+
			"have read of config.storage.topic, in milliseconds; another worker that does not read in that time "+
			"what the "+
			"leader has gives its tasks up until it does.", atLeast(1)),
	withoutEffectSetting("worker.unsync.backoff.ms", wit.KindInt,
		"a worker that has not read enough stays in its group, without tasks"),
	withoutEffectSetting("connect.protocol", wit.KindString,
		"workers of a group rebalance incrementally and cooperatively, and sign what "+
			"they ask of each other"),
	declared("scheduled.rebalance.max.delay.ms", wit.KindInt, "300000", "How long tasks of a worker that has vanished "+
		"wait for it before others get them, in milliseconds. Those of one that has left in good order do not.",
		atLeast(0)),
	withoutEffectSetting("plugin.rollout", wit.KindString,
		"a group runs the newest version of a plugin that all its workers have"),
	declared("inter.worker.key.generation.algorithm", wit.KindString, "HmacSHA256",
		"Algorithm of the key by which workers "+
			"of a group sign what they ask of each other."),
	declared("inter.worker.signature.algorithm", wit.KindString, "HmacSHA256", "Algorithm of their signatures."),
	declared("inter.worker.key.ttl.ms", wit.KindInt, "3600000", "After how long the leader makes another key, in "+
		"milliseconds.", atLeast(1)),
	declared("inter.worker.key.size", wit.KindInt, "", "Size of the key in bits; as the algorithm's hash unless given.",
		atLeast(1)),
	declared("inter.worker.verification.algorithms", wit.KindList, "HmacSHA256", "Algorithms of signatures that are "+
		"taken."),
}

// withoutEffect begins the documentation of settings that are accepted so that existing files run; the reason follows.
const withoutEffect = "Has no effect: "

func withoutEffectSetting(name string, kind wit.SettingKind, reason string) wit.ConfigKey {
	return declared(name, kind, "", withoutEffect+reason+".")
}

var exactlyOnceSettings = []string{"group.id", "config.storage.topic", "config.storage.replication.factor"}

func (w *Worker) noEffect(spec *wit.ConfigKey) string {
	if reason, ok := strings.CutPrefix(spec.Documentation, withoutEffect); ok {
		return strings.TrimSuffix(reason, ".")
	}
	forGroup := slices.ContainsFunc(groupSettings, func(s wit.ConfigKey) bool { return s.Name == spec.Name })
	if !forGroup || w.InGroup() || w.ExactlyOnce() && slices.Contains(exactlyOnceSettings, spec.Name) {
		return ""
	}
	return "this worker does not join a group"
}

// InGroup reports whether the worker forms a group: it has these three settings, as Kafka Connect's distributed
// workers.
func (w *Worker) InGroup() bool {
	for _, name := range []string{"group.id", "config.storage.topic", "status.storage.topic"} {
		if w.Text(name) == "" {
			return false
		}
	}
	return !slices.ContainsFunc(w.List("bootstrap.servers"), func(s string) bool {
		return s == "embedded" || strings.HasPrefix(s, "embedded:")
	})
}

func declared(name string, kind wit.SettingKind, value, doc string, rules ...wit.Rule) wit.ConfigKey {
	s := wit.ConfigKey{Name: name, Kind: kind, Importance: wit.Low, Documentation: doc, Rules: rules}
	if value != "" {
		s.DefaultValue = &value
	}
	return s
}

func atLeast(n int64) wit.Rule { return wit.Rule{AtLeast: &n} }

func allowed(values ...string) wit.Rule { return wit.Rule{Allowed: &values} }

// WorkerSettings returns the declarations of a worker's settings without those of its Kafka clients.
func WorkerSettings() []wit.ConfigKey { return slices.Clone(workerSettings) }
