package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
)

// File names are bytes, labels are text: a file name that is not UTF-8 must not end the worker when it is scraped.
func TestMetricsOfFileNamesWithInvalidUTF8(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(pluginCollector{modules: []plugin.Info{
		{Path: "plugins/\xff.wasm", Hash: "1"},
		{Path: "plugins/\xfe.wasm", Hash: "1"},
	}})
	families, err := r.Gather()
	assert.True(t, err == nil && len(families) == 1 && len(families[0].Metric) == 2,
		"expected two files, found %v and %v", families, err)
}

// Names of topics, files and settings come from other systems. In /metrics none of them starts a new line or changes
// the text direction of a terminal.
func TestMetricsOfNamesWithControls(t *testing.T) {
	const name = "a\r\nup 1\x1b[2J\x00\x7f\u202e\u2028b"
	r := prometheus.NewPedanticRegistry()
	gauges := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "x", Help: "x"}, []string{"topic", "file"})
	r.MustRegister(gauges)
	gauges.WithLabelValues(name, name).Set(1)
	gauges.WithLabelValues("ä\u00a0ß", "b").Set(1)
	w := httptest.NewRecorder()
	gatherer := redactingGatherer{r, func(text string) string { return text }}
	promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body := w.Body.String()
	assert.True(t, !strings.ContainsAny(body, "\r\x1b\x00\x7f\u202e\u2028") && !strings.Contains(body, "\nup"),
		"expected no control characters, found %q", body)
	assert.True(t, strings.Contains(body, "ä\u00a0ß") && strings.Contains(body, `a\\r\\nup 1\\x1b[2J`),
		"expected a quoted name with controls and another one unchanged, found %q", body)
}
