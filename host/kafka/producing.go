package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka/security"
)

// sharedClient is a client that writes, with the producers that share it. It owns the client's goroutines until the
// last of them has left.
type sharedClient struct {
	// Client is nil where each page has one of its own, see [Transactions].
	*kgo.Client
	// ctx is the context of all records. It is not a feed's: the client takes back whole batches by the context of
	// their first record, and they may hold those of several feeds.
	ctx    context.Context
	cancel context.CancelFunc
	// maxRequestBytes is max.request.size, in bytes.
	maxRequestBytes int32
	// onEnd takes it from where others find it; nil: nobody does.
	onEnd func()

	mu    sync.Mutex
	users map[*Producer]struct{}
	// closed: it takes no more users.
	closed bool
}

// newSharedClient opens a client.
func newSharedClient(c Config, clientID string) (*sharedClient, error) {
	if c.Producer.ClientID == "" {
		c.Producer.ClientID = clientID
	}
	// The client's own limits are switched off: it would wait for room in the middle of a batch, with a context that
	// also governs what is on its way.
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

// SharedProducer is [NewProducer] with the client of all producers that were opened with the same key and whose
// configuration was made of the same one: the key is to tell apart what differs in their settings. The last one to be
// closed ends the client.
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

// join makes a producer of the client; !ok: the client has ended.
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

// remove ends the client with its last user.
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

// retire has those who come later open another client: this one may have failed for good, such as one that got no
// producer id. Who has it goes on with it.
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

// deny fails all users: brokers do not let the client in. Who comes later opens another one.
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
	go s.Close() // ends by itself: the client calls us from what it would wait for
}

// batchLimit bounds the batches of each topic by max.request.size, and by the topic's max.message.bytes where that is
// known, see [Config.LearnTopic]. A client asks once for each topic, with its first record.
func (c Config) batchLimit() kgo.Opt {
	return kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
		most := min(c.Producer.MaxRequestBytes, maxBatchBytes)
		if bytes, known := c.topicLimits().Load(topic); known {
			most = min(most, bytes.(int32))
		}
		return max(minBatchBytes, most)
	})
}

// topicLimits holds max.message.bytes by topic, for all clients that write to the same cluster.
func (c Config) topicLimits() *sync.Map {
	if c.shared == nil {
		return &sync.Map{}
	}
	return &c.shared.cluster(c.Producer.withDefaults(c.ClientConfig).Bootstrap).topicLimits
}

// LearnTopic reads max.message.bytes of a topic that the configuration's producers are about to write to: their batches
// there are no larger. Where brokers do not report it, for lack of the right DESCRIBE_CONFIGS or of the topic,
// max.request.size bounds them. With compression too, because the topic's limit is for compressed bytes. The error is
// that of brokers that cannot be reached.
func (c Config) LearnTopic(ctx context.Context, a *Admin, topic string) error {
	if c.Producer.Compression != "" && c.Producer.Compression != "none" {
		return nil
	}
	bytes, err := a.maxMessageBytes(ctx, topic)
	if security.Away(err) || ctx.Err() != nil {
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
	text, err := a.topicConfig(ctx, topic, "max.message.bytes")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err
}
