//go:build real

package real

import (
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
)

// TestRealWorkersOfAGroup has three workers share connectors out among themselves by Apache Kafka.
func TestRealWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2e.WorkersOfAGroup(t, e2e.NewPlace(t), "127.0.0.1:"+port)
}

// TestRealStaticWorkersOfAGroup has workers with a group.instance.id come back, of which Apache Kafka says nothing to
// the others, and drains some.
func TestRealStaticWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2e.StaticWorkersOfAGroup(t, e2e.NewPlace(t), "127.0.0.1:"+port)
}

// TestRealPluginsOfAGroup has three workers roll a plugin by Apache Kafka.
func TestRealPluginsOfAGroup(t *testing.T) {
	t.Parallel()
	port, controller, dir := freePort(t), freePort(t), t.TempDir()
	startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
	e2e.PluginsOfAGroup(t, e2e.NewPlace(t), "127.0.0.1:"+port)
}
