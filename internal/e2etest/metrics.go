package e2etest

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// Scraped returns the metrics of a worker that watches a folder and runs a source and a sink, as soon as suffices
// accepts them.
func Scraped(t *testing.T, suffices func(body string) bool) (body string) {
	t.Helper()
	p, _, address := NewPlaceWithDemo(t, odatatest.Options{Rows: 5, PageSize: 10, Subscriptions: true})
	p.File("connectors/orders.properties", append(Source("orders", address, "Orders"), Silent,
		"sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C",
		"sap.odata.subscription.address=127.0.0.1",
		"sap.odata.subscription.ports="+strings.TrimPrefix(porttest.Address(t), "127.0.0.1:"))...)
	p.File("connectors/copies.properties", Instead(SinkOf("copies", address, "copies", "Orders"),
		"sap.odata#00.service="+odatatest.NorthwindPath)...)
	f := p.FollowsWith(Plugins(t, "odata-sink"), "connectors")
	f.Until(200, "GET", "/culvert/reload", "")
	p.File("connectors/bad.properties", "name=bad")
	f.Eventually("figures of the source and of reloads", func() bool {
		body = f.Metrics()
		isMissing := func(series string) bool { return !strings.Contains(body, series) }
		return !slices.ContainsFunc([]string{`plugin="odata-source"`, "culvert_reloads_total{",
			"culvert_connector_config_refused{", "culvert_source_rows_total{", "culvert_sink_rows_total{",
			"culvert_sink_lag_records{", "culvert_http_answers_total{", "culvert_source_delta_age_seconds{",
			"culvert_source_notified_seconds{"},
			isMissing) && suffices(body)
	})
	return body
}
