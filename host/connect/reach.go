package connect

import (
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// reach is what the tasks of a sink look at together.
func (c *connector) reach() *sink.Reach {
	r := &sink.Reach{Settings: map[string]string{}}
	for _, e := range check.TopicSettings(c.config, c.class.component) {
		r.Settings[setting.Trim(e.Value.Reveal())] = e.Key
	}
	if check.ByTopic(c.o.Plugins, c.config) {
		r.Read = config.List(c.config.Text("topics"))
	}
	return r
}
