package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

var ruleCases = map[string]struct {
	code string
	want string // a report's text without the place; "" means no report
}{
	"a receiver of another word":   {"func (k *Redactor) f() {}", "receiver k of Redactor"},
	"a receiver of a generic type": {"func (x *Set[K, V]) f() {}", "receiver x of Set"},
	"an initial of the last word":  {"func (r *linkReader) f() {}", ""},
	"a longer receiver":            {"func (run *Connector) f() {}", ""},
	"no receiver":                  {"func (Redactor) f() {}", ""},

	"results over lines":    {"func f() (a int,\n\tb int) {\n\treturn 1, 2\n}", "results over several lines"},
	"parameters over lines": {"func f(\n\ta int,\n) (b int) {\n\treturn a\n}", ""},

	"a long test":     {"func TestA(t *testing.T) {" + strings.Repeat("\n", 80) + "}", "TestA has 81 lines"},
	"a test of 80":    {"func TestA(t *testing.T) {" + strings.Repeat("\n", 79) + "}", ""},
	"a long function": {"func a() {" + strings.Repeat("\n", 80) + "}", ""},

	"fields in a group":     {"type t struct {\n\ta, b int\n}", "several fields in a line"},
	"a struct in a line":    {"type t struct{ a, b int }", ""},
	"fields of other cases": {"type t struct {\n\tName string\n\tname string\n}", "fields Name and name differ"},
	"blank fields":          {"type t struct {\n\t_ int\n\t_ string\n}", ""},

	"an unused statement":    {"func f() {\n\tif n++; ok {\n\t}\n}", "the condition does not use the statement"},
	"an unused declaration":  {"func f() {\n\tif a := g(); ok {\n\t\th(a)\n\t}\n}", "the condition does not use"},
	"a used declaration":     {"func f() {\n\tif a := g(); a > 0 {\n\t}\n}", ""},
	"a used element of many": {"func f() {\n\tif _, ok := m[k]; ok {\n\t}\n}", ""},

	"mixed operators":       {"var x = a && b || c", "&& inside || without parentheses"},
	"mixed with brackets":   {"var x = (a && b) || c", ""},
	"the other way is good": {"var x = a && (b || c)", ""},

	"an empty case":              {"func f() {\n\tswitch x {\n\tcase 1:\n\tcase 2:\n\t\tg()\n\t}\n}", "empty case"},
	"an empty case and its why":  {"func f() {\n\tswitch x {\n\tcase 1: // nothing to do\n\t}\n}", ""},
	"an empty case, a line more": {"func f() {\n\tswitch x {\n\tcase 1:\n\t\t// nothing to do\n\t}\n}", ""},

	"a parted pair": {
		"func f() {\n\tlog.Warn(\"x\", \"key\",\n\t\tvalue, \"y\", 1) // long\n}",
		"key \"key\" of a log call",
	},
	"pairs a line":   {"func f() {\n\tlog.Warn(\"x\",\n\t\t\"key\", value, // long\n\t\t\"y\", 1)\n}", ""},
	"another method": {"func f() {\n\tt.Fatal(\"x\", \"key\", // long\n\t\tvalue)\n}", ""},

	"unrelated values":        {"func f() {\n\ta, b := g(), 1\n\th(a, b)\n}", "unrelated values in one assignment"},
	"a swap":                  {"func f() {\n\ta, b = b, a\n}", ""},
	"one reads the other":     {"func f() {\n\ta, b = a+1, c[a]\n}", ""},
	"calls that may read":     {"func f() {\n\ta, b = g(), h()\n}", ""},
	"fields":                  {"func f() {\n\ts.a, s.b = 1, 2\n}", ""},
	"the variables of a loop": {"func f() {\n\tfor i, j := 0, n; i < j; i++ {\n\t}\n}", ""},
	"in a case":               {"func f() {\n\tswitch {\n\tcase x:\n\t\ta, b = 1, 2\n\t}\n}", "unrelated values"},

	"a wrapped statement": {"func f() {\n\tg(a,\n\t\tb)\n}", "broken over lines although it fits"},
	"a wrapped condition": {
		"func f() {\n\tif a ||\n\t\tb {\n\t\tg()\n\t}\n}",
		"broken over lines although it fits",
	},
	"a wrapped signature": {"func f(a int,\n\tb int) {\n}", "broken over lines although it fits"},
	"one element a line":  {"func f() {\n\tg(\n\t\ta,\n\t\tb,\n\t)\n}", ""},
	"a wrapped long line": {
		"func f() {\n\tg(" + strings.Repeat("a", 60) + ",\n\t\t" + strings.Repeat("b", 52) + ")\n}",
		"",
	},
	"just as wide as ours": {
		"func f() {\n\tg(" + strings.Repeat("a", 60) + ",\n\t\t" + strings.Repeat("b", 51) + ")\n}",
		"broken",
	},
	"a comment inside":   {"func f() {\n\tg(a, // the first\n\t\tb)\n}", ""},
	"a function literal": {"func f() {\n\tg(func() {\n\t\th()\n\t})\n}", ""},
}

// Each rule reports what it is for, and nothing of what is written instead.
func TestRules(t *testing.T) {
	for name, c := range ruleCases {
		t.Run(name, func(t *testing.T) {
			reports, err := check("x.go", []byte("package p\n\n"+c.code+"\n"))
			require.NoError(t, err)
			isExpected := func(report string) bool { return strings.Contains(report, c.want) }
			if c.want == "" && len(reports) > 0 {
				t.Errorf("expected no report, found %q", reports)
			} else if c.want != "" && !slices.ContainsFunc(reports, isExpected) {
				t.Errorf("expected %q, found %q", c.want, reports)
			}
		})
	}
}

// Reports come in the order of the lines, each with its place.
func TestPlaces(t *testing.T) {
	code := "package p\n\nvar x = a && b || c\n\ntype t struct {\n\ta, b int\n}\n"
	reports, err := check("dir/x.go", []byte(code))
	assert.True(t, err == nil && len(reports) == 2 && strings.HasPrefix(reports[0], "dir/x.go:3: ") &&
		strings.HasPrefix(reports[1], "dir/x.go:6: "),
		"expected reports about the lines 3 and 6, found %q, %v", reports, err)
}

func TestOtherFiles(t *testing.T) {
	generated := "// Code generated by a tool. DO NOT EDIT.\n\npackage p\n\nvar x = a && b || c\n"
	if reports, err := check("x.go", []byte(generated)); err != nil || len(reports) > 0 {
		t.Errorf("expected no report about a generated file, found %q, %v", reports, err)
	}
	_, err := check("x.go", []byte("package"))
	assert.True(t, err != nil, "expected an error about a file that is no Go")
}
