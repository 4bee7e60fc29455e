package host

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/host/plugin"
)

// Names of files are bytes, labels are text: one that is none must not end the worker when it is scraped.
func TestMetricsOfOddFileNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(pluginFigures{modules: []plugin.Info{{Path: "plugins/\xff.wasm", Hash: "1"},
		{Path: "plugins/\xfe.wasm", Hash: "1"}}})
	families, err := r.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 2 {
		t.Errorf("expected two files, found %v and %v", families, err)
	}
}
