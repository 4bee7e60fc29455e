package cluster

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
)

// A worker reaches its group as its settings specify: a proxy that rejects everyone keeps it out, even if the brokers
// are reachable directly.
func TestGroupJoinsThroughProxy(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, testTopic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	c, _, err := kafka.Parse(t.Context(), map[string]string{"bootstrap.servers": cluster.ListenAddrs()[0],
		"kafka.proxy.type": "http", "kafka.proxy.address": strings.TrimPrefix(proxy.URL, "http://")})
	require.NoError(t, err)
	g, err := Join(t.Context(), newWorker("a", c).o)
	if err == nil {
		g.Close()
	}
	assert.Error(t, err, "407")
}
