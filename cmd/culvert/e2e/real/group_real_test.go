//go:build real

package real

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealWorkersOfAGroup has three workers share connectors out among themselves by Apache Kafka.
func TestRealWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2etest.WorkersOfAGroup(t, e2etest.NewPlace(t), "127.0.0.1:"+port)
}

// TestRealStaticWorkersOfAGroup has workers with a group.instance.id come back, of which Apache Kafka says nothing to
// the others, and drains some.
func TestRealStaticWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2etest.StaticWorkersOfAGroup(t, e2etest.NewPlace(t), "127.0.0.1:"+port)
}

// TestRealPluginsOfAGroup has three workers roll a plugin by Apache Kafka.
func TestRealPluginsOfAGroup(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2etest.PluginsOfAGroup(t, e2etest.NewPlace(t), "127.0.0.1:"+port)
}

// TestRealDeliveryOfAGroup kills workers of a group with exactly-once, has another one paused for longer than its
// session, and a sink's workers drained and killed, by Apache Kafka.
func TestRealDeliveryOfAGroup(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T, *e2etest.Place, string){
		"exactly once": e2etest.ExactlyOnceOfAGroup, "paused owner": e2etest.PausedOwnerOfAGroup,
		"sink": e2etest.SinkOfAGroup} {
		t.Run(name, func(t *testing.T) {
			port, controller, dir := freePort(t), freePort(t), t.TempDir()
			startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
			test(t, e2etest.NewPlace(t), "127.0.0.1:"+port)
		})
	}
}

// Of two groups on one config topic one runs what stands there, until it has released it by Apache Kafka.
func TestRealTwoGroupsOnATopic(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2etest.TwoGroupsOnATopic(t, e2etest.NewPlace(t), "127.0.0.1:"+port)
}
