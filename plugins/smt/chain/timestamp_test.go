package chain

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// Texts that Java would parse by the current year or by unknown zones fail, unless the difference does not matter.
func TestAmbiguousTimestampsFail(t *testing.T) {
	for _, test := range []struct {
		pattern string
		text    string
		to      string // target.type
		wantErr string // "" means that the text is converted
	}{
		{pattern: "yyyy-MM-dd HH:mm z", text: "2024-07-01 12:00 EST", to: "string",
			wantErr: "cannot format in the time zone of another text; expected UTC"},
		{pattern: "yyyy-MM-dd HH:mm z", text: "2024-07-01 12:00 EST", to: "unix"},
		{pattern: "yyyy-MM-dd HH:mm z", text: "2024-07-01 12:00 UTC", to: "string"},
		{pattern: "yyyy-MM-dd HH:mm z", text: "2024-07-01 12:00 +0100", to: "string"},
		{pattern: "yyyy-MM-dd HH:mm z", text: "1970-07-01 12:00 BST", to: "unix", wantErr: "does not match pattern"},
		{pattern: "yy-MM-dd", text: "50-01-01", to: "unix", wantErr: "a two-digit year is ambiguous"},
		{pattern: "yy-MM-dd", text: "57-01-01", to: "unix"},
	} {
		engine, context := newPrepared(t, stageOf(ClassTimestampValue, "target.type", test.to, "format", test.pattern))
		var call input
		call.add(t, nil, test.text)
		out, err := engine.Apply(context, nil, []string{"t"}, call.rows, call.data)
		require.NoError(t, err)
		switch {
		case test.wantErr == "" && len(out.Errors) == 0 && len(out.Rows) == 1: // converted
		case test.wantErr != "" && len(out.Errors) == 1 && strings.Contains(out.Errors[0].Error.Message, test.wantErr):
			// rejected as expected
		default:
			t.Errorf("%s by %s to %s: expected %q, found %v and %d rows", test.text, test.pattern, test.to,
				test.wantErr, out.Errors, len(out.Rows))
		}
	}
}
