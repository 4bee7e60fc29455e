//go:build real

package delivery

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealWorkersOfAGroup distributes connectors over three workers with Apache Kafka.
func TestRealWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	WorkersOfAGroup(t, e2etest.NewPlace(t), e2etest.StartKafka(t))
}

// TestRealStaticWorkersOfAGroup restarts workers with a group.instance.id, about which Apache Kafka does not notify the
// others, and drains some.
func TestRealStaticWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	StaticWorkersOfAGroup(t, e2etest.NewPlace(t), e2etest.StartKafka(t))
}

// TestRealDeliveryOfAGroup uses Apache Kafka. It kills workers of a group with exactly-once, and drains and kills a
// sink's workers.
func TestRealDeliveryOfAGroup(t *testing.T) {
	t.Parallel()
	servers := e2etest.StartKafka(t)
	t.Run("exactly once", func(t *testing.T) { ExactlyOnceOfAGroup(t, e2etest.NewPlace(t), servers) })
	t.Run("sink", func(t *testing.T) { SinkOfAGroup(t, e2etest.NewPlace(t), servers) })
}
