package shown

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// printedForms maps texts of a plugin to the result of Line.
var printedForms = map[string]string{
	"plain":                                  "plain",
	"Größe 漢字 😀":                             "Größe 漢字 😀",
	"\x1b[2Jred":                             "\ufffd[2Jred",
	"\x1b]0;title\x07x":                      "\ufffd]0;title\ufffdx",
	"\x1b]8;;http://evil\x1b\\link":          "\ufffd]8;;http://evil\ufffd\\link",
	"\u009b31mx":                             "\ufffd31mx",
	"\x9b31mx":                               "\ufffd31mx", // invalid UTF-8, and CSI as a byte
	"a\xffb":                                 "a\ufffdb",
	"a\u202eb\u2066c\u200fd\u061c":           "a\ufffdb\ufffdc\ufffdd\ufffd",
	"zero\u200bwidth\ufeff\u2028line\u2029":  "zero\ufffdwidth\ufffd\ufffdline\ufffd",
	"tag\U000e0041":                          "tag\ufffd",
	"private\ue000":                          "private\ufffd",
	"x\ntime=2026 level=ERROR msg=forged":    "x time=2026 level=ERROR msg=forged",
	"x\r\ny\rz\tt":                           "x y z t",
	"a\x00b\x7fc":                            "a\ufffdb\ufffdc",
	"e\u0301\u0301\u0301\u0301\u0301\u0301e": "e\u0301\u0301\u0301\u0301e",
	"":                                       "",
}

func TestLineReplacesUnprintableCharacters(t *testing.T) {
	for text, want := range printedForms {
		assert.Equal(t, want, Line(text), text)
	}
}

func TestLineIsBounded(t *testing.T) {
	long := Line(strings.Repeat("é", 5_000_000))
	want := strings.Repeat("é", MaxLine) + "... (9996000 bytes more)"
	assert.True(t, long == want, "expected %d characters and a count, found %d bytes", MaxLine, len(long))
}

// A message that is too long ends before the remedy, or before another clause, and never within it.
func TestReasonEndsWithAClause(t *testing.T) {
	const refused = "the password was refused: correct it, or, if it is right, unlock the user"
	const unknown = "open: set: Set A isn't in $metadata; expected one of B, C (see sap.odata.host.address)"
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{refused, len(refused), refused},
		{refused, len(refused) - 1, "the password was refused (...)"},
		{refused, len("the password was refused"), "the password was refused (...)"},
		{refused, len("the password was refused") - 1, "the password was refuse... (50 bytes more)"},
		{unknown, len(unknown) - 1, "open: set: Set A isn't in $metadata; expected one of B, C (...)"},
		{unknown, 50, "open: set: Set A isn't in $metadata (...)"},
		{unknown, 20, "open: set: Set A isn... (66 bytes more)"},
		{"It ends. The next sentence", 12, "It ends (...)"},
		{"refused (401) by a: no", 20, "refused (401) by a (...)"},
		{"refused (401) by a", 15, "refused (401) b... (3 bytes more)"},
		{"ä ö: ü", 3, "ä ö (...)"},
		{"ä ö: ü", 2, "ä ... (6 bytes more)"},
	} {
		assert.Equal(t, test.want, ReasonUpTo(test.text, test.limit), test.text, "up to", test.limit)
	}
}

func TestTextKeepsLinesAndIsBounded(t *testing.T) {
	assert.Equal(t, "a\ufffd[m\n\tb c\n", Text("a\x1b[m\r\n\tb\tc\n"))
	got := Text(strings.Repeat("x\n", 1000))
	if n := strings.Count(got, "\n"); n != maxLines || !strings.HasSuffix(got, "... (800 lines more)") {
		t.Errorf("expected %d lines and a count, found %d lines and %q", maxLines, n, got[len(got)-40:])
	}
}

// The results contain nothing that a terminal interprets, and a JSON document keeps its values.
func FuzzShown(f *testing.F) {
	for text := range printedForms {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []string{Line(text), ReasonUpTo(text, 9), strings.NewReplacer("\n", "", "\t", "").Replace(Text(text))} {
			for _, r := range got {
				assert.True(t, r == utf8.RuneError || isPrintable(r),
					"%q: expected printable characters, found %q", text, r)
			}
		}
		document, err := json.Marshal(map[string]string{"text": text, text: "x"})
		if err != nil {
			return
		}
		// Marshal escapes most unprintable characters; JSON must escape the others.
		safe := JSON(document)
		for _, r := range string(safe) {
			assert.True(t, r == utf8.RuneError || r == '\n' || isPrintable(r),
				"%q: expected printable characters, found %q in %s", text, r, safe)
		}
		var before, after map[string]string
		assert.True(t, json.Unmarshal(document, &before) == nil && json.Unmarshal(safe, &after) == nil &&
			len(before) == len(after) && before["text"] == after["text"],
			"%q: expected a document equal to %s, found %s", text, document, safe)
	})
}
