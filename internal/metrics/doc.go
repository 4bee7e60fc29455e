// Package metrics builds what GET /metrics shows: Kafka Connect's metrics under the names that Prometheus' JMX exporter
// gives them, and Culvert's own, whose names begin with culvert_.
//
// A [metricTable] lists the metrics of one kind of subject (a task, a connector, a plugin version, the worker) with
// their help and values. [Metrics.Gatherer] registers a collector for each table; a scrape reads the values.
// Invariants: a label's value contains no secret and no control character. Counters restart with their subject.
package metrics
