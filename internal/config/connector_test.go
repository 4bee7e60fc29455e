package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

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
