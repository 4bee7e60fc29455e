package kafka

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Figures are what all clients of a worker have done, by what they are for and by broker. They are not counted by
// client, nor by topic: connectors have as many clients as they have tasks, and a histogram of each would be more than
// anybody reads.
type Figures struct {
	*prometheus.Registry
	producers, consumers, admins kgo.Opt
}

// NewFigures makes figures of which none is counted yet, with a registry of their own.
func NewFigures() *Figures {
	f := &Figures{Registry: prometheus.NewRegistry()}
	of := func(role string) kgo.Opt {
		m := kprom.NewMetrics("culvert_kafka", kprom.Registerer(withoutBuffers{f.Registry}),
			kprom.WithStaticLabel(prometheus.Labels{"role": role}), kprom.Buckets([]float64{0.005, 0.05, 0.5, 5}),
			kprom.NativeBucketFactor(0), kprom.FetchAndProduceDetail(kprom.ByNode, kprom.Batches, kprom.Records,
				kprom.CompressedBytes, kprom.UncompressedBytes, kprom.ConsistentNaming))
		m.OnNewClient(nil) // makes what is counted in: only its buffers, which are left out, would be a client's
		return kgo.WithHooks(sharedHooks{m})
	}
	f.producers, f.consumers, f.admins = of("producer"), of("consumer"), of("admin")
	return f
}

// with adds the hooks of one role to the options of a client; without figures there are none.
func (f *Figures) with(role func(*Figures) kgo.Opt, opts []kgo.Opt) []kgo.Opt {
	if f == nil {
		return opts
	}
	return append(opts, role(f))
}

// sharedHooks count together: what kprom would do for each is done once.
type sharedHooks struct{ *kprom.Metrics }

func (sharedHooks) OnNewClient(*kgo.Client)    {}
func (sharedHooks) OnClientClosed(*kgo.Client) {}

// withoutBuffers takes all figures but those of a client's buffers.
type withoutBuffers struct{ prometheus.Registerer }

func (u withoutBuffers) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		described := make(chan *prometheus.Desc, 1) // each collector of kprom has one
		c.Describe(described)
		if !strings.Contains((<-described).String(), "_buffered_") {
			u.Registerer.MustRegister(c)
		}
	}
}
