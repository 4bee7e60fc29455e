package kafka

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// clock is a time that a test sets.
type clock struct {
	mu      sync.Mutex
	reading bootTime
}

func (c *clock) now() bootTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = c.reading.minus(-by)
}

// Within its session a member sends no request. After a session has expired only the coordinator's response counts: not
// the response to a heartbeat in flight, nor the time since the last successful one.
func TestExpiredSessionNeedsCoordinator(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1")
	config := testConfig(b.Addr())
	// No heartbeats except the requested ones.
	config.Consumer.SessionTimeout = 5 * time.Minute
	config.Consumer.HeartbeatInterval = 4 * time.Minute
	config.Consumer.MaxPollInterval = 16 * time.Minute
	config.Consumer.Assignors = []string{"range"} // which has no early heartbeat
	c := &clock{reading: now()}
	realNow := now
	now = c.now // the client calls it from its first request on, in its own goroutines
	s := openConsumer(t, config, ConsumerOptions{Group: "connect-zombie", Topics: []string{"orders"}})
	now = realNow
	pollValues(t, s, 1, Offsets{})

	var mu sync.Mutex
	requests := 0
	var code *kerr.Error
	b.Cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		requests++
		return kafkatest.Response(r, code), nil, true
	})
	// expect checks the membership while the coordinator responds with a code, or without an error if it is nil.
	expect := func(about string, response *kerr.Error, wantRequests int, want error) {
		t.Helper()
		mu.Lock()
		requests = 0
		code = response
		mu.Unlock()
		err := s.CheckMembership(kafkatest.Context(t))
		mu.Lock()
		defer mu.Unlock()
		assert.True(t, errors.Is(err, want) && requests == wantRequests,
			"%s: expected %d requests and the error %v, found %d, %v", about, wantRequests, want, requests, err)
	}
	expect("at first", nil, 1, nil)
	expect("within the session", kerr.UnknownMemberID, 0, nil)
	c.advance(config.Consumer.SessionTimeout - 1)
	expect("at its end", kerr.UnknownMemberID, 0, nil)
	c.advance(1)
	s.session.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Heartbeat), kgo.BrokerE2E{}) // with unknown contents
	expect("after it", kerr.UnknownMemberID, 1, kerr.UnknownMemberID)
	expect("once more", kerr.FencedInstanceID, 1, kerr.FencedInstanceID)
	expect("while the group rebalances", kerr.RebalanceInProgress, 1, nil)
	c.advance(config.Consumer.SessionTimeout - 1)
	s.session.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Heartbeat), kgo.BrokerE2E{ReadErr: errors.New("cut")})
	expect("a heartbeat that was cut", nil, 0, nil)
	s.session.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Heartbeat), kgo.BrokerE2E{})
	c.advance(config.Consumer.SessionTimeout - 1)
	expect("after a heartbeat that was answered in time", nil, 0, nil)
	c.advance(2 * time.Minute)
	expect("when it was to join for longer than it may", kerr.RebalanceInProgress, 1, kerr.RebalanceInProgress)
	expect("once it has joined", nil, 1, nil)
}

// A session expires when either of its clocks says so: Go's clock stops while a machine sleeps.
func TestSessionOnBothClocks(t *testing.T) {
	t.Parallel()
	start := now()
	for name, c := range map[string]struct {
		monotonic time.Duration
		boot      time.Duration
		isValid   bool
	}{
		"both ran":                       {monotonic: 9 * time.Second, boot: 9 * time.Second, isValid: true},
		"the machine slept":              {monotonic: time.Second, boot: 10 * time.Second},
		"the other clock was set back":   {monotonic: 10 * time.Second, boot: -time.Hour},
		"it was set back, not for long":  {monotonic: 9 * time.Second, boot: -time.Hour, isValid: true},
		"both ran for the whole session": {monotonic: 10 * time.Second, boot: 10 * time.Second},
	} {
		s := NewSession("connect-test", "", 10*time.Second, time.Minute)
		clock := start
		s.now = func() bootTime { return clock }
		assert.True(t, !s.IsValid(), "%s: expected no session before its start", name)
		s.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Heartbeat), kgo.BrokerE2E{}) // from an earlier session
		s.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.SyncGroup), kgo.BrokerE2E{})
		assert.True(t, !s.IsValid(), "%s: expected no session before the join", name)
		s.Joined()
		clock = bootTime{start.monotonic.Add(c.monotonic), start.boot + c.boot}
		if s.IsValid() != c.isValid {
			t.Errorf("%s: expected a valid session: %v, found %v", name, c.isValid, s.IsValid())
		}
		s.Ended()
		clock = start
		assert.True(t, !s.IsValid(), "%s: expected no session after its end", name)
	}
	first := now()
	assert.True(t, now().since(first) >= 0 && first.boot > 0, "expected running clocks, found %v", first)
}
