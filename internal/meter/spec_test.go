package meter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
)

// specFolder returns the folder of the WebAssembly specification's tests, which the engine's Go module contains.
func specFolder(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest", "v2", "testdata")
}

// engine is a runtime with the imports of the tests and the meter's tick.
type engine struct {
	runtime wazero.Runtime
	ticks   int
	budget  int64
	// last is the module that calls without a module name use.
	last api.Module
}

// unmetered is the budget of an engine without metering.
const unmetered = -1

func newEngine(t *testing.T, spectest []byte, budget int64) *engine {
	t.Helper()
	ctx := t.Context()
	w := &engine{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(2048)),
		budget: budget}
	addTick(t, w.runtime, &w.ticks, &w.budget)
	_, err := w.runtime.InstantiateWithConfig(ctx, spectest, wazero.NewModuleConfig().WithName("spectest"))
	require.NoError(t, err)
	return w
}

// command is a command of a script.
type command struct {
	Type     string
	Name     string
	Filename string
	As       string
	Line     int
	Action   struct {
		Type   string
		Field  string
		Module string
		Args   []value
	}
}

type value struct {
	Type  string
	Value any
}

// bits returns the value as an argument of a call; ok is false for values without a number, such as NaN patterns.
func (v value) bits() (bits uint64, ok bool) {
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

// firstLine returns the first line of an error; the lines after it contain offsets, which differ.
func firstLine(err error) string {
	if err == nil {
		return ""
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return startIndex.ReplaceAllString(s, "start function failed")
}

// TestSpecification runs the scripts of the specification's tests with the original modules and with metered ones,
// whose budgets are the default and 1, and compares the results of every call. Metering keeps invalid modules invalid
// and valid ones valid.
func TestSpecification(t *testing.T) {
	var total score
	dir := specFolder(t)
	spectest, err := os.ReadFile(filepath.Join(dir, "..", "..", "testdata", "spectest.wasm"))
	require.NoError(t, err)
	scripts, _ := fs.Glob(os.DirFS(dir), "*.json")
	for _, script := range scripts {
		if !strings.HasPrefix(script, "simd_") {
			total.run(t, dir, script, spectest)
		}
	}
	t.Logf("%+v", total)
	assert.True(t, total.scripts >= 80 && total.calls >= 40_000 && total.ticks >= 1000,
		"expected at least 80 scripts, 40000 calls and 1000 ticks, found %+v", total)
}

// score counts the compared items. refused counts modules that the meter does not support.
type score struct {
	scripts int
	calls   int
	modules int
	refused int
	ticks   int
}

func (s *score) run(t *testing.T, dir, script string, spectest []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, script))
	require.NoError(t, err)
	var file struct{ Commands []command }
	require.NoError(t, json.Unmarshal(raw, &file))
	s.scripts++
	plain := newEngine(t, spectest, unmetered)
	metered := []*engine{newEngine(t, spectest, 1), newEngine(t, spectest, meter.DefaultBudget)}
	for _, w := range append(metered, plain) {
		defer w.runtime.Close(t.Context())
	}
	for _, c := range file.Commands {
		location := fmt.Sprintf("%s:%d", script, c.Line)
		switch c.Type {
		case "module", "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
			if strings.HasSuffix(c.Filename, ".wasm") {
				module, err := os.ReadFile(filepath.Join(dir, c.Filename))
				require.NoError(t, err)
				s.load(t, location, plain, metered, &c, module)
			}
		case "action", "assert_return", "assert_trap":
			if c.Action.Type == "invoke" {
				s.call(t, location, plain, metered, &c)
			}
		}
	}
	s.ticks += metered[0].ticks + metered[1].ticks
}

// load loads a module into all engines, and compares the errors.
func (s *score) load(t *testing.T, location string, plain *engine, metered []*engine, c *command, module []byte) {
	t.Helper()
	s.modules++
	rewritten := make([][]byte, len(metered))
	errs := make([]error, len(metered))
	for n, w := range metered {
		rewritten[n], _, errs[n] = meter.Rewrite(t.Context(), module, meter.Options{Budget: w.budget})
		if errors.As(errs[n], new(*meter.UnsupportedError)) || errors.As(errs[n], new(*meter.LimitError)) {
			s.refused++
			if c.Type == "module" { // calls without a module name would reach it
				plain.last = nil
				metered[0].last = nil
				metered[1].last = nil
			}
			return
		}
	}
	plainInvalid, plainFailed := plain.load(t, c, module)
	for n, w := range metered {
		invalid := errs[n]
		failed := error(nil)
		if invalid == nil {
			invalid, failed = w.load(t, c, rewritten[n])
		}
		assert.True(t, (plainInvalid == nil) == (invalid == nil) && firstLine(plainFailed) == firstLine(failed),
			"%s: %s: plain: %v %v, metered: %v %v", location, c.Filename, plainInvalid, plainFailed, invalid, failed)
	}
}

// load compiles a module, and instantiates it unless the script expects it to be invalid. It returns the error of each
// step.
func (e *engine) load(t *testing.T, c *command, module []byte) (invalid, failed error) {
	if _, err := e.runtime.CompileModule(t.Context(), module); err != nil || c.Type == "assert_invalid" ||
		c.Type == "assert_malformed" {
		return err, nil
	}
	m, failed := e.runtime.InstantiateWithConfig(t.Context(), module, wazero.NewModuleConfig().WithName(c.Name))
	if c.Type == "module" {
		e.last = m
	}
	return nil, failed
}

func (e *engine) find(name string) api.Module {
	if name == "" {
		return e.last
	}
	return e.runtime.Module(name)
}

// call makes a call in all engines, and compares the results.
func (s *score) call(t *testing.T, location string, plain *engine, metered []*engine, c *command) {
	t.Helper()
	args := make([]uint64, 0, len(c.Action.Args))
	for _, a := range c.Action.Args {
		n, ok := a.bits()
		if !ok {
			return
		}
		args = append(args, n)
	}
	plainModule := plain.find(c.Action.Module)
	if plainModule == nil || plainModule.ExportedFunction(c.Action.Field) == nil {
		return
	}
	want, wantErr := plainModule.ExportedFunction(c.Action.Field).Call(t.Context(), args...)
	for _, w := range metered {
		meteredModule := w.find(c.Action.Module)
		if meteredModule == nil {
			t.Errorf("%s: expected the metered module, found none", location)
			continue
		}
		got, err := meteredModule.ExportedFunction(c.Action.Field).Call(t.Context(), args...)
		types := plainModule.ExportedFunction(c.Action.Field).Definition().ResultTypes()
		s.calls++
		assert.True(t, firstLine(wantErr) == firstLine(err) && equalResults(types, want, got),
			"%s: %s: plain: %#x, %v, metered: %#x, %v", location, c.Action.Field, want, wantErr, got, err)
	}
}

// equalResults compares results. References are equal if both or neither are null, because their values differ.
func equalResults(types []api.ValueType, a, b []uint64) bool {
	for i := range a {
		isReference := types[i] == api.ValueTypeExternref || types[i] == 0x70
		if (!isReference && a[i] != b[i]) || (isReference && (a[i] == 0) != (b[i] == 0)) {
			return false
		}
	}
	return true
}
