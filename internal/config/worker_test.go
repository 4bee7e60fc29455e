package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// In any format of a worker's file, keys are flat and values are the text as written. The environment and the command
// line override it, and each setting has its source.
func TestWorkerFormats(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), "hush-hush-hush")
	reference := "${dir:" + dir + ":token}"
	for file, text := range map[string]string{
		"w.properties": "bootstrap.servers=a:1\nclient.id=007\nplugin.x.limits.a\\u0000b=1\nplugin.x.limits.a=true\n" +
			"key.converter=K\nkey.converter.a.B=1\nkey.converter.a=2\nproducer.\\u00ff\\u0000=3\n=4\n" +
			"kafka.proxy.password=" + reference + "\nlisteners=http://:1\n",
		"w.json": "{\"bootstrap.servers\":\"a:1\",\n\"client.id\":\"007\",\n\"plugin.x.limits.a\\u0000b\":1,\n" +
			"\"plugin.x.limits.a\":true,\n\"key.converter\":\"K\",\n\"key.converter.a.B\":1,\n\"key.converter.a\":2,\n" +
			"\"producer.\\u00ff\\u0000\":3,\n\"\":\"4\",\n\"kafka.proxy.password\":\"" + reference + "\",\n" +
			"\"listeners\":\"http://:1\"}",
		"w.yaml": "bootstrap.servers: a:1\nclient.id: 007\n\"plugin.x.limits.a\\0b\": 1\nplugin.x.limits.a: true\n" +
			"key.converter: K\nkey.converter.a.B: 1\nkey.converter.a: 2\n\"producer.\\xff\\0\": 3\n\"\": 4\n" +
			"kafka.proxy.password: " + reference + "\nlisteners: http://:1\n",
	} {
		path := filepath.Join(dir, file)
		write(t, path, text)
		w, problems, err := LoadWorker(path, []string{"CULVERT_LISTENERS=http://:2", "CULVERT_CLIENT_ID=me"},
			map[string]string{"listeners": "http://:3"})
		require.NoError(t, err)
		expectLines(t, file, path+":9: warning: unknown setting", problems)
		plain, _ := NewWorker(path, nil, nil, nil)
		want := plain.All()
		maps.Copy(want, map[string]string{"bootstrap.servers": "a:1", "client.id": "me", "plugin.x.limits.a\x00b": "1",
			"plugin.x.limits.a": "true", "key.converter": "K", "key.converter.a.B": "1", "key.converter.a": "2",
			"producer.\u00ff\x00": "3", "": "4", "kafka.proxy.password": "hush-hush-hush", "listeners": "http://:3"})
		assert.Equal(t, want, w.All(), file)
		assert.Equal(t, map[string]string{"a": "2", "a.B": "1"}, w.Prefixed("key.converter."), file)
		for name, where := range map[string]string{"client.id": "environment CULVERT_CLIENT_ID: ",
			"listeners": "command line: ", "kafka.proxy.password": path + ":10: ", "key.converter.a": path + ":7: ",
			"offset.storage.topic": ""} {
			assert.Equal(t, where, w.ErrorPrefix(name), file, name)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			shown := fmt.Sprintf(verb, w)
			assert.True(t, !strings.Contains(shown, "hush-hush"), "%s: expected no password with %s", file, verb)
		}
		assert.Equal(t, "", w.Text(""), file, "no setting without a name")
	}
}

// The memory for a YAML file grows with its size, however its keys are nested.
func TestYAMLMemoryIsLinear(t *testing.T) {
	const limit = 64 << 20
	const depth = 2_000
	longKey := strings.Repeat("k", 100_000)
	for name, test := range map[string]struct{ text, problem string }{
		"a list": {text: "topics: [" + strings.Repeat("a,", 20_000) + "a]"},
		"a long key above many values": {text: "? " + longKey + "\n: {" + strings.Repeat("a: 1, ", 20_000) + "}",
			problem: "names of settings"},
		"a long key above many problems": {text: "? " + longKey + "\n: {" + strings.Repeat("a: , ", 20_000) + "}",
			problem: "names of settings"},
		"many values": {text: "k: {" + strings.Repeat("a: 1, ", 20_000) + "}",
			problem: "at most 10000 settings"},
		"many problems": {text: "k: {" + strings.Repeat("a: , ", 20_000) + "}",
			problem: "at most 10000 settings"},
		"long keys above keys": {
			text: strings.Repeat("{"+longKey[:400]+": ", depth) + "1" + strings.Repeat("}", depth)},
		"long keys above an empty object": {
			text: strings.Repeat("{"+longKey[:400]+": ", depth) + "{}" + strings.Repeat("}", depth)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, problems := Read("c.yaml", []byte(test.text))
		runtime.ReadMemStats(&after)
		if got := problems.Error(); !strings.Contains(got, test.problem) || (test.problem == "") != (got == "") {
			t.Errorf("%s: expected an error with %q, found %.300q", name, test.problem, got)
		}
		assert.AtMost(t, limit, after.TotalAlloc-before.TotalAlloc, name, "bytes")
	}
}

// Names of settings in YAML are bounded together, as in properties, where each is written in full.
func TestYAMLNamesAreBounded(t *testing.T) {
	const count = 1 << 6
	prefix := strings.Repeat("k", maxFileBytes/count-len(".aa"))
	for _, test := range []struct{ more, problem string }{
		{},
		{more: "x",
			problem: "c.yaml:66: the names of settings are too long: expected at most 1048576 bytes for all names, " +
				"each with the keys around it, found more"},
	} {
		text := "? " + prefix + test.more + "\n:\n"
		for i := range count {
			text += fmt.Sprintf(" %02d: 1\n", i)
		}
		entries, problems := Read("c.yaml", []byte(text))
		got := problems.Error()
		assert.True(t, got == test.problem, "expected %q, found %.300q", test.problem, got)
		assert.True(t, test.problem != "" || len(entries) == count,
			"expected %d settings, found %d", count, len(entries))
	}
}
