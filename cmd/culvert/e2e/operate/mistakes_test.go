package operate

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// validate reports everything that run rejects, with file and line. run reports it before it starts anything, also if
// the worker's file and other connectors are valid: all connectors run or none.
func TestMistakesAreSaid(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	dir := e2etest.Plugins(t, "odata-sink", "smt")
	files := []string{p.File("worker.properties", "bootstrap.servers=embedded", "listeners=ftp://x",
		"rest.extension.classes=org.example.Logons", "connector.client.config.override.policy=Principal",
		"offset.storage.topic=c d")}
	good := e2etest.Source("good", address, "Orders")
	addFile := func(name string, lines ...string) {
		files = append(files, p.File(name+".properties", lines...))
	}
	addSource := func(name string, more ...string) {
		addFile(name, slices.Concat([]string{"name=" + name}, good[1:8], []string{"sap.odata#00.topic=" + name},
			more)...)
	}
	addFile("class", append([]string{"name=class", "conector.class=ODataSource"}, good[2:]...)...)
	addFile("snippet", good[2:]...)
	addSource("policy", "producer.override.linger.ms=5", "admin.override.sasl.mechanism=PLAIN")
	addFile("topic", append(append([]string{"name=topic"}, good[1:8]...), "sap.odata#00.topic=a b")...)
	addFile("topics", e2etest.Sink("topics", address, "a b", "OrderCopies")...)
	addSource("letters", "errors.tolerance=all", "errors.deadletterqueue.topic.name=letters")
	addFile("sink", append([]string{"connector.class=OtherSink"},
		e2etest.Sink("sink", address, "a", "OrderCopies")[2:]...)...)
	addSource("keystore", "sap.odata.keystore.location=/x")
	addSource("elsewhere", "transforms=i", "transforms.i.type=InsertField$Value",
		"transforms.i.static.field=x", "transforms.i.static.value=y", "transforms.i.predicate=p",
		"transforms.i.negate=true ", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone")
	problems := []string{
		"worker.properties:2: listeners: Invalid value ftp://x for configuration listeners: expected http://HOST:PORT",
		"worker.properties:3: rest.extension.classes: not built: Java classes cannot be run, found org.example.Logons" +
			". For users with passwords set rest.basic.auth.file, to let nobody change anything rest.",
		"worker.properties:5: offset.storage.topic: Invalid value c d for configuration offset.storage.topic: ",
		"class.properties:2: conector.class: unknown setting; the nearest known one is connector.class",
		`snippet.properties:1: connector.class: Missing required configuration "connector.class" which has no ` +
			"default value: expected org.",
		"policy.properties:10: producer.override.linger.ms: the worker does not allow connectors",
		"topic.properties:9: sap.odata#00.topic: Invalid value a b for configuration sap.odata#00.topic: String must ",
		"topics.properties:10: topics: expected a topic's name, ",
		"letters.properties:11: errors.deadletterqueue.topic.name: expected a topic to which no rows are written, " +
			"found the topic of sap.odata#00.topic",
		"sink.properties:1: connector.class: no plugin has the source or sink OtherSink; available: ",
		"keystore.properties:10: sap.odata.keystore.location: cannot be read",
	}
	p.Run(append([]string{"validate", "--plugins", dir}, files...)...).WantCode(1).WantStdout(problems...).WantStdout(
		"elsewhere.properties:11: transforms.i.type: warning: Kafka Connect accepts a nested class only with its "+
			"package",
		"elsewhere.properties:15: transforms.i.negate: warning: is true here, but false in Kafka Connect").
		WantStderr("12 problems, 3 warnings")
	p.RunOnceWith(dir, files...).WantCode(2).WantStderr(problems...)
	files[0] = p.File("worker.properties", "bootstrap.servers=embedded")
	p.RunOnceWith(dir, append(files, p.File("good.properties",
		good...))...).WantCode(2).WantStderr(problems[3:5]...).WantStderr(problems[6:]...)
	assert.Equal(t, 0, s.Ledger().Total, "request")
}

func TestFoldersWithoutConnectors(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	empty := filepath.Join(p.Dir, "empty")
	require.NoError(t, os.Mkdir(empty, 0o700))
	p.Run("validate", "--plugins", e2etest.Plugins(t), empty).WantCode(1).
		WantStdout(empty + ": no connector file found")
	p.RunOnce("--config", empty).WantCode(0).WantStderr("no connector file found")
	e2etest.WriteFile(t, empty, "worker.properties", []byte("bootstrap.servers=embedded\n"))
	p.Run("validate", "--plugins", e2etest.Plugins(t), empty).WantCode(0).WantStdout(empty +
		": warning: no connector file found")
}

// A stopped run exits with a failure if one of its tasks had failed.
func TestOnceStoppedBehindAFailure(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	never := e2etest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	bad := p.File("bad.properties", e2etest.Source("bad", porttest.Address(t), "Orders")...)
	slow := p.File("slow.properties", e2etest.Source("slow", never, "Orders")...)
	c := p.Start("run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, bad, slow)
	c.AwaitStderr("task failed")
	c.Stop().WantCode(1).WantLastLinePrefix("connector bad, task 0: failed: ")
}

// A stop is not a failure, whether the task is opening its plugin, reading a page or writing a row.
func TestOnceStoppedInMidRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path    string // of the blocked request
		hasSink bool
	}{
		"open":  {path: "$metadata"},
		"page":  {path: "/Orders"},
		"write": {path: "/OrderCopies", hasSink: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			const turns = 0
			g, _, address := e2etest.StartGated(t, odatatest.Options{Rows: 10}, c.path, turns)
			t.Cleanup(func() { close(g.Turns) }) // a server does not notice that the client of a POST is gone
			files := []string{p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)}
			if c.hasSink {
				files = append(files, p.File("back.properties",
					append(e2etest.Sink("back", address, "Orders", "OrderCopies"), "sap.odata.enable.batch=0")...))
			}
			run := p.StartOnce(e2etest.Plugins(t, "odata-sink"), files...)
			run.Eventually("a request", func() bool { return g.Waiting.Load() > 0 })
			r := run.Stop()
			if c.hasSink {
				// The outcome of the write is unknown, so an operator must decide: the run has failed.
				r.WantCode(1).WantLastLine("it may have been written or not")
			} else {
				r.WantCode(0)
			}
		})
	}
}

// If no server answers, or the wrong one, the message names the settings of the address.
func TestFaultsNameWhereTheServiceIs(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	closed := porttest.Address(t)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{
			name:  "closed",
			lines: e2etest.Source("closed", closed, "Orders"),
			want:  "connection refused (see sap.odata.host.address, sap.odata.host.port)",
		},
		{
			name:  "scheme",
			lines: e2etest.WithSettings(e2etest.Source("scheme", address, "Orders"), "sap.odata.host.protocol=https"),
			want:  "(this port does not use TLS: see sap.odata.host.protocol, sap.odata.host.port)",
		},
		{
			name: "name",
			lines: e2etest.WithSettings(e2etest.Source("name", address, "Orders"),
				"sap.odata.host.address=nowhere.invalid"),
			want: "(see sap.odata.host.address)",
		},
	} {
		file := p.File(c.name+".properties", c.lines...)
		ping := p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).WantCode(1)
		assert.True(t, strings.Count(ping.LastLine(), c.want) == 1,
			"%s: ping: expected %q once, found\n%s", c.name, c.want, ping.Stderr)
	}
	p.RunOnce("closed.properties").WantCode(1).WantLastLine("(see sap.odata.host.address, sap.odata.host.port)")
	p.Run("doctor", "-p", "scheme.properties", "--plugins", e2etest.Plugins(t)).
		WantCode(1).WantStdout("sap.odata.host.protocol: expected TLS on port ")
	url := p.File("url.properties", e2etest.WithSettings(e2etest.Source("url", address, "Orders"),
		"sap.odata.host.address=http://localhost")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), url).WantCode(1).WantStdout(
		`sap.odata.host.address: expected a host name or IP address, found "http://localhost": scheme, port and path have their own settings`)
}

// A sink whose topic does not exist has done nothing. --once reports that as a failure, unless sources of the same run
// had no rows to create the topic for.
func TestOnceWithoutItsTopic(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	first := p.File("first.properties", e2etest.Source("first", address, "Products")...)
	both := p.File("both.properties", e2etest.Sink("both", address, "Prodcts", "OrderCopies", "Products",
		"ProductCopies")...)
	args := []string{"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data}
	p.Run(append(args, first, both)...).WantCode(0).WantStderr("the topic does not exist")
	again := p.File("again.properties", e2etest.Sink("again", address, "Prodcts", "OrderCopies")...)
	p.Run(append(args, again)...).WantCode(1).WantLastLinePrefix(
		"connector again, task 0: failed: topics: expected topics that exist, found none with the name Prodcts: ")
}

// validate --online reports what only the services know about sources and sinks, each with file, line and setting. It
// tries a wrong password once. Without --online it sends nothing.
func TestValidateOnline(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{User: "me", Password: "geheim"})
	withLogon := func(lines []string, more ...string) []string {
		return e2etest.WithSettings(e2etest.WithSettings(lines, "sap.odata.user.name=me", "sap.odata.user.pwd=geheim"),
			more...)
	}
	files := []string{
		p.File("good.properties", withLogon(e2etest.Source("good", address, "Orders"))...),
		p.File("set.properties", withLogon(e2etest.Source("set", address, "Ordres"))...),
		p.File("select.properties", withLogon(e2etest.Source("select", address, "Customers"),
			"sap.odata#00.select=CompanyNam")...),
		p.File("sink.properties", withLogon(e2etest.Sink("sink", address, "Orders", "OrderCopys"))...),
		p.File("written.properties", withLogon(e2etest.Sink("written", address, "Orders2", "OrderCopies"))...),
		p.File("password.properties", withLogon(e2etest.Source("password", address, "Products"),
			"sap.odata.user.pwd=falsch")...),
		p.File("offline.properties", withLogon(e2etest.Source("offline", address, "Nowhere"),
			"sap.odata#00.exec-period=0")...),
	}
	args := append([]string{"validate", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data}, files...)
	if r := p.Run(args...); r.Code != 1 || strings.Count(r.Stdout, "\n") != 1 || s.Ledger().Total != 0 {
		t.Errorf("offline: expected exit 1, one problem and no request, found exit %d, %d requests\n%s%s", r.Code,
			s.Ledger().Total, r.Stdout, r.Stderr)
	}
	r := p.Run(append(args, "--online", "--wait", "2m")...)
	want := []string{
		"set.properties:", "sap.odata#00.entityset: ", "the nearest name is Orders",
		"select.properties:", "sap.odata#00.select: ", "the nearest name is CompanyName",
		"sink.properties:", "sap.odata#00.entityset: ", "the nearest name is OrderCopies",
		"password.properties:", "sap.odata.user.pwd: ", "",
		"offline.properties:", "sap.odata#00.exec-period: ", "Invalid value 0",
	}
	for i := 0; i < len(want); i += 3 {
		isReported := false
		for line := range strings.Lines(r.Stdout) {
			isReported = isReported || (strings.Contains(line, want[i]) && strings.Contains(line, want[i+1]) &&
				strings.Contains(line, want[i+2]))
		}
		if !isReported {
			t.Errorf("expected a line with %q", want[i:i+3])
		}
	}
	r.WantCode(1).WantNo("falsch")
	assert.Equal(t, len(want)/3, strings.Count(r.Stdout, "\n"), "lines", r.Stdout)
	l := s.Ledger()
	assert.Equal(t, 1, l.FailedLogonsOf["me"], "refused logon")
	assert.True(t, l.Pages == 0 && len(l.Writes) == 0,
		"expected that a check reads and writes no rows, found %d pages and %d writes", l.Pages, len(l.Writes))
}

// A check that could not run is not a success: a service that is down or does not exist, and a schema registry, are
// reported with the setting that names them.
func TestValidateOnlineWithoutTheService(t *testing.T) {
	t.Parallel()
	p, _, demo := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	validate := func(files ...string) e2etest.Result {
		return p.Run(append([]string{"validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--online",
			"--wait",
			"2m"}, files...)...)
	}
	validate(p.File("down.properties", e2etest.Source("down", address, "Orders")...)).WantCode(1).WantStdout(
		"sap.odata.host.address: ", "not checked with the service: GET "+odatatest.NorthwindPath+"$metadata: ", "503")
	unused := "http://" + porttest.Address(t)
	registry := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "anna" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte("[]"))
	}))
	avro := func(name string, more ...string) string {
		return p.File(name+".properties", append(e2etest.Source(name, demo, "Orders"), append([]string{
			"value.converter=io.confluent.connect.avro.AvroConverter"}, more...)...)...)
	}
	validate(avro("away", "value.converter.schema.registry.url="+unused)).WantCode(1).WantStdout("away.properties:",
		"value.converter.schema.registry.url: not checked with the schema registry: ",
		strings.TrimPrefix(unused, "http://"))
	validate(avro("refused", "value.converter.schema.registry.url=http://"+registry)).WantCode(1).WantStdout(
		"value.converter.schema.registry.url: ", "401")
	validate(avro("good", "value.converter.schema.registry.url=http://anna:pw@"+registry)).WantCode(0).WantStdout().
		WantStderr(
			": ok: good")
	worker := p.File("worker.properties", "bootstrap.servers=embedded",
		"value.converter=io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url="+unused)
	validate(worker, p.File("by-worker.properties", e2etest.Source("by-worker", demo, "Orders")...)).WantCode(1).
		WantStdout(
			"not checked with the schema registry: ")
	validate(p.File("gone.properties", e2etest.Source("gone", porttest.Address(t), "Orders")...)).WantCode(1).
		WantStdout(
			"sap.odata.host.address: not checked with the service: GET ", "connection refused")
}

// Two connectors that read one entity set into one topic write each row twice, which is a warning; only one connector
// can receive its changes. A missing set is reported at its setting.
func TestValidateConnectorsOfOneSet(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	source := func(name string, more ...string) string {
		return p.File(name+".properties", e2etest.WithSettings(e2etest.Source(name, "sap.example:44300", "Orders"),
			more...)...)
	}
	validate := func(files ...string) e2etest.Result {
		return p.Run(append([]string{"validate", "--plugins", e2etest.Plugins(t, "smt"), source("first")}, files...)...)
	}
	const same = "connector first reads the same data into topic Orders"
	result := validate(source("second"), source("elsewhere", "sap.odata#00.topic=other"),
		source("products", "sap.odata#00.entityset=Products", "sap.odata#00.topic=Orders"),
		source("client", "sap.odata.sap.client=200"), source("moved", "transforms=r", "transforms.r.regex=.*",
			"transforms.r.type=org.apache.kafka.connect.transforms.RegexRouter", "transforms.r.replacement=moved"))
	result.WantCode(0).WantStdout("second.properties:", "warning: ", same)
	assert.True(t, strings.Count(result.Stdout, "\n") == 1, "expected one line, found %s", result.Stdout)
	validate(source("user", "sap.odata.user.name=b", "sap.odata.user.pwd=b")).WantCode(0).WantStdout(same)
	changes := []string{"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=5"}
	validate(source("delta", changes...), source("delta2", changes...), p.File("none.properties", "name=none",
		"connector.class=ODataSource", "sap.odata.host.address=sap.example",
		"sap.odata.host.port=44300")).WantCode(1).WantStdout(
		"connectors delta and delta2 both claim", "sap.odata#00.service: No entity set is configured: expected ")
}

// With --without-secrets, references count as present: whole values and parts, in all kinds of settings of connectors
// and worker. All else is checked, and nothing is sent.
func TestValidateWithoutSecrets(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	secrets := []string{"sap.odata.host.port=${env:CULVERT_TEST_NO_SUCH_PORT}",
		"sap.odata.user.name=${dir:/run/secrets/none:user}", "sap.odata.user.pwd=${dir:/run/secrets/none:password}",
		"sap.odata.header.x-key=Bearer ${file:/run/secrets/none.properties:key}",
		"sap.odata.keystore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "sap.odata.keystore.password=${dir:/none:x}",
		"sap.odata.truststore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "sap.odata.max.retries=${env:CULVERT_NONE}",
		"value.converter=io.confluent.connect.avro.AvroConverter",
		"value.converter.schema.registry.url=${env:CULVERT_TEST_NO_SUCH_REGISTRY}",
		"producer.override.sasl.jaas.config=${dir:/none:jaas}"}
	worker := p.File("worker.properties", "bootstrap.servers=kafka:9092", "security.protocol=SASL_SSL",
		"sasl.mechanism=PLAIN", "sasl.jaas.config=${dir:/run/secrets/none:jaas}",
		"ssl.truststore.location=${env:CULVERT_TEST_NO_SUCH_STORE}", "offset.flush.interval.ms=${env:CULVERT_NONE}")
	good := p.File("good.properties", e2etest.WithSettings(e2etest.Source("good", "sap.example.com:443", "Orders"),
		secrets...)...)
	bad := p.File("bad.properties", append(e2etest.WithSettings(e2etest.Source("bad", "sap.example.com:443",
		"Customers"), secrets...),
		"sap.odata#00.selct=Name", "sap.odata.min.retry.backoff.ms=soon")...)
	args := []string{"validate", "--plugins", e2etest.Plugins(t), "--data", p.Data}
	if r := p.Run(append(args, worker, good)...); r.Code != 1 || strings.Count(r.Stdout, "not found: ") < 5 {
		t.Errorf("with missing secrets: expected exit 1 and their problems, found exit %d\n%s%s", r.Code, r.Stdout,
			r.Stderr)
	}
	args = append(args, "--without-secrets")
	p.Run(append(args, worker, good)...).WantCode(0).WantNoStdout().WantStderr(": ok: good")
	r := p.Run(append(args, worker, good, bad)...)
	if r.Code != 1 || strings.Count(r.Stdout, "\n") != 2 || !strings.Contains(r.Stdout, "sap.odata#00.selct: ") ||
		!strings.Contains(r.Stdout, "sap.odata.min.retry.backoff.ms: Invalid value soon") {
		t.Errorf("expected exit 1 and the two other problems, found exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	p.Run(append(args, "--online", good)...).WantCode(2).WantStderr("online")
}

// With --without-secrets, settings that depend on a reference are not reported: a converter without its password, the
// proxy of the broker, a chain.
func TestValidateWithoutWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	worker := []string{"bootstrap.servers=kafka:9092", "group.id=g", "exactly.once.source.support=enabled",
		"kafka.proxy.type=http", "kafka.proxy.address=proxy.example.com:3128", "kafka.proxy.user=x",
		"kafka.proxy.password=x", "value.converter=AvroConverter",
		"value.converter.schema.registry.url=http://registry.example.com:8081",
		"value.converter.basic.auth.credentials.source=USER_INFO", "value.converter.basic.auth.user.info=a:b"}
	chain := []string{"transforms=a", "transforms.a.type=org.apache.kafka.connect.transforms.Cast$Value",
		"transforms.a.spec=OrderID:string", "transforms.a.predicate=p", "predicates=p",
		"predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"}
	settings := append(e2etest.Source("one", "sap.example.com:443", "Orders"), chain...)
	two := append(e2etest.Source("two", "sap.example.com:443", "Customers"), "key.converter=AvroConverter",
		"key.converter.schema.registry.url=http://registry.example.com:8081",
		"key.converter.basic.auth.credentials.source=USER_INFO", "key.converter.basic.auth.user.info=a:b")
	// withReference returns lines with a reference as the value of a setting; "" means no setting.
	withReference := func(lines []string, key string) []string {
		if key == "" {
			return lines
		}
		return e2etest.WithSettings(lines, key+"=${env:CULVERT_TEST_NONE}")
	}
	for _, c := range []struct{ ofWorker, ofOne, ofTwo string }{
		{
			ofWorker: "bootstrap.servers",
			ofTwo:    "key.converter.basic.auth.user.info",
		},
		{
			ofWorker: "kafka.proxy.type",
			ofOne:    "transforms",
		},
		{
			ofWorker: "kafka.proxy.address",
			ofOne:    "predicates",
		},
		{
			ofWorker: "kafka.proxy.user",
			ofOne:    "transforms.a.type",
		},
		{ofWorker: "value.converter"},
		{
			ofWorker: "value.converter.basic.auth.user.info",
			ofTwo:    "key.converter.basic.auth.credentials.source",
		},
		{ofWorker: "group.id"},
	} {
		r := p.Run("validate", "--without-secrets", "--plugins", e2etest.Plugins(t, "smt"), "--data", p.Data,
			p.File("worker.properties", withReference(worker, c.ofWorker)...),
			p.File("one.properties", withReference(settings, c.ofOne)...),
			p.File("two.properties", withReference(two, c.ofTwo)...))
		assert.True(t, r.Code == 0 && r.Stdout == "" && strings.Count(r.Stderr, ": ok: ") == 2,
			"without %v: expected two valid connectors, found exit %d\n%s%s", c, r.Code, r.Stdout, r.Stderr)
	}
}
