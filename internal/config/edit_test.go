package config

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// settingsOf returns the settings of a properties file.
func settingsOf(t *testing.T, data []byte) map[string]string {
	t.Helper()
	entries, problems := Read("x.properties", data)
	require.NoError(t, problems.Err())
	settings := map[string]string{}
	for _, entry := range entries {
		settings[entry.Key] = entry.Raw
	}
	return settings
}

// Edit changes, adds and removes settings and keeps all other lines.
func TestEdit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		text   string
		set    map[string]string // settings to add or change
		remove []string          // settings to remove
		want   string
	}{
		{name: "nothing", text: "# why\n\na=1\n", want: "# why\n\na=1\n"},
		{name: "in its place", text: "# why\na = 1\n\nb:2\n", set: map[string]string{"a": "3", "b": "4"},
			want: "# why\na = 3\n\nb:4\n"},
		{name: "a name alone", text: "a\nb", set: map[string]string{"a": "1", "b": "2"}, want: "a=1\nb=2"},
		{name: "a divider at the beginning of a value", text: "a 1\nb=1\n",
			set: map[string]string{"a": "=x", "b": "=x"}, want: "a==x\nb==x\n"},
		{name: "continued", text: "a=1,\\\n   2\n  b\\\n  c = 3\nd=4", set: map[string]string{"a": "5", "bc": "6"},
			want: "a=5\nbc=6\nd=4"},
		{name: "one that stays continued", text: "a=1,\\\n   2\nb=1", set: map[string]string{"b": "2"},
			want: "a=1,\\\n   2\nb=2"},
		{name: "escapes stay", text: "gr\\u00f6\\u00dfe=\\u00e4\nb=C:\\\\x\n", set: map[string]string{"größe": "ö"},
			want: "gr\\u00f6\\u00dfe=ö\nb=C:\\\\x\n"},
		{name: "new ones in their order", text: "x=1", set: map[string]string{"b": "2", "a": "1"},
			want: "x=1\na=1\nb=2\n"},
		{name: "ends of lines of Windows", text: "x=1\r\n# y\r\n", set: map[string]string{"a": "1"},
			want: "x=1\r\n# y\r\na=1\r\n"},
		{name: "a backslash at the end", text: "x=1\\", set: map[string]string{"a": "1"}, want: "x=1\\\n\na=1\n"},
		{name: "a line that waits for the next", text: "x=1\\\n", set: map[string]string{"a": "1"},
			want: "x=1\\\n\na=1\n"},
		{name: "taken out, also twice", text: "a=1\n# b\nb=2\na=3\nc=4\n", remove: []string{"a"},
			want: "# b\nb=2\nc=4\n"},
		{name: "twice and as it was", text: "a=1\nb=2\na=3\n", set: map[string]string{"b": "4"},
			want: "a=1\nb=4\na=3\n"},
		{name: "twice and changed", text: "a=1\nb=2\na=3\n", set: map[string]string{"a": "4"}, want: "b=2\na=4\n"},
		{name: "a byte order mark", text: "\ufeffa=1\n", set: map[string]string{"a": "2"}, want: "\ufeffa=2\n"},
		{name: "nothing that is JSON", text: "", set: map[string]string{"{a": "1"}, want: "\\{a=1\n"},
		{name: "a brace that becomes the first byte", text: "a=1\n{b=2\n", remove: []string{"a"}, want: "\\{b=2\n"},
		{name: "a byte 0", text: "", set: map[string]string{"a": "x\x00y"}, want: "a=x\\u0000y\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := settingsOf(t, []byte(test.text))
			maps.Copy(settings, test.set)
			for _, key := range test.remove {
				delete(settings, key)
			}
			result, err := Edit(test.text, settings)
			require.NoError(t, err)
			assert.Equal(t, test.want, result)
			assert.Equal(t, settings, settingsOf(t, []byte(result)))
		})
	}
	// Malformed lines are no settings and do not affect others.
	data, err := Edit("a=\\u00g0\n# why\n\\u12=x\nb=2\n", map[string]string{"a": "1", "b": "2"})
	require.NoError(t, err)
	assert.Equal(t, "a=1\n# why\nb=2\n", data)
	for text, want := range map[string]string{
		" {\"a\":1}":    "expected Java properties",
		"a\x00":         "a byte 0",
		"\xff\xfea\x00": "UTF-16",
	} {
		_, err := Edit(text, nil)
		assert.Error(t, err, want)
	}
}

// checkEdit checks the invariants of Edit for a text and settings.
func checkEdit(t *testing.T, text string, settings map[string]string) {
	t.Helper()
	result, err := Edit(text, settings)
	data := []byte(result)
	if err != nil {
		decoded, decodeErr := decodeText([]byte(text))
		withoutMark := []byte(strings.TrimPrefix(text, byteOrderMark))
		require.True(t, decodeErr != nil || isJSON(withoutMark) || isJSON(decoded),
			"%q: expected no error, found %v", text, err)
		return
	}
	got := settingsOf(t, data)
	require.True(t, maps.Equal(got, settings), "%q with %q became %q, which reads as %q", text, settings, data, got)
	oldText, _ := decodeText([]byte(text))
	newText, _ := decodeText(data)
	var unchanged []string
	lines := naturalLines(string(newText))
	last := map[string]logicalLine{}
	for l := range logicalLines(string(oldText)) {
		if l.isSetting {
			last[l.key] = l
		}
	}
	for l := range logicalLines(string(oldText)) {
		value, ok := settings[l.key]
		if !l.isSetting || (ok && !l.malformed && !last[l.key].malformed && value == last[l.key].value) {
			unchanged = append(unchanged, naturalLines(l.raw)...)
		}
	}
	unchanged = slices.DeleteFunc(unchanged, func(line string) bool { return line == "" })
	for _, line := range lines { // in order, with others in between
		if len(unchanged) > 0 && line == unchanged[0] {
			unchanged = unchanged[1:]
		}
	}
	rewritten := strings.Contains(text, byteOrderMark) || (result == PropertiesText(settings) &&
		(strings.Contains(text, "{") || !utf8.ValidString(text)))
	if len(unchanged) > 0 && !rewritten {
		t.Fatalf("%q with %q became %q, without %q", text, settings, data, unchanged[0])
	}
	if second, err := Edit(result, settings); err != nil || second != result {
		t.Fatalf("%q with %q became %q, and with the same settings %q, %v", text, settings, data, second, err)
	}
}

func FuzzEdit(f *testing.F) {
	for _, seed := range []string{"a=1\n", "\\\na=1", "a\\\n = b\\", "a\r\n\r\nb", "{a", "\ufeff{"} {
		f.Add(seed, "a", "1", "b", "2", false)
	}
	f.Fuzz(func(t *testing.T, text, a, one, b, two string, keep bool) {
		settings := map[string]string{}
		if entries, problems := Read("x.properties", []byte(text)); keep && problems.Err() == nil {
			for _, entry := range entries {
				settings[entry.Key] = entry.Raw
			}
			result, err := Edit(text, settings)
			require.True(t, err != nil || result == text, "%q became %q", text, result)
		}
		settings[a] = one
		settings[b] = two
		for k, v := range settings {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return
			}
		}
		checkEdit(t, text, settings)
	})
}

// Random texts mix line ends, continued lines and both encodings, which a fuzzer finds late.
func TestEditRandomTexts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"a", "b", "=", ":", " ", "\\", "\n", "\r", "\r\n", "#", "!", "{", "\t", "\\u00e4", "ä",
		"\\u0", "1", "\ufeff", "\x00"}
	random := func(most int, pick []string) string {
		var b strings.Builder
		for range r.IntN(most) {
			b.WriteString(pick[r.IntN(len(pick))])
		}
		return b.String()
	}
	values := slices.DeleteFunc(slices.Clone(pieces), func(s string) bool { return !utf8.ValidString(s) })
	for range 10_000 {
		text := random(24, pieces[:len(pieces)-r.IntN(5)])
		settings := map[string]string{}
		entries, problems := Read("x.properties", []byte(text))
		for _, entry := range entries {
			settings[entry.Key] = entry.Raw
		}
		if read, err := decodeText([]byte(text)); err == nil && !isJSON(read) && problems.Err() == nil {
			result, err := Edit(text, settings)
			require.NoError(t, err)
			assert.Equal(t, text, result, "the same settings")
		} else {
			settings = map[string]string{}
		}
		for key := range settings {
			if r.IntN(3) == 0 {
				delete(settings, key)
			}
		}
		for range r.IntN(3) {
			settings[random(4, values)] = random(6, values)
		}
		checkEdit(t, text, settings)
	}
}

// Passwords in clear text are masked, also in comments.
func TestMaskedText(t *testing.T) {
	t.Parallel()
	password := func(key string) bool { return strings.HasSuffix(key, "pwd") }
	stored := "# the pwd is hush-hush\n#old.pwd = quiet\na.pwd : hush-hush\nb.pwd=${file:/x:y}\nc.pwd=a-b-c-d\n" +
		"d.pwd=\\\n secret\n! pwd=${env:X}\nx=1\n"
	want := "# the pwd [hidden]\n#old.pwd = [hidden]\na.pwd : [hidden]\nb.pwd=${file:/x:y}\nc.pwd=[hidden]\n" +
		"d.pwd=[hidden]\n! pwd=${env:X}\nx=1\n"
	assert.Equal(t, want, MaskedText(stored, password))
}
