package connect

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/kafka"
)

// strangersEvery is how often, in looks at the lag, a sink's group is asked for its members.
const strangersEvery = 10

// strangers looks for members of a sink's group that are not tasks of this worker, which is alone: another worker runs
// the same sink, and as it forms no group with this one, nobody meant that.
type strangers struct {
	connector *connector
	admin     *kafka.Admin
	log       *slog.Logger
	looked    bool // the group has had members
	suspected bool // seen once: our own tasks have other names for a moment when they join again
	warned    bool
}

// look asks once. Strangers that are seen twice in succession are a warning, until they have gone.
func (s *strangers) look(ctx context.Context) {
	before := s.connector.members()
	members, err := s.admin.Members(ctx, s.connector.group())
	if err != nil || len(members) == 0 {
		return
	}
	s.looked = true
	ours := append(before, s.connector.members()...)
	var found []string
	for _, m := range members {
		if !slices.Contains(ours, m.ID) {
			found = append(found, fmt.Sprintf("%s at %s", m.ClientID, strings.TrimPrefix(m.Host, "/")))
		}
	}
	switch {
	case len(found) == 0:
		if s.warned {
			s.log.Info("the sink's group has no members but this worker's any more", "group", s.connector.group())
		}
		s.suspected, s.warned = false, false
	case !s.suspected:
		s.suspected = true
	case !s.warned:
		s.warned = true
		slices.Sort(found)
		s.log.Warn("the sink's group has members that are not this worker's: it runs elsewhere, too, and each gets a "+
			"part of the records. Stop one of them, give it another name or consumer.override.group.id, or have the "+
			"workers form a group (group.id, config.storage.topic and status.storage.topic)",
			"group", s.connector.group(), "members", strings.Join(found, ", "))
	}
}

// joins notes the consumer of a task.
func (t *task) joins(consumer *kafka.Consumer) {
	c := t.connector
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sinks.consumers == nil {
		c.sinks.consumers = map[int]*kafka.Consumer{}
	}
	c.sinks.consumers[t.number] = consumer
}

// members are what the group's coordinator calls the connector's tasks.
func (c *connector) members() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, consumer := range c.sinks.consumers {
		if id := consumer.Member(); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
