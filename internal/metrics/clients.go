package metrics

import (
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const clientID = "culvert" // the label of all client metrics, which are sums over all clients of a role

// clientCounts has the counters of franz-go's kprom (see [kafka.Metrics]) by role and metric.
type clientCounts struct {
	values map[string]float64
	rate   func(name string, value float64) float64 // growth of a value per second
}

// countClients returns nil if gathering fails: kprom's own metrics then report that in the same response.
func countClients(g prometheus.Gatherer, rate func(string, float64) float64) *clientCounts {
	families, err := g.Gather()
	if err != nil {
		return nil
	}
	c := &clientCounts{map[string]float64{}, rate}
	for _, f := range families {
		for _, m := range f.Metric {
			c.values[roleOf(m)+" "+f.GetName()] += m.GetCounter().GetValue() +
				float64(m.GetHistogram().GetSampleCount())
		}
	}
	return c
}

func (c *clientCounts) count(role, name string) float64 { return c.values[role+" culvert_kafka_"+name] }

func (c *clientCounts) connections(role string) float64 {
	return c.count(role, "connects_total") - c.count(role, "disconnects_total")
}

func clientRole(role, name string) []metric[*clientCounts] {
	suffix := " all " + role + " clients."
	return []metric[*clientCounts]{
		gauge(name+"_connection_count", "Connections of"+suffix,
			func(c *clientCounts) float64 { return c.connections(role) }),
		counter(name+"_incoming_byte_total", "Bytes received by"+suffix,
			func(c *clientCounts) float64 { return c.count(role, "read_bytes_total") }),
		counter(name+"_outgoing_byte_total", "Bytes sent by"+suffix,
			func(c *clientCounts) float64 { return c.count(role, "write_bytes_total") }),
	}
}

const workerRole = "admin" // the role whose clients stand in for the group client of a Kafka Connect worker

func clientRate(name, help string, value func(*clientCounts) float64) metric[*clientCounts] {
	return gauge("connect_client_"+name, help, func(c *clientCounts) float64 { return c.rate(name, value(c)) })
}

// The histograms of times have one sample for each request or response.
func requests(c *clientCounts) float64  { return c.count(workerRole, "write_time_seconds") }
func responses(c *clientCounts) float64 { return c.count(workerRole, "read_time_seconds") }

var clientMetrics = newMetrics("kafka_", []string{"client_id"}, slices.Concat(clientRole("producer", "producer"),
	clientRole("consumer", "consumer"), clientRole("admin", "admin_client"), []metric[*clientCounts]{
		gauge("connect_client_connection_count", "Connections of the worker's admin clients.",
			func(c *clientCounts) float64 { return c.connections(workerRole) }),
		clientRate("incoming_byte_rate", "Bytes that they receive per second, averaged over one to two minutes.",
			func(c *clientCounts) float64 { return c.count(workerRole, "read_bytes_total") }),
		clientRate("outgoing_byte_rate", "Bytes that they send per second, averaged over one to two minutes.",
			func(c *clientCounts) float64 { return c.count(workerRole, "write_bytes_total") }),
		clientRate("request_rate", "Requests that they send per second, averaged over one to two minutes.", requests),
		clientRate("response_rate", "Responses that they receive per second, averaged over one to two minutes.",
			responses),
		clientRate("network_io_rate", "Requests and responses per second, averaged over one to two minutes.",
			func(c *clientCounts) float64 { return requests(c) + responses(c) }),
		constant[*clientCounts]("connect_client_io_ratio", "Always NaN: only Java's clients have an I/O thread.",
			math.NaN()),
		constant[*clientCounts]("connect_client_failed_authentication_total", "Always NaN: logons are not counted.",
			math.NaN()),
		constant[*clientCounts]("connect_client_successful_authentication_rate", "Always NaN: logons are not counted.",
			math.NaN()),
	})...)

func roleOf(m *dto.Metric) string {
	for _, l := range m.Label {
		if l.GetName() == "role" {
			return l.GetValue()
		}
	}
	return ""
}
