package check

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// A sink without settings for topics requires topics or topics.regex: both report it.
func TestSinkRequiresTopics(t *testing.T) {
	checker := &Checker{}
	sink := wit.Component{Kind: wit.ComponentSink}
	var found []string
	for _, p := range checker.unreachableTopics(resolve(t, plugin.NewComponent(&sink), "")) {
		found = append(found, p.Setting+": "+p.Text)
	}
	assert.Equal(t, []string{"topics: Must configure one of topics or topics.regex",
		"topics.regex: Must configure one of topics or topics.regex"}, found)

	// With a setting for a topic it reads that topic.
	sink.Settings = []wit.ConfigKey{{Name: "own", Rules: []wit.Rule{setting.Role(role.SinkTopic)}}}
	problems := checker.unreachableTopics(resolve(t, plugin.NewComponent(&sink), ""))
	assert.Len(t, 0, problems, "the sink's own topics to be read")
}

// Topics of settings are compared neither with an invalid pattern nor with topics and topics.regex together: other
// checks report these. A pattern that takes too long is a problem of the setting.
func TestUnreachableTopicsLeavesSettingsToOtherChecks(t *testing.T) {
	sink := wit.Component{
		Kind:     wit.ComponentSink,
		Settings: []wit.ConfigKey{{Name: "own", Rules: []wit.Rule{setting.Role(role.SinkTopic)}}},
	}
	for name, test := range map[string]struct {
		settings map[string]string
		want     string // "" means no problem
	}{
		"invalid pattern":         {map[string]string{"topics.regex": "("}, ""},
		"topics and topics.regex": {map[string]string{"topics": "b", "topics.regex": "c"}, ""},
		"pattern takes too long":  {map[string]string{"topics.regex": "(x+x+)+y"}, "topics.regex ((x+x+)+y): "},
	} {
		t.Run(name, func(t *testing.T) {
			text := "own=" + strings.Repeat("x", 200)
			for key, value := range test.settings {
				text += "\n" + key + "=" + value
			}
			problems := (&Checker{}).unreachableTopics(resolve(t, plugin.NewComponent(&sink), text))
			if test.want == "" && len(problems) == 0 {
				return
			}
			assert.True(t, test.want != "" && len(problems) == 1 && strings.HasPrefix(problems[0].Text, test.want),
				"expected %q, found %v", test.want, problems)
		})
	}
}
