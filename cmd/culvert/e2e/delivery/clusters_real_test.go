//go:build real

package delivery

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealClusters has connectors work with two Apache Kafka clusters, as with embedded brokers.
func TestRealClusters(t *testing.T) {
	t.Parallel()
	var servers []string
	for range 2 {
		servers = append(servers, e2etest.Kafka(t))
	}
	t.Run("Another", func(t *testing.T) { ClientsOfAnotherCluster(t, servers[0], servers[1]) })
	t.Run("Reserved", func(t *testing.T) { RowsNeverGoToTopicsOfTheWorker(t, servers[0]) })
}
