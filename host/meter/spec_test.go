package meter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/meter"
)

// specFolders are the modules of the WebAssembly specification's tests, which travel in the engine's own module.
func specFolders(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	return []string{filepath.Join(dir, "v1", "testdata"), filepath.Join(dir, "v2", "testdata")}
}

// world is a runtime with what the tests import, and the meter's tick.
type world struct {
	runtime wazero.Runtime
	ticks   int
	budget  int64
	// last is the module that calls without a name go to.
	last api.Module
}

func newWorld(ctx context.Context, t *testing.T, spectest []byte, budget int64) *world {
	t.Helper()
	w := &world{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(2048)),
		budget: budget}
	ticking(t, w.runtime, &w.ticks, &w.budget)
	_, err := w.runtime.InstantiateWithConfig(ctx, spectest, wazero.NewModuleConfig().WithName("spectest"))
	require.NoError(t, err)
	return w
}

// command is one of a script's.
type command struct {
	Type, Name, Filename, As string
	Line                     int
	Action                   struct {
		Type, Field, Module string
		Args                []value
	}
}

type value struct {
	Type  string
	Value any
}

func (v value) bits() (uint64, bool) {
	s, ok := v.Value.(string)
	if !ok {
		return 0, false
	}
	if s == "null" {
		return 0, true
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		if v.Type == "externref" {
			n++
		}
		return n, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if strings.HasSuffix(v.Type, "32") {
		return uint64(uint32(n)), err == nil
	}
	return uint64(n), err == nil
}

var startIndex = regexp.MustCompile(`start function\[\d+\].* failed`)

// first is the first line of an error: what follows are places, which differ.
func first(err error) string {
	if err == nil {
		return ""
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return startIndex.ReplaceAllString(s, "start function failed")
}

// TestSpecification runs the scripts of the specification's tests with the modules as they are and metered, and
// compares the results of every call, with a budget that never runs out and one that always does. What is invalid stays
// invalid, what is valid stays valid.
func TestSpecification(t *testing.T) {
	var calls, modules, refused, ticks int
	for _, dir := range specFolders(t) {
		spectest, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(dir)), "testdata", "spectest.wasm"))
		require.NoError(t, err)
		scripts, _ := fs.Glob(os.DirFS(dir), "*.json")
		sort.Strings(scripts)
		if len(scripts) < 60 {
			t.Fatalf("expected the scripts of the specification in %s, found %d", dir, len(scripts))
		}
		for _, script := range scripts {
			if strings.HasPrefix(script, "simd_") {
				continue
			}
			for _, budget := range []int64{1, meter.DefaultBudget} {
				s := runScript(t, dir, script, spectest, budget)
				calls, modules, refused, ticks = calls+s.calls, modules+s.modules, refused+s.refused, ticks+s.ticks
			}
		}
	}
	t.Logf("%d calls, %d modules, %d of them refused by feature, %d ticks", calls, modules, refused, ticks)
	if calls < 50_000 || ticks < 1000 {
		t.Errorf("expected at least 50000 calls and 1000 ticks, found %d and %d", calls, ticks)
	}
}

type score struct{ calls, modules, refused, ticks int }

func runScript(t *testing.T, dir, script string, spectest []byte, budget int64) (s score) {
	t.Helper()
	ctx := t.Context()
	raw, err := os.ReadFile(filepath.Join(dir, script))
	require.NoError(t, err)
	var file struct{ Commands []command }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(script, err)
	}
	plain, metered := newWorld(ctx, t, spectest, budget), newWorld(ctx, t, spectest, budget)
	defer plain.runtime.Close(ctx)
	defer metered.runtime.Close(ctx)
	for _, c := range file.Commands {
		where := fmt.Sprintf("%s:%d", script, c.Line)
		switch c.Type {
		case "module", "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
			if !strings.HasSuffix(c.Filename, ".wasm") {
				continue
			}
			s.modules++
			module, err := os.ReadFile(filepath.Join(dir, c.Filename))
			require.NoError(t, err)
			both(t, where, &s, plain, metered, c, module, budget)
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			if c.Action.Type != "invoke" || c.Type == "assert_exhaustion" {
				continue
			}
			s.calls += call(t, where, plain, metered, &c)
		}
	}
	s.ticks = metered.ticks
	return s
}

// both loads a module into both worlds.
func both(t *testing.T, where string, s *score, plain, metered *world, c command, module []byte, budget int64) {
	t.Helper()
	ctx := t.Context()
	rewritten, _, err := meter.Rewrite(context.Background(), module, meter.Options{Budget: budget})
	_, before := plain.runtime.CompileModule(ctx, module)
	isRefused, isExceeded := errors.As(err, new(*meter.Refusal)), errors.As(err, new(*meter.Exceeded))
	if isRefused || isExceeded {
		if c.Type == "module" {
			plain.last, metered.last = nil, nil
		}
		if isRefused {
			s.refused++
		} else {
			t.Logf("%s: %v", where, err)
		}
		return
	}
	after := err
	if after == nil {
		_, after = metered.runtime.CompileModule(ctx, rewritten)
	}
	if (before == nil) != (after == nil) {
		t.Errorf("%s: %s: plain: %v, metered: %v", where, c.Filename, before, after)
		return
	}
	if before != nil || c.Type == "assert_invalid" || c.Type == "assert_malformed" {
		return
	}
	config := wazero.NewModuleConfig().WithName(c.Name)
	one, errOne := plain.runtime.InstantiateWithConfig(ctx, module, config)
	two, errTwo := metered.runtime.InstantiateWithConfig(ctx, rewritten, config)
	if first(errOne) != first(errTwo) {
		t.Errorf("%s: %s: plain: %v, metered: %v", where, c.Filename, errOne, errTwo)
	}
	if c.Type == "module" {
		plain.last, metered.last = one, two
	}
}

func (w *world) find(name string) api.Module {
	if name == "" {
		return w.last
	}
	return w.runtime.Module(name)
}

// call makes a call in both worlds and returns how many were compared.
func call(t *testing.T, where string, plain, metered *world, c *command) int {
	t.Helper()
	args := make([]uint64, 0, len(c.Action.Args))
	for _, a := range c.Action.Args {
		n, ok := a.bits()
		if !ok {
			return 0
		}
		args = append(args, n)
	}
	one, two := plain.find(c.Action.Module), metered.find(c.Action.Module)
	if one == nil || two == nil || one.ExportedFunction(c.Action.Field) == nil {
		if (one == nil) != (two == nil) {
			t.Errorf("%s: a module is there in one world only", where)
		}
		return 0
	}
	gotOne, errOne := one.ExportedFunction(c.Action.Field).Call(t.Context(), args...)
	gotTwo, errTwo := two.ExportedFunction(c.Action.Field).Call(t.Context(), args...)
	if first(errOne) != first(errTwo) {
		t.Errorf("%s: %s: plain: %v, metered: %v", where, c.Action.Field, errOne, errTwo)
		return 1
	}
	if !same(one.ExportedFunction(c.Action.Field).Definition().ResultTypes(), gotOne, gotTwo) {
		t.Errorf("%s: %s: plain: %#x, metered: %#x", where, c.Action.Field, gotOne, gotTwo)
	}
	return 1
}

// same compares results, of which a trap leaves none; references by whether they are null.
func same(types []api.ValueType, a, b []uint64) bool {
	for i := range a {
		reference := types[i] == api.ValueTypeExternref || types[i] == 0x70
		if !reference && a[i] != b[i] || reference && (a[i] == 0) != (b[i] == 0) {
			return false
		}
	}
	return true
}
