package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// load is a number of records that are produced and consumed at the same time, each with its own number.
type load struct {
	topic   string
	records int
	steps   []step // in order

	acknowledged atomic.Int64 // records
	received     atomic.Int64 // different records
}

// step is an action that runs when the consumer has received this number of records, before it polls for more.
type step struct {
	received int
	action   func()
}

// produce sends all records, 500 per batch, and waits until they are acknowledged.
func (l *load) produce(ctx context.Context, c Config) error {
	p, err := NewProducer(c, "load")
	if err != nil {
		return err
	}
	failures := make(chan error, 1)
	for n := 0; n < l.records; {
		batch := p.NewBatch()
		for range min(500, l.records-n) {
			r := batch.Add()
			r.Topic = l.topic
			r.Value = binary.BigEndian.AppendUint64(make([]byte, 0, 100), uint64(n))
			r.Key = r.Value[:8]
			r.Value = append(r.Value, strings.Repeat("x", 92)...)
			n++
		}
		p.Produce(ctx, batch, func(n int, err error) {
			l.acknowledged.Add(int64(n))
			if err != nil {
				select {
				case failures <- err:
				default:
				}
			}
		})
		// The producer is ahead of the consumer by a bounded number, so that an event halfway affects both.
		for l.acknowledged.Load() > l.received.Load()+5_000 && ctx.Err() == nil {
			if pause.For(ctx, time.Millisecond) != nil {
				break
			}
		}
	}
	err = p.Close(ctx)
	select {
	case failure := <-failures:
		return failure
	default:
		return err
	}
}

// consume reads until every record was received, commits on the way, and reports records that arrived with two offsets.
func (l *load) consume(ctx context.Context, c Config) error {
	s, err := NewConsumer(c, ConsumerOptions{Group: "connect-load", Topics: []string{l.topic}})
	if err != nil {
		return err
	}
	defer s.Close()
	type position struct {
		partition int32
		offset    int64
	}
	seen := make(map[uint64]position, l.records)
	settled := Offsets{}
	commits := 0
	for polls := 0; len(seen) < l.records; polls++ {
		records, err := s.Poll(ctx)
		if err != nil {
			return fmt.Errorf("after %d records: %w", len(seen), err)
		}
		for _, r := range records {
			n := binary.BigEndian.Uint64(r.Value)
			current := position{r.Partition, r.Offset}
			if previous, ok := seen[n]; ok && previous != current {
				return fmt.Errorf("record %d is in the topic twice, at %v and %v", n, previous, current)
			}
			seen[n] = current
			mark(settled, r)
		}
		for len(l.steps) > 0 && len(seen) >= l.steps[0].received {
			l.steps[0].action()
			l.steps = l.steps[1:]
		}
		l.received.Store(int64(len(seen)))
		if polls%20 == 0 {
			if s.Commit(ctx, settled) == nil { // otherwise it is retried with the next batch
				commits++
			}
		}
	}
	if err := s.Commit(ctx, settled); err != nil || commits < 2 {
		return fmt.Errorf("expected offsets to be committed on the way and at the end, found %d commits, then %w",
			commits, err)
	}
	return nil
}

// run produces and consumes. The test fails if records are lost or duplicated or if one side fails.
func (l *load) run(t *testing.T, ctx context.Context, c Config) {
	t.Helper()
	var group sync.WaitGroup
	var produceErr, consumeErr error
	group.Go(func() { produceErr = l.produce(ctx, c) })
	group.Go(func() { consumeErr = l.consume(ctx, c) })
	group.Wait()
	require.True(t, produceErr == nil && consumeErr == nil, "producer: %v; consumer: %v", produceErr, consumeErr)
	assert.True(t, l.acknowledged.Load() == int64(l.records) && l.received.Load() == int64(l.records),
		"expected %d records, %d are acknowledged, %d arrived", l.records, l.acknowledged.Load(), l.received.Load())
}

// Three brokers are reachable only through the tunnel, with TLS and SASL inside it. Tokens expire, a broker is
// restarted, no Cloud Connector responds for a while (T13), and nothing is lost.
func TestThroughCloudConnector(t *testing.T) {
	t.Parallel()
	a := certtest.Issue(t, "authority", nil, nil)
	hosts := []string{"broker-0.corp.invalid", "broker-1.corp.invalid", "broker-2.corp.invalid"}
	r := openRemote(t, kfake.TLS(serverOf(t, a, hosts...)), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-256", "alice", "hush-hush"), kfake.SeedTopics(6, "load"))
	r.Fragment(true) // every response of the proxy in single bytes
	var log journal
	c := parseConfig(t, r.properties(t, "security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-256",
		"sasl.jaas.config="+scramLogon, "ssl.truststore.certificates="+string(a.PEM())))
	c.Logger = log.logger()
	ctx := longContext(t)

	var group sync.WaitGroup
	l := &load{topic: "load", records: 60_000, steps: []step{
		{received: 10_000, action: func() { expireTokens(t, r) }},
		{received: 20_000, action: func() { restartBroker(ctx, t, r, &group) }},
		{received: 30_000, action: func() { detachConnector(ctx, r, &group) }},
	}}
	l.run(t, ctx, c)
	group.Wait()
	assert.AtLeast(t, 3, missingConnectors(r), "repeated requests to the proxy: responses of 03")
	assert.AtLeast(t, 2, r.TokenCount(r.Connectivity), "tokens to be renewed in the middle")
	rejected := r.Count(func(e connectivitytest.Entry) bool {
		return e.Port == "socks5" && e.Step == connectivitytest.Logon
	})
	if rejected == 0 || unreachableBrokers(r) == 0 {
		t.Errorf("expected rejected tokens and an unreachable broker, found %d and %d", rejected, unreachableBrokers(r))
	}
	checkSeveralBrokersAreReached(t, r, len(hosts))
	for _, secret := range []string{"hush-hush", r.Connectivity.Secret, "eyJ"} {
		assert.True(t, !strings.Contains(log.String(), secret), "expected no secret in the log, found %.10s…", secret)
	}
	assert.True(t, strings.Contains(log.String(), "kafka: "), "expected entries in the log: it is not the clients' log")
}

// unreachableBrokers counts the proxy's responses that a broker is unreachable.
func unreachableBrokers(r *remote) int {
	return r.Count(func(e connectivitytest.Entry) bool { return e.Port == "socks5" && e.Code == 0x04 })
}

// missingConnectors counts the proxy's responses that no Cloud Connector is connected.
func missingConnectors(r *remote) int {
	return r.Count(func(e connectivitytest.Entry) bool { return e.Code == 0x03 && e.Port == "socks5" })
}

func expireTokens(t *testing.T, r *remote) {
	r.Lifetime(2 * time.Second) // for new tokens, which then expire on their own
	r.ExpireTokens()            // the proxy rejects the tokens in use
	assert.True(t, r.DropTunnels() != 0, "expected tunnels")
}

// restartBroker closes the busiest broker, and opens it again in the group once a client has found it unreachable.
func restartBroker(ctx context.Context, t *testing.T, r *remote, group *sync.WaitGroup) {
	broker := busiestListener(ctx, r.listeners) // some lead no partition
	assert.True(t, broker.shut() != 0, "expected a connection of the broker to end")
	group.Go(func() {
		for unreachableBrokers(r) == 0 && pause.For(ctx, 100*time.Millisecond) == nil {
			// No client has tried the broker so far.
		}
		broker.reopen(t)
	})
}

// detachConnector ends the Cloud Connector's connection and tunnels. The group attaches it again after 2 s and three
// requests.
func detachConnector(ctx context.Context, r *remote, group *sync.WaitGroup) {
	r.Detach("") // which also ends its tunnels
	group.Go(func() {
		pause.For(ctx, 2*time.Second)
		for missingConnectors(r) < 3 && pause.For(ctx, 100*time.Millisecond) == nil {
			// The clients have sent fewer than three requests so far.
		}
		r.Attach("")
	})
}

// checkSeveralBrokersAreReached checks that there were tunnels to at least two brokers by their names. A broker that
// leads no partition may receive no request.
func checkSeveralBrokersAreReached(t *testing.T, r *remote, brokers int) {
	t.Helper()
	reached := 0
	for i := range brokers {
		virtual := fmt.Sprintf("kafka.virtual:%d", 19092+i)
		tunnels := r.Count(func(e connectivitytest.Entry) bool {
			return e.Target == virtual && e.Kind == 0x03 && e.Code == 0
		})
		if tunnels > 0 {
			reached++
		}
	}
	assert.True(t, reached >= 2, "expected tunnels to several brokers by their names, found them to %d", reached)
}

// A virtual host that no Cloud Connector exposes fails the task at once, with its name.
func TestForbiddenHostFailsAtOnce(t *testing.T) {
	r := openRemote(t, kfake.SeedTopics(3, "t"))
	for i := range 3 {
		r.Unmap(fmt.Sprintf("kafka.virtual:%d", 19092+i))
	}
	c := parseConfig(t, r.properties(t, "kafka.proxy.outage.ms=3600000")) // no test waits for it
	for client, use := range map[string]func(*testing.T, Config) error{
		"producer": produceOne,
		"consumer": pollOnce,
		"reader":   readOnce,
		"command":  func(_ *testing.T, c Config) error { return c.CheckReachable(longContext(t)) },
	} {
		expectDenied(t, client, use(t, c), "add kafka.virtual:1909")
	}
}

// A token service that is down is a transient error, one that rejects the secret is not. The secret is not shown.
func TestTokenServiceOfTheProxy(t *testing.T) {
	t.Parallel()
	r := openRemote(t, kfake.SeedTopics(1, "t"))
	t.Run("token service down", func(t *testing.T) {
		r.TokenServiceDown(http.StatusServiceUnavailable)
		defer r.TokenServiceDown(0)
		admin, err := NewAdmin(parseConfig(t, r.properties(t, "kafka.proxy.outage.ms=60000")))
		require.NoError(t, err)
		defer admin.Close()
		_, err = admin.ClusterID(limitedContext(t, 2*time.Second))
		expectTransient(t, err)
	})
	t.Run("wrong secret", func(t *testing.T) {
		err := produceOne(t, parseConfig(t, r.properties(t, "kafka.proxy.token.client.secret=hush-hush")))
		expectDenied(t, "secret", err, "kafka.proxy.token.client.")
		assert.True(t, !strings.Contains(fmt.Sprint(err), "hush-hush"), "found the secret in %v", err)
	})
}

// P25: the token service's secret changes in its file, and a new service key replaces the old one, without a restart.
func TestProxySecretRotation(t *testing.T) {
	r := openRemote(t, kfake.SeedTopics(1, "t"))
	key := filepath.Join(t.TempDir(), "key.json")
	writeKey := func(text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(key, []byte(text), 0o600))
	}
	validKey := r.ServiceKey(0)
	writeKey(strings.Replace(validKey, `"clientsecret": "`, `"clientsecret": "old-`, 1))
	secret := "old-secret"
	for _, c := range []struct {
		name       string
		properties map[string]string
		correct    func()
	}{
		{
			name:       "service key",
			properties: r.propertiesWithoutBinding(t, "kafka.proxy.service.key="+key),
			correct:    func() { writeKey(validKey) },
		}, {
			name:       "secret",
			properties: r.properties(t, "kafka.proxy.token.client.secret=old-secret"),
			correct:    func() { secret = r.Connectivity.Secret },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := parseConfig(t, c.properties)
			config.SetCurrentValues(func(name string) (string, bool) {
				return secret, name == "kafka.proxy.token.client.secret"
			})
			require.True(t, config.CheckReachable(longContext(t)) != nil, "expected the old secret to be rejected")
			c.correct()
			assert.NoError(t, config.CheckReachable(longContext(t)))
		})
	}
}

// With TLS, neither the traffic between client and broker nor the log contains a secret or a token. Without TLS it
// would.
func TestNoSecretInTrafficOrLog(t *testing.T) {
	a := certtest.Issue(t, "authority", nil, nil)
	token := "eyJhbGciOiJub25lIn0"
	for _, c := range []struct {
		name      string
		mechanism string
		logon     string
		secrets   []string
	}{
		{name: "PLAIN", mechanism: "PLAIN", logon: plainLogon, secrets: []string{"hush-hush"}},
		{name: "SCRAM", mechanism: "SCRAM-SHA-256", logon: scramLogon, secrets: []string{"hush-hush", "n=alice"}},
		{
			name:      "OAUTHBEARER",
			mechanism: "OAUTHBEARER",
			logon: oauthModule +
				` required unsecuredLoginStringClaim_sub="alice" unsecuredLoginStringClaim_s="hush-hush";`,
			secrets: []string{"hush-hush", token},
		},
	} {
		for _, protocol := range []string{"SASL_SSL", "SASL_PLAINTEXT"} {
			t.Run(c.name+" "+protocol, func(t *testing.T) {
				opts := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "hush-hush"),
					kfake.Superuser("SCRAM-SHA-256", "alice", "hush-hush"),
					kfake.SeedTopics(1, "t")}
				if protocol == "SASL_SSL" {
					opts = append(opts, kfake.TLS(serverOf(t, a)))
				}
				d := newRestartableListener(t, "127.0.0.1:1")
				openCluster(t, []*restartableListener{d}, opts...)
				wire := porttest.NewTap(t, d.realAddr)
				var log journal
				config := parseConfig(t, map[string]string{"bootstrap.servers": "127.0.0.1:1",
					"kafka.proxy.address.map": "127.0.0.1:1=" + wire.At, "security.protocol": protocol,
					"sasl.mechanism": c.mechanism, "sasl.jaas.config": c.logon,
					"ssl.truststore.certificates": string(a.PEM())})
				config.Logger = log.logger()
				err := produceOne(t, config)
				require.True(t, (err != nil) == (c.mechanism == "OAUTHBEARER"),
					"expected an error only of OAUTHBEARER, which the broker does not support, found %v", err)
				isReadable := false
				for _, secret := range c.secrets {
					isReadable = isReadable || strings.Contains(wire.Seen(), secret)
					assert.True(t, !strings.Contains(log.String(), secret),
						"expected no secret in the log, found %.10s…", secret)
				}
				require.True(t, len(wire.Seen()) >= 100, "expected traffic")
				expected := protocol == "SASL_PLAINTEXT" && c.mechanism != "OAUTHBEARER"
				assert.Equal(t, expected, isReadable, "secrets in the traffic")
			})
		}
	}
}
