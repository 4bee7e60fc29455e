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
	all := map[string]string{}
	for _, entry := range entries {
		all[entry.Key] = entry.Raw
	}
	return all
}

func TestEdit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		text string
		// set and out are changes to the settings of the text.
		set  map[string]string
		out  []string
		want string
	}{
		{"nothing", "# why\n\na=1\n", nil, nil, "# why\n\na=1\n"},
		{"in its place", "# why\na = 1\n\nb:2\n", map[string]string{"a": "3", "b": "4"}, nil, "# why\na = 3\n\nb:4\n"},
		{"a name alone", "a\nb", map[string]string{"a": "1", "b": "2"}, nil, "a=1\nb=2"},
		{"a divider at the beginning of a value", "a 1\nb=1\n", map[string]string{"a": "=x", "b": "=x"}, nil,
			"a==x\nb==x\n"},
		{"continued", "a=1,\\\n   2\n  b\\\n  c = 3\nd=4", map[string]string{"a": "5", "bc": "6"}, nil,
			"a=5\nbc=6\nd=4"},
		{"one that stays continued", "a=1,\\\n   2\nb=1", map[string]string{"b": "2"}, nil, "a=1,\\\n   2\nb=2"},
		{"escapes stay", "gr\\u00f6\\u00dfe=\\u00e4\nb=C:\\\\x\n", map[string]string{"größe": "ö"}, nil,
			"gr\\u00f6\\u00dfe=ö\nb=C:\\\\x\n"},
		{"new ones in their order", "x=1", map[string]string{"b": "2", "a": "1"}, nil, "x=1\na=1\nb=2\n"},
		{"ends of lines of Windows", "x=1\r\n# y\r\n", map[string]string{"a": "1"}, nil, "x=1\r\n# y\r\na=1\r\n"},
		{"a backslash at the end", "x=1\\", map[string]string{"a": "1"}, nil, "x=1\\\n\na=1\n"},
		{"a line that waits for the next", "x=1\\\n", map[string]string{"a": "1"}, nil, "x=1\\\n\na=1\n"},
		{"taken out, also twice", "a=1\n# b\nb=2\na=3\nc=4\n", nil, []string{"a"}, "# b\nb=2\nc=4\n"},
		{"twice and as it was", "a=1\nb=2\na=3\n", map[string]string{"b": "4"}, nil, "a=1\nb=4\na=3\n"},
		{"twice and changed", "a=1\nb=2\na=3\n", map[string]string{"a": "4"}, nil, "b=2\na=4\n"},
		{"a byte order mark", "\ufeffa=1\n", map[string]string{"a": "2"}, nil, "\ufeffa=2\n"},
		{"nothing that is JSON", "", map[string]string{"{a": "1"}, nil, "\\{a=1\n"},
		{"a brace that comes to stand first", "a=1\n{b=2\n", nil, []string{"a"}, "\\{b=2\n"},
		{"a byte 0", "", map[string]string{"a": "x\x00y"}, nil, "a=x\\u0000y\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := settingsOf(t, []byte(test.text))
			maps.Copy(settings, test.set)
			for _, key := range test.out {
				delete(settings, key)
			}
			edited, err := Edit(test.text, settings)
			require.NoError(t, err)
			assert.Equal(t, test.want, edited)
			assert.Equal(t, settings, settingsOf(t, []byte(edited)))
		})
	}
	// Malformed lines are no settings and do not affect others.
	data, err := Edit("a=\\u00g0\n# why\n\\u12=x\nb=2\n", map[string]string{"a": "1", "b": "2"})
	require.NoError(t, err)
	assert.Equal(t, "a=1\n# why\nb=2\n", data)
	for text, want := range map[string]string{" {\"a\":1}": "expected Java properties", "a\x00": "a byte 0",
		"\xff\xfea\x00": "UTF-16"} {
		_, err := Edit(text, nil)
		assert.Error(t, err, want)
	}
}

// edited checks the invariants of Edit for a text and settings.
func edited(t *testing.T, text string, settings map[string]string) {
	t.Helper()
	result, err := Edit(text, settings)
	data := []byte(result)
	if err != nil {
		if _, bad := decodeText([]byte(text)); bad == nil && !isJSON([]byte(strings.TrimPrefix(text, byteOrderMark))) {
			if read, _ := decodeText([]byte(text)); !isJSON(read) {
				t.Fatalf("%q: %v", text, err)
			}
		}
		return
	}
	if found := settingsOf(t, data); !maps.Equal(found, settings) {
		t.Fatalf("%q with %q became %q, which reads as %q", text, settings, data, found)
	}
	before, _ := decodeText([]byte(text))
	after, _ := decodeText(data)
	var unchanged []string
	lines := naturalLines(string(after))
	last := map[string]logicalLine{}
	for l := range logicalLines(string(before)) {
		if l.isSetting {
			last[l.key] = l
		}
	}
	for l := range logicalLines(string(before)) {
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
	if twice, err := Edit(result, settings); err != nil || twice != result {
		t.Fatalf("%q with %q became %q, and with the same settings %q, %v", text, settings, data, twice, err)
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
			if result, err := Edit(text, settings); err == nil && result != text {
				t.Fatalf("%q became %q", text, result)
			}
		}
		settings[a] = one
		settings[b] = two
		for k, v := range settings {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return
			}
		}
		edited(t, text, settings)
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
		edited(t, text, settings)
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
