package plugin_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/logtest"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// small is a module of a few hundred bytes.
func small(version string) []byte {
	return guesttest.Static(wit.Description{Name: "small", Version: version, Components: []wit.Component{
		{Name: "example.Small", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform)
}

// withNative starts a manager with a module and what lies next to it, uses the module, and returns what was logged.
func withNative(t *testing.T, cache string, module, native []byte) string {
	t.Helper()
	log := &logtest.Journal{}
	m, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), CacheDir: cache,
		Logger:   log.Logger(plugin.LevelTrace),
		Embedded: fstest.MapFS{"small.wasm": {Data: module}, "small.native": {Data: native}}})
	require.NoError(t, err)
	if all := described(t, m); len(all) != 1 || all[0].Name != "small" {
		t.Errorf("found %+v", all)
	}
	require.NoError(t, m.Close())
	return log.String()
}

// inParts takes native code to pieces: its head, and the files after it, unpacked.
func inParts(t *testing.T, native []byte) (head map[string]any, files [][]byte) {
	t.Helper()
	line, body, _ := bytes.Cut(native, []byte{'\n'})
	require.NoError(t, json.Unmarshal(line, &head))
	z, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer z.Close()
	for _, f := range head["Files"].([]any) {
		size := int(f.(map[string]any)["Packed"].(float64))
		content, err := z.DecodeAll(body[:size], nil)
		require.NoError(t, err)
		files, body = append(files, content), body[size:]
	}
	return head, files
}

// together is the opposite.
func together(t *testing.T, head map[string]any, files [][]byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer z.Close()
	var body []byte
	for n, f := range head["Files"].([]any) {
		packed := z.EncodeAll(files[n], nil)
		f.(map[string]any)["Packed"] = len(packed)
		body = append(body, packed...)
	}
	line, err := json.Marshal(head)
	require.NoError(t, err)
	return append(append(line, '\n'), body...)
}

func native(t *testing.T, module, before []byte) []byte {
	t.Helper()
	code, err := plugin.Native(t.Context(), module, before)
	require.NoError(t, err)
	return code
}

// Native code that comes with the program is what an empty cache gets, and what the engine reads: one that is damaged
// is found out by the engine, and costs time alone.
func TestNativeCodeOfTheProgramIsUsed(t *testing.T) {
	module := small("1")
	code := native(t, module, nil)
	head, files := inParts(t, code)
	if len(files) != 3 {
		t.Fatalf("expected what the module says, its stub and native code, found %v", head["Files"])
	}
	cache := filepath.Join(t.TempDir(), "cache")
	if log := withNative(t, cache, module, code); strings.Contains(log, "WARN") || strings.Contains(log,
		"compiled, once") {
		t.Error(log)
	}
	for n, f := range head["Files"].([]any) {
		laid, err := os.ReadFile(filepath.Join(cache, f.(map[string]any)["Name"].(string)))
		if err != nil || !bytes.Equal(laid, files[n]) {
			t.Errorf("%v: %d bytes, expected %d, %v", f, len(laid), len(files[n]), err)
		}
	}
	for n, f := range head["Files"].([]any) {
		if strings.HasSuffix(f.(map[string]any)["Name"].(string), ".code") {
			files[n] = []byte("something that the engine has not written")
		}
	}
	damaged := together(t, head, files)
	log := withNative(t, filepath.Join(t.TempDir(), "cache"), module, damaged)
	assert.Contains(t, log, "compile cache is damaged")
}

// What was made for another engine or processor, of another file, or is no native code at all, is left where it is.
func TestNativeCodeThatDoesNotFit(t *testing.T) {
	module := small("1")
	head, files := inParts(t, native(t, module, nil))
	changed := func(name string, value any) []byte {
		h := map[string]any{}
		for k, v := range head {
			h[k] = v
		}
		h[name] = value
		return together(t, h, files)
	}
	for what, c := range map[string]struct {
		code []byte
		says string
	}{
		"another engine":    {changed("Engine", "wazero-v0-amd64-linux"), "for another processor or engine"},
		"another processor": {changed("Processor", "z80"), "for another processor or engine"},
		"another file":      {native(t, small("2"), nil), "it belongs to another file"},
		"no native code":    {[]byte("something\n"), "cannot be used"},
		"nothing":           {nil, "cannot be used"},
		"a head that is too long": {append(bytes.Repeat([]byte(" "), 1<<16), native(t, module, nil)...),
			"cannot be used"},
	} {
		cache := filepath.Join(t.TempDir(), "cache")
		if log := withNative(t, cache, module, c.code); strings.Count(log, c.says) != 1 {
			t.Errorf("%s: expected one line with %q:\n%s", what, c.says, log)
		}
	}
}

// The same module comes to the same bytes, and what was made before is returned while it is good.
func TestNativeCodeIsMadeOnce(t *testing.T) {
	one, other := small("1"), small("2")
	code := native(t, one, nil)
	if !bytes.Equal(code, native(t, one, nil)) {
		t.Error("the same module comes to other bytes")
	}
	marked := append(bytes.Clone(code), 0) // so that it is known again
	if !bytes.Equal(marked, native(t, one, marked)) {
		t.Error("what was good was made again")
	}
	for what, before := range map[string][]byte{"another module's": native(t, other, nil), "none": nil,
		"no head": []byte("x\n")} {
		if !bytes.Equal(code, native(t, one, before)) {
			t.Errorf("%s: it was not made again", what)
		}
	}
	if _, err := plugin.Native(t.Context(), []byte("no module"), nil); err == nil {
		t.Error("native code was made of what is no module")
	}
}

// What is old goes from the cache, with folders of engines that are no more; what is needed is made again.
func TestOldFilesLeaveTheCache(t *testing.T) {
	module := small("1")
	cache := filepath.Join(t.TempDir(), "cache")
	withNative(t, cache, module, native(t, module, nil))
	age := func(name string, days int) string {
		t.Helper()
		name = filepath.Join(cache, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
		at := time.Now().AddDate(0, 0, -days)
		require.NoError(t, os.Chtimes(name, at, at))
		return name
	}
	key := strings.Repeat("0a", 32)
	gone := []string{age("culvert-"+key+".wasm", 40), age("culvert-1.new", 2)}
	stay := []string{age("culvert-"+key+".json", 20), age("culvert-2.new", 0), age("mine", 400)}
	withNative(t, cache, module, nil)
	for _, name := range gone {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	for _, name := range stay {
		_, err := os.Lstat(name)
		assert.NoError(t, err)
	}
}
