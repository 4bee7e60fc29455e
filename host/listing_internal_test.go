package host

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/logging"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/rest"
)

// A page of 1,000 paused connectors that a herder has, each with 40 settings.
func BenchmarkListingOfHerder(b *testing.B) {
	settings, _, err := config.LoadWorker("", nil, nil)
	require.NoError(b, err)
	targets, err := config.OpenTargets("")
	require.NoError(b, err)
	var connectors []*config.Connector
	for n := range 1000 {
		entries := []config.Entry{config.NewEntry("connector.class", "SAPODataSourceConnector", "request", 0),
			config.NewEntry("name", fmt.Sprint("orders-", n), "request", 0)}
		for i := range 38 {
			entries = append(entries, config.NewEntry(fmt.Sprint("sap.odata.setting.", i), "some value of it", "request", 0))
		}
		c, _ := config.NewConnector("request", entries, settings.Providers)
		connectors = append(connectors, c)
		require.NoError(b, targets.Set(c.Name, config.TargetPaused))
	}
	levels, log := logging.Of(slog.New(slog.DiscardHandler))
	h := &Host{in: &config.Installation{Worker: settings}, levels: levels, log: log, targets: targets}
	o := connect.Options{Worker: settings, Plugins: &plugin.Manager{}, Logger: log, Target: h.target}
	h.running = &running{reloads: &reloader{}, herder: connect.New(o, connectors)}
	handler := rest.Handler(worker{h})
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/culvert/connectors?state=paused&limit=1000", nil))
		if w.Code != 200 || w.Body.Len() < 100_000 {
			b.Fatal(w.Body)
		}
	}
}
