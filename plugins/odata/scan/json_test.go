package scan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// FuzzUnescape compares Unescape with encoding/json, for strings in which encoding/json replaces nothing.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u00e4\ud83d\ude00"`, `"\ud800"`, `"\/\b\f\n\r\t\\\""`, `"\x"`, "\"\xff\"",
		"\"\t\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		end, err := scan.JSONString(text, 0)
		if err != nil || end != len(text) {
			return
		}
		got, ok := scan.Unescape(nil, text, false)
		var want string
		failed := json.Unmarshal(text, &want) != nil
		require.True(t, !ok || (!failed && want == string(got)),
			"%q: expected %q (failed %v), found %q", text, want, failed, got)
		require.True(t, ok || failed || strings.ContainsRune(want, '\ufffd'),
			"%q: expected %q as from encoding/json, found an error", text, want)
		// Unescape replaces a run of invalid bytes once, encoding/json each byte.
		without := func(text string) string { return strings.ReplaceAll(text, "\ufffd", "") }
		if got, ok = scan.Unescape(nil, text, true); ok == failed || (ok && without(want) != without(string(got))) {
			t.Fatalf("%q: found %q (%v) in lenient mode, encoding/json returns %q", text, got, ok, want)
		}
	})
}
