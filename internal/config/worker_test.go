package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		if diff := cmp.Diff(want, w.All()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", file, diff)
		}
		if diff := cmp.Diff(map[string]string{"a": "2", "a.B": "1"}, w.Prefixed("key.converter.")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", file, diff)
		}
		for name, where := range map[string]string{"client.id": "environment CULVERT_CLIENT_ID: ",
			"listeners": "command line: ", "kafka.proxy.password": path + ":10: ", "key.converter.a": path + ":7: ",
			"offset.storage.topic": ""} {
			if found := w.ErrorPrefix(name); found != where {
				t.Errorf("%s: %s: expected %q, found %q", file, name, where, found)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			if shown := fmt.Sprintf(verb, w); strings.Contains(shown, "hush-hush") {
				t.Errorf("%s: expected no password with %s", file, verb)
			}
		}
		if found := w.Text(""); found != "" {
			t.Errorf("%s: expected no setting without a name, found %q", file, found)
		}
	}
}

// The memory for a list in YAML grows linearly.
func TestYAMLListMemoryIsLinear(t *testing.T) {
	const items, most = 20_000, 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	entries, problems := Read("c.yaml", []byte("topics: ["+strings.Repeat("a,", items)+"a]"))
	runtime.ReadMemStats(&after)
	require.NoError(t, problems.Err())
	if found := len(List(entries[0].Raw)); found != items+1 {
		t.Errorf("expected %d topics, found %d", items+1, found)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("expected at most %d bytes, found %d", most, used)
	}
}
