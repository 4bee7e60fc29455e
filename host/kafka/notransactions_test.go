package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/culvert-project/culvert/wit"
)

// Brokers without transactions are a fault that names the setting.
func TestBrokersWithoutTransactions(t *testing.T) {
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		answer.ErrorCode = kerr.UnsupportedVersion.Code
		return answer, nil, true
	})
	c := testConfig(strings.Join(cluster.ListenAddrs(), ","))
	_, opened := OpenTransactions(t.Context(), c, "test", []string{"g-c-0"}, &offsetRecords{}, 0)
	for name, err := range map[string]error{"fence": Fence(t.Context(), c, []string{"g-c-0"}), "open": opened} {
		var fault *wit.Fault
		if !errors.As(err, &fault) || fault.Kind != wit.FaultConfig ||
			!strings.Contains(err.Error(), "exactly.once.source.support=disabled") {
			t.Errorf("%s: expected a fault that names exactly.once.source.support, found %v", name, err)
		}
	}
}
