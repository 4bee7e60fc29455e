package kafka

import (
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// sharedClients are shared by all configurations with the same origin. opening is held while one is opened or closed.
type sharedClients struct {
	mu        guard.Mutex
	clusters  map[string]*cluster
	opening   guard.Mutex
	producers map[string]*sharedClient
	admins    map[string]*sharedAdmin
}

type cluster struct {
	outages     security.Outages
	topicLimits sync.Map
}

func (s *sharedClients) cluster(bootstrap []string) *cluster {
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
