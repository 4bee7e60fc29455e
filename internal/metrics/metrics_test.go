package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culvert-project/culvert/internal/plugin"
)

// File names are bytes, labels are text: a file name that is not UTF-8 must not end the worker when it is scraped.
func TestMetricsOfFileNamesWithInvalidUTF8(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(pluginCollector{modules: []plugin.Info{{Path: "plugins/\xff.wasm", Hash: "1"},
		{Path: "plugins/\xfe.wasm", Hash: "1"}}})
	families, err := r.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 2 {
		t.Errorf("expected two files, found %v and %v", families, err)
	}
}

// Names of topics, files and settings come from other systems. In /metrics none of them starts a new line or changes
// the text direction of a terminal.
func TestMetricsOfNamesWithControls(t *testing.T) {
	const name = "a\r\nup 1\x1b[2J\x00\x7f\u202e\u2028b"
	r := prometheus.NewPedanticRegistry()
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "x", Help: "x"}, []string{"topic", "file"})
	r.MustRegister(v)
	v.WithLabelValues(name, name).Set(1)
	v.WithLabelValues("ä\u00a0ß", "b").Set(1)
	w := httptest.NewRecorder()
	figures := redactingGatherer{r, func(text string) string { return text }}
	promhttp.HandlerFor(figures, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	text := w.Body.String()
	if strings.ContainsAny(text, "\r\x1b\x00\x7f\u202e\u2028") || strings.Contains(text, "\nup") ||
		!strings.Contains(text, "ä\u00a0ß") || !strings.Contains(text, `a\\r\\nup 1\\x1b[2J`) {
		t.Errorf("found %q", text)
	}
}
