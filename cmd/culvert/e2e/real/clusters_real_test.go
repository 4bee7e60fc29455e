//go:build real

package real

import (
	"github.com/culvert-project/culvert/internal/e2etest"
	"testing"
)

// TestRealClusters has connectors work with two Apache Kafka clusters, as with embedded brokers.
func TestRealClusters(t *testing.T) {
	t.Parallel()
	var servers []string
	for range 2 {
		port, controller, dir := freePort(t), freePort(t), t.TempDir()
		startPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller}, port, dir)
		servers = append(servers, "127.0.0.1:"+port)
	}
	t.Run("Another", func(t *testing.T) { e2etest.ClientsOfAnotherCluster(t, servers[0], servers[1]) })
	t.Run("FromTheEnd", func(t *testing.T) { e2etest.OnceFromTheEnd(t, servers[0]) })
	t.Run("Reserved", func(t *testing.T) { e2etest.RowsNeverGoToTopicsOfTheWorker(t, servers[0]) })
}
