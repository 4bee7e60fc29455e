package examples

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	odata "github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// declared is what declarations say about a setting: whether there is one of this name, and its default, "" for none.
func declared(name string) (known bool, value string) {
	switch {
	case strings.HasPrefix(name, "sap.odata."):
		var t setting.Table
		odata.Declare(&t) // what both connectors have
		for _, s := range t.Specs() {
			if s.Name == name || strings.HasSuffix(s.Name, ".{name}") && strings.TrimSuffix(s.Name, "{name}")+"NAME" == name {
				if s.DefaultValue != nil {
					value = *s.DefaultValue
				}
				return true, value
			}
		}
		return false, ""
	case strings.HasPrefix(name, "plugin.NAME.limits."):
		n, known := plugin.LimitDefault(strings.TrimPrefix(name, "plugin.NAME.limits."))
		if n > 0 {
			value = strconv.FormatInt(n, 10)
		}
		return known, value
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

// TestReadmeSettings holds the README to the declarations: every setting that it names is there, and its tables have their defaults.
func TestReadmeSettings(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:sap\\.odata|kafka\\.proxy|plugin\\.NAME\\.limits)\\.[A-Za-z0-9.-]+)`")
	for _, m := range names.FindAllStringSubmatch(string(text), -1) {
		if known, _ := declared(m[1]); !known {
			t.Errorf("%s is no setting", m[1])
		}
	}
	row := regexp.MustCompile("(?m)^\\| (`(?:sap\\.odata|kafka\\.proxy|plugin\\.NAME\\.limits)\\.[^|]*) \\| ([^|]*)\\|")
	alone, rows := regexp.MustCompile("^`([^`]*[a-z0-9][^`]*)`$"), 0
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		rows++
		said := ""
		if found := alone.FindStringSubmatch(strings.TrimSpace(m[2])); found != nil {
			said = found[1]
		}
		for _, name := range names.FindAllStringSubmatch(m[1], -1) {
			if _, value := declared(name[1]); said != value {
				t.Errorf("%s: the README has the default %q, its declaration %q", name[1], said, value)
			}
		}
	}
	if rows < 25 {
		t.Errorf("%d rows of tables were found", rows)
	}
}
