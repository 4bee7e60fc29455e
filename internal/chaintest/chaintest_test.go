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

const mask = `settings:
  transforms: [mask]
  transforms.mask:
    type: org.apache.kafka.connect.transforms.MaskField$Value
    fields: secret
tests:
- name: x
`

// Each result that differs from the file is a failure, with the line of the expectation.
func TestFailures(t *testing.T) {
	o := options(t)
	long := "  - {topic: t, value: &a " + strings.Repeat("x",
		900_000) + ", becomes: dropped}\n  - {topic: t, value: [" +
		strings.Repeat("*a, ", 99) + "*a], becomes: dropped}"
	for name, c := range map[string]struct {
		file string
		want []string // parts of the failures; none: the test is good
	}{
		"good": {mask + `  records:
  - {topic: t, value: {a: 1, secret: s}, becomes: {value: {a: 1.0, secret: ""}}}`, nil},
		"order of names": {mask + `  records:
  - {topic: t, value: {a: 1, secret: s}, becomes: {value: {secret: "", a: 1}}}`, nil},
		"no value": {mask + `  records:
  - {topic: t, key: null, value: {secret: null}, becomes: {value: {secret: null}, key: null}}`, nil},
		"another value": {mask + `  records:
  - topic: t
    value: {a: 1, secret: s}
    becomes:
      value:
        a: 2
        secret: ""`, []string{"x_test.yaml:13: value (- expected, + found):", "-   \"a\": 2,", "+   \"a\": 1,"}},
		"a text is no number": {mask + `  records:
  - {topic: t, value: {a: "1", secret: s}, becomes: {value: {a: 1, secret: ""}}}`, []string{"x_test.yaml:9", `+   "a": "1"`}},
		"another topic": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: {topic: u}}`, []string{"x_test.yaml:9: topic: expected u, found t"}},
		"not dropped": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: dropped}`,
			[]string{`x_test.yaml:9: expected the record to be dropped, found a record`, `value {"secret":""}`}},
		"two records": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: [{value: null}, {value: null}]}`, []string{"expected 2 records, found a record"}},
		"no error": {mask + `  records:
  - {topic: t, value: {secret: s}, becomes: {error: oh}}`, []string{`x_test.yaml:9: expected an error with "oh", found a record`}},
		"an error": {mask + `  records:
  - {topic: t, value: 7, becomes: {value: 7}}`,
			[]string{"expected a record, found an error of transform mask: " +
				"org.apache.kafka.connect.errors.DataException: Only Map"}},
		"expected error": {mask + `  records:
  - {topic: t, value: 7, becomes: {error: Only Map, stage: mask, class: DataException}}`, nil},
		"another error": {mask + `  records:
  - {topic: t, value: 7, becomes: {error: Only Struct}}
  - {topic: t, value: 7, becomes: {error: Only, stage: other}}
  - {topic: t, value: 7, becomes: {error: Only, class: Exception}}`,
			[]string{`9: expected an error with "Only Struct", found`, "10: expected an error of transform other",
				"11: expected an error of class Exception"}},
		"schema": {mask + `  records:
  - topic: t
    value: &v
      schema: {type: struct, fields: [{field: d, type: bytes, name: org.apache.kafka.connect.data.Decimal, version: 1,
        parameters: {scale: "2"}}, {field: secret, type: string}]}
      payload: {d: 1.50, secret: s}
    becomes:
      value:
        schema: {type: struct, fields: [{field: d, type: bytes, name: org.apache.kafka.connect.data.Decimal, version: 1,
          parameters: {scale: "2"}}, {field: secret, type: string}]}
        payload: {d: 1.5, secret: ""}
  - {topic: t, value: *v, becomes: {value: {d: 1.5, secret: ""}}}`, nil},
		"another schema": {mask + `  records:
  - topic: t
    value: {schema: {type: struct, fields: [{field: secret, type: string}]}, payload: {secret: s}}
    becomes:
      value: {schema: {type: struct, fields: [{field: secret, type: string, optional: true}]}, payload: {secret: ""}}`,
			[]string{"x_test.yaml:12: value", `-         "optional": true`, `+         "optional": false`}},
		"headers": {mask + `  records:
  - topic: t
    value: {}
    headers: [{name: h, value: 1}, {name: i, value: null}]
    becomes: {headers: [{name: h, value: 1}, {name: i, value: null}]}
  - topic: t
    value: {}
    headers: [{name: h, value: 1}]
    becomes: {headers: []}
  - topic: t
    value: {}
    headers: [{name: h, value: 1}]
    becomes: {headers: [{name: h, value: 2}]}`,
			[]string{`16: headers: expected [], found ["h"]`, "20: header h (- expected, + found):"}},
		"no headers": {mask + `  records:
  - {topic: t, value: {}, becomes: {headers: []}}
  - {topic: t, value: {}, becomes: {headers: [{name: h, value: 1}]}}`,
			[]string{`10: headers: expected ["h"], found []`}},
		"dates without schema": {`settings:
  transforms: [d]
  transforms.d: {type: TimestampConverter$Value, field: d, target.type: Timestamp, format: yyyy-MM-dd}
tests:
- name: x
  records:
  - {topic: t, value: {d: 1970-01-02, e: [1]}, becomes: {value: {d: 86400000, e: [1]}}}
  - {topic: t, value: {d: 1970-01-02}, becomes: {value: {d: 0}}}`, []string{`8: value`, `+   "d": 86400000`}},
		"a name twice": {mask + `  records:
  - {topic: t, value: {a: 1, a: 2}, becomes: {value: {a: 2}}}`, []string{`9: the name "a" is there twice`}},
		"misspelt prefix": {mask + `  settings: {transfroms.mask.fields: a}
  records:
  - {topic: t, value: {a: b}, becomes: {value: {a: b}}}`,
			[]string{"8: transfroms.mask.fields: unknown setting; the nearest known one is transforms.mask.fields"}},
		"misspelt option": {mask + `  settings: {transforms.mask.replacment: z}
  records:
  - {topic: t, value: {secret: a}, becomes: {value: {secret: ""}}}`,
			[]string{"8: transforms.mask.replacment: ", "unknown setting; the nearest known one is replacement"}},
		"misspelt alias": {mask + `  settings: {transforms.maks.replacement: z}
  records:
  - {topic: t, value: {secret: a}, becomes: {value: {secret: ""}}}`,
			[]string{"8: transforms.maks.replacement: ", `transforms does not name "maks"`}},
		"refused when it is configured": {`settings: {transforms: i, transforms.i.type: InsertField$Value}
tests: [{name: x, refused: "transforms.i.type: No field insertion configured"}]`, nil},
		"refused for what is missing": {`settings: {transforms: i, transforms.i.type: InsertField$Value}
tests:
- {name: y, settings: {transforms.i.static.field: a}, refused: "transforms.i.static.value: Invalid value null"}`, nil},
		"refused": {mask + `  settings: {transforms.mask.fields: ""}
  refused: Configuration 'fields' must not be empty`, nil},
		"refused otherwise": {mask + `  settings: {transforms.mask.type: Mask}
  refused: Empty list`, []string{`expected the settings to be refused with "Empty list", found`, "MaskField"}},
		"not refused": {mask + `  refused: x`,
			[]string{`expected the settings to be refused with "x", found nothing wrong`}},
		"bad settings": {mask + `  settings: {transforms.mask.fields: ""}
  records:
  - {topic: t, becomes: dropped}`, []string{"x_test.yaml:8: transforms.mask.fields"}},
		"bad value": {mask + `  records:
  - {topic: t, value: {schema: {type: string}, payload: 7}, becomes: dropped}`, []string{"x_test.yaml:9: value: "}},
		"unknown name": {mask + "  recods: []",
			[]string{`8: a test has no "recods": expected name, settings, records, refused`}},
		"nothing compared": {mask + "  records:\n  - {topic: t, becomes: {}}", []string{"nothing would be compared"}},
		"nothing expected": {mask + "  records:\n  - {topic: t}", []string{"9: expected becomes"}},
		"nothing done":     {mask, []string{"7: expected either records or refused"}},
		"no tests":         {"settings: {transforms: x}", []string{"expected a list of tests"}},
		"no transforms":    {"tests: [{name: x, refused: y}]", []string{"expected connector: FILE or settings:"}},
		"no connector": {"connector: nowhere.properties\ntests: [{name: x, refused: y}]",
			[]string{"x_test.yaml:1: connector: ", "nowhere.properties"}},
		"no YAML":       {"a: [", []string{"expected tests in YAML"}},
		"empty":         {"", []string{"the file is empty"}},
		"a tab":         {"settings:\n\ta: b", []string{"2: expected tests in YAML: found "}},
		"two documents": {"settings: {a: b}\n---\nx: y", []string{"2: expected one document"}},
		"hexadecimal": {mask + "  records:\n  - {topic: t, value: 0x10, becomes: dropped}",
			[]string{"expected a number as JSON writes it"}},
		"itself": {mask + "  records:\n  - {topic: t, value: &a [*a], becomes: dropped}",
			[]string{"at most 1000 levels"}},
		"aliases": {mask + "  records:\n" + strings.Join(bombs(), "\n"),
			[]string{"expected at most 1000000 values"}},
		"long texts": {mask + "  records:\n" + long, []string{"expected at most 67108864 bytes"}},
		"twice": {mask + "  refused: x\n- name: x\n  refused: x",
			[]string{`9: a test of the name "x" stands in line 7`}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x_test.yaml")
			require.NoError(t, os.WriteFile(path, []byte(c.file), 0o600))
			results, err := Run(t.Context(), o, []string{path})
			if err != nil || len(results) != 1 {
				t.Fatalf("%v, %v", results, err)
			}
			found := lines(results[0].Failures)
			assert.Contains(t, found, c.want...)
			if len(c.want) == 0 && found != "" {
				t.Error(found)
			}
		})
	}
}

// bombs returns short records that expand to many values.
func bombs() []string {
	list := []string{"  - {topic: t, value: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], becomes: dropped}"}
	for i := range 7 {
		before := "*a" + string(rune('0'+i))
		list = append(list, "  - {topic: t, value: &a"+string(rune('1'+i))+" ["+strings.Repeat(before+", ",
			9)+before+"], becomes: dropped}")
	}
	return list
}

func TestFilesOfFolders(t *testing.T) {
	dir := t.TempDir()
	_, err := Files([]string{dir})
	assert.Error(t, err, "found none")
	for _, name := range []string{"a_test.yaml", "b_test.yml", "c.yaml", "d.properties"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	files, err := Files([]string{dir, filepath.Join(dir, "c.yaml")})
	if err != nil || len(files) != 3 || filepath.Base(files[1]) != "b_test.yml" {
		t.Errorf("%v, %v", files, err)
	}
	folder, err := config.ListFolder(dir)
	if err != nil || len(folder.Connectors) != 2 {
		t.Errorf("a worker takes %v for connectors, %v", folder.Connectors, err)
	}
}

func TestJUnit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.xml")
	err := WriteJUnit(path, []Result{{File: "a.yaml", Name: "one", Line: 3}, {File: "a.yaml", Name: "two <&>", Line: 9,
		Failures: config.Problems{{File: "a", Line: 10, Text: "oh\n  no"}}}, {File: "b", Line: 1,
		Failures: config.Problems{{File: "b", Line: 1, Text: "bad"}}}})
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var back suites
	require.NoError(t, xml.Unmarshal(text, &back))
	if back.Tests != 3 || back.Failures != 2 || len(back.Suites) != 2 || back.Suites[0].Cases[0].Failure != nil ||
		back.Suites[0].Cases[1].Name != "two <&>" || !strings.Contains(back.Suites[0].Cases[1].Failure.Text,
		"a:10: oh") {
		t.Errorf("found\n%s", text)
	}
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
	if got != strings.Join(want, "\n") {
		t.Errorf("found\n%s", got)
	}
	long := strings.Repeat("a\n", 3000)
	assert.Contains(t, difference(long+"x", long+"y"), "- x", "+ y")
}

func TestNumbersByValue(t *testing.T) {
	for _, pair := range [][2]string{{"1.50", "15e-1"}, {"100", "1e2"}, {"-0.0", "0"}} {
		a, errA := canonical([]byte(pair[0]))
		b, errB := canonical([]byte(pair[1]))
		if errA != nil || errB != nil || a != b {
			t.Errorf("%v become %s and %s", pair, a, b)
		}
	}
	for _, text := range []string{"1e999999999", "-1E-99999", "0.1"} {
		if got, err := canonical([]byte(text)); err != nil || got != text {
			t.Errorf("%s becomes %s, %v", text, got, err)
		}
	}
}

// The results of Culvert's own transforms equal the file next to Kafka's cases.
func TestOwnTransforms(t *testing.T) {
	results, err := Run(t.Context(), options(t), []string{"../../plugins/smt/testdata/own_test.yaml"})
	if err != nil || len(results) < 15 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for _, r := range results {
		if len(r.Failures) > 0 {
			t.Errorf("%s: %s", r.Name, lines(r.Failures))
		}
	}
}
