package e2etest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Password is in the settings of every connector here and must appear nowhere else.
const Password = "hunter2-is-secret"

// CheckNoPassword fails if [Password], plain or in base64 as in a Basic header, appears in outputs of the program.
func CheckNoPassword(t *testing.T, outputs ...string) {
	t.Helper()
	for _, output := range outputs {
		for _, secret := range []string{Password, "aHVudGVyMi1pcy1zZWNyZXQ", "Omh1bnRlcjItaXMtc2VjcmV0"} {
			assert.True(t, !strings.Contains(output, secret), "expected no password, found %q in\n%s", secret, output)
		}
	}
}

// WithSettings returns lines with more settings, which replace settings of the same name.
func WithSettings(lines []string, settings ...string) []string {
	for _, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			return strings.HasPrefix(line, name+"=")
		})
	}
	return append(lines, settings...)
}

// TopicValues returns the values of a topic by key, and the keys in the order of their first records; nil if the topic
// does not exist.
func (p *Place) TopicValues(name string) (values map[string]any, keys []string) {
	p.T.Helper()
	r := p.Run("consume", name, "--data", p.Data)
	require.True(p.T, r.Code == 0 || strings.Contains(r.Stderr, name),
		"consume %s: exit %d\n%s", name, r.Code, r.Stderr)
	values = map[string]any{}
	for line := range strings.Lines(r.Stdout) {
		var record struct{ Key, Value any }
		require.NoError(p.T, json.Unmarshal([]byte(line), &record), "in", line)
		key := fmt.Sprint(record.Key)
		if _, ok := values[key]; !ok {
			keys = append(keys, key)
		}
		values[key] = record.Value
	}
	return values, keys
}

// ForgeOrders returns a handler that replaces the first occurrence of a text in each response of inner for Orders.
func ForgeOrders(inner http.Handler, old, new string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/Orders") {
			inner.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		w.Write(bytes.Replace(answer.Body.Bytes(), []byte(old), []byte(new), 1))
	})
}

// CopyPlugins returns a copy of the folder with the repository's plugins, to which a test can add files.
func CopyPlugins(t *testing.T, more ...string) string {
	t.Helper()
	source := Plugins(t, more...)
	dir := t.TempDir()
	for _, name := range append([]string{"odata-source"}, more...) {
		require.NoError(t, os.Link(filepath.Join(source, name+".wasm"), filepath.Join(dir, name+".wasm")))
	}
	return dir
}

// WriteFile writes a file into a folder and returns its path.
func WriteFile(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}
