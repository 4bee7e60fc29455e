package config

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/magiconair/properties"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The expected values follow the documentation of java.util.Properties.load.
func TestPropertiesSyntax(t *testing.T) {
	cases := []struct {
		name string
		text string
		want []Entry
	}{
		{name: "separators", text: "a=1\nb:2\nc 3\nd\t=\t4\ne = : 5\nf", want: []Entry{
			NewEntry("a", "1", "", 1),
			NewEntry("b", "2", "", 2),
			NewEntry("c", "3", "", 3),
			NewEntry("d", "4", "", 4),
			NewEntry("e", ": 5", "", 5),
			{Key: "f", Line: 6},
		}},
		{name: "a key may hold # and .", text: "sap.odata#00.topic = Orders",
			want: []Entry{NewEntry("sap.odata#00.topic", "Orders", "", 1)}},
		{name: "comments", text: "# a=1\n  ! b=2\nc=3 # no comment\n",
			want: []Entry{NewEntry("c", "3 # no comment", "", 3)}},
		{name: "continuation", text: "a=1,\\\n   2,\\\n   3\nb=4", want: []Entry{
			NewEntry("a", "1,2,3", "", 1),
			NewEntry("b", "4", "", 4),
		}},
		{name: "a continued line may begin with #", text: "a=1\\\n#2", want: []Entry{NewEntry("a", "1#2", "", 1)}},
		{name: "a line behind a lone backslash may be a comment", text: "\\\n# a=1\nb=2",
			want: []Entry{NewEntry("b", "2", "", 3)}},
		{name: "a comment does not go on", text: "# a=1 \\\nb=2", want: []Entry{NewEntry("b", "2", "", 2)}},
		{name: "two backslashes do not continue", text: "a=1\\\\\nb=2", want: []Entry{
			NewEntry("a", "1\\", "", 1),
			NewEntry("b", "2", "", 2),
		}},
		{name: "a blank line ends a continuation", text: "a=1\\\n\nb=2", want: []Entry{
			NewEntry("a", "1", "", 1),
			NewEntry("b", "2", "", 3),
		}},
		{name: "a backslash at the end of the file", text: "a=1\\", want: []Entry{NewEntry("a", "1", "", 1)}},
		{name: "escapes", text: `a\ b\=c\:d = \t\n\r\f\"\z`,
			want: []Entry{NewEntry("a b=c:d", "\t\n\r\f\"z", "", 1)}},
		{name: "unicode", text: `a = Gr\u00f6\u00DFe \uD83D\uDE00`, want: []Entry{NewEntry("a", "Größe 😀", "", 1)}},
		{name: "trailing blanks stay", text: "a = 1  ", want: []Entry{NewEntry("a", "1  ", "", 1)}},
		{name: "line ends", text: "a=1\rb=2\r\nc=3\n", want: []Entry{
			NewEntry("a", "1", "", 1),
			NewEntry("b", "2", "", 2),
			NewEntry("c", "3", "", 3),
		}},
		{name: "nothing is expanded", text: "a=1\nb=${a}", want: []Entry{
			NewEntry("a", "1", "", 1),
			NewEntry("b", "${a}", "", 2),
		}},
		{name: "UTF-8", text: "a=Größe", want: []Entry{NewEntry("a", "Größe", "", 1)}},
		{name: "ISO-8859-1 where it is no UTF-8", text: "a=Gr\xf6\xdfe",
			want: []Entry{NewEntry("a", "Größe", "", 1)}},
		{name: "byte order mark", text: "\ufeffa=1", want: []Entry{NewEntry("a", "1", "", 1)}},
		{name: "empty key", text: "=1", want: []Entry{NewEntry("", "1", "", 1)}},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			got, problems := Read("x.properties", []byte(test.text))
			for i := range test.want {
				test.want[i].File = "x.properties"
			}
			diff := cmp.Diff(test.want, got)
			assert.True(t, diff == "" && len(problems) == 0, "(-want +got)\n%s%v", diff, problems)
		})
	}
}

// storedProperties returns files in hexadecimal, some odd and some random, and what java.util.Properties reads from
// them.
func storedProperties(t *testing.T) (files, answers []string) {
	t.Helper()
	content, err := os.ReadFile("testdata/properties.tsv")
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		file, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		files = append(files, file)
		answers = append(answers, answer)
	}
	require.True(t, len(files) >= 539, "expected 539 files and more, found %d", len(files))
	return files, answers
}

// Files are read as by java.util.Properties, with one difference: if the last line is a single backslash, Java reads an
// entry with an empty name and value there, and we read none.
func TestPropertiesAsJava(t *testing.T) {
	files, answers := storedProperties(t)
	for i, file := range files {
		text, err := hex.DecodeString(file)
		require.NoError(t, err)
		assert.Equal(t, answers[i], asJava(string(text)), string(text))
	}
}

// asJava returns what readProperties reads, in the format of Load.java.
func asJava(text string) string {
	entries, problems := readProperties("x", []byte(text))
	if problems.Err() != nil {
		return "refused"
	}
	last := map[string]string{}
	var keys []string
	for _, entry := range entries {
		key := hex.EncodeToString([]byte(entry.Key))
		if _, ok := last[key]; !ok {
			keys = append(keys, key)
		}
		last[key] = hex.EncodeToString([]byte(entry.Raw))
	}
	slices.Sort(keys)
	for i, key := range keys {
		keys[i] = key + "=" + last[key]
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func TestPropertiesProblems(t *testing.T) {
	entries, problems := Read("x.properties", []byte("a=0\nb=\\u00g0\na=1\na=2\n"))
	want := "x.properties:2: b: expected four hexadecimal digits after \\u\n" +
		"x.properties:3: a: warning: set again, first in line 1: the last one counts\n" +
		"x.properties:4: a: warning: set again, first in line 1: the last one counts"
	got := lines(problems)
	assert.True(t, got == want, "got\n%s\nwant\n%s", got, want)
	assert.True(t, len(entries) == 1 && entries[0].Value.Reveal() == "2",
		"expected the last a alone, found %v", entries)
}

func lines(problems Problems) string {
	var l []string
	for _, p := range problems {
		l = append(l, p.String())
	}
	return strings.Join(l, "\n")
}

// FuzzProperties compares with another reader of the same syntax, as far as that one follows Java.
func FuzzProperties(f *testing.F) {
	for _, seed := range []string{"a=1\nb : 2", "a\\ b=1\\\n  2", "!x\n#y\nz", "k = \\u0041\\t", "a=\\\\\n=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, problems := readProperties("x", []byte(text))
		if strings.ContainsAny(text, "\\\r\f\x00\ufeff") || strings.ToValidUTF8(text, "") != text {
			return // the other reader differs from Java in escapes, lone \r and form feeds
		}
		loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		other, err := loader.LoadBytes([]byte(text))
		if err != nil || len(problems) > 0 {
			return
		}
		last := map[string]string{}
		for _, entry := range got {
			if entry.Key == "" {
				return // the other reader rejects or misreads empty keys
			}
			last[entry.Key] = entry.Raw
		}
		diff := cmp.Diff(other.Map(), last)
		assert.True(t, diff == "", "%q (-other +ours)\n%s", text, diff)
	})
}

// FuzzRead checks that all entries and problems of any file have its name and a line.
func FuzzRead(f *testing.F) {
	f.Add("x.json", `{"name":"n","config":{"a":1,"b":[{}],"c":null}}`)
	f.Add("x.yaml", "a: 1\nb:\n  c: [x, y]\nd: *z\n")
	f.Add("x.properties", "a=\\u00\nb")
	f.Fuzz(func(t *testing.T, file, text string) {
		entries, problems := Read(file, []byte(text))
		for _, entry := range entries {
			assert.True(t, entry.File == file && entry.Line >= 1, "entry %v", entry)
		}
		for _, p := range problems {
			assert.True(t, p.File == file && p.Line >= 1 && p.Text != "", "problem %v", p)
		}
	})
}
