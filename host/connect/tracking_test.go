package connect

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/assert"
)

// Topics are recorded in the group each time, or locally.
func TestTopicsAreTracked(t *testing.T) {
	var said []string
	o := &Options{Group: &group{uses: func(connector, topic string, task int) {
		said = append(said, fmt.Sprint(connector, " ", topic, " ", task))
	}}}
	c := emptyConnector(o, slog.New(slog.DiscardHandler))
	c.accepted = &config.Connector{Name: "orders"}
	one := &task{number: 2, run: c}
	one.recordTopic("a")
	one.recordTopic("a")
	assert.Equal(t, []string{"orders a 2", "orders a 2"}, said)
	h := &Herder{controllers: map[string]*controller{"orders": c.controller}}
	topics, err := h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, 0, len(topics))
	o.Group = nil
	var wg sync.WaitGroup
	for _, topic := range []string{"b", "a", "b", "c"} {
		wg.Go(func() { one.recordTopic(topic) })
	}
	wg.Wait()
	topics, err = h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c"}, topics)
	assert.NoError(t, h.ResetTopics("orders"))
	one.recordTopic("b")
	c.controller.mu.Lock() // which a topic that is known does not wait for
	one.recordTopic("b")
	c.controller.mu.Unlock()
	topics, err = h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"b"}, topics)
}
