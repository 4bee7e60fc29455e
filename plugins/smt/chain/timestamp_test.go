package chain

import (
	"strings"
	"testing"
)

// Texts that Java would parse by the current year or by unknown zones fail, unless the difference does not matter.
func TestAmbiguousTimestampsFail(t *testing.T) {
	for _, test := range []struct{ pattern, text, to, wrong string }{
		{"yyyy-MM-dd HH:mm z", "2024-07-01 12:00 EST", "string",
			"cannot format in the time zone of another text; expected UTC"},
		{"yyyy-MM-dd HH:mm z", "2024-07-01 12:00 EST", "unix", ""},
		{"yyyy-MM-dd HH:mm z", "2024-07-01 12:00 UTC", "string", ""},
		{"yyyy-MM-dd HH:mm z", "2024-07-01 12:00 +0100", "string", ""},
		{"yyyy-MM-dd HH:mm z", "1970-07-01 12:00 BST", "unix", "does not match pattern"},
		{"yy-MM-dd", "50-01-01", "unix", "a two-digit year is ambiguous"},
		{"yy-MM-dd", "57-01-01", "unix", ""},
	} {
		engine, context := prepared(t, stageOf(ClassTimestampValue, "target.type", test.to, "format", test.pattern))
		var call testCall
		call.add(t, nil, test.text)
		out, err := engine.Apply(context, nil, []string{"t"}, call.rows, call.data)
		noError(t, err)
		switch {
		case test.wrong == "" && len(out.Errors) == 0 && len(out.Rows) == 1: // converted
		case test.wrong != "" && len(out.Errors) == 1 && strings.Contains(out.Errors[0].Error.Message, test.wrong):
			// rejected as expected
		default:
			t.Errorf("%s by %s to %s: expected %q, found %v and %d rows", test.text, test.pattern, test.to, test.wrong,
				out.Errors,
				len(out.Rows))
		}
	}
}
