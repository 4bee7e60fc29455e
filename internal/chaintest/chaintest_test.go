package chaintest

import (
	"encoding/xml"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
)

func options(t *testing.T) Options {
	t.Helper()
	dir := guesttest.Folder(t, "smt")
	reg := record.NewRegistry()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, Registry: reg, Logger: log,
		CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	w, problems := config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	return Options{Plugins: m, Worker: w, Registry: reg, Logger: log}
}

// Each result that differs from the file is a failure, with the line of the expectation. So is a file that no test can
// come from.
func TestFailures(t *testing.T) {
	o := options(t)
	for _, cases := range []map[string]fileCase{comparedRecords, checkedSettings, unusableFiles} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) { checkFailures(t, o, c) })
		}
	}
}

func checkFailures(t *testing.T, o Options, c fileCase) {
	path := filepath.Join(t.TempDir(), "x_test.yaml")
	require.NoError(t, os.WriteFile(path, []byte(c.file), 0o600))
	results, err := Run(t.Context(), o, []string{path})
	require.NoError(t, err)
	require.Len(t, 1, results, "result")
	failures := joinProblems(results[0].Failures)
	assert.Contains(t, failures, c.want...)
	assert.True(t, len(c.want) != 0 || failures == "", "expected no failures, found\n%s", failures)
}

func TestFilesOfFolders(t *testing.T) {
	dir := t.TempDir()
	_, err := Files([]string{dir})
	assert.Error(t, err, "found none")
	for _, name := range []string{"a_test.yaml", "b_test.yml", "c.yaml", "d.properties"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	files, err := Files([]string{dir, filepath.Join(dir, "c.yaml")})
	require.NoError(t, err)
	assert.True(t, len(files) == 3 && filepath.Base(files[1]) == "b_test.yml",
		"expected two files of tests and c.yaml, found %v", files)
	folder, err := config.ListFolder(dir)
	require.NoError(t, err)
	assert.Len(t, 2, folder.Connectors, "a worker to read two connectors")
}

func TestJUnit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.xml")
	err := WriteJUnit(path, []Result{
		{File: "a.yaml", Name: "one", Line: 3},
		{File: "a.yaml", Name: "two <&>", Line: 9,
			Failures: config.Problems{{File: "a", Line: 10, Text: "oh\n  no"}}},
		{File: "b", Line: 1, Failures: config.Problems{{File: "b", Line: 1, Text: "bad"}}},
	})
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var back suites
	require.NoError(t, xml.Unmarshal(text, &back))
	assert.True(t, back.Tests == 3 && back.Failures == 2 && len(back.Suites) == 2 &&
		back.Suites[0].Cases[0].Failure == nil && back.Suites[0].Cases[1].Name == "two <&>" &&
		strings.Contains(back.Suites[0].Cases[1].Failure.Text, "a:10: oh"),
		"expected two suites with three cases, of which two fail, found\n%s", text)
	// The schemas of Surefire and xUnit require these attributes, and a class must not be called yaml.
	assert.Contains(t, string(text), `<testsuites tests="3" failures="2" errors="0" `,
		`<testsuite name="a.yaml" tests="2" failures="1" errors="0" skipped="0" `,
		`<testcase name="one" classname="a" `, ` type="failure">`)
}

func TestDifference(t *testing.T) {
	var a []string
	for i := range 30 {
		a = append(a, strings.Repeat("x", i+1))
	}
	b := append(append(append([]string{}, a[:10]...), "new"), a[11:]...)
	got := difference(strings.Join(a, "\n"), strings.Join(b, "\n"))
	want := []string{"    …"}
	for _, i := range []int{7, 8, 9} {
		want = append(want, "    "+a[i])
	}
	want = append(want, "  - "+a[10], "  + new", "    "+a[11], "    "+a[12], "    "+a[13], "    …")
	assert.Equal(t, strings.Join(want, "\n"), got)
	long := strings.Repeat("a\n", 3000)
	assert.Contains(t, difference(long+"x", long+"y"), "- x", "+ y")
}

func TestNumbersByValue(t *testing.T) {
	for one, other := range map[string]string{"1.50": "15e-1", "100": "1e2", "-0.0": "0"} {
		a, err := canonicalJSON([]byte(one))
		require.NoError(t, err)
		b, err := canonicalJSON([]byte(other))
		require.NoError(t, err)
		assert.True(t, a == b, "%s and %s: expected the same number, found %s and %s", one, other, a, b)
	}
	for _, text := range []string{"1e999999999", "-1E-99999", "0.1"} {
		got, err := canonicalJSON([]byte(text))
		assert.True(t, err == nil && got == text, "expected %s unchanged, found %s, %v", text, got, err)
	}
}

// The results of Culvert's own transforms equal the file next to Kafka's cases.
func TestOwnTransforms(t *testing.T) {
	results, err := Run(t.Context(), options(t), []string{"../../plugins/smt/testdata/own_test.yaml"})
	require.NoError(t, err)
	require.AtLeast(t, 15, len(results), "results")
	for _, r := range results {
		if len(r.Failures) > 0 {
			t.Errorf("%s: %s", r.Name, joinProblems(r.Failures))
		}
	}
}
