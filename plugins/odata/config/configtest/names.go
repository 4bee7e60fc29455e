// Package configtest holds tests that the OData plugins share.
package configtest

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// CheckNames checks that each setting of the original connector exists, under its name or as an alias, or is rejected
// as not built yet. side is `source` or `sink`. Each line of the file has a side or `both`, a name, and for some names
// the setting of which it is an alias, or `refused` for a setting that is not built yet.
func CheckNames(t *testing.T, settings *setting.Table, side, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	checked := 0
	for line := range strings.Lines(string(content)) {
		columns := strings.Fields(line)
		if columns[0] != "both" && columns[0] != side {
			continue
		}
		checked++
		name := columns[1]
		canonical := name
		isRefused := len(columns) > 2 && columns[2] == "refused"
		if len(columns) > 2 && !isRefused {
			canonical = columns[2]
		}
		spec, ok := settings.Find(name)
		if !ok || spec.Name != canonical {
			t.Errorf("%s: expected the setting %s, found %q", name, canonical, spec.Name)
			continue
		}
		for _, value := range settings.Validate([]wit.Setting{{Name: name, Value: "7"}}) {
			isBuilt := !strings.Contains(strings.Join(value.Errors, " "), "not built yet")
			assert.True(t, value.Key.Name != canonical || isBuilt != isRefused,
				"%s: expected refused %v, found %q", name, isRefused, value.Errors)
		}
	}
	if checked < 30 { // the file is incomplete or has another format
		t.Errorf("looked at %d names", checked)
	}
}
