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

// sharedClient is a producing client with the producers that use it. It is closed with the last one.
type sharedClient struct {
	// Client is nil for transactions, see [Transactions].
	*kgo.Client
	// ctx is the context of all records: kgo drops a whole batch, with records of several feeds, by its first record's.
	ctx             context.Context
	cancel          context.CancelFunc
	maxRequestBytes int32
	onEnd           func() // removes the client from the shared ones; nil if it is not shared

	mu        sync.Mutex
	users     map[*Producer]struct{}
	isRetired bool // no further producer may use it
}

// newSharedClient opens a client without producers. clientID applies if the settings have none.
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

// SharedProducer is [NewProducer] with a client that producers of the same key share until the last Close, if their
// configurations are derived from the same one, see [sharedClients].
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

// newProducer adds a producer that buffers up to this number of bytes, unless the client is retired.
func (s *sharedClient) newProducer(limitBytes int) (p *Producer, ok bool) {
	p = &Producer{client: s, limit: limitBytes}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isRetired {
		return nil, false
	}
	s.users[p] = struct{}{}
	return p, true
}

// remove removes a producer. With the last one it cancels all records and closes the client.
func (s *sharedClient) remove(p *Producer) {
	s.mu.Lock()
	delete(s.users, p)
	isLast := len(s.users) == 0
	s.isRetired = s.isRetired || isLast
	s.mu.Unlock()
	if isLast {
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
	wasRetired := s.isRetired
	s.isRetired = true
	s.mu.Unlock()
	if !wasRetired {
		s.unregister()
	}
}

func (s *sharedClient) unregister() {
	if s.onEnd != nil {
		s.onEnd()
	}
}

// deny makes all producers fail, cancels their records, and closes the client.
func (s *sharedClient) deny(err error) {
	s.mu.Lock()
	s.isRetired = true
	users := slices.Collect(maps.Keys(s.users))
	s.mu.Unlock()
	s.unregister()
	for _, p := range users {
		p.deny(err)
	}
	s.cancel()
	go s.Close() // concurrently: Close waits for the callback that calls deny
}

// Limits of [kgo.ProducerBatchMaxBytesFn], in bytes.
const (
	minBatchBytes   = 512
	batchBytesLimit = 1 << 30
)

func (c Config) topicLimits() *sync.Map {
	if c.shared == nil {
		return &sync.Map{}
	}
	return &c.shared.cluster(c.Producer.withDefaults(c.ClientConfig).Bootstrap).topicLimits
}

// LoadTopicLimits reads max.message.bytes of a topic to bound batches, unless they are compressed. Without the right
// DESCRIBE_CONFIGS only max.request.size applies. It fails if brokers are unreachable.
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

// sharedClients are shared by a configuration of [Parse] and all that [Config.Override] has derived from it.
type sharedClients struct {
	mu        guard.Mutex // guards clusters
	clusters  map[string]*cluster
	opening   guard.Mutex // guards the fields below, and is held while a client is opened
	producers map[string]*sharedClient
	admins    map[string]*sharedAdmin
}

// cluster is the state that all clients of the same brokers share.
type cluster struct {
	outages     security.Outages
	topicLimits sync.Map // max.message.bytes (int32) by topic
}

// cluster returns the state of the brokers, and creates it if there is none.
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
