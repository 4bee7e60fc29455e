package convert

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// recordedSetting is a setting as a real worker declares it (testdata/connect-rest).
type recordedSetting struct {
	Name          string  `json:"name"`
	Type          string  `json:"type"`
	Required      bool    `json:"required"`
	Default       *string `json:"default_value"`
	Importance    string  `json:"importance"`
	Documentation string  `json:"documentation"`
	Group         *string `json:"group"`
	Order         int32   `json:"order_in_group"`
	Width         string  `json:"width"`
	Display       string  `json:"display_name"`
}

// JsonConverter has the same declaration as Kafka's, as recorded from a real worker.
func TestJSONConverterDeclaration(t *testing.T) {
	want := map[string]recordedSetting{}
	for _, r := range recordedSettings(t, ClassJSON) {
		want[r.Name] = r
	}
	const isKey = false
	d, err := Find(ClassJSON, isKey)
	require.NoError(t, err)
	kinds := map[wit.SettingKind]string{wit.KindString: "STRING", wit.KindInt: "INT", wit.KindBoolean: "BOOLEAN"}
	importances := map[wit.Importance]string{wit.High: "HIGH", wit.Medium: "MEDIUM", wit.Low: "LOW"}
	widths := []string{"NONE", "SHORT", "MEDIUM", "LONG"}
	got := map[string]recordedSetting{}
	for _, s := range d.Settings() {
		r := recordedSetting{
			Name:          s.Name,
			Type:          kinds[s.Kind],
			Required:      setting.IsRequired(&s),
			Default:       s.DefaultValue,
			Importance:    importances[s.Importance],
			Documentation: s.Documentation,
			Order:         -1,
			Width:         widths[0],
			Display:       s.Name,
		}
		for _, rule := range s.Rules {
			switch {
			case rule.Group != nil:
				r.Group = rule.Group
			case rule.Order != nil:
				r.Order = *rule.Order
			case rule.Width != nil:
				r.Width = widths[*rule.Width]
			case rule.DisplayName != nil:
				r.Display = *rule.DisplayName
			}
		}
		got[s.Name] = r
	}
	assert.Equal(t, want, got)
}

// recordedSettings returns the settings that a real worker declared for a class.
func recordedSettings(t *testing.T, class string) (settings []recordedSetting) {
	file, err := os.Open("../../testdata/connect-rest/12-plugins.jsonl")
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var call struct {
			Path string          `json:"path"`
			Body json.RawMessage `json:"body"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &call))
		if strings.HasSuffix(call.Path, "/"+class+"/config") {
			require.NoError(t, json.Unmarshal(call.Body, &settings))
			return settings
		}
	}
	t.Fatalf("%s is not recorded: %v", class, lines.Err())
	return nil
}

// Every declared default is valid by its declaration, and every setting has a documentation text.
func TestDeclaredDefaults(t *testing.T) {
	for _, d := range Declarations() {
		for _, s := range d.UserSettings() {
			if s.DefaultValue != nil {
				assert.Equal(t, "", (setting.Check{}).Value(&s, *s.DefaultValue), d.Class)
			}
			assert.True(t, s.Documentation != "", "%s: %s has no documentation", d.Class, s.Name)
		}
	}
}
