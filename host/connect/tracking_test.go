package connect

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
)

func TestTopicsAreTracked(t *testing.T) {
	var all topics
	if names := all.names(); len(names) != 0 {
		t.Errorf("found %v", names)
	}
	var wg sync.WaitGroup
	for _, topic := range []string{"b", "a", "b", "c"} {
		wg.Go(func() { all.add(topic) })
	}
	wg.Wait()
	assert.Equal(t, []string{"a", "b", "c"}, all.names())
	all.reset()
	all.add("b")
	assert.Equal(t, []string{"b"}, all.names())
}

// What a task uses is noted where all workers look, each time that it is used, or here.
func TestTopicsOfAGroupAreSaid(t *testing.T) {
	var said []string
	o := &Options{Group: &group{uses: func(connector, topic string, task int) {
		said = append(said, fmt.Sprint(connector, " ", topic, " ", task))
	}}}
	c := alone(o, slog.New(slog.DiscardHandler))
	c.given = &config.Connector{Name: "orders"}
	one := &task{number: 2, connector: c}
	one.uses("a")
	one.uses("a")
	assert.Equal(t, []string{"orders a 2", "orders a 2"}, said)
	assert.Equal(t, 0, len(c.controller.topics.names()))
	o.Group = nil
	one.uses("a")
	assert.Equal(t, []string{"a"}, c.controller.topics.names())
}
