package e2etest

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// WorkerMetrics starts a worker with a source and a sink, and returns its metrics as soon as isComplete accepts them.
func WorkerMetrics(t *testing.T, isComplete func(body string) bool) (body string) {
	t.Helper()
	p, _, address := NewPlaceWithDemo(t, odatatest.Options{Rows: 5, PageSize: 10, Subscriptions: true})
	p.File("connectors/orders.properties", append(Source("orders", address, "Orders"), NoReadTimeout,
		"sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C",
		"sap.odata.subscription.address=127.0.0.1",
		"sap.odata.subscription.ports="+strings.TrimPrefix(porttest.Address(t), "127.0.0.1:"))...)
	p.File("connectors/copies.properties", WithSettings(Sink("copies", address, "copies", "Orders"),
		"sap.odata#00.service="+odatatest.NorthwindPath)...)
	f := p.StartWorkerWith(Plugins(t, "odata-sink"), "connectors")
	f.AwaitCall(200, "GET", "/culvert/reload", "")
	p.File("connectors/bad.properties", "name=bad")
	f.Eventually("figures of the source and of reloads", func() bool {
		body = f.Metrics()
		isMissing := func(series string) bool { return !strings.Contains(body, series) }
		names := []string{`plugin="odata-source"`, "culvert_reloads_total{", "culvert_connector_config_refused{",
			"culvert_source_rows_total{", "culvert_sink_rows_total{", "culvert_sink_lag_records{",
			"culvert_http_answers_total{", "culvert_source_delta_age_seconds{", "culvert_source_notified_seconds{"}
		return !slices.ContainsFunc(names, isMissing) && isComplete(body)
	})
	return body
}
