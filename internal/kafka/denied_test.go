package kafka

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// journal is a log that enables more than debug messages.
type journal struct{ logtest.Journal }

func (j *journal) logger() *slog.Logger { return j.Logger(slog.LevelDebug - 4) }

// deniedHost is the name of the broker that may deny access.
const deniedHost = "broker.test.invalid"

// accessCase is a broker's options and a client's properties.
type accessCase struct {
	name       string
	opts       []kfake.Opt
	properties []string
	denial     string // a part of the error; "" means access
}

// Clients that brokers deny access fail within seconds, with a message that names what to change.
func TestDenied(t *testing.T) {
	t.Parallel()
	for _, c := range accessCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkAccess(t, c)
		})
	}
}

func accessCases(t *testing.T) []accessCase {
	t.Helper()
	a := certtest.Issue(t, "authority", nil, nil)
	other := certtest.Issue(t, "authority", nil, nil)
	chain, key := clientOf(t, a)
	secure := serverOf(t, a, deniedHost)
	otherHost := serverOf(t, a, "somebody.else.invalid")
	mutual := serverOf(t, a, deniedHost)
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	mutual.ClientCAs = a.Pool()
	sasl := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "hush-hush"),
		kfake.Superuser("SCRAM-SHA-256", "alice", "hush-hush")}
	trust := "ssl.truststore.certificates=" + string(a.PEM())
	trustOther := "ssl.truststore.certificates=" + string(other.PEM())
	const anyHost = "ssl.endpoint.identification.algorithm="
	logon := func(protocol, mechanism, jaas string) []string {
		return []string{"sasl.mechanism=" + mechanism, "sasl.jaas.config=" + jaas, "security.protocol=" + protocol}
	}
	return []accessCase{
		{name: "plain"},
		{
			name:   "plain client, TLS broker",
			opts:   []kfake.Opt{kfake.TLS(secure)},
			denial: "the broker speaks TLS: set security.protocol to SSL",
		},
		{
			name:       "TLS client, plain broker",
			properties: []string{"security.protocol=SSL", trust},
			denial:     "the broker speaks plain Kafka: set security.protocol to PLAINTEXT",
		},
		{
			name:       "TLS",
			opts:       []kfake.Opt{kfake.TLS(secure)},
			properties: []string{"security.protocol=SSL", trust},
		},
		{
			name:       "unknown authority",
			opts:       []kfake.Opt{kfake.TLS(secure)},
			properties: []string{"security.protocol=SSL", trustOther},
			denial:     "TLS: ssl.truststore.certificates",
		},
		{
			name:       "other host",
			opts:       []kfake.Opt{kfake.TLS(otherHost)},
			properties: []string{"security.protocol=SSL", trust},
			denial:     "somebody.else.invalid",
		},
		{
			name:       "other host, no check",
			opts:       []kfake.Opt{kfake.TLS(otherHost)},
			properties: []string{"security.protocol=SSL", trust, anyHost},
		},
		{
			name:       "unknown authority, no check of hosts",
			opts:       []kfake.Opt{kfake.TLS(secure)},
			properties: []string{"security.protocol=SSL", trustOther, anyHost},
			denial:     "TLS: ",
		},
		{
			name:       "no client certificate",
			opts:       []kfake.Opt{kfake.TLS(mutual)},
			properties: []string{"security.protocol=SSL", trust},
			denial:     "certificate",
		},
		{
			name: "client certificate",
			opts: []kfake.Opt{kfake.TLS(mutual)},
			properties: []string{"security.protocol=SSL", trust, "ssl.keystore.key=" + key,
				"ssl.keystore.certificate.chain=" + chain},
		},
		{
			name:   "SASL is missing",
			opts:   sasl,
			denial: "but the broker requires it: set security.protocol to SASL_SSL",
		},
		{
			name:       "SASL is missing inside TLS",
			opts:       append(sasl, kfake.TLS(secure)),
			properties: []string{"security.protocol=SSL", trust},
			denial:     "but the broker requires it: set security.protocol to SASL_SSL",
		},
		{
			name:       "nobody wants SASL",
			properties: logon("SASL_PLAINTEXT", "PLAIN", plainLogon),
			denial:     "it closes the connection during logon",
		},
		{name: "PLAIN", opts: sasl, properties: logon("SASL_PLAINTEXT", "PLAIN", plainLogon)},
		{
			name:       "wrong password, hung up",
			opts:       sasl,
			properties: logon("SASL_PLAINTEXT", "PLAIN", strings.Replace(plainLogon, "hush-hush", "quiet", 1)),
			denial:     "token, of sasl.jaas.config may be wrong",
		},
		{
			name:       "wrong password of SCRAM",
			opts:       sasl,
			properties: logon("SASL_PLAINTEXT", "SCRAM-SHA-256", strings.Replace(scramLogon, "hush-hush", "quiet", 1)),
			denial:     "sasl.jaas.config",
		},
		{
			name: "other mechanism",
			opts: sasl,
			properties: logon("SASL_PLAINTEXT", "OAUTHBEARER",
				oauthModule+` required unsecuredLoginStringClaim_sub="alice";`),
			denial: "does not offer the mechanism of sasl.mechanism, only PLAIN, SCRAM-SHA-256",
		},
		{
			name:       "SASL without TLS, TLS broker",
			opts:       append(sasl, kfake.TLS(secure)),
			properties: logon("SASL_PLAINTEXT", "PLAIN", plainLogon),
			denial:     "the broker speaks TLS: set security.protocol",
		},
		{
			name:       "SASL and TLS",
			opts:       append(sasl, kfake.TLS(secure)),
			properties: append(logon("SASL_SSL", "SCRAM-SHA-256", scramLogon), trust),
		},
	}
}

func checkAccess(t *testing.T, c accessCase) {
	d := newRestartableListener(t, deniedHost+":9092")
	openCluster(t, []*restartableListener{d}, c.opts...)
	config := parseConfig(t, with(map[string]string{"bootstrap.servers": deniedHost + ":9092",
		"kafka.proxy.address.map": deniedHost + ":9092=" + d.realAddr}, c.properties...))
	var log journal
	config.Logger = log.logger()
	began := time.Now()
	for _, client := range []struct {
		name string
		use  func(*testing.T, Config) error
	}{
		{"reader", readOnce},
		{"producer", produceOne},
		{"consumer", pollOnce},
	} {
		if c.denial != "" && time.Since(began) > time.Second {
			break // one client is enough for denials that take time
		}
		err := client.use(t, config)
		if c.denial == "" {
			assert.NoError(t, err, client.name, "access")
			continue
		}
		expectDenied(t, client.name, err, c.denial, "broker "+deniedHost+":9092: ")
	}
	assert.True(t, !strings.Contains(log.String(), "hush-hush"), "expected no password in the log")
}

func produceOne(t *testing.T, c Config) error {
	t.Helper()
	p := openTestProducer(t, c)
	// The topic exists or is created by the metadata request of another client, once that has access.
	go func() {
		if admin, err := NewAdmin(c); err == nil {
			defer admin.Close()
			admin.EnsureTopics(longContext(t), Topic{Name: "t"})
		}
	}()
	select {
	case err := <-deliver(longContext(t), p, "t", "1"):
		return err
	case <-time.After(5 * time.Minute):
		return errors.New("nothing happened for 5 min")
	}
}

func pollOnce(t *testing.T, c Config) error {
	t.Helper()
	s, err := NewConsumer(c, ConsumerOptions{Group: "connect-t", Topics: []string{"t"}})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Poll(longContext(t))
	return err
}

func readOnce(t *testing.T, c Config) error {
	t.Helper()
	r, err := NewReader(c)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Read(longContext(t), "t", ReadOptions{}, func(*kgo.Record) error { return nil })
	if errors.Is(err, ErrUnknownTopic) {
		return nil
	}
	return err
}

// A broker that closes connections because it is being stopped denies nobody: requests for API versions get no
// response.
func TestStoppedBrokerIsNoDenial(t *testing.T) {
	t.Parallel()
	d := newRestartableListener(t, "")
	openCluster(t, []*restartableListener{d}, kfake.SeedTopics(1, "t"))
	stoppedBroker := porttest.Serve(t, func(net.Conn) {}) // accepts connections and closes them
	a := certtest.Issue(t, "authority", nil, nil)
	for name, properties := range map[string]map[string]string{
		"plain": {},
		"TLS":   {"security.protocol": "SSL", "ssl.truststore.certificates": string(a.PEM())},
	} {
		t.Run(name, func(t *testing.T) {
			properties["bootstrap.servers"] = d.realAddr
			properties["kafka.proxy.address.map"] = d.realAddr + "=" + stoppedBroker
			c := parseConfig(t, properties)
			admin, err := NewAdmin(c)
			require.NoError(t, err)
			defer admin.Close()
			_, err = admin.ClusterID(limitedContext(t, 4*time.Second))
			expectTransient(t, err)
		})
	}
}

// A broker that is restarted during the check is not reported as one that requires SASL.
func TestRestartedBrokerRequiresNoSASL(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	var requests atomic.Int32
	b.Cluster.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		// Version 4 is the request of the check.
		if (r.GetVersion() == 4 && requests.Add(1) > 1) || requests.Load() > 1 {
			return nil, nil, false
		}
		return nil, errors.New("killed"), true
	})
	p := openTestProducer(t, testConfig(b.Addr()))
	if err := <-deliver(kafkatest.Context(t), p, "orders", "1"); err != nil || requests.Load() != 2 {
		t.Errorf("expected the record to arrive after 2 metadata requests of the check, found %d requests and error %v",
			requests.Load(), err)
	}
}
