package connect

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// The error of a rejected offset demands a path in place of a URL if only a destination knows the origin.
func TestRejectedOffsetWithURLHasAHint(t *testing.T) {
	component := wit.Component{Kind: wit.ComponentSource, Settings: []wit.ConfigKey{
		{Name: "host", Rules: []wit.Rule{{Role: wit.Ptr(role.Address)}}},
		{Name: "destination", Rules: []wit.Rule{{Role: wit.Ptr(role.Destination)}}},
	}}
	for _, test := range []struct {
		name     string
		setting  string
		link     string
		wantHint bool
	}{
		{name: "URL", setting: "destination", link: "https://h/x?$skiptoken=1", wantHint: true},
		{name: "path", setting: "destination", link: "/x?$skiptoken=1"},
		{name: "URL of a known origin", setting: "host", link: "https://h/x?$skiptoken=1"},
	} {
		connector, _ := config.NewConnector("c", []config.Entry{config.NewEntry("name", "c", "", 0),
			config.NewEntry(test.setting, "h", "", 0)}, nil)
		declaration := component
		if test.setting == "host" {
			declaration.Settings = declaration.Settings[:1]
		}
		run := &connectorRun{accepted: resolved.Resolver{}.ResolveAs(connector, plugin.NewComponent(&declaration))}
		hint := run.pathHint([]wit.OffsetEntry{wit.IntegerEntry("n", 1), wit.StringEntry("url", test.link)})
		assert.True(t, strings.Contains(hint, "begins with /") == test.wantHint,
			"%s: expected a hint: %t, found %q", test.name, test.wantHint, hint)
	}
}

// The worker records the topics that it has used, and its group receives each use.
func TestTopicsAreTracked(t *testing.T) {
	var calls []string
	options := &Options{Group: &group{recordTopic: func(connector, topic string, task int) {
		calls = append(calls, fmt.Sprint(connector, " ", topic, " ", task))
	}}}
	run := newEmptyRun(options, slog.New(slog.DiscardHandler))
	run.accepted = newConnector(nil, "orders")
	sourceTask := &task{number: 2, run: run}
	sourceTask.recordTopic("a")
	sourceTask.recordTopic("a")
	assert.Equal(t, []string{"orders a 2", "orders a 2"}, calls)
	h := &Herder{controllers: map[string]*controller{"orders": run.controller}}
	topics, err := h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"a"}, topics)
	options.Group = standalone{}
	assert.NoError(t, h.ResetTopics("orders"))
	var wg sync.WaitGroup
	for _, topic := range []string{"b", "a", "b", "c"} {
		wg.Go(func() { sourceTask.recordTopic(topic) })
	}
	wg.Wait()
	topics, err = h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c"}, topics)
	assert.NoError(t, h.ResetTopics("orders"))
	sourceTask.recordTopic("b")
	run.controller.mu.Lock() // the record of a known topic does not wait for the lock
	sourceTask.recordTopic("b")
	run.controller.mu.Unlock()
	topics, err = h.Topics("orders")
	assert.NoError(t, err)
	assert.Equal(t, []string{"b"}, topics)
}
