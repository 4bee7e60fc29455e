package kafka

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Metrics are Prometheus metrics of a worker's clients by role and broker, not by client and topic: there are many.
type Metrics struct {
	*prometheus.Registry
	producers kgo.Opt
	consumers kgo.Opt
	admins    kgo.Opt
}

// NewMetrics returns the metrics for all clients of a worker, with a registry of their own.
func NewMetrics() *Metrics {
	metrics := &Metrics{Registry: prometheus.NewRegistry()}
	hooks := func(role string) kgo.Opt {
		m := kprom.NewMetrics("culvert_kafka", kprom.Registerer(withoutBuffers{metrics.Registry}),
			kprom.WithStaticLabel(prometheus.Labels{"role": role}), kprom.Buckets([]float64{0.005, 0.05, 0.5, 5}),
			kprom.NativeBucketFactor(0), kprom.FetchAndProduceDetail(kprom.ByNode, kprom.Batches, kprom.Records,
				kprom.CompressedBytes, kprom.UncompressedBytes, kprom.ConsistentNaming))
		m.OnNewClient(nil) // creates the collectors; those that need the client are left out, see withoutBuffers
		return kgo.WithHooks(sharedHooks{m})
	}
	metrics.producers = hooks("producer")
	metrics.consumers = hooks("consumer")
	metrics.admins = hooks("admin")
	return metrics
}

// appendTo appends the hooks of a role to the options; a nil m has no hooks.
func (m *Metrics) appendTo(opts []kgo.Opt, role func(*Metrics) kgo.Opt) []kgo.Opt {
	if m == nil {
		return opts
	}
	return append(opts, role(m))
}

// sharedHooks are the hooks of all clients of a role: kprom would register and remove its collectors per client.
type sharedHooks struct{ *kprom.Metrics }

func (sharedHooks) OnNewClient(*kgo.Client)    {}
func (sharedHooks) OnClientClosed(*kgo.Client) {}

// withoutBuffers skips the metrics of buffers, which need one client; the others are shared by all clients of a role.
type withoutBuffers struct{ prometheus.Registerer }

func (w withoutBuffers) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		descriptions := make(chan *prometheus.Desc, 1) // each collector of kprom has one
		c.Describe(descriptions)
		if !strings.Contains((<-descriptions).String(), "_buffered_") {
			w.Registerer.MustRegister(c)
		}
	}
}
