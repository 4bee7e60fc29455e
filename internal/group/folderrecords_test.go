package group

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
)

// readFile returns a connector as read from a file with these lines.
func readFile(t *testing.T, w *config.Worker, path string, lines ...string) *resolved.Connector {
	t.Helper()
	entries, problems := config.Read(path, []byte(strings.Join(lines, "\n")))
	c, connectorProblems := config.NewConnector(path, entries, w.Providers)
	c.Problems = append(problems, connectorProblems...)
	return resolved.Resolver{Worker: w}.Resolve(c)
}

func workerOf(t *testing.T, settings map[string]string) *config.Worker {
	t.Helper()
	w, _ := config.NewWorker("", nil, nil, settings)
	return w
}

// A folderCase is a folder that is compared with the connectors of a topic.
type folderCase struct {
	name    string
	files   []*resolved.Connector
	topic   map[string]string // the values of x of its connectors
	owners  map[string]string // the files in the annotations of its connectors
	targets map[string]string
	want    []string // the records, and rejections
}

// A folder in a topic creates, changes and deletes its connectors together with their annotations, and leaves
// connectors created by REST alone.
func TestFolderRecords(t *testing.T) {
	t.Parallel()
	w := workerOf(t, nil)
	a := readFile(t, w, "f/a.properties", "name=a", "x=1")
	warned := readFile(t, w, "f/a.properties", "name=a", "x=2", "x=1")
	assert.Equal(t, 1, len(warned.Problems), "problems of a file that sets x twice")
	broken := readFile(t, w, "f/a.properties", "name=a", "x=${file:/nowhere:key}")
	truncated := readFile(t, w, "f/a.json", "{")
	paused := readFile(t, w, "f/p.json", `{"name":"p","config":{"x":"1"},"initial_state":"PAUSED"}`)
	const (
		markA   = "culvert-folder-a {\"file\":\"a.properties\"}"
		setA    = "connector-a {\"properties\":{\"name\":\"a\",\"x\":\"1\"}}"
		setP    = "connector-p {\"properties\":{\"name\":\"p\",\"x\":\"1\"}}"
		markP   = "culvert-folder-p {\"file\":\"p.json\"}"
		targetP = `target-state-p {"state":"PAUSED","state.v2":"PAUSED"}`
	)
	files := func(c ...*resolved.Connector) []*resolved.Connector { return c }
	ofA := func(value string) map[string]string { return map[string]string{"a": value} }
	owners := ofA("a.properties")
	for _, c := range []folderCase{
		{name: "nothing"},
		{name: "a new one", files: files(a), want: []string{markA, setA}},
		{name: "unchanged", files: files(a), topic: ofA("1"), owners: owners},
		{name: "unchanged, with a warning", files: files(warned), topic: ofA("1"), owners: owners},
		{name: "changed", files: files(a), topic: ofA("2"), owners: owners, want: []string{markA, setA}},
		{name: "its file has another name", files: files(a), topic: ofA("1"), owners: ofA("b.properties"),
			want: []string{markA}},
		{name: "deleted", topic: map[string]string{"a": "1", "rest": "1"}, owners: owners, targets: ofA("PAUSED"),
			want: []string{"connector-a", "target-state-a", "culvert-folder-a"}},
		{name: "REST's", files: files(a), topic: ofA("2"), want: []string{"rejected a, keeps running: false"}},
		{name: "broken", files: files(broken), topic: ofA("1"), owners: owners,
			want: []string{"rejected a, keeps running: true"}},
		{name: "truncated, so that its name is unknown", files: files(truncated), topic: map[string]string{"b": "1"},
			owners: map[string]string{"b": "a.json"}, want: []string{"rejected b, keeps running: true"}},
		{name: "paused", files: files(paused), want: []string{targetP, markP, setP}},
		{name: "with a target state of its own", files: files(paused), targets: map[string]string{"p": "STARTED"},
			want: []string{markP, setP}},
	} {
		assert.Equal(t, c.want, folderRecords(t, w, c), c.name)
	}
}

// folderRecords returns the records that bring the topic of a case to the state of its folder.
func folderRecords(t *testing.T, w *config.Worker, c folderCase) []string {
	t.Helper()
	topic := config.Snapshot{ConfigOffsets: map[string]int64{}, Targets: c.targets}
	annotations := map[string]json.RawMessage{}
	for name, x := range c.topic {
		topic.Connectors = append(topic.Connectors,
			config.NewRESTConnector("topic", map[string]string{"name": name, "x": x}, nil, w.Providers))
		topic.ConfigOffsets[name] = 1
	}
	for name, file := range c.owners {
		annotations[name] = json.RawMessage(fmt.Sprintf(`{"file":%q}`, file))
	}
	check := func(k *resolved.Connector) config.Problems { // as in the host
		if _, ok := topic.ConfigOffsets[k.Name]; ok && annotations[k.Name] == nil {
			return config.Problems{{File: k.File, Text: "REST's"}}
		}
		return nil
	}
	var records []string
	stored := folderConnectors(topic, annotations, "f", c.files)
	for step := range resolved.Diff(stored, c.files, check) {
		if step.Action == resolved.Reject {
			records = append(records, fmt.Sprintf("rejected %s, keeps running: %t", step.Name, step.KeepsRunning))
		}
		assert.True(t, step.Action != resolved.NoChange || len(step.Problems) == 0,
			"%s: expected no warnings about unchanged connectors, found %v", c.name, step.Problems)
		for _, r := range changeRecords(step, topic, annotations) {
			records = append(records, strings.TrimSpace(r.Key+" "+string(r.Value)))
		}
	}
	return records
}

// Folders with the same contents have equal digests, whatever the names of their files and the order of their settings.
func TestFolderDigest(t *testing.T) {
	t.Parallel()
	w := workerOf(t, nil)
	digest := func(resolved ...*resolved.Connector) string {
		var connectors []*config.Connector
		for _, c := range resolved {
			connectors = append(connectors, c.Connector)
		}
		return connectorsDigest(connectors)
	}
	a := readFile(t, w, "f/a.properties", "name=a", "x=1", "y=2")
	b := readFile(t, w, "f/b.properties", "name=b")
	same := readFile(t, w, "g/other.json", `{"name":"a","config":{"y":"2","x":"1"}}`)
	assert.Equal(t, digest(a, b), digest(b, same), "other files")
	digests := map[string]bool{}
	for _, d := range []string{digest(), digest(a), digest(b), digest(a, b),
		digest(readFile(t, w, "f/a.properties", "name=a", "x=1")),
		digest(readFile(t, w, "f/a.json", `{"name":"a","config":{"y":"2","x":"1"},"initial_state":"PAUSED"}`))} {
		assert.Equal(t, 32, len(d), d)
		digests[d] = true
	}
	assert.Equal(t, 6, len(digests), "all differ")
}

// In the topic, references may use only the providers that config.providers names, and passwords are rejected if
// config.storage.secrets forbids them.
func TestSharedProblems(t *testing.T) {
	t.Setenv("FOLDERTOPIC", "secret")
	isPassword := func(key string) bool { return key == "pwd" }
	group := map[string]string{"bootstrap.servers": "b:9092", "group.id": "g", "config.storage.topic": "c",
		"status.storage.topic": "s"}
	withoutSecrets := func(more map[string]string) map[string]string {
		settings := map[string]string{"config.storage.secrets": "REFUSE"}
		maps.Copy(settings, group)
		maps.Copy(settings, more)
		return settings
	}
	providers := map[string]string{"config.providers": "env,files",
		"config.providers.env.class":   "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
		"config.providers.files.class": "org.apache.kafka.common.config.provider.FileConfigProvider"}
	for _, c := range []struct {
		worker map[string]string
		line   string // of the connector
		want   string // a part of the problem; "" means no problem
	}{
		{group, "pwd=clear", ""},
		{group, "pwd=${env:FOLDERTOPIC}", "These lines declare this one, limited by the last line: " +
			"config.providers=env config.providers.env.class="},
		{withoutSecrets(providers), "pwd=${env:FOLDERTOPIC}", ""},
		{withoutSecrets(providers), "pwd=prefix ${env:FOLDERTOPIC}", ""},
		{withoutSecrets(providers), "user=clear", ""},
		{withoutSecrets(providers), "pwd=", ""},
		{withoutSecrets(providers), "pwd=clear",
			"config.storage.secrets=refuse keeps passwords out of config.storage.topic, " +
				"found the password: write ${file:PATH:KEY} or ${env:NAME}, with a provider that config.providers " +
				"declares (now: env, files)"},
		{withoutSecrets(nil), "pwd=clear", "(now: none)"},
		{withoutSecrets(nil), "pwd=${nobody:x}", "found the password"},
		{map[string]string{"config.storage.secrets": "refuse"}, "pwd=clear", ""}, // the only problem
	} {
		w := workerOf(t, c.worker)
		k := readFile(t, w, "f/a.properties", "name=a", c.line)
		require.NoError(t, k.Problems.Err())
		problems := w.SharedProblems(k.Connector, isPassword)
		if c.want == "" {
			assert.NoError(t, problems.Err(), c.line)
			continue
		}
		assert.Error(t, problems.Err(), c.want)
		assert.Equal(t, 2, problems[0].Line, c.line)
	}
}
