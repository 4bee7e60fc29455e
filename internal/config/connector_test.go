package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// roleRule returns the rule of a role.
func roleRule(r string) wit.Rule { return wit.Rule{Role: &r} }

// component returns the declaration of a source plugin.
func component() wit.Component {
	return wit.Component{Name: "org.example.ShopSource", Kind: wit.ComponentSource, Prefixes: []string{"shop.",
		"shop#"}, Settings: []wit.ConfigKey{
		declared("shop.address", wit.KindString, "", "", roleRule("http.address"), wit.Rule{Required: wit.Set}),
		declared("shop.port", wit.KindInt, "443", "", roleRule("http.port"), atLeast(1),
			wit.Rule{AtMost: wit.Ptr(int64(65535))}),
		declared("shop.protocol", wit.KindString, "https", "", roleRule("http.scheme"), allowed("http", "https")),
		declared("shop.user", wit.KindString, "", "", roleRule("http.user")),
		declared("shop.password", wit.KindPassword, "", "", roleRule("http.password"),
			wit.Rule{Alias: wit.Ptr("shop.pwd")}),
		declared("shop.codes", wit.KindList, "408,429", "", roleRule("retry.codes")),
		declared("shop.wait.ms", wit.KindInt, "60000", "", roleRule("http.read-timeout-ms")),
		declared("shop.store.type", wit.KindString, "", "", roleRule("tls.truststore.type"), allowed("jks", "pem")),
		declared("shop.client", wit.KindString, "", "", roleRule("http.header.sap-client")),
		declared("shop.header.{name}", wit.KindPassword, "", "", roleRule("http.header.{name}")),
		declared("shop#{n}.table", wit.KindString, "", ""),
		declared("shop#{n}.filter#{m}.low", wit.KindString, "", ""),
	}}
}

// connector returns the connector of a properties file without problems.
func connector(t *testing.T, text string) *Connector {
	t.Helper()
	entries, problems := Read("c.properties", []byte(text))
	providers, providerProblems := newProviders(nil)
	connector, connectorProblems := NewConnector("c.properties", entries, providers)
	require.Len(t, 0, slices.Concat(problems, providerProblems, connectorProblems), "problems")
	return connector
}

// plainWorker returns a worker with the settings of a properties file.
func plainWorker(t *testing.T, text string) *Worker {
	t.Helper()
	w, problems := NewWorker("", workerEntries(t, text), nil, nil)
	expectLines(t, "worker", "", problems)
	return w
}

// workerEntries parses a worker's file.
func workerEntries(t *testing.T, text string) []Entry {
	t.Helper()
	entries, problems := Read("w.properties", []byte(text))
	expectLines(t, "file", "", problems)
	return entries
}

// expectLines expects these problems, one per line.
func expectLines(t *testing.T, prefix, want string, problems Problems) {
	t.Helper()
	assert.Equal(t, want, lines(problems), prefix)
}

// A missing setting of a group is reported at the first line of the group.
func TestMissingGroupSettingIsReportedAtGroup(t *testing.T) {
	connector := connector(t, "connector.class=x\nshop#00.table=t\nshop#01.table=t")
	missing := []wit.ConfigValue{
		{Key: wit.ConfigKey{Name: "shop#01.service"}, Errors: []string{"missing"}},
		{Key: wit.ConfigKey{Name: "shop.address"}, Errors: []string{"missing"}},
	}
	want := "c.properties:3: shop#01.service: missing\nc.properties:1: shop.address: missing"
	expectLines(t, "all", want, ValidationProblems(connector, "", missing, nil))
}

// If the worker's file is unreadable, that is the only problem.
func TestUnreadableWorkerFile(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct{ text, want string }{
		"utf16": {
			text: "\xff\xfea\x00",
			want: "the file is in UTF-16: expected UTF-8; save it in that encoding",
		},
		"empty": {want: "the file is empty: expected the settings of a worker or of a connector"},
	} {
		path := filepath.Join(dir, name)
		write(t, path, test.text)
		if _, problems, err := LoadWorker(path, nil, nil); err != nil || lines(problems) != path+": "+test.want {
			t.Errorf("expected %q, found %v %v", test.want, problems, err)
		}
	}
	path := filepath.Join(dir, "empty")
	_, problems, err := LoadWorker(path, []string{"CULVERT_BOOTSTRAP_SERVERS=a:1"}, nil)
	assert.True(t, err == nil && problems == nil, "expected the environment to do, found %v %v", problems, err)
}

// Kafka Connect's rules about topics of sinks are checked.
func TestSinkRules(t *testing.T) {
	sink := wit.Component{Name: "x", Kind: wit.ComponentSink}
	checker := Checker{Worker: plainWorker(t, "")}
	for text, want := range map[string]string{
		"connector.class=x\ntopics=a\ntopics.regex=b": "c.properties:2: topics: topics and topics.regex are mutually " +
			"exclusive options, but both are set.\nc.properties:3: topics.regex: topics and topics.regex are " +
			"mutually exclusive options, but both are set.",
		"connector.class=x\ntopics.regex=a.*\nerrors.deadletterqueue.topic.name=ab": "c.properties:3: " +
			"errors.deadletterqueue.topic.name: expected a topic that topics.regex does not match, because dead " +
			"letters would be read as records, found \"ab\"",
		"connector.class=x\ntopics=a\nerrors.log.enable=true":  "",
		"connector.class=x\ntopics=a\nerrors.log.enable=FALSE": "",
	} {
		expectLines(t, text, want, checkComponent(t.Context(), checker, connector(t, text), sink))
	}
}

// Problems and printed values contain no password.
func TestPasswordsAreNeverShown(t *testing.T) {
	connector := connector(t, "connector.class=x\nshop.address=h\nshop.password=hunter2\nshop.port=hunter2")
	declarations := tableOf(component())
	// A value from a provider.
	connector.Entries[3].Value = new(secret.Redactor).NewSecret("hunter2", true, "hunter2")
	output := fmt.Sprint(checkComponent(t.Context(), Checker{Worker: plainWorker(t, "")}, connector, component()),
		connector, connector.Entries, NewRoles(declarations, connector))
	assert.True(t, !strings.Contains(output, "hunter2"), "expected no secret, found one in %s", output)
	spec := wit.ConfigKey{Kind: wit.KindPassword, Rules: []wit.Rule{{Pattern: wit.Ptr("[a-z]+")}}}
	if text := CheckValue(&spec, "hunter2", true); text == "" || strings.Contains(text, "hunter2") {
		t.Errorf("expected a problem that does not show the value, found %q", text)
	}
}

// Roles return the values of settings by their role, with aliases and defaults.
func TestRoles(t *testing.T) {
	connector := connector(t, "connector.class=x\nshop.address= host "+
		"\nshop.pwd=secret\nshop.protocol=HTTP\nshop.client=100\nshop.codes=408, 503,/IWBEP/CM 7")
	r := NewRoles(tableOf(component()), connector)
	if got := fmt.Sprint(r.Text("http.address"), " ", r.Int("http.port"), " ", r.Text("http.scheme"), " ",
		r.Text("http.password"), " ",
		r.Duration("http.read-timeout-ms"), " ", r.Has("http.user"), " ", r.Setting("http.user"), " ",
		r.Text("retry.codes")); got != "host 0 http secret 1m0s false shop.user 408, 503,/IWBEP/CM 7" {
		t.Errorf("expected the settings and defaults by role, found %s", got)
	}
	assert.Equal(t, map[string]string{"sap-client": "100"}, r.Prefix("http.header."))
}

// Plugins receive no passwords, under whatever name, and no undeclared settings.
func TestGuestSettings(t *testing.T) {
	connector := connector(t,
		"name=n\nconnector.class=x\nshop.address=h\nshop.pwd=secret\nshop.password=secret\nshop.passwort=secret\nshop#00.table=t\n"+
			"value.converter.basic.auth.user.info=secret\nproducer.override.sasl.jaas.config=secret\ntopics=a")
	declaration := component()
	declaration.Settings = append(declaration.Settings,
		declared("value.converter.basic.auth.user.info", wit.KindString, "", ""),
		declared("producer.override.sasl.jaas.config", wit.KindString, "", ""))
	want := []wit.Setting{
		{Name: "name", Value: "n"},
		{Name: "connector.class", Value: "x"},
		{Name: "shop.address", Value: "h"},
		{Name: "shop.password", Value: Mask},
		{Name: "shop.password", Value: Mask},
		{Name: "shop#00.table", Value: "t"},
		{Name: "topics", Value: "a"},
	}
	assert.Equal(t, want, (&PluginView{Component: tableOf(declaration)}).Settings(connector))
}

// Transforms are in the order of their list, with their predicates. Invalid ones are reported.
func TestStages(t *testing.T) {
	c := connector(t, `transforms=a, b
predicates=p
transforms.a.type=A
transforms.a.predicate=p
transforms.a.negate=true
transforms.a.field=x
transforms.b.type=B
predicates.p.type=P
predicates.p.pattern=y`)
	stages, problems := c.Stages()
	p := &Predicate{Alias: "p", Class: "P", Prefix: "predicates.p."}
	want := []stage{
		{Alias: "a", Class: "A", Prefix: "transforms.a.", Predicate: p, Negate: true},
		{Alias: "b", Class: "B", Prefix: "transforms.b."},
	}
	diff := cmp.Diff(want, stages)
	assert.True(t, diff == "" && len(problems) == 0, "(-want +got)\n%s%v", diff, problems)
	assert.Equal(t, map[string]string{"name": "c", "field": "x"}, c.StageConfig("transforms.a.").Raw())
	invalid := connector(t,
		"transforms=a,b,a\ntransforms.a.type=A\ntransforms.a.predicate=q\ntransforms.b.negate=maybe\n"+
			"transforms.b.predicate=p\npredicates=p\npredicates.p.type=P")
	_, problems = invalid.Stages()
	wantLines := `c.properties:1: transforms: Invalid value [a, b, a] for configuration transforms: Duplicate alias provided.
c.properties:3: transforms.a.predicate: expected one of the predicates (p), found "q"
c.properties:1: transforms.b.type: Missing required configuration "transforms.b.type" which has no default value.
c.properties:4: transforms.b.negate: Invalid value maybe for configuration transforms.b.negate: Expected value to be either true or false`
	expectLines(t, "all", wantLines, problems)
	_, problems = connector(t, "transforms=a\ntransforms.a.type=A\ntransforms.a.predicate=q").Stages()
	expectLines(t, "no list of predicates",
		`c.properties:3: transforms.a.predicate: there is no predicate "q": expected predicates=q`, problems)
	for _, negate := range []string{"true", "false"} {
		_, problems = connector(t, "transforms=a\ntransforms.a.type=A\ntransforms.a.negate="+negate).Stages()
		want := "c.properties:3: transforms.a.negate: Config 'transforms.a.negate' was provided but there is no " +
			"config 'transforms.a.predicate' defining a predicate to be negated."
		expectLines(t, negate, want, problems) // as in Kafka Connect, "false" requires a predicate too
	}
}

// Kafka ignores the names that its ReplaceField had before 4.0, so fields that should be dropped would pass.
func TestRemovedKafkaSettings(t *testing.T) {
	replace := wit.Component{Kind: wit.ComponentTransformation,
		Name: "org.apache.kafka.connect.transforms.ReplaceField$Value", Settings: []wit.ConfigKey{
			declared("include", wit.KindList, "", ""), declared("exclude", wit.KindList, "", "")}}
	const text = "transforms=a\ntransforms.a.type=ReplaceField$Value\ntransforms.a.blacklist=ssn"
	for name, test := range map[string]struct{ text, want string }{
		"refused": {text: text,
			want: "c.properties:3: transforms.a.blacklist: unknown setting; Kafka 4.0 removed this name, it is " +
				"exclude since 2.6, and without it all fields remain; with unknown.settings=warn this is a warning"},
		"with its new name": {text: text + "\ntransforms.a.exclude=ssn",
			want: "c.properties:3: transforms.a.blacklist: warning: unknown setting; Kafka 4.0 removed this name; " +
				"exclude, which is also set, is used"},
		"with the other's new name": {text: text + "\ntransforms.a.include=ssn",
			want: "c.properties:3: transforms.a.blacklist: unknown setting; Kafka 4.0 removed this name, it is " +
				"exclude since 2.6, and without it all fields remain; with unknown.settings=warn this is a warning"},
		"of nothing": {text: "transforms=a\ntransforms.a.type=ReplaceField$Value\ntransforms.a.whitelist= ",
			want: "c.properties:3: transforms.a.whitelist: warning: unknown setting; Kafka 4.0 removed this name; it " +
				"names no field"},
		"relaxed": {text: text + "\nunknown.settings=warn",
			want: "c.properties:3: transforms.a.blacklist: warning: unknown setting; Kafka 4.0 removed this name, it " +
				"is exclude since 2.6, and without it all fields remain"},
	} {
		problems := checkStage(t.Context(), connector(t, test.text), "transforms.a.", replace)
		expectLines(t, name, test.want, problems)
	}
}

// Problems of a transform name its settings with their prefix.
func TestStageProblems(t *testing.T) {
	connector := connector(t, "transforms=a\ntransforms.a.type=A\ntransforms.a.feild=x\ntransforms.a.count=z")
	smt := wit.Component{Kind: wit.ComponentTransformation, Settings: []wit.ConfigKey{declared("field", wit.KindString,
		"", "", wit.Rule{Required: wit.Set}), declared("count", wit.KindInt, "", "")}}
	want := `c.properties:3: transforms.a.feild: warning: unknown setting; the nearest known one is field
c.properties:4: transforms.a.count: Invalid value z for configuration count: Not a number of type INT
c.properties:2: transforms.a.field: Missing required configuration "field" which has no default value.`
	expectLines(t, "all", want, checkStage(t.Context(), connector, "transforms.a.", smt))
}

// Files in JSON, YAML and properties have the same settings; problems name the line.
func TestDocuments(t *testing.T) {
	cases := []struct{ file, text, want, problems string }{
		{file: "c.json", text: `{"name":"n","config":{"connector.class":"x","tasks.max":1,"b":true}}`,
			want: "name=n connector.class=x tasks.max=1 b=true"},
		{file: "c.json", text: `{"connector.class":"x","name":"n"}`, want: "connector.class=x name=n"},
		{file: "c.json", text: "{\n\"name\":\"n\",\"config\":{\n\"a\":null,\"b\":[1],\"c\":1e3}}", want: "name=n c=1e3",
			problems: "c.json:3: a: expected text, a number or a boolean, found null; remove the setting to use its " +
				"default\nc.json:3: b: expected text, a number or a boolean, found an object or a list"},
		{file: "c.json", text: `{"name":"n","config":{"name":"m"},"tasks":1,"task":2,"topics":[]}`, want: "name=m",
			problems: "c.json:1: name: expected the same name as inside config, \"m\", found \"n\"\nc.json:1: task: " +
				"warning: not a setting: expected inside config\n" +
				"c.json:1: topics: warning: not a setting: expected inside config"},
		// As in responses to GET /connectors/NAME, in any order.
		{file: "c.json",
			text: `{"tasks":[{"connector":"n","task":0}],"type":"source","config":{"connector.class":"x","name":"n"},"name":"n"}`,
			want: "connector.class=x name=n"},
		{file: "c.json", text: `{"name":"n","config":{"connector.class":"x"},"tasks":[],"type":null}`,
			want: "name=n connector.class=x"},
		{file: "c.json", text: `{"name":"n","connector.class":"x","tasks":[]}`, want: "name=n connector.class=x",
			problems: "c.json:1: tasks: expected text, a number or a boolean, found an object or a list"},
		{file: "c.json", text: `{"name":"n","initial_state":"running","config":{"connector.class":"x"}}`,
			want: "name=n connector.class=x initial_state=running"},
		{file: "c.json", text: `{"name":"n","initial_state":"AWAY","config":{}}`, want: "name=n initial_state=AWAY"},
		{file: "c.json", text: `{"name":"n","initial_state":null,"config":{}}`, want: "name=n initial_state=null"},
		{file: "c.properties", text: " \n{\"name\":\"n\"}", want: "name=n"},
		{file: "c.json"},
		{file: "c.json", text: "name=n", want: "name=n"},
		{file: "c.properties", text: "\xff\xfen\x00",
			problems: "c.properties: the file is in UTF-16: expected UTF-8; save it in that encoding"},
		{file: "c.json", text: "{\n\x00", problems: "c.json: expected text in UTF-8, found a byte 0 in line 2"},
		{file: "c.yaml",
			text: "name: n\nconfig:\n  connector.class: x\n  tasks.max: 2\ntasks: [{connector: n, task: 0}]\ntype: " +
				"source",
			want: "name=n connector.class=x tasks.max=2"},
		{file: "c.yaml", text: "name: n\ninitial_state: [x]\nconfig: {connector: {class: x}}",
			want: "name=n connector.class=x initial_state=x"},
		{file: "c.yaml", text: "name: n\nconnector: {class: x}\nconfig: {action: {reload: none}}",
			want: "name=n connector.class=x config.action.reload=none"},
		{file: "w.yaml", text: "bootstrap.servers: a\nconfig: {storage: {topic: c}}",
			want: "bootstrap.servers=a config.storage.topic=c"},
		{file: "c.yaml", text: "a: 1\n---\nb: 1",
			problems: "c.yaml:2: expected one document in the file, found another after ---"},
		{file: "c.yaml", text: "# nothing"},
		{file: "c.json", text: `{"a":"1",`, want: "a=1",
			problems: "c.json:1: invalid JSON: expected the rest of the document, found its end"},
		{file: "c.json", text: `[]`, problems: "c.json:1: invalid JSON: expected an object, found a list"},
		{file: "c.json", text: `{"config":[{"a":1}]}`,
			problems: "c.json:1: config: expected text, a number or a boolean, found an object or a list"},
		{file: "w.yaml",
			text: "offset.flush.interval.ms: 100\noffset:\n  storage.topic: o\nlisteners: [a, b]\nx: 007\ny: no",
			want: "offset.flush.interval.ms=100 offset.storage.topic=o listeners=a,b x=007 y=no"},
		{file: "w.yaml", text: "a: 1\n  b: 2",
			problems: "w.yaml:2: invalid YAML: mapping values are not allowed in this context"},
		{file: "w.yaml", text: "a: &x 1\nb: *x\nc:", want: "a=1",
			problems: "w.yaml:2: b: expected a value, found an alias\nw.yaml:3: c: expected a value, found null"},
	}
	for _, test := range cases {
		entries, problems := Read(test.file, []byte(test.text))
		var got []string
		for _, entry := range entries {
			got = append(got, entry.Key+"="+entry.Raw)
		}
		assert.Equal(t, test.want, strings.Join(got, " "), test.text)
		expectLines(t, test.text, test.problems, problems)
	}
}

// initial_state is the initial target state in every format of a connector's file. In a configuration from REST it is
// an unknown setting.
func TestInitialStateIsNoSetting(t *testing.T) {
	for _, test := range []struct{ file, text, target, problems string }{
		{file: "c.properties", text: "name=n\ninitial_state = paused\nx=1", target: TargetPaused},
		{file: "c.yaml", text: "name: n\ninitial_state: STOPPED\nx: 1", target: TargetStopped},
		{file: "c.yaml", text: "name: n\ninitial_state: STOPPED\nconfig: {x: 1}", target: TargetStopped},
		{file: "c.json", text: `{"name":"n","initial_state":"PAUSED","x":1}`, target: TargetPaused},
		{file: "c.json", text: `{"name":"n","initial_state":"running","config":{"x":1}}`, target: TargetStarted},
		{file: "c.json", text: `{"name":"n","config":{"initial_state":"PAUSED","x":1}}`, target: TargetPaused},
		{file: "c.json", text: `{"name":"n","x":1}`, target: TargetStarted},
		{file: "c.properties", text: "name=n\nx=1\ninitial_state=AWAY", target: TargetStarted,
			problems: "c.properties:3: initial_state: expected RUNNING, PAUSED or STOPPED, found AWAY"},
		{file: "c.json", text: `{"name":"n","initial_state":null,"config":{"x":1}}`, target: TargetStarted,
			problems: "c.json:1: initial_state: expected RUNNING, PAUSED or STOPPED, found null"},
	} {
		entries, problems := Read(test.file, []byte(test.text))
		c, more := NewConnector(test.file, entries, nil)
		expectLines(t, test.text, test.problems, append(problems, more...))
		assert.Equal(t, test.target, c.InitialTarget(), test.text)
		assert.Equal(t, map[string]string{"name": "n", "x": "1"}, c.Raw(), test.text)
	}
	sent := map[string]string{"name": "n", "connector.class": "x", "initial_state": "PAUSED"}
	c := NewRESTConnector("the request", sent, nil, nil)
	assert.Equal(t, TargetStarted, c.InitialTarget(), "the target state of a configuration from REST")
	assert.Equal(t, sent, c.Raw(), "the settings of a configuration from REST")
	expectLines(t, "from REST", "the request: initial_state: warning: has no effect in a configuration: expected in "+
		"the connector's file, or next to config in POST /connectors",
		checkComponent(t.Context(), Checker{}, c, wit.Component{}))
}

// References are replaced by values of files, folders and the environment, within the configured bounds.
func TestProviders(t *testing.T) {
	dir := t.TempDir()
	secrets := filepath.Join(dir, "secrets.properties")
	write(t, secrets, "user=u\npassword=p:w\n")
	t.Setenv("CONFIG_TEST_SECRET", "from the environment")
	const kafka = "org.apache.kafka.common.config.provider."
	cases := []struct{ worker, value, want, problem string }{
		{value: "${file:" + secrets + ":password}", want: "p:w"},
		{value: "a${file:" + secrets + ":user}b${env:CONFIG_TEST_SECRET}", want: "aubfrom the environment"},
		{value: "${dir:" + dir + ":secrets.properties}", want: "user=u\npassword=p:w\n"},
		{value: "${vault:x:y} ${1} $1", want: "${vault:x:y} ${1} $1"},
		{value: "${file:" + secrets + ":nope}", problem: "not found: "},
		{value: "${file:/nowhere/x:nope}", problem: "no such file"},
		{value: "${env:CONFIG_TEST_MISSING}", problem: "not found: "},
		{value: "${dir:" + dir + ":../x}", problem: "expected the name of a file"},
		{worker: "config.providers=f\nconfig.providers.f.class=" + kafka +
			"FileConfigProvider\nconfig.providers.f.param.allowed.paths=/etc",
			value: "${f:" + secrets + ":user}", problem: "outside allowed.paths"},
		{worker: "config.providers=e\nconfig.providers.e.class=" + kafka +
			"EnvVarConfigProvider\nconfig.providers.e.param.allowlist.pattern=X.*",
			value: "${e:CONFIG_TEST_SECRET}", problem: "does not match allowlist.pattern"},
	}
	for _, test := range cases {
		providers, problems := newProviders(workerEntries(t, test.worker))
		got, more := providers.resolveAll([]Entry{NewEntry("k", test.value, "", 0)})
		problems = append(problems, more...)
		if test.problem != "" {
			assert.True(t, len(problems) == 1 && strings.Contains(problems[0].Text, test.problem),
				"%s: expected a problem with %q, found %v", test.value, test.problem, problems)
			continue
		}
		if got[0].Value.Reveal() != test.want || got[0].Raw != test.value || len(problems) > 0 ||
			got[0].Value.IsSecret() == (test.value == test.want) {
			t.Errorf("%s: expected %q, found %q %v", test.value, test.want, got[0].Value.Reveal(), problems)
		}
	}
	_, problems := newProviders(workerEntries(t, "config.providers=v\nconfig.providers.v.class=com.example.Vault"))
	if len(problems) != 1 || !strings.Contains(problems[0].String(),
		`w.properties:2: config.providers.v.class: expected`) {
		t.Errorf("expected the unknown class to be rejected by name, found %v", problems)
	}
}

// Only the option values of a login module's line are redacted, not its class, flag and option names.
func TestOnlyLoginModuleOptionsAreRedacted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "some.properties")
	line := `org.apache.kafka.common.security.scram.ScramLoginModule required username="svc.orders" ` +
		`password="hush;\\\"x=" tokenauth=true short="ab";`
	write(t, file, "line="+line+"\npart=username=\"svc.orders\" password=\"hush;\"")
	entry := NewEntry("sasl.jaas.config", "${file:"+file+":line}", "w.properties", 1)
	for text, want := range map[string]string{
		"wrong password for svc.orders, which is required": "wrong password for [hidden], which is required",
		"no class org.apache.kafka.common.security.scram.ScramLoginModule, ab is true": "no class " +
			"org.apache.kafka.common.security.scram.ScramLoginModule, ab is true",
		`refused hush;"x= here`: "refused [hidden] here",
		"username and password": "username and password",
	} {
		providers, _ := newProviders(nil)
		resolved, problems := providers.resolveAll([]Entry{entry})
		got := providers.Redact(text)
		assert.True(t, got == want && len(problems) == 0 && strings.Contains(resolved[0].Value.Reveal(), "hush"),
			"of %q: expected %q, found %q %v", text, want, got, problems)
	}
	providers, _ := newProviders(nil)
	resolved, _ := providers.resolveAll([]Entry{NewEntry("k", "${file:"+file+":part}", "w.properties", 1)})
	got := providers.Redact("user svc.orders, hush")
	assert.Equal(t, "user [hidden], [hidden]", got, "nothing for a part of a line")
	runtime.KeepAlive(resolved)
}

// New values of a provider are redacted, and so are previous values while something uses them.
func TestRotatedSecretsAreRedacted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "some.properties")
	write(t, file, "pw=first-s3cret")
	w, problems := NewWorker("w.properties", []Entry{NewEntry("bootstrap.servers", "a:1", "w.properties", 1),
		NewEntry("sasl.jaas.config", "${file:"+file+":pw}", "w.properties", 2)}, nil, nil)
	require.NoError(t, problems.Err())
	write(t, file, "pw=second-passw0rd")
	current, ok := w.Current("sasl.jaas.config")
	require.True(t, ok && current == "second-passw0rd", "expected second-passw0rd, found %q, %t", current, ok)
	for range 2 { // unused values are forgotten by the garbage collector
		t.Setenv("CONFIG_TEST_DROPPED", "third-passw0rd")
		w.Providers.resolveAll([]Entry{NewEntry("k", "${env:CONFIG_TEST_DROPPED}", "", 0)})
		for deadline := time.Now().Add(time.Minute); w.Redact("third-passw0rd") == "[hidden]"; runtime.GC() {
			require.True(t, !time.Now().After(deadline), "expected the former value to be forgotten")
		}
	}
	assert.Equal(t, "refused [hidden]", w.Redact("refused second-passw0rd"), "the current value hidden")
}

// The largest LONG means "forever".
func TestLargestDurationMeansForever(t *testing.T) {
	const largest = "9223372036854775807"
	w, problems := NewWorker("", nil, nil, map[string]string{"task.shutdown.graceful.timeout.ms": largest})
	require.True(t, len(problems) == 0, "%v", problems)
	r := Roles{byRole: map[string]roleValue{role.SinkFlushIntervalMS: {value: largest}}}
	const long = 50 * 365 * 24 * time.Hour
	for _, d := range []time.Duration{w.Duration("task.shutdown.graceful.timeout.ms"),
		r.Duration(role.SinkFlushIntervalMS)} {
		assert.True(t, d >= long && d+long >= d, "expected a very long time, found %v", d)
	}
}

// The command line precedes the environment, which precedes the file.
func TestWorkerLayers(t *testing.T) {
	entries := workerEntries(t, "bootstrap.servers=a:1\noffset.flush.interval.ms=1\nlisteners=http://:1\n"+
		"key.converter.schemas.enable=false")
	w, problems := NewWorker("w.properties", entries, []string{"CULVERT_OFFSET_FLUSH_INTERVAL_MS=2",
		"CULVERT_LISTENERS=http://:2", "HOME=/", "CULVERT_DEMO_PORT=1"}, map[string]string{"listeners": "http://:3"})
	require.True(t, len(problems) == 0, "%v", problems)
	got := fmt.Sprint(w.List("bootstrap.servers"), w.Duration("offset.flush.interval.ms"), w.Text("listeners"),
		w.Text("offset.storage.topic"), w.Prefixed("key.converter."))
	assert.Equal(t, "[a:1] 2mshttp://:3connect-offsetsmap[schemas.enable:false]", got)
	connector := connector(t, "value.converter=own\nvalue.converter.a=1")
	class, settings := connector.Converter("key.converter", w)
	assert.True(t, class == JSONConverter && settings["schemas.enable"] == "false",
		"expected the worker's key converter, found %s %v", class, settings)
	class, settings = connector.Converter("value.converter", w)
	assert.True(t, class == "own" && fmt.Sprint(settings) == "map[a:1]",
		"expected the connector's value converter, found %s %v", class, settings)
}

// A host whose name begins like the embedded broker's is a broker of a cluster.
func TestExactlyOnceWithHostNamedLikeEmbedded(t *testing.T) {
	_, problems := NewWorker("w.properties", workerEntries(t, "bootstrap.servers=embedded-kafka:9092\ngroup.id=g\n"+
		"exactly.once.source.support=enabled"), nil, nil)
	assert.NoError(t, problems.Err(), "no problem")
}

// Missing, invalid and misplaced settings of a worker are reported with their lines.
func TestWorkerProblems(t *testing.T) {
	_, problems := NewWorker("w.properties", workerEntries(t, "group.id=g\nexactly.once.source.support=enabled\n"+
		"offset.flush.interval.ms=x\noffset.storage.topik=x\nssl.protocol=1\nproducer.linger.ms=1\nlisteners=\n"+
		"listeners.https.ssl.protocol=1\nkafka.proxy.outage.ms=soon\nkafka.proxy.password=x\ntransforms.a.tpye=x\n"+
		"topics=t"), nil, nil)
	want := `w.properties:1: bootstrap.servers: Missing required configuration "bootstrap.servers" which has no default value.
w.properties:2: exactly.once.source.support: Invalid value enabled for configuration exactly.once.source.support: expected disabled with bootstrap.servers=embedded: killing this process would break transactions of its broker. Use the brokers of a Kafka cluster or of ` + "`culvert broker`" + `
w.properties:3: offset.flush.interval.ms: Invalid value x for configuration offset.flush.interval.ms: Not a number of type LONG
w.properties:4: offset.storage.topik: warning: unknown setting; the nearest known one is offset.storage.topic
w.properties:9: kafka.proxy.outage.ms: Invalid value soon for configuration kafka.proxy.outage.ms: Not a number of type LONG
w.properties:11: transforms.a.tpye: warning: has no effect: a setting of connectors, which belongs in a connector's file
w.properties:12: topics: warning: has no effect: a setting of connectors, which belongs in a connector's file`
	expectLines(t, "all", want, problems)
}

// Worker settings of Kafka Connect without effect are accepted with a warning that contains the reason.
func TestSettingsWithoutEffectWarnWithReason(t *testing.T) {
	values := map[string]string{ // "" means a number
		"connect.protocol":                        "sessioned",
		"inter.worker.key.generation.algorithm":   "HmacSHA256",
		"inter.worker.signature.algorithm":        "HmacSHA256",
		"inter.worker.verification.algorithms":    "HmacSHA256",
		"metrics.recording.level":                 "INFO",
		"plugin.discovery":                        "hybrid_warn",
		"plugin.rollout":                          "any",
		"config.storage.secrets":                  "refuse",
		"rest.advertised.listener":                "http",
		"internal.key.converter.schemas.enable":   "false",
		"internal.value.converter.schemas.enable": "false",
	}
	count := 0
	for _, spec := range workerSettings {
		key := spec.Name
		reason := (&Worker{}).noEffect(&spec)
		if reason == "" {
			continue
		}
		count++
		value := values[key]
		if value == "" {
			value = "25000"
		}
		_, problems := NewWorker("", workerEntries(t, key+"="+value+"\n"), nil, nil)
		expectLines(t, key, "w.properties:1: "+key+": warning: has no effect: "+reason, problems)
	}
	assert.Equal(t, 34, count, "settings without effect")
}

// A file is a connector's if it has settings that no worker has.
func TestIsConnector(t *testing.T) {
	for text, want := range map[string]bool{
		"connector.class=x":                               true,
		"conector.class=x":                                true,
		"connector.clas=x":                                true,
		"connectors.class=x\nsap.x=y":                     true,
		"class=x\ntasks.max=1":                            true,
		"name=orders":                                     true,
		"bootstrap.servers=embedded":                      false,
		"bootstrap.servers=embedded\nname=x":              false,
		"connector.client.config.override.policy=All":     false,
		"group.id=g\nkey.converter=x\nconfig.providers=f": false,
		"": false,
		// Snippets with settings that no worker has.
		"shop.address=h":                                   true,
		"shop.address=h\nkey.converter=x":                  true,
		"transforms.a.type=x":                              true,
		"errors.tolerance=all\nproducer.override.acks=all": true,
		"bootstrap.server=h:1":                             false,
		"listeners=http://:1":                              false,
		"ssl.truststore.location=/x":                       false,
		"kafka.proxy.type=none":                            false,
		"plugin.x.limits.calls=1":                          false,
	} {
		entries, _ := Read("x.properties", []byte(text))
		assert.Equal(t, want, isConnector(entries), text)
	}
}

// A folder has a worker's file and connectors' files; other files are ignored.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"worker.yaml":        "bootstrap.servers: embedded",
		"a.properties":       "connector.class=x",
		"b.JSON":             `{"name":"a","config":{}}`,
		"c.yml":              "connector.class: x",
		"notes.txt":          "",
		".hidden.properties": "",
		"d.properties~":      "",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	files, err := ListFolder(dir)
	want := Files{
		Worker: filepath.Join(dir, "worker.yaml"),
		Connectors: []string{
			filepath.Join(dir, "a.properties"),
			filepath.Join(dir, "b.JSON"),
			filepath.Join(dir, "c.yml"),
		},
		Folder: dir,
	}
	diff := cmp.Diff(want, files)
	assert.True(t, diff == "" && err == nil, "(-want +got)\n%s%v", diff, err)
	in, problems, err := Load(files, nil, nil)
	wantLines := fmt.Sprintf("%[1]s:1: name: expected a name that no other connector has, found \"a\" in %[1]s and "+
		"%[2]s: none of them runs, because offsets belong to the name\n"+
		"%[2]s:1: name: expected a name that no other connector has, found \"a\" in %[1]s and %[2]s: none of them "+
		"runs, because offsets belong to the name",
		files.Connectors[0], files.Connectors[1])
	require.True(t, err == nil && len(problems) == 0 && len(in.Connectors) == 2 && in.Connectors[0].Name == "a" &&
		in.Connectors[1].Name == "c", "expected the connectors a and c, found %v %v %v", in.Connectors, problems, err)
	expectLines(t, "all", wantLines, in.Problems())
	args, err := ParseArguments([]string{files.Connectors[0], files.Connectors[1]})
	assert.True(t, err == nil && args.Worker == "" && len(args.Connectors) == 2,
		"expected a connector's file to be recognised, found %v %v", args, err)
}

// An unreadable file keeps its own name and takes no name from another file.
func TestUnreadableConnectorFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.json")
	many := filepath.Join(dir, "many.json")
	for name, text := range map[string]string{"a.properties": "name=large\nconnector.class=x",
		"large.json": strings.Repeat(" ", maxFileBytes+1),
		"many.json":  "{" + strings.Repeat("\n\"a\":1,", MaxSettings) + "\"b\":2}"} {
		write(t, filepath.Join(dir, name), text)
	}
	files, err := ListFolder(dir)
	require.NoError(t, err)
	in, _, err := Load(files, nil, nil)
	want := large + ": expected at most 1048576 bytes, found 1048577\n" + many +
		": expected at most 10000 settings, found 10001"
	require.NoError(t, err)
	expectLines(t, "all", want, in.Problems())
	assert.True(t, len(in.Connectors) != 0 && in.Connectors[0].Problems == nil,
		"expected the first connector without problems, found %+v", in.Connectors)
	// A file that grows while it is read is not accepted.
	growing := filepath.Join(dir, "growing.properties")
	stop := make(chan struct{})
	stopped := make(chan struct{})
	file, err := os.Create(growing)
	require.NoError(t, err)
	defer file.Close()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				file.WriteString("a=1\n")
			}
		}
	}()
	for range 20 {
		_, _, err := ReadFile(growing)
		assert.True(t, err == nil || strings.Contains(err.Error(), "changes while it is read") ||
			strings.Contains(err.Error(), "at most"), "expected an error about the change or the size, found %v", err)
	}
	close(stop)
	<-stopped
}

// The host uses settings of plugins by role. Its code contains no name of a plugin's setting, except in tests.
func TestNoPluginSettingsByName(t *testing.T) {
	name := regexp.MustCompile(`sap\.odata`)
	var files int
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err == nil && (d.Name() == "e2etest" || d.Name() == "odatatest") {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		for i, line := range strings.Split(string(data), "\n") {
			assert.True(t, !name.MatchString(line),
				"%s:%d: expected no name of a plugin's setting, found %s", path, i+1, line)
		}
		return err
	})
	assert.True(t, err == nil && files >= 10, "expected to read all of internal/, read %d files, %v", files, err)
}

// Each expression for topic creation is bounded, and so are all of them together.
func TestTopicCreationExpressionsAreBounded(t *testing.T) {
	for prefix, test := range map[string]struct{ include, want string }{
		"as many as there may be": {include: strings.Repeat("a,", maxTopicExpressions-1) + "a"},
		"one more": {include: strings.Repeat("a,", maxTopicExpressions) + "a",
			want: "c.properties:3: topic.creation.big.include: expected at most 10000 expressions of " +
				"topic.creation.* together, found more"},
	} {
		expectLines(t, prefix, test.want, connector(t, "a=b\ntopic.creation.groups=big\ntopic.creation.big.include="+
			test.include).checkTopicCreation())
	}
	problems := checkCommonRules(connector(t, "topics.regex="+strings.Repeat(`\\pL`, 60_000)), wit.ComponentSink)
	assert.True(t, len(problems) == 1 &&
		strings.Contains(problems[0].Text, "Invalid regex: expected at most 1000 characters, found 180000"),
		"expected the expression to be too long, found %d problems %.300v", len(problems), problems)
}

// Problems and settings of transforms repeat an alias, but no long one, and no list of them.
func TestAliasesAreBounded(t *testing.T) {
	longestAlias := strings.Repeat("p", maxAliasBytes)
	for list, want := range map[string]string{
		"transforms": "c.properties:1: transforms: expected names of at most 250 bytes, found one of 251",
		"predicates": "c.properties:1: predicates: expected names of at most 250 bytes, found one of 251",
	} {
		c := connector(t, list+"=a,"+longestAlias+"\n"+list+".a.type=A\n"+list+"."+longestAlias+".type=P")
		_, problems := c.Stages()
		require.NoError(t, problems.Err())
		c = connector(t, list+"=a,"+longestAlias+"p,b\n"+list+".a.type=A\n"+list+"."+longestAlias+"p.type=P")
		stages, problems := c.Stages()
		expectLines(t, list, want, problems)
		if len(stages) > 0 || len(c.Predicates()) > 0 {
			t.Errorf("%s: expected none, found %v and %v", list, stages, c.Predicates())
		}
	}
	var b strings.Builder
	b.WriteString("predicates=" + longestAlias[2:] + "10")
	for i := range maxStages / 2 {
		fmt.Fprintf(&b, ",%s%d", longestAlias[2:], i)
	}
	aliases := b.Len()
	b.WriteString("\ntransforms=t")
	for i := range maxStages/2 - 2 {
		fmt.Fprintf(&b, ",t%d", i)
	}
	for i := range maxStages/2 - 2 {
		fmt.Fprintf(&b, "\ntransforms.t%d.predicate=x", i)
	}
	_, problems := connector(t, b.String()).Stages()
	size := 0
	unknown := 0
	for _, p := range problems {
		if strings.HasPrefix(p.Text, "expected one of the predicates (ppp") {
			unknown++
			size += len(p.Text)
		}
	}
	assert.True(t, unknown == maxStages/2-2 && size <= 2*aliases,
		"expected %d unknown predicates in at most %d bytes, found %d in %d", maxStages/2-2, 2*aliases, unknown, size)
}

// A connector has a bounded number of transforms and predicates together. Aliases are compared in linear time.
func TestStagesAreBounded(t *testing.T) {
	lines := func(transforms, predicates int) string {
		var b strings.Builder
		for _, list := range []struct {
			name  string
			count int
		}{{"transforms", transforms}, {"predicates", predicates}} {
			b.WriteString(list.name + "=")
			for i := range list.count {
				fmt.Fprintf(&b, "a%d,", i)
			}
			b.WriteString("z\n")
		}
		return b.String()
	}
	for _, test := range []struct {
		// besides one of each
		transforms int
		predicates int
		want       string
	}{
		{transforms: maxStages - 2},
		{transforms: maxStages - 1,
			want: "c.properties:1: transforms: expected at most 200 transforms and predicates together, found 201"},
		{transforms: 100, predicates: 100,
			want: "c.properties:1: transforms: expected at most 200 transforms and predicates together, found 202"},
		{transforms: 100_000,
			want: "c.properties:1: transforms: expected at most 200 transforms and predicates together, found 100002"},
	} {
		c := connector(t, lines(test.transforms, test.predicates))
		stages, problems := c.Stages()
		if test.want != "" {
			expectLines(t, test.want, test.want, problems)
		}
		if isRejected := test.want != ""; isRejected != (len(stages) == 0) || len(c.Predicates()) > maxStages {
			t.Errorf("%d and %d: expected a rejection: %t, found %d transforms, %d predicates", test.transforms,
				test.predicates, isRejected, len(stages), len(c.Predicates()))
		}
	}
	c := connector(t, lines(-1, maxStages))
	c.Entries = slices.DeleteFunc(c.Entries, func(entry Entry) bool { return entry.Key == "transforms" })
	_, problems := c.Stages()
	expectLines(t, "predicates only",
		"c.properties:2: predicates: expected at most 200 transforms and predicates together, found 201", problems)
}

func TestPluginClasses(t *testing.T) {
	c := connector(t, "connector.class=C\nconnector.plugin.version=2\ntransforms=a,b\ntransforms.a.type=A\n"+
		"transforms.a.predicate=p\ntransforms.b.type=A\npredicates=p,unused\npredicates.p.type=P\n"+
		"predicates.p.plugin.version=3\npredicates.unused.type=U")
	assert.Equal(t, []PluginClass{{"C", "2"}, {"A", ""}, {"P", "3"}}, c.PluginClasses())
}
