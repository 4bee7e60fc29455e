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

// A folderCase is a folder that is compared with the connectors of a topic.
type folderCase struct {
	name    string
	files   []*config.Connector
	topic   map[string]string // x of connectors
	notes   map[string]string // their files, from the notes
	targets map[string]string
	want    []string
}

// A folder in a topic creates, changes and deletes its connectors together with their notes, and leaves connectors
// created by REST alone.
func TestFolderRecords(t *testing.T) {
	t.Parallel()
	w := workerOf(t, nil)
	a := fileOf(t, w, "f/a.properties", "name=a", "x=1")
	warned := fileOf(t, w, "f/a.properties", "name=a", "x=2", "x=1")
	assert.Equal(t, 1, len(warned.Problems), "set twice")
	broken := fileOf(t, w, "f/a.properties", "name=a", "x=${file:/nowhere:key}")
	torn := fileOf(t, w, "f/a.json", "{")
	paused := fileOf(t, w, "f/p.json", `{"name":"p","config":{"x":"1"},"initial_state":"PAUSED"}`)
	const (
		noteA   = "culvert-folder-a {\"file\":\"a.properties\"}"
		setA    = "connector-a {\"properties\":{\"name\":\"a\",\"x\":\"1\"}}"
		setP    = "connector-p {\"properties\":{\"name\":\"p\",\"x\":\"1\"}}"
		noteP   = "culvert-folder-p {\"file\":\"p.json\"}"
		targetP = `target-state-p {"state":"PAUSED","state.v2":"PAUSED"}`
	)
	files := func(c ...*config.Connector) []*config.Connector { return c }
	x := func(value string) map[string]string { return map[string]string{"a": value} }
	note := x("a.properties")
	for _, c := range []folderCase{
		{name: "nothing"},
		{name: "a new one", files: files(a), want: []string{noteA, setA}},
		{name: "unchanged", files: files(a), topic: x("1"), notes: note},
		{name: "unchanged, with a warning", files: files(warned), topic: x("1"), notes: note},
		{name: "changed", files: files(a), topic: x("2"), notes: note, want: []string{noteA, setA}},
		{name: "its file has another name", files: files(a), topic: x("1"), notes: x("b.properties"),
			want: []string{noteA}},
		{name: "deleted", topic: map[string]string{"a": "1", "rest": "1"}, notes: note, targets: x("PAUSED"),
			want: []string{"connector-a", "target-state-a", "culvert-folder-a"}},
		{name: "REST's", files: files(a), topic: x("2"), want: []string{"rejected a, keeps running: false"}},
		{name: "broken", files: files(broken), topic: x("1"), notes: note,
			want: []string{"rejected a, keeps running: true"}},
		{name: "torn, so that nobody knows its name", files: files(torn), topic: map[string]string{"b": "1"},
			notes: map[string]string{"b": "a.json"}, want: []string{"rejected b, keeps running: true"}},
		{name: "paused", files: files(paused), want: []string{targetP, noteP, setP}},
		{name: "as it was adopted", files: files(paused), targets: map[string]string{"p": "STARTED"},
			want: []string{noteP, setP}},
	} {
		assert.Equal(t, c.want, folderRecords(t, w, c), c.name)
	}
}

// folderRecords returns the records that bring the topic of a case to the state of its folder.
func folderRecords(t *testing.T, w *config.Worker, c folderCase) []string {
	t.Helper()
	topic := config.Snapshot{ConfigOffsets: map[string]int64{}, Targets: c.targets}
	notes := map[string]json.RawMessage{}
	for name, x := range c.topic {
		topic.Connectors = append(topic.Connectors,
			config.NewRESTConnector("topic", map[string]string{"name": name, "x": x}, nil, w.Providers))
		topic.ConfigOffsets[name] = 1
	}
	for name, file := range c.notes {
		notes[name] = json.RawMessage(fmt.Sprintf(`{"file":%q}`, file))
	}
	check := func(k *config.Connector) config.Problems { // as in the host
		if _, ok := topic.ConfigOffsets[k.Name]; ok && notes[k.Name] == nil {
			return config.Problems{{File: k.File, Text: "REST's"}}
		}
		return nil
	}
	declared := func(*config.Connector) *config.Declarations { return config.Declare() }
	var records []string
	stored := configtopic.FolderConnectors(topic, notes, "f", c.files)
	for _, step := range config.Diff(stored, c.files, check, declared) {
		if step.Action == config.Reject {
			records = append(records, fmt.Sprintf("rejected %s, keeps running: %t", step.Name, step.KeepsRunning))
		}
		if step.Action == config.NoChange && len(step.Problems) > 0 {
			t.Errorf("%s: expected no warnings about unchanged connectors, found %v", c.name, step.Problems)
		}
		for _, r := range configtopic.ChangeRecords(step, topic, notes) {
			records = append(records, strings.TrimSpace(r.Key+" "+string(r.Value)))
		}
	}
	return records
}

// Folders with the same contents have equal digests, whatever the names of their files and the order of their settings.
func TestFolderDigest(t *testing.T) {
	t.Parallel()
	w := workerOf(t, nil)
	of := func(connectors ...*config.Connector) string { return configtopic.FolderDigest(connectors) }
	a := fileOf(t, w, "f/a.properties", "name=a", "x=1", "y=2")
	b := fileOf(t, w, "f/b.properties", "name=b")
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
