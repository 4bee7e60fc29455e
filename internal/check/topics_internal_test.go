package check

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// A sink without settings for topics requires topics or topics.regex: both report it.
func TestSinkRequiresTopics(t *testing.T) {
	checker := &Checker{}
	connector, _ := config.NewConnector("c.properties", nil, nil)
	sink := wit.Component{Kind: wit.ComponentSink}
	var found []string
	for _, p := range checker.unreachableTopics(connector, sink) {
		found = append(found, p.Setting+": "+p.Text)
	}
	assert.Equal(t, []string{"topics: Must configure one of topics or topics.regex",
		"topics.regex: Must configure one of topics or topics.regex"}, found)
	topic := role.SinkTopic
	sink.Settings = []wit.ConfigKey{{Name: "own", Rules: []wit.Rule{{Role: &topic}}}}
	if problems := checker.unreachableTopics(connector, sink); len(problems) > 0 {
		t.Errorf("expected the sink's own topics to be read, found %v", problems)
	}
}
