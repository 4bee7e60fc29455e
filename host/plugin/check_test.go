package plugin_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

func check(t *testing.T, pkg string) (plugin.Info, string, bool) {
	t.Helper()
	info, findings, err := plugin.Check(t.Context(), guesttest.Build(t, pkg), plugin.Options{CacheDir: cacheDir()})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	refused := false
	for _, f := range findings {
		refused = refused || f.Refused
		text.WriteString(f.String() + "\n")
	}
	return info, text.String(), refused
}

func TestCheck(t *testing.T) {
	if info, findings, refused := check(t, all); refused || info.Name != "all" || !strings.Contains(findings, "source org.example.AllSource: has no documentation") ||
		!strings.Contains(findings, "source org.example.AllSource: validate does not answer for the setting text") {
		t.Errorf("%v %s", info, findings)
	}
	if _, findings, refused := check(t, rogue); !refused || !strings.Contains(findings, "test: plugin rogue 1.0.0: test: matches: expected 0, one for each row, found 1") {
		t.Error(findings)
	}
	if _, _, err := plugin.Check(t.Context(), filepath.Join(t.TempDir(), "none.wasm"), plugin.Options{}); !os.IsNotExist(err) {
		t.Error(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.wasm")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, findings, err := plugin.Check(t.Context(), empty, plugin.Options{})
	if err != nil || info.Err == nil || len(findings) != 1 || !findings[0].Refused || findings[0].String() != "load: the file is empty: expected a core WebAssembly module" {
		t.Error(findings, err)
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
