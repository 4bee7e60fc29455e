package decode

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

var update = flag.Bool("update", false, "write the expected part of golden files")

// Golden files are testdata/decode/*.txt: the schema, `-----`, the document, `-----`, the expected result. Between
// document and result there may be responses to nested links, each after a line `----- <link>`.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata, "decode", "*.txt"))
	require.True(t, err == nil && len(files) >= 10, "expected golden files, found %d: %v", len(files), err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { golden(t, file) })
	}
}

const testdata = "../../../testdata"

type goldenCase struct {
	layout string // see parseSchema
	doc    string
	want   string            // see describeAll
	nested map[string]string // responses by link
}

func readGolden(t testing.TB, file string) goldenCase {
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	parts := strings.Split(string(raw), "\n-----")
	require.AtLeast(t, 3, len(parts), file, "schema, document and result: parts")
	golden := goldenCase{layout: parts[0], nested: map[string]string{}}
	_, golden.doc, _ = strings.Cut(parts[1], "\n")
	_, golden.want, _ = strings.Cut(parts[len(parts)-1], "\n")
	for _, p := range parts[2 : len(parts)-1] {
		link, answer, _ := strings.Cut(p, "\n")
		golden.nested[strings.TrimSpace(link)] = answer
	}
	return golden
}

func golden(t *testing.T, file string) {
	g := readGolden(t, file)
	schema := parseSchema(t, g.layout)
	doc := []byte(g.doc)
	out, err := decodePieces(newDecoder(schema, doc), doc, cuts{size: len(doc) + 1}, g.nested)
	got := describeAll(t, schema, out, err)
	if *update {
		raw, _ := os.ReadFile(file)
		i := strings.LastIndex(string(raw), "\n-----\n")
		require.NoError(t, os.WriteFile(file, []byte(string(raw[:i])+"\n-----\n"+got), 0o644))
		return
	}
	if got != g.want {
		t.Fatalf("got:\n%s\nwant:\n%s", excerpt(got, g.want), excerpt(g.want, got))
	}
	eachCut(t, schema, doc, g.nested, got)
}
