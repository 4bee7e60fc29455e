package offset

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
)

// standaloneFile was written by Kafka 4.3.1 with Standalone.java.
const standaloneFile = "testdata/standalone.offsets"

// standaloneTexts formats the entries of a file, sorted.
func standaloneTexts(t *testing.T, path string) (texts []string) {
	t.Helper()
	entries, err := ReadStandalone(path)
	require.NoError(t, err)
	for _, e := range entries {
		value := "null"
		if e.Value != nil {
			value = string(e.Value)
		}
		texts = append(texts, string(e.Key)+" → "+value)
	}
	slices.Sort(texts)
	return texts
}

// standaloneWant contains what Standalone.java stores.
var standaloneWant = []string{
	`["others",{"filename":"/tmp/größe"}] → {"position":12}`,
	`["others",{"filename":"long"}] → {"note":"` + strings.Repeat("x", 300) + `"}`,
	`["reads",{"path":"/V2/Northwind/Northwind.svc","set":"Customers"}] → null`,
	`["reads",{"path":"/V2/Northwind/Northwind.svc","set":"Orders"}] → ` +
		`{"next":"/V2/Northwind/Northwind.svc/Orders?$skip=7"}`,
}

// The entries of a file that Kafka Connect wrote are read.
func TestStandaloneFile(t *testing.T) {
	assert.Equal(t, standaloneWant, standaloneTexts(t, standaloneFile))
}

// Errors contain the position in the file.
func TestInvalidStandaloneFiles(t *testing.T) {
	valid, err := os.ReadFile(standaloneFile)
	require.NoError(t, err)
	key := bytes.Index(valid, []byte("[\"")) // the first one
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{name: "empty", want: "byte 0: expected Java's serialization in 4 bytes, found the end after 0"},
		{name: "JSON", file: []byte(`{"a":1}`),
			want: "byte 0: expected Java's serialization (aced0005), found 7b226122"},
		{name: "a text", file: []byte(javaStream + "t\x00\x01x"),
			want: "byte 4: expected an object (7372), found 7400"},
		{name: "another class", file: bytes.Replace(valid, []byte("HashMap"), []byte("TreeMap"), 1),
			want: `byte 6: expected the class java.util.HashMap, found "java.util.TreeMap"`},
		{name: "another version of the class",
			file: bytes.Replace(valid, []byte("\x60\xd1\x03"), []byte("\x60\xd2\x03"), 1),
			want: "byte 25: expected the fields of java.util.HashMap"},
		{name: "texts", file: bytes.Replace(valid, []byte("ur\x00\x02[B"), []byte("tr\x00\x02[B"), 1),
			want: "byte 81: expected a key of bytes (75), found 74"},
		{name: "arrays of numbers", file: bytes.Replace(valid, []byte("[B"), []byte("[I"), 1),
			want: "byte 82: expected a key of bytes"},
		{name: "no key", file: slices.Concat(valid[:81], []byte("pp"), valid[81:]),
			want: "byte 81: expected a key, found null"},
		{name: "a length below 0", file: slices.Concat(valid[:key-4], []byte("\xff\xff\xff\xff"), valid[key:]),
			want: "expected the length of a key, found -1"},
		{name: "a length beyond the file", file: slices.Concat(valid[:key-4], []byte("\x7f\xff\xff\xff"), valid[key:]),
			want: "expected a key in 2147483647 bytes, found the end after"},
		{name: "a size below 0", file: slices.Concat(valid[:77], []byte("\x80\x00\x00\x00"), valid[81:]),
			want: "byte 77: expected the size of the map, found -2147483648"},
		{name: "a size too small", file: slices.Concat(valid[:77], []byte("\x00\x00\x00\x03"), valid[81:]),
			want: "expected the end of the map after 3 entries (78), found 75"},
		{name: "a size too large", file: slices.Concat(valid[:77], []byte("\x7f\xff\xff\xff"), valid[81:]),
			want: "expected a key of bytes (75), found 78"},
		{name: "more", file: append(slices.Clone(valid), "more"...),
			want: "expected the end of the file, found 4 bytes more"},
	} {
		_, err := parseStandalone(c.file)
		assert.Error(t, err, c.want, c.name)
	}
	for n := range valid {
		_, err := parseStandalone(valid[:n])
		assert.True(t, err != nil, "the first %d bytes: expected an error", n)
	}
}

// Large files, folders and missing files are rejected.
func TestStandaloneFilesAreBounded(t *testing.T) {
	large := filepath.Join(t.TempDir(), "offsets")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, maxStandaloneBytes+1))
	for path, want := range map[string]string{
		large:                   "expected at most 67108864 bytes, found 67108865",
		filepath.Dir(large):     "expected a file, found a folder",
		large + "-of-yesterday": "no such file",
	} {
		_, err := ReadStandalone(path)
		runtest.Fails(t, err, want, path)
	}
}

// FuzzStandalone checks that keys and values are within the file.
func FuzzStandalone(f *testing.F) {
	valid, err := os.ReadFile(standaloneFile)
	require.NoError(f, err)
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Add([]byte(javaStream + javaObject + "\x00\x11java.util.HashMap" + javaMapClass +
		"\x3f\x40\x00\x00\x00\x00\x00\x00" + javaMapBlock + "\x00\x00\x00\x10\x00\x00\x00\x00" + javaMapEnd))
	f.Fuzz(func(t *testing.T, file []byte) {
		entries, err := parseStandalone(file)
		if err != nil {
			assert.True(t, entries == nil && err.Error() != "",
				"expected no entries with an error that has a text, found %d and %q", len(entries), err)
			return
		}
		end := 0
		for _, e := range entries {
			require.True(t, e.Key != nil && e.ByteOffset >= end, "expected an entry after byte %d, found %+v", end, e)
			end = e.ByteOffset + len(e.Key) + len(e.Value)
		}
		assert.True(t, end < len(file), "expected at most %d bytes, found %d", len(file), end)
	})
}
