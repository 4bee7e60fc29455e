package kafka

import (
	"strings"
	"sync"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka/security"
)

// shared is what a configuration and all that were made of it have in common.
type shared struct {
	mu guard.Mutex
	// clusters are by bootstrap.servers.
	clusters map[string]*cluster
	// producing are clients that feeds share, by their settings; opening guards it and is held while one is opened.
	opening   guard.Mutex
	producers map[string]*sharedClient
	// admins are those that administrators share, under the same lock.
	admins map[string]*sharedAdmin
}

// cluster is what all clients know of the brokers that they start from.
type cluster struct {
	outages security.Outages
	// topicLimits holds max.message.bytes (int32) by topic.
	topicLimits sync.Map
}

// cluster is that of some brokers to start from.
func (s *shared) cluster(bootstrap []string) *cluster {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.Join(bootstrap, ",")
	if s.clusters == nil {
		s.clusters = map[string]*cluster{}
	}
	if s.clusters[key] == nil {
		s.clusters[key] = &cluster{}
	}
	return s.clusters[key]
}
