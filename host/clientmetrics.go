package host

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// clientRole is a role of Kafka's clients (see [kafka.Figures]) with its figures under the names that dashboards for
// Kafka Connect ask for. The sums are of all clients of the role, so each has the same client_id.
type clientRole struct {
	role                        string
	connections, received, sent *prometheus.Desc
}

const clientID = "culvert"

func clientFigure(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("kafka_"+name, help, []string{"client_id"}, nil)
}

func newClientRole(role, name string) clientRole {
	of := " of all clients of the role " + role + "."
	return clientRole{role, clientFigure(name+"_connection_count", "Connections"+of),
		clientFigure(name+"_incoming_byte_total", "Bytes that were received"+of),
		clientFigure(name+"_outgoing_byte_total", "Bytes that were sent"+of)}
}

var clientRoles = []clientRole{newClientRole("producer", "producer"), newClientRole("consumer", "consumer"),
	newClientRole("admin", "admin_client")}

// ownClient are the figures that Kafka Connect has of the client by which a worker is a member of its group. Here they
// are those of the admin clients. Java's clients alone know how much of its time a thread spends on input and output,
// and count logons: both are NaN.
var ownClient = struct {
	connections, received, sent, requests, responses, exchanges *prometheus.Desc
	unknown                                                     []*prometheus.Desc
}{
	clientFigure("connect_client_connection_count", "Connections of the worker's admin clients."),
	clientFigure("connect_client_incoming_byte_rate", "Bytes that they receive in a second, over about a minute."),
	clientFigure("connect_client_outgoing_byte_rate", "Bytes that they send in a second, over about a minute."),
	clientFigure("connect_client_request_rate", "Requests that they send in a second, over about a minute."),
	clientFigure("connect_client_response_rate", "Answers that they get in a second, over about a minute."),
	clientFigure("connect_client_network_io_rate", "Requests and answers in a second, over about a minute."),
	[]*prometheus.Desc{
		clientFigure("connect_client_io_ratio", "Always NaN: Java's clients alone have a thread for it."),
		clientFigure("connect_client_failed_authentication_total", "Always NaN: logons are not counted."),
		clientFigure("connect_client_successful_authentication_rate", "Always NaN: logons are not counted."),
	},
}

func describeClients(to chan<- *prometheus.Desc) {
	for _, r := range clientRoles {
		to <- r.connections
		to <- r.received
		to <- r.sent
	}
	o := &ownClient
	for _, d := range append([]*prometheus.Desc{o.connections, o.received, o.sent, o.requests, o.responses,
		o.exchanges}, o.unknown...) {
		to <- d
	}
}

// collectClients sends the figures of Kafka's clients, of what franz-go's kprom has counted of them.
func collectClients(to chan<- prometheus.Metric, clients prometheus.Gatherer, rates *rates, now time.Time) {
	families, err := clients.Gather()
	if err != nil {
		return // kprom's own figures say so in the same answer
	}
	counted := map[string]float64{} // by role and figure
	for _, f := range families {
		for _, m := range f.Metric {
			counted[roleOf(m)+" "+f.GetName()] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	of := func(role, name string) float64 { return counted[role+" culvert_kafka_"+name] }
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(d, kind, value, clientID)
	}
	open := func(role string) float64 { return of(role, "connects_total") - of(role, "disconnects_total") }
	for _, r := range clientRoles {
		send(r.connections, prometheus.GaugeValue, open(r.role))
		send(r.received, prometheus.CounterValue, of(r.role, "read_bytes_total"))
		send(r.sent, prometheus.CounterValue, of(r.role, "write_bytes_total"))
	}
	const own = "admin"
	rate := func(d *prometheus.Desc, value float64) {
		send(d, prometheus.GaugeValue, rates.of(rateKey{figure: d}, now, value))
	}
	requests, responses := of(own, "write_time_seconds"), of(own, "read_time_seconds")
	send(ownClient.connections, prometheus.GaugeValue, open(own))
	rate(ownClient.received, of(own, "read_bytes_total"))
	rate(ownClient.sent, of(own, "write_bytes_total"))
	rate(ownClient.requests, requests)
	rate(ownClient.responses, responses)
	rate(ownClient.exchanges, requests+responses)
	for _, d := range ownClient.unknown {
		send(d, prometheus.GaugeValue, math.NaN())
	}
}

func roleOf(m *dto.Metric) string {
	for _, l := range m.Label {
		if l.GetName() == "role" {
			return l.GetValue()
		}
	}
	return ""
}
