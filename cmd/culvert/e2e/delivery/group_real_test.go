//go:build real

package delivery

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealWorkersOfAGroup has three workers share connectors out among themselves by Apache Kafka.
func TestRealWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	WorkersOfAGroup(t, e2etest.NewPlace(t), e2etest.Kafka(t))
}

// TestRealStaticWorkersOfAGroup has workers with a group.instance.id come back, of which Apache Kafka says nothing to
// the others, and drains some.
func TestRealStaticWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	StaticWorkersOfAGroup(t, e2etest.NewPlace(t), e2etest.Kafka(t))
}

// TestRealPluginsOfAGroup has three workers roll a plugin by Apache Kafka.
func TestRealPluginsOfAGroup(t *testing.T) {
	t.Parallel()
	PluginsOfAGroup(t, e2etest.NewPlace(t), e2etest.Kafka(t))
}

// TestRealDeliveryOfAGroup kills workers of a group with exactly-once, has another one paused for longer than its
// session, and a sink's workers drained and killed, by Apache Kafka.
func TestRealDeliveryOfAGroup(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T, *e2etest.Place, string){
		"exactly once": ExactlyOnceOfAGroup, "paused owner": PausedOwnerOfAGroup,
		"sink": SinkOfAGroup} {
		t.Run(name, func(t *testing.T) {
			test(t, e2etest.NewPlace(t), e2etest.Kafka(t))
		})
	}
}
