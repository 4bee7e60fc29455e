package plugin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// checkFile checks a file and returns all findings as text.
func checkFile(t *testing.T, path string) (*plugin.Checked, string) {
	t.Helper()
	c, err := plugin.Check(t.Context(), path, plugin.Options{CacheDir: cacheDir()})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range c.Findings {
		text.WriteString(f.String() + "\n")
	}
	return c, text.String()
}

func TestCheck(t *testing.T) {
	c, findings := checkFile(t, guesttest.Build(t, all))
	if c.Refused() || c.Info.Name != "all" || !strings.Contains(findings, "source org.example.AllSource: has no documentation") ||
		!strings.Contains(findings, "source org.example.AllSource: validate does not answer for the setting text") {
		t.Errorf("%+v %s", c, findings)
	}
	if m := c.Metered; m.BytesOut <= c.Info.Size || m.Functions < 1000 || m.Entries == 0 || m.Loops == 0 || m.Copies == 0 || m.Leaves == 0 {
		t.Errorf("metered as %+v", m)
	}
	// Every function of the contract was called.
	called := map[string]bool{}
	for _, call := range c.Calls {
		called[call.Function] = true
		if call.Answer == "trap" {
			t.Errorf("%+v", call)
		}
	}
	for _, i := range c.Info.Interfaces {
		for _, f := range canon.Functions(i) {
			if !called[i+"."+f.Name] {
				t.Errorf("%s.%s was not called", i, f.Name)
			}
		}
	}
	if len(c.Info.Interfaces) != 7 {
		t.Errorf("expected a guest of all interfaces, found %v", c.Info.Interfaces)
	}
	if _, err := plugin.Check(t.Context(), filepath.Join(t.TempDir(), "none.wasm"), plugin.Options{}); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// What is refused says what and where.
func TestCheckRefuses(t *testing.T) {
	static := wit.Description{Name: "s", Version: "1", Components: []wit.Component{{Name: "T", Kind: wit.ComponentTransformation}}}
	bodyless := guesttest.StaticModule(static, "", wit.InterfaceTransform)
	bodyless.Exports = bodyless.Exports[1:]
	hostile := hostileCases()
	bytesOf := func(name string) []byte { m := hostile[name].module; return m.Bytes() }
	for name, c := range map[string]struct {
		module []byte
		want   string
		loaded bool
	}{
		"empty":           {nil, "load: the file is empty: expected a core WebAssembly module", false},
		"text":            {[]byte("not found\n"), "load: no WebAssembly", false},
		"missing exports": {bodyless.Bytes(), "load: exports are missing: " + wit.ExportName(wit.InterfacePlugin, "describe"), false},
		"SIMD":            {bytesOf("vectors"), "load: the module is refused: uses SIMD at byte", false},
		"threads":         {bytesOf("threads"), "load: the module is refused: uses threads at byte", false},
		"tail calls":      {bytesOf("tail calls"), " (in function 3), which cannot be metered", false},
		"traps":           {guesttest.Static(static, "", wit.InterfaceTransform), "plugin.validate transformation T: plugin s 1: validate: wasm error: unreachable", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.wasm")
			if err := os.WriteFile(path, c.module, 0o600); err != nil {
				t.Fatal(err)
			}
			got, findings := checkFile(t, path)
			if !got.Refused() || !strings.Contains(findings, c.want) || (got.Info.Err == nil) != c.loaded {
				t.Errorf("expected %q, found %v %s", c.want, got.Info.Err, findings)
			}
		})
	}
	c, findings := checkFile(t, guesttest.Build(t, rogue))
	if !c.Refused() || !strings.Contains(findings, "transform.test: plugin rogue 1.0.0: test: matches: expected 0, one for each row, found 1") {
		t.Error(findings)
	}
}

// All calls together have an end, however many there are and however long each may take.
func TestCheckEnds(t *testing.T) {
	d := wit.Description{Name: "slow", Version: "1"}
	for n := range 1000 {
		d.Components = append(d.Components, wit.Component{Name: fmt.Sprint("T", n), Kind: wit.ComponentTransformation, Documentation: "x"})
	}
	m := guesttest.StaticModule(d, "", wit.InterfaceTransform)
	for n := range m.Exports {
		if m.Exports[n].Name == wit.ExportName(wit.InterfacePlugin, "validate") {
			m.Exports[n].Body = looped()
		}
	}
	path := filepath.Join(t.TempDir(), "slow.wasm")
	if err := os.WriteFile(path, m.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c, err := plugin.CheckWithin(t.Context(), path, plugin.Options{Settings: map[string]string{"plugin.slow.limits.call.ms": "60000"}}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	want := plugin.Finding{Refused: true, Where: "all calls",
		Text: "expected them to take at most 100ms together, found that 1 were made by then; the others were not tried"}
	if len(c.Findings) != 1 || c.Findings[0] != want || len(c.Calls) != 1 || c.Info.Name != "slow" {
		t.Errorf("expected describe to be called and nothing else to end, found %+v and %+v", c.Findings, c.Calls)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("ended after %v", took)
	}
	if plugin.CheckTime != time.Minute {
		t.Errorf("the help of plugins check says a minute, found %v", plugin.CheckTime)
	}
}

func TestSpyTellsWhatItSees(t *testing.T) {
	reg := record.NewRegistry()
	_, b := guest(t, plugin.Options{Registry: reg}, "./testdata/guests/spy", "spy")
	use(t, b, func(ctx context.Context, i *plugin.Instance) {
		if _, err := i.OpenSource(ctx, "SpySource", []wit.Setting{{Name: "spy.secret", Value: "hunter2"}}, nil, nil); err != nil {
			t.Fatal(err)
		}
		into := &record.Batch{Registry: reg, Topics: []string{"spy"}}
		if _, err := i.Decode(ctx, 0, "", nil, true, into); err != nil {
			t.Fatal(err)
		}
		if got := texts(t, into); len(got) != 1 || !strings.Contains(got[0], "{spy.secret hunter2}") {
			t.Error(got)
		}
	})
}
