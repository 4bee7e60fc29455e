package restbackend

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/setup"
)

// REST gets the worker's settings of topic tracking, and rejects requests with Kafka Connect's messages.
func TestTopicTrackingDisabled(t *testing.T) {
	for setting, wants := range map[string]map[string]string{ // messages by call; "" means no message
		"topic.tracking.enable": {
			"GET /connectors/c/topics":       "Topic tracking is disabled.",
			"PUT /connectors/c/topics/reset": "Topic tracking is disabled.",
		},
		"topic.tracking.allow.reset": {
			"GET /connectors/c/topics":       "",
			"PUT /connectors/c/topics/reset": "Topic tracking reset is disabled.",
		},
	} {
		settings, problems, err := config.LoadWorker("", nil, map[string]string{setting: "false"})
		require.True(t, err == nil && problems.Err() == nil, "%v %v", err, problems)
		levels, log := logging.LevelsOf(slog.New(slog.DiscardHandler))
		in := &setup.Installation{Config: setup.Config{Once: true}, Levels: levels, Log: log,
			Installation: &config.Installation{Worker: settings}}
		herder := connect.New(connect.Options{Worker: settings, Logger: log}, nil)
		var parts setup.Parts
		parts.Set(func(o *setup.Opened) {
			o.Plugins = new(plugin.Manager)
			o.Herder = herder
		})
		b := New(Options{Installation: in, WorkerID: func() string { return "" }, Parts: &parts,
			Group: &group.Standalone{}})
		handler := rest.Handler(b.REST())
		for call, want := range wants {
			method, path, _ := strings.Cut(call, " ")
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
			if (answer.Code == http.StatusForbidden) != (want != "") || !strings.Contains(answer.Body.String(), want) {
				t.Errorf("%s=false: %s: expected %q, found %d %s", setting, call, want, answer.Code, answer.Body)
			}
		}
	}
}
