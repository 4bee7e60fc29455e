package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// sharedClient is a producing client with the producers that use it. The last one to leave closes it.
type sharedClient struct {
	// Client is nil for transactions, see [Transactions].
	*kgo.Client
	// ctx is the context of all records: kgo drops a whole batch, with records of several feeds, by its first record's.
	ctx             context.Context
	cancel          context.CancelFunc
	maxRequestBytes int32
	onEnd           func()

	mu     sync.Mutex
	users  map[*Producer]struct{}
	closed bool
}

func newSharedClient(c Config, clientID string) (*sharedClient, error) {
	if c.Producer.ClientID == "" {
		c.Producer.ClientID = clientID
	}
	// kgo's limits are disabled: it would wait in the middle of a batch.
	s := &sharedClient{maxRequestBytes: c.Producer.MaxRequestBytes, users: map[*Producer]struct{}{}}
	client, dialer, err := newClient(c.ProducerOpts(kgo.MaxBufferedRecords(math.MaxInt),
		kgo.MaxBufferedBytes(math.MaxInt)))
	if err != nil {
		return nil, err
	}
	s.Client = client
	s.ctx, s.cancel = context.WithCancel(context.Background())
	dialer.OnDenied(s.deny)
	return s, nil
}

// SharedProducer is [NewProducer] with a client that is shared by all producers with the same key whose
// configurations have the same origin. The last Close ends the client.
func (c Config) SharedProducer(key, clientID string) (*Producer, error) {
	if c.shared == nil {
		return NewProducer(c, clientID)
	}
	root := c.shared
	root.opening.Lock()
	defer root.opening.Unlock()
	if client := root.producers[key]; client != nil {
		if p, ok := client.newProducer(c.Producer.BufferBytes); ok {
			return p, nil
		}
	}
	client, err := newSharedClient(c, clientID)
	if err != nil {
		return nil, err
	}
	if root.producers == nil {
		root.producers = map[string]*sharedClient{}
	}
	root.producers[key] = client
	client.onEnd = func() {
		root.opening.Lock()
		defer root.opening.Unlock()
		if root.producers[key] == client {
			delete(root.producers, key)
		}
	}
	p, _ := client.newProducer(c.Producer.BufferBytes)
	return p, nil
}

func (s *sharedClient) newProducer(limit int) (p *Producer, ok bool) {
	p = &Producer{client: s, limit: limit}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	s.users[p] = struct{}{}
	return p, true
}

func (s *sharedClient) remove(p *Producer) {
	s.mu.Lock()
	delete(s.users, p)
	last := len(s.users) == 0
	s.closed = s.closed || last
	s.mu.Unlock()
	if last {
		s.unregister()
		s.cancel()
		if s.Client != nil {
			s.Close()
		}
	}
}

// retire makes later producers open another client, because this one may have failed for good.
func (s *sharedClient) retire() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if !closed {
		s.unregister()
	}
}

func (s *sharedClient) unregister() {
	if s.onEnd != nil {
		s.onEnd()
	}
}

func (s *sharedClient) deny(err error) {
	s.mu.Lock()
	s.closed = true
	users := slices.Collect(maps.Keys(s.users))
	s.mu.Unlock()
	s.unregister()
	for _, p := range users {
		p.deny(err)
	}
	s.cancel()
	go s.Close() // concurrently: Close waits for the callback that calls deny
}

// batchLimit bounds batches by max.request.size and, if [Config.LoadTopicLimits] has read it, the topic's
// max.message.bytes. A client asks once per topic.
func (c Config) batchLimit() kgo.Opt {
	return kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
		limit := min(c.Producer.MaxRequestBytes, batchBytesLimit)
		if bytes, ok := c.topicLimits().Load(topic); ok {
			limit = min(limit, bytes.(int32))
		}
		return max(minBatchBytes, limit)
	})
}

func (c Config) topicLimits() *sync.Map {
	if c.shared == nil {
		return &sync.Map{}
	}
	return &c.shared.cluster(c.Producer.withDefaults(c.ClientConfig).Bootstrap).topicLimits
}

// LoadTopicLimits reads max.message.bytes of a topic to bound batches, unless they are compressed: the limit is for
// compressed bytes. Without the right DESCRIBE_CONFIGS only max.request.size applies. It fails if brokers are
// unreachable.
func (c Config) LoadTopicLimits(ctx context.Context, a *Admin, topic string) error {
	if c.Producer.Compression != "" && c.Producer.Compression != "none" {
		return nil
	}
	bytes, err := a.maxMessageBytes(ctx, topic)
	if security.IsUnreachable(err) || ctx.Err() != nil {
		return fmt.Errorf("topic %s: max.message.bytes: %w", topic, cmp.Or(err, ctx.Err()))
	}
	if err != nil {
		c.log().Debug("max.message.bytes is not known: max.request.size bounds batches", "topic", topic, "error", err)
		return nil
	}
	c.topicLimits().Store(topic, bytes)
	return nil
}

func (a *Admin) maxMessageBytes(ctx context.Context, topic string) (int32, error) {
	limit, err := a.topicConfig(ctx, topic, "max.message.bytes")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(limit, 10, 32)
	return int32(n), err
}

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
