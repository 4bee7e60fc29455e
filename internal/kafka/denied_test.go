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

// An accessCase is a broker with options, and a client's properties.
type accessCase struct {
	name       string
	opts       []kfake.Opt
	properties []string
	denial     string // a part of the error; "" means access
}

// Clients that brokers deny access fail within seconds, with a message that names what to change.
func TestDenied(t *testing.T) {
	t.Parallel()
	a := certtest.Issue(t, "authority", nil, nil)
	other := certtest.Issue(t, "authority", nil, nil)
	chain, key := clientOf(t, a)
	secure := serverOf(t, a, deniedHost)
	mutual := serverOf(t, a, deniedHost)
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	mutual.ClientCAs = a.Pool()
	sasl := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "hush-hush"),
		kfake.Superuser("SCRAM-SHA-256", "alice", "hush-hush")}
	trust := "ssl.truststore.certificates=" + string(a.PEM())
	logon := func(mechanism, jaas string) []string {
		return []string{"sasl.mechanism=" + mechanism, "sasl.jaas.config=" + jaas}
	}
	for _, c := range []accessCase{
		{"plain", nil, nil, ""},
		{"plain client, TLS broker", []kfake.Opt{kfake.TLS(secure)}, nil,
			"the broker speaks TLS: set security.protocol to SSL"},
		{"TLS client, plain broker", nil, []string{"security.protocol=SSL", trust},
			"the broker speaks plain Kafka: set security.protocol to PLAINTEXT"},
		{"TLS", []kfake.Opt{kfake.TLS(secure)}, []string{"security.protocol=SSL", trust}, ""},
		{"unknown authority", []kfake.Opt{kfake.TLS(secure)}, []string{"security.protocol=SSL",
			"ssl.truststore.certificates=" + string(other.PEM())}, "TLS: ssl.truststore.certificates"},
		{"other host", []kfake.Opt{kfake.TLS(serverOf(t, a, "somebody.else.invalid"))},
			[]string{"security.protocol=SSL", trust}, "somebody.else.invalid"},
		{"other host, no check", []kfake.Opt{kfake.TLS(serverOf(t, a, "somebody.else.invalid"))},
			[]string{"security.protocol=SSL", trust, "ssl.endpoint.identification.algorithm="}, ""},
		{"unknown authority, no check of hosts", []kfake.Opt{kfake.TLS(secure)}, []string{"security.protocol=SSL",
			"ssl.truststore.certificates=" + string(other.PEM()), "ssl.endpoint.identification.algorithm="}, "TLS: "},
		{"no client certificate", []kfake.Opt{kfake.TLS(mutual)}, []string{"security.protocol=SSL", trust},
			"certificate"},
		{"client certificate", []kfake.Opt{kfake.TLS(mutual)}, []string{"security.protocol=SSL", trust,
			"ssl.keystore.key=" + key, "ssl.keystore.certificate.chain=" + chain}, ""},
		{"SASL is missing", sasl, nil, "but the broker requires it: set security.protocol to SASL_SSL"},
		{"SASL is missing inside TLS", append(sasl, kfake.TLS(secure)), []string{"security.protocol=SSL", trust},
			"but the broker requires it: set security.protocol to SASL_SSL"},
		{"nobody wants SASL", nil, append(logon("PLAIN", plainLogon), "security.protocol=SASL_PLAINTEXT"),
			"it closes the connection during logon"},
		{"PLAIN", sasl, append(logon("PLAIN", plainLogon), "security.protocol=SASL_PLAINTEXT"), ""},
		{"wrong password, hung up", sasl, append(logon("PLAIN", strings.Replace(plainLogon, "hush-hush", "quiet", 1)),
			"security.protocol=SASL_PLAINTEXT"), "token, of sasl.jaas.config may be wrong"},
		{"wrong password of SCRAM", sasl, append(logon("SCRAM-SHA-256", strings.Replace(scramLogon, "hush-hush",
			"quiet", 1)), "security.protocol=SASL_PLAINTEXT"), "sasl.jaas.config"},
		{"other mechanism", sasl, append(logon("OAUTHBEARER",
			oauthModule+` required unsecuredLoginStringClaim_sub="alice";`), "security.protocol=SASL_PLAINTEXT"),
			"does not offer the mechanism of sasl.mechanism, only PLAIN, SCRAM-SHA-256"},
		{"SASL without TLS, TLS broker", append(sasl, kfake.TLS(secure)), append(logon("PLAIN", plainLogon),
			"security.protocol=SASL_PLAINTEXT"), "the broker speaks TLS: set security.protocol"},
		{"SASL and TLS", append(sasl, kfake.TLS(secure)), append(logon("SCRAM-SHA-256", scramLogon),
			"security.protocol=SASL_SSL", trust), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkAccess(t, c)
		})
	}
}

func checkAccess(t *testing.T, c accessCase) {
	d := newDoor(t, deniedHost+":9092")
	openCluster(t, []*restartableListener{d}, c.opts...)
	config := parsed(t, with(map[string]string{"bootstrap.servers": deniedHost + ":9092",
		"kafka.proxy.address.map": deniedHost + ":9092=" + d.at}, c.properties...))
	var log journal
	config.Logger = log.logger()
	began := time.Now()
	for _, client := range []struct {
		name string
		use  func(*testing.T, Config) error
	}{{"reader", readOnce}, {"producer", produceOne}, {"consumer", pollOnce}} {
		if c.denial != "" && time.Since(began) > time.Second {
			break // one client is enough for denials that take time
		}
		err := client.use(t, config)
		if c.denial == "" {
			if err != nil {
				t.Errorf("%s: expected access, found %v", client.name, err)
			}
			continue
		}
		expectDenied(t, client.name, err, c.denial, "broker "+deniedHost+":9092: ")
	}
	if strings.Contains(log.String(), "hush-hush") {
		t.Error("expected no password in the log")
	}
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
	d := newDoor(t, "")
	openCluster(t, []*restartableListener{d}, kfake.SeedTopics(1, "t"))
	to := porttest.Serve(t, func(net.Conn) {}) // accepts connections and closes them
	a := certtest.Issue(t, "authority", nil, nil)
	for name, more := range map[string]map[string]string{"plain": {}, "TLS": {"security.protocol": "SSL",
		"ssl.truststore.certificates": string(a.PEM())}} {
		t.Run(name, func(t *testing.T) {
			more["bootstrap.servers"] = d.at
			more["kafka.proxy.address.map"] = d.at + "=" + to
			c := parsed(t, more)
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
	var asked atomic.Int32
	b.Cluster.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		if (r.GetVersion() == 4 && asked.Add(1) > 1) || asked.Load() > 1 { // version 4 is the request of the check
			return nil, nil, false
		}
		return nil, errors.New("killed"), true
	})
	p := openTestProducer(t, testConfig(b.Addr()))
	if err := <-deliver(kafkatest.Context(t), p, "orders", "1"); err != nil || asked.Load() != 2 {
		t.Errorf("expected the record to arrive after 2 metadata requests of the check, found %d requests and error %v",
			asked.Load(), err)
	}
}
