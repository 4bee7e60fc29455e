package plugins

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// These lines and figures change with the compiler that built a guest.
var (
	variableLine   = regexp.MustCompile(`(?m)^(hash|memory|size) .*$`)
	variableFigure = regexp.MustCompile(`\b[0-9a-f]{12}\b|\+?\b[0-9][0-9a-f,.]*\b`)
)

// TestPluginsCheck compares the output with golden files; CULVERT_GOLDEN=1 writes them.
func TestPluginsCheck(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	component := wit.Component{Name: "org.example.Trap", Kind: wit.ComponentTransformation, Documentation: "Traps."}
	traps := wit.Description{Name: "traps", Version: "1.2.3", Components: []wit.Component{component}}
	files := map[string]struct {
		module []byte
		code   int
		stderr string
	}{
		"all": {module: guesttest.Bytes(t, "../../../../internal/plugin/testdata/guests/all")},
		"traps": {module: guesttest.Static(traps, "", wit.InterfaceTransform), code: 1,
			stderr: "traps.wasm: refused: it breaks the contract, see above"},
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name+".wasm")
			require.NoError(t, os.WriteFile(path, file.module, 0o600))
			r := p.Run("plugins", "check", path)
			assert.True(t, r.Code == file.code && strings.Contains(r.Stderr, file.stderr) &&
				(file.stderr != "" || r.Stderr == ""),
				"expected exit %d and stderr %q, found %d and %q", file.code, file.stderr, r.Code, r.Stderr)
			got := variableLine.ReplaceAllStringFunc(strings.ReplaceAll(r.Stdout, path, name+".wasm"),
				func(line string) string {
					return variableFigure.ReplaceAllString(line, "N")
				})
			golden := filepath.Join("testdata", "check-"+name+".golden")
			if os.Getenv("CULVERT_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
	// check uses the limits of the worker's settings, and reports invalid ones.
	all := filepath.Join(t.TempDir(), "all.wasm")
	require.NoError(t, os.WriteFile(all, files["all"].module, 0o600))
	for _, c := range []struct {
		setting string
		output  string
		code    int
	}{
		{setting: "plugin.all.limits.memory.bytes=65536",
			output: "65536 are allowed (plugin.all.limits.memory.bytes)", code: 1},
		{setting: "plugin.all.limits.cal.ms=5", output: "plugin.all.limits.cal.ms: unknown setting; " +
			"the nearest known one is plugin.all.limits.call.ms", code: 2},
		{setting: "plugin.all.limits.call.ms", output: "--set number 1: expected name=value", code: 2},
	} {
		p.Run("plugins", "check", "--set", c.setting, all).WantCode(c.code).WantOutput(c.output)
	}
}
