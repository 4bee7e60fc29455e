package role

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// tableOfPage returns the rows of the table in wit/roles.md. The first cell is the role without its quotes.
func tableOfPage(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../../wit/roles.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 5 && strings.HasPrefix(line, "| `") {
			cells[0] = strings.Trim(strings.TrimPrefix(cells[0], "| "), "`")
			rows = append(rows, cells)
		}
	}
	return rows
}

// TestPage checks that wit/roles.md lists all roles with their kinds and defaults.
func TestPage(t *testing.T) {
	var documented, registered [][]string
	for _, cells := range tableOfPage(t) {
		documented = append(documented,
			[]string{strings.TrimSuffix(cells[0], "…"), cells[1], cells[2], strings.Trim(cells[3], "`")})
		if doc := strings.TrimSuffix(cells[4], " |"); len(doc) < 8 {
			t.Errorf("%s: expected a description of what the host does with it, found %q", cells[0], doc)
		}
	}
	for _, r := range All {
		accepted := "no"
		if r.PluginDefault {
			accepted = "yes"
		}
		registered = append(registered, []string{r.Name, r.Kind.String(), accepted, r.HostDefault})
	}
	diff := cmp.Diff(registered, documented)
	assert.True(t, diff == "", "(-host +page)\n%s", diff)
}

// TestRolesOfTheHost checks that the host uses the constants of this package. A misspelt literal would match none.
func TestRolesOfTheHost(t *testing.T) {
	// isPrefix reports whether s is a prefix that several roles share, such as http.oauth.
	isPrefix := func(s string) bool {
		return strings.HasSuffix(s, ".") && slices.ContainsFunc(All, func(r Role) bool {
			return strings.HasPrefix(r.Name, s)
		})
	}
	files := token.NewFileSet()
	literals := 0
	err := filepath.WalkDir("../../../internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				literals++
				text, _ := strconv.Unquote(l.Value)
				if _, ok := Find(text); ok || isPrefix(text) {
					t.Errorf("%s: expected a constant of package role, found %s", files.Position(l.Pos()), l.Value)
				}
			}
			return true
		})
		return nil
	})
	assert.True(t, err == nil && literals >= 1000, "found %d literals in the host's packages, %v", literals, err)
}

// setting returns a declaration with roles. value is its default, "" means no default.
func setting(name string, kind wit.SettingKind, value string, roles ...string) wit.ConfigKey {
	s := wit.ConfigKey{Name: name, Kind: kind}
	for _, r := range roles {
		s.Rules = append(s.Rules, wit.Rule{Role: &r})
	}
	if value != "" {
		s.DefaultValue = &value
	}
	return s
}

// addressSetting is the setting that each source must have.
var addressSetting = setting("a", wit.KindString, "", "http.address")

// A checkCase is the settings of a source, and the problem with their roles.
type checkCase struct {
	settings []wit.ConfigKey
	isFatal  bool
	want     string
}

var checkCases = map[string]checkCase{
	"valid": {
		settings: []wit.ConfigKey{addressSetting, setting("h.{name}", wit.KindPassword, "", "http.header.{name}"),
			setting("p", wit.KindInt, "443", "http.port"),
			setting("t#{n}", wit.KindString, "", "source.topic")},
	},
	"no address": {
		want: "no setting has the role http.address: " +
			"the host does not know where to send the requests of this source",
	},
	"unknown": {
		settings: []wit.ConfigKey{addressSetting, setting("p", wit.KindPassword, "", "http.proxi.password")},
		want: "setting p: has the role http.proxi.password, which is " +
			"unknown: did you mean http.password? See wit/roles.md",
	},
	"secret without role": {
		settings: []wit.ConfigKey{addressSetting, setting("p", wit.KindPassword, "")},
		want:     "setting p: is a password without a role: neither plugin nor host uses its value",
	},
	"two settings": {
		settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindString, "", "http.address")}, isFatal: true,
		want: "setting b: has the role http.address, which a has too: expected one setting with this role",
	},
	"two roles": {
		settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindPassword, "", "http.password", "http.header.x")},
		isFatal:  true, want: "setting b: expected one role, found http.password, http.header.x",
	},
	"any role": {
		settings: []wit.ConfigKey{addressSetting, setting("b.{name}", wit.KindString, "", "http.{name}")},
		isFatal:  true,
		want: "setting b.{name}: has the role http.{name}: expected no placeholder, except " +
			"http.header.{name} and http.query.{name} after a name that ends with {name}",
	},
	"any setting": {
		settings: []wit.ConfigKey{addressSetting, setting("b.{name}", wit.KindString, "", "http.user")}, isFatal: true,
		want: "setting b.{name}: is a template and has the role http.user, which only one setting may have",
	},
	"a password that is shown": {
		settings: []wit.ConfigKey{setting("a", wit.KindPassword, "", "http.address")}, isFatal: true,
		want: "setting a: is a password with the role http.address, whose values are shown: " +
			"expected the kind string",
	},
	"a secret that is shown": {
		settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindString, "", "http.password")},
		want:     "setting b: has the role http.password: expected the kind password; no plugin sees its value",
	},
	"kind": {
		settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindBoolean, "", "http.port")},
		want:     "setting b: has the role http.port: expected the kind int or long",
	},
	"a default address": {
		settings: []wit.ConfigKey{setting("a", wit.KindString, "evil", "http.address")},
		want:     `setting a: its default "evil" has no effect: http.address must be set by the user`,
	},
	"another default than the host's": {
		settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindString, "http", "http.scheme")},
		want: `setting b: its default "http" has no effect: ` +
			"http.scheme must be set by the user, else it is https",
	},
	"the default of the host": {
		settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindString, "https", "http.scheme")},
	},
	"a harmless default": {settings: []wit.ConfigKey{addressSetting, setting("b", wit.KindInt, "7", "retry.max")}},
}

// The problem with a role names the setting and what is expected.
func TestCheck(t *testing.T) {
	for name, c := range checkCases {
		problems := ""
		for _, problem := range Check(&wit.Component{Kind: wit.ComponentSource, Settings: c.settings}) {
			problems += problem.String()
			assert.True(t, problem.Fatal == c.isFatal, "%s: expected a fatal problem: %v, found %+v", name, c.isFatal,
				problem)
		}
		assert.True(t, problems == c.want, "%s: expected %q, found %q", name, c.want, problems)
	}
}

// Only settings of sources and sinks have roles. A role of another component is a problem that is not fatal.
func TestRoleOfTransformationIsInvalid(t *testing.T) {
	problems := Check(&wit.Component{Kind: wit.ComponentTransformation, Settings: []wit.ConfigKey{addressSetting}})
	assert.True(t, len(problems) == 1 && problems[0].Invalid && !problems[0].Fatal,
		"expected one invalid role, found %v", problems)
}
