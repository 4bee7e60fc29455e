package configtopic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
)

// fileOf returns a connector as read from a file of a folder.
func fileOf(t *testing.T, w *config.Worker, path string, lines ...string) *config.Connector {
	t.Helper()
	entries, problems := config.Read(path, []byte(strings.Join(lines, "\n")))
	c, more := config.NewConnector(path, entries, w.Providers)
	c.Problems = append(problems, more...)
	return c
}

func workerOf(t *testing.T, settings map[string]string) *config.Worker {
	t.Helper()
	w, _ := config.NewWorker("", nil, nil, settings)
	return w
}

// A folder in a topic creates, changes and deletes its connectors together with their notes, and leaves connectors
// created by REST alone.
func TestFolderRecords(t *testing.T) {
	t.Parallel()
	w := workerOf(t, nil)
	a := fileOf(t, w, "f/a.properties", "name=a", "x=1")
	warned := fileOf(t, w, "f/a.properties", "name=a", "x=2", "x=1")
	assert.Equal(t, 1, len(warned.Problems), "given twice")
	broken := fileOf(t, w, "f/a.properties", "name=a", "x=${file:/nowhere:key}")
	torn := fileOf(t, w, "f/a.json", "{")
	paused := fileOf(t, w, "f/p.json", `{"name":"p","config":{"x":"1"},"initial_state":"PAUSED"}`)
	const (
		noteA = "culvert-folder-a {\"file\":\"a.properties\"}"
		setA  = "connector-a {\"properties\":{\"name\":\"a\",\"x\":\"1\"}}"
		setP  = "connector-p {\"properties\":{\"name\":\"p\",\"x\":\"1\"}}"
		noteP = "culvert-folder-p {\"file\":\"p.json\"}"
	)
	for _, c := range []struct {
		name   string
		files  []*config.Connector
		topic  map[string]string // x of connectors
		noted  map[string]string // their files, from the notes
		target map[string]string
		want   []string
	}{
		{"nothing", nil, nil, nil, nil, nil},
		{"a new one", []*config.Connector{a}, nil, nil, nil, []string{noteA, setA}},
		{"as it is", []*config.Connector{a}, map[string]string{"a": "1"}, map[string]string{"a": "a.properties"}, nil,
			nil},
		{"as it is, with a warning", []*config.Connector{warned}, map[string]string{"a": "1"},
			map[string]string{"a": "a.properties"}, nil, nil},
		{"another one", []*config.Connector{a}, map[string]string{"a": "2"}, map[string]string{"a": "a.properties"},
			nil,
			[]string{noteA, setA}},
		{"its file has another name", []*config.Connector{a}, map[string]string{"a": "1"},
			map[string]string{"a": "b.properties"}, nil, []string{noteA}},
		{"deleted", nil, map[string]string{"a": "1", "rest": "1"}, map[string]string{"a": "a.properties"},
			map[string]string{"a": "PAUSED"},
			[]string{"connector-a", "target-state-a", "culvert-folder-a"}},
		{"REST's", []*config.Connector{a}, map[string]string{"a": "2"}, nil, nil, []string{"refused a goes false"}},
		{"broken", []*config.Connector{broken}, map[string]string{"a": "1"}, map[string]string{"a": "a.properties"},
			nil,
			[]string{"refused a goes true"}},
		{"torn, so that nobody knows its name", []*config.Connector{torn}, map[string]string{"b": "1"},
			map[string]string{"b": "a.json"}, nil, []string{"refused b goes true"}},
		{"paused", []*config.Connector{paused}, nil, nil, nil,
			[]string{`target-state-p {"state":"PAUSED","state.v2":"PAUSED"}`, noteP, setP}},
		{"as it was adopted", []*config.Connector{paused}, nil, nil, map[string]string{"p": "STARTED"},
			[]string{noteP, setP}},
	} {
		topic := config.Snapshot{ConfigOffsets: map[string]int64{}, Targets: c.target}
		notes := map[string]json.RawMessage{}
		for name, x := range c.topic {
			topic.Connectors = append(topic.Connectors, config.NewRESTConnector("topic",
				map[string]string{"name": name, "x": x},
				nil, w.Providers))
			topic.ConfigOffsets[name] = 1
		}
		for name, file := range c.noted {
			notes[name] = json.RawMessage(fmt.Sprintf(`{"file":%q}`, file))
		}
		check := func(k *config.Connector) config.Problems { // as in the host
			if _, there := topic.ConfigOffsets[k.Name]; there && notes[k.Name] == nil {
				return config.Problems{{File: k.File, Text: "REST's"}}
			}
			return nil
		}
		declared := func(*config.Connector) *config.Declarations { return config.Declare() }
		var found []string
		for _, step := range config.Diff(configtopic.FolderConnectors(topic, notes, "f", c.files), c.files, check,
			declared) {
			if step.Action == config.Reject {
				found = append(found, fmt.Sprintf("refused %s goes %t", step.Name, step.KeepsRunning))
			}
			if step.Action == config.NoChange && len(step.Problems) > 0 {
				t.Errorf("%s: expected no warnings about unchanged connectors, found %v", c.name, step.Problems)
			}
			for _, r := range configtopic.ChangeRecords(step, topic, notes) {
				found = append(found, strings.TrimSpace(r.Key+" "+string(r.Value)))
			}
		}
		assert.Equal(t, c.want, found, c.name)
	}
}

// Folders with the same contents have equal digests, whatever the names of their files and the order of their settings.
func TestFolderDigest(t *testing.T) {
	t.Parallel()
	w := workerOf(t, nil)
	of := func(connectors ...*config.Connector) string { return configtopic.FolderDigest(connectors) }
	a, b := fileOf(t, w, "f/a.properties", "name=a", "x=1", "y=2"), fileOf(t, w, "f/b.properties", "name=b")
	same := fileOf(t, w, "g/other.json", `{"name":"a","config":{"y":"2","x":"1"}}`)
	assert.Equal(t, of(a, b), of(b, same), "other files")
	digests := map[string]bool{}
	for _, d := range []string{of(), of(a), of(b), of(a, b), of(fileOf(t, w, "f/a.properties", "name=a", "x=1")),
		of(fileOf(t, w, "f/a.json", `{"name":"a","config":{"y":"2","x":"1"},"initial_state":"PAUSED"}`))} {
		assert.Equal(t, 32, len(d), d)
		digests[d] = true
	}
	assert.Equal(t, 6, len(digests), "all differ")
}

// In the topic, references may use only the providers that config.providers names, and passwords are rejected if
// config.storage.secrets forbids them.
func TestSharedProblems(t *testing.T) {
	t.Setenv("FOLDERTOPIC", "secret")
	password := func(key string) bool { return key == "pwd" }
	group := map[string]string{"bootstrap.servers": "b:9092", "group.id": "g", "config.storage.topic": "c",
		"status.storage.topic": "s"}
	refusing := func(more map[string]string) map[string]string {
		all := map[string]string{"config.storage.secrets": "REFUSE"}
		for _, m := range []map[string]string{group, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	named := map[string]string{"config.providers": "env,files",
		"config.providers.env.class":   "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
		"config.providers.files.class": "org.apache.kafka.common.config.provider.FileConfigProvider"}
	for _, c := range []struct {
		worker map[string]string
		line   string
		want   string // "" means none
	}{
		{group, "pwd=clear", ""},
		{group, "pwd=${env:FOLDERTOPIC}", "These lines declare this one, limited by the last line: " +
			"config.providers=env config.providers.env.class="},
		{refusing(named), "pwd=${env:FOLDERTOPIC}", ""},
		{refusing(named), "pwd=prefix ${env:FOLDERTOPIC}", ""},
		{refusing(named), "user=clear", ""},
		{refusing(named), "pwd=", ""},
		{refusing(named), "pwd=clear", "config.storage.secrets=refuse keeps passwords out of config.storage.topic, " +
			"found " +
			"the password: write ${file:PATH:KEY} or ${env:NAME}, with a provider that config.providers declares " +
			"(now: env, files)"},
		{refusing(nil), "pwd=clear", "(now: none)"},
		{refusing(nil), "pwd=${nobody:x}", "found the password"},
		{map[string]string{"config.storage.secrets": "refuse"}, "pwd=clear", ""}, // the only problem
	} {
		w := workerOf(t, c.worker)
		k := fileOf(t, w, "f/a.properties", "name=a", c.line)
		require.NoError(t, k.Problems.Err())
		problems := w.SharedProblems(k, password)
		if c.want == "" {
			assert.NoError(t, problems.Err(), c.line)
			continue
		}
		assert.Error(t, problems.Err(), c.want)
		assert.Equal(t, 2, problems[0].Line, c.line)
	}
}
