package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Outlook is what a connector in which nothing is wrong would do, in a sentence without its name; "" where its class is
// not known.
func (k *Checker) Outlook(c *config.Connector) string {
	_, component, err := Find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource, wit.ComponentSink)
	if err != nil {
		return ""
	}
	tasks := fmt.Sprintf("by at most %s tasks", cmp.Or(c.Text("tasks.max"), "1"))
	if component.Kind == wit.ComponentSource {
		var topics []string
		d := config.DeclareComponent(component)
		for _, e := range c.Entries {
			if spec, ok := d.Find(e.Key); ok && spec.Role() == role.SourceTopic &&
				!slices.Contains(topics, topicOf(e)) {
				topics = append(topics, topicOf(e))
			}
		}
		return k.Worker.Strike(fmt.Sprintf("a source that would read into %s, %s", topicsOf(topics), tasks))
	}
	from := topicsOf(config.List(c.Text("topics")))
	if regex := c.Text("topics.regex"); regex != "" {
		from = "topics that match " + regex
	}
	return k.Worker.Strike(fmt.Sprintf("a sink that would write what it finds in %s, %s, as group %s", from, tasks,
		config.ConsumerGroup(c.Name)))
}

func topicsOf(names []string) string {
	if len(names) == 0 {
		return "topics that its plugin names"
	}
	return "topics " + strings.Join(names, ", ")
}
