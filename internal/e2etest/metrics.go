package e2etest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Scraped is what a worker shows which watches a folder and has a source and a sink at work, once it suffices.
func Scraped(t *testing.T, suffices func(body string) bool) (body string) {
	t.Helper()
	p := NewPlace(t)
	server := httptest.NewServer(odatatest.New(odatatest.Options{Rows: 5, PageSize: 10, Subscriptions: true}))
	t.Cleanup(server.Close)
	folder := filepath.Join(p.Dir, "connectors")
	NoError(t, os.Mkdir(folder, 0o700))
	Put(t, folder, "orders.properties",
		[]byte(strings.Join(append(Source("orders", strings.TrimPrefix(server.URL, "http://"), "Orders"), Silent,
			"sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C",
			"sap.odata.subscription.address=127.0.0.1",
			"sap.odata.subscription.ports="+strings.TrimPrefix(porttest.Address(t), "127.0.0.1:")), "\n")))
	Put(t, folder, "copies.properties", []byte(strings.Join([]string{"name=copies", "connector.class=ODataSink",
		"topics=copies", "sap.odata.host.protocol=http", "sap.odata.host.address=127.0.0.1",
		"sap.odata.host.port=" + server.URL[strings.LastIndexByte(server.URL, ':')+1:],
		"sap.odata#00.service=" + odatatest.NorthwindPath, "sap.odata#00.entityset=Orders", "sap.odata#00.topic=copies"},
		"\n")))
	listen := porttest.Address(t)
	c := p.Start("run", "--set", "listeners=http://"+listen, "--plugins", Plugins(t, "odata-sink"), "--data", p.Data,
		"--config", folder)
	c.Eventually("a worker that watches its folder", func() bool {
		answer, err := http.Get("http://" + listen + "/culvert/reload")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	Put(t, folder, "bad.properties", []byte("name=bad\n"))
	c.Eventually("figures of the source and of reloads", func() bool {
		answer, err := http.Get("http://" + listen + "/metrics")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return false
		}
		body = string(text)
		for _, one := range []string{`plugin="odata-source"`, "culvert_reloads_total{",
			"culvert_connector_config_refused{", "culvert_source_rows_total{", "culvert_sink_rows_total{",
			"culvert_http_answers_total{", "culvert_source_delta_age_seconds{", "culvert_source_notified_seconds{"} {
			if !strings.Contains(body, one) {
				return false
			}
		}
		return suffices(body)
	})
	return body
}
