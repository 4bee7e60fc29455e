package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// settingName finds names of settings in texts; those of roles are found by themselves.
var settingName = regexp.MustCompile(
	`(?:sap\.odata[.#]|kafka\.proxy\.|rest\.|errors\.|offset\.storage\.|offset\.flush\.)[A-Za-z0-9.#{}-]*[A-Za-z0-9}]`)

// Every setting that any text of the program advises exists: in the connectors' declarations, or in the worker's.
func TestAdvisedSettingsExist(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	var specs []wit.SettingSpec
	for _, name := range []string{"odata-source", "odata-sink"} {
		r := p.Run("plugins", "show", name, "--plugins", e2etest.Plugins(t, "odata-sink"), "--json")
		var shown []struct {
			Components []struct {
				Settings []struct {
					Name    string   `json:"name"`
					Aliases []string `json:"aliases"`
				} `json:"settings"`
			} `json:"components"`
		}
		if err := json.Unmarshal([]byte(r.Stdout), &shown); err != nil || len(shown) == 0 ||
			len(shown[0].Components) == 0 {
			t.Fatalf("%v\n%s%s", err, r.Stdout, r.Stderr)
		}
		for _, s := range shown[0].Components[0].Settings {
			for _, name := range append(s.Aliases, s.Name) {
				specs = append(specs, wit.SettingSpec{Name: name})
			}
		}
	}
	connectors := config.Declare(specs...)
	exists := func(name string) bool {
		if strings.HasPrefix(name, "sap.odata") {
			name = strings.NewReplacer("#NN", "#00", "#{n}", "#00", "NAME", "x", "{name}", "x").Replace(name)
			if _, ok := connectors.Find(name); ok {
				return true
			}
			for _, s := range specs { // a prefix, as in `sap.odata.proxy.`
				if strings.HasPrefix(strings.NewReplacer("#{n}", "#00").Replace(s.Name), name+".") {
					return true
				}
			}
			return false
		}
		_, problems := config.NewWorker("w", []config.Entry{config.NewEntry(name, "1", "w", 1)}, nil,
			nil)
		for _, problem := range problems {
			if problem.Setting == name && strings.Contains(problem.Text, "unknown") {
				return false
			}
		}
		return true
	}
	texts := 0
	for _, folder := range []string{"../../host", "../../plugins", "../../cmd"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				text, _ := strconv.Unquote(literal.Value)
				for _, name := range settingName.FindAllString(text, -1) {
					if texts++; strings.Contains(text, " ") && !exists(name) {
						t.Errorf("%s advises %s, which does not exist: %q", path, name, text)
					}
				}
				return true
			})
			return nil
		})
		e2etest.NoError(t, err)
	}
	if texts < 50 {
		t.Errorf("expected texts with names of settings, found %d", texts)
	}
	// What package keystore may name is the setting of a role, or, for the server's host, of another one.
	for _, field := range []string{"keystore." + keystore.FieldLocation, "keystore." + keystore.FieldPassword,
		"keystore." + keystore.FieldType,
		"keystore." + keystore.FieldKeyPassword, "keystore." + keystore.FieldAlias,
		"truststore." + keystore.FieldLocation,
		"truststore." + keystore.FieldPassword, "truststore." + keystore.FieldType, keystore.FieldProtocol,
		keystore.FieldAllowLegacy} {
		if _, ok := role.Find("tls." + field); !ok {
			t.Errorf("expected a role for what package keystore calls %s", field)
		}
	}
}
