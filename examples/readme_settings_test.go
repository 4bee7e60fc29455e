package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	schemas "github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// connectorSettings returns the settings that the built-in source and sink declare.
func connectorSettings(t *testing.T) (specs []wit.ConfigKey) {
	t.Helper()
	dir := guesttest.Folder(t, "odata-source", "odata-sink")
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, Registry: schemas.NewRegistry(),
		CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	defer m.Close()
	for _, info := range m.Modules() {
		require.NoError(t, info.Err)
		for _, c := range info.Components {
			specs = append(specs, c.Settings...)
		}
	}
	return specs
}

// findDefault reports whether a setting of this name is declared, and returns its default, "" for no default.
func findDefault(connectors []wit.ConfigKey, name string) (isDeclared bool, value string) {
	switch {
	case strings.HasPrefix(name, "sap.odata."):
		for _, s := range connectors {
			prefix, isTemplate := strings.CutSuffix(s.Name, ".{name}")
			if s.Name == name || (isTemplate && prefix+".NAME" == name) {
				if s.DefaultValue != nil {
					value = *s.DefaultValue
				}
				return true, value
			}
		}
		return false, ""
	case strings.HasPrefix(name, "plugin.NAME.limits."):
		limits := setting.NewTable(plugin.LimitSettings()...)
		spec, isDeclared := limits.Find(strings.TrimPrefix(name, "plugin.NAME.limits."))
		if spec.DefaultValue != nil {
			value = *spec.DefaultValue
		}
		return isDeclared, value
	}
	_, problems := config.NewWorker("", nil, nil, map[string]string{name: "1"})
	for _, p := range problems {
		if p.Setting == name && strings.Contains(p.Text, "unknown") {
			return false, ""
		}
	}
	w, _ := config.NewWorker("", nil, nil, nil)
	return true, w.Text(name)
}

// The settings in the README and the guides are declared, and the tables have the declared defaults.
func TestReadmeSettings(t *testing.T) {
	pages, err := filepath.Glob("../cmd/culvert/guides/*.md")
	require.NoError(t, err)
	var text strings.Builder
	for _, page := range append(pages, "../README.md") {
		content, err := os.ReadFile(page)
		require.NoError(t, err)
		text.WriteString(string(content) + "\n")
	}
	connectors := connectorSettings(t)
	names := regexp.MustCompile("`((?:sap\\.odata|kafka\\.proxy|plugin\\.NAME\\.limits)\\.[A-Za-z0-9.-]+)`")
	// Headers of records are no settings, though their names have the same prefix.
	headers := []string{"sap.odata.service", "sap.odata.entityset", "sap.odata.change"}
	for _, m := range names.FindAllStringSubmatch(text.String(), -1) {
		if isDeclared, _ := findDefault(connectors, m[1]); !isDeclared && !slices.Contains(headers, m[1]) {
			t.Errorf("expected the setting %s to be declared", m[1])
		}
	}
	row := regexp.MustCompile("(?m)^\\| (`(?:sap\\.odata|kafka\\.proxy|plugin\\.NAME\\.limits)\\.[^|]*) \\| ([^|]*)\\|")
	quoted := regexp.MustCompile("^`([^`]*[a-z0-9][^`]*)`$")
	rows := 0
	for _, m := range row.FindAllStringSubmatch(text.String(), -1) {
		rows++
		documented := ""
		if match := quoted.FindStringSubmatch(strings.TrimSpace(m[2])); match != nil {
			documented = match[1]
		}
		for _, name := range names.FindAllStringSubmatch(m[1], -1) {
			if _, value := findDefault(connectors, name[1]); documented != value {
				t.Errorf("%s: the guides have the default %q, its declaration %q", name[1], documented, value)
			}
		}
	}
	assert.AtLeast(t, 25, rows, "rows of tables")
}
