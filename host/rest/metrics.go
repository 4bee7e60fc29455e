package rest

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metered is a [Worker] with figures, which GET /metrics answers in Prometheus' text format. Kafka Connect has no such
// resource: its figures go out by JMX.
type Metered interface{ Metrics() prometheus.Gatherer }

// metrics answers a scrape.
func metrics(w Worker) http.Handler {
	m, ok := w.(Metered)
	if !ok {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.Metrics(), promhttp.HandlerOpts{})
}
