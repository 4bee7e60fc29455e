package connect

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// An absolute URL in a rejected offset must be a path if only a destination knows the origin.
func TestRejectedOffsetMustBePath(t *testing.T) {
	component := wit.Component{Kind: wit.ComponentSource, Settings: []wit.ConfigKey{
		{Name: "host", Rules: []wit.Rule{{Role: wit.Ptr(role.Address)}}},
		{Name: "destination", Rules: []wit.Rule{{Role: wit.Ptr(role.Destination)}}},
	}}
	for _, test := range []struct {
		key  string
		link string
		want bool
	}{
		{key: "destination", link: "https://h/x?$skiptoken=1", want: true},
		{key: "destination", link: "/x?$skiptoken=1"},
		{key: "host", link: "https://h/x?$skiptoken=1"},
	} {
		connector, _ := config.NewConnector("c", []config.Entry{config.NewEntry("name", "c", "", 0),
			config.NewEntry(test.key, "h", "", 0)}, nil)
		origin := component
		if test.key == "host" {
			origin.Settings = origin.Settings[:1]
		}
		k := &connectorRun{class: class{declarations: config.DeclareComponent(origin)}, accepted: connector}
		hint := k.pathHint([]wit.OffsetEntry{wit.IntegerEntry("n", 1), wit.StringEntry("url", test.link)})
		if strings.Contains(hint, "begins with /") != test.want {
			t.Errorf("%v: found %q", test, hint)
		}
	}
}

// Topics are recorded in the group each time, or locally.
func TestTopicsAreTracked(t *testing.T) {
	var said []string
	options := &Options{Group: &group{recordTopic: func(connector, topic string, task int) {
		said = append(said, fmt.Sprint(connector, " ", topic, " ", task))
	}}}
	run := emptyConnector(options, slog.New(slog.DiscardHandler))
	run.accepted = &config.Connector{Name: "orders"}
	record := &task{number: 2, run: run}
	record.recordTopic("a")
	record.recordTopic("a")
	assert.Equal(t, []string{"orders a 2", "orders a 2"}, said)
	h := &Herder{controllers: map[string]*controller{"orders": run.controller}}
	topics, err := h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, 0, len(topics))
	options.Group = nil
	var wg sync.WaitGroup
	for _, topic := range []string{"b", "a", "b", "c"} {
		wg.Go(func() { record.recordTopic(topic) })
	}
	wg.Wait()
	topics, err = h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c"}, topics)
	assert.NoError(t, h.ResetTopics("orders"))
	record.recordTopic("b")
	run.controller.mu.Lock() // a known topic does not wait for it
	record.recordTopic("b")
	run.controller.mu.Unlock()
	topics, err = h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"b"}, topics)
}
