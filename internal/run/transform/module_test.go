package transform

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// moduleOfTheGuide builds the transform of the plugin guide, in its own Go module, without network.
func moduleOfTheGuide(t *testing.T) []byte {
	t.Helper()
	text := read(t, "../../../cmd/culvert/guides/plugins.md")
	dir := t.TempDir()
	for file, block := range map[string]string{"go.mod": "(?s)```\n(module .*?)```", "main.go": "(?s)```go\n(.*?)```"} {
		got := regexp.MustCompile(block).FindStringSubmatch(text)
		require.True(t, got != nil, "expected %s in the guide", file)
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(got[1]), 0o644))
	}
	command := regexp.MustCompile(`(?m)^GOOS=wasip1 GOARCH=wasm (go build .* -o (\S+) \.)$`).FindStringSubmatch(text)
	require.True(t, command != nil, "expected the command that builds it in the guide")
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	const path = "github.com/culvert-project/culvert"
	for _, line := range []string{"go mod edit -replace=" + path + "='" + root + "'", command[1]} {
		build := exec.Command("sh", "-c", line)
		build.Dir = dir
		build.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOOS=wasip1", "GOARCH=wasm")
		out, err := build.CombinedOutput()
		require.True(t, err == nil, "%s: %v\n%s", line, err, out)
	}
	return []byte(read(t, filepath.Join(dir, command[2])))
}

// A transform in its own Go module, as in the guide, adds a field and a header, with their schemas, and splits a record
// in two.
func TestTransformInOwnModule(t *testing.T) {
	m, reg, dir := manager(t, map[string][]byte{"my.wasm": moduleOfTheGuide(t)})
	checked, err := plugin.Check(t.Context(), filepath.Join(dir, "my.wasm"), plugin.Options{Registry: reg,
		CacheDir: guesttest.Code(t)})
	assert.True(t, err == nil && len(checked.Findings) == 0, "plugins check: %+v, %v", checked, err)
	chain := open(t, m, 0, Stage{Alias: "source", Class: "com.example.AddSource",
		Settings: settingsOf("system", "S4H")})
	for range 2 { // the second batch uses known schemas
		b := tenFields(t, reg, 3, 200)
		mustApply(t, chain, b)
		require.Equal(t, 6, len(b.Rows), "rows of 3")
		for i, r := range b.Rows {
			topic := [...]string{"orders", "orders.audit"}[i%2]
			assert.Equal(t, topic, b.Topics[r.Topic], "topic of row", i)
			assert.Equal(t, uint32(i/2), r.RowIndex, "row index of row", i)
			nodes := reg.Get(r.Value.Schema).Nodes
			value, _, err := connectdata.Read(nodes, 0, b.Bytes(r.Value))
			require.NoError(t, err)
			last := len(nodes[0].Fields) - 1
			if name := nodes[0].Fields[last].Name; name != "source" || last != 10 ||
				value.(connectdata.Struct)[last] != "S4H" || value.(connectdata.Struct)[0] != int32(100_000) {
				t.Errorf("row %d: expected a last field source, found %s: %v", i, name, value)
			}
			headers, err := connectdata.Headers(nil, b.Bytes(r.Headers))
			require.True(t, err == nil && len(headers) == 1, "row %d: expected a header, found %v, %v", i, headers, err)
			content, _, err := connectdata.Read(reg.Get(headers[0].Schema).Nodes, 0, headers[0].Value)
			diff := cmp.Diff([]any{"source", "S4H"}, []any{headers[0].Name, content})
			assert.True(t, diff == "" && err == nil, "row %d: %v\n%s", i, err, diff)
		}
	}
}
