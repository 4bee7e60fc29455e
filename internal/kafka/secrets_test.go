package kafka

import (
	"context"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// P25: a password that is changed, first at the broker and then in its file, is used for the next logon. Nothing is
// restarted or lost.
func TestKafkaSecretRotation(t *testing.T) {
	t.Parallel()
	d := newRestartableListener(t, "")
	openCluster(t, []*restartableListener{d}, kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-256", "alice", "hush-hush"),
		kfake.Superuser("PLAIN", "root", "root"), kfake.SeedTopics(1, "t"))
	c := parseConfig(t, map[string]string{
		"bootstrap.servers": d.realAddr,
		"security.protocol": "SASL_PLAINTEXT",
		"sasl.mechanism":    "SCRAM-SHA-256",
		"sasl.jaas.config":  scramLogon,
	})
	var currentLogon atomic.Value
	currentLogon.Store(scramLogon)
	c.SetCurrentValues(func(name string) (string, bool) {
		value := currentLogon.Load().(string)
		return value, name == "sasl.jaas.config"
	})
	ctx := longContext(t)
	p := openTestProducer(t, c)
	require.NoError(t, <-deliver(ctx, p, "t", "x"))
	root := parseConfig(t, map[string]string{
		"bootstrap.servers": d.realAddr,
		"security.protocol": "SASL_PLAINTEXT",
		"sasl.mechanism":    "PLAIN",
		"sasl.jaas.config":  plainModule + ` required username="root" password="root";`,
	})
	admin := kadm.NewClient(kafkatest.Client(t, root.AdminOpts()...))
	response, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: "alice", Mechanism: kadm.ScramSha256,
		Iterations: 4096, Password: "other"}})
	if err == nil {
		err = response.Error()
	}
	require.NoError(t, err)
	d.shut() // the next logon uses the old password
	d.reopen(t)
	result := deliver(ctx, p, "t", "x")
	pause.For(ctx, 2*time.Second)
	currentLogon.Store(strings.Replace(scramLogon, "hush-hush", "other", 1))
	assert.NoError(t, <-result)
}

// OAUTHBEARER logs on with the token of a token service, of a file, or with a locally created one.
func TestBearer(t *testing.T) {
	s := connectivitytest.NewServer()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("eyJ.from.file\n"), 0o600))
	id := `clientId="` + s.XSUAA.ID + `" `
	secret := `clientSecret="` + s.XSUAA.Secret + `" `
	roots := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(roots, []byte(s.RootsPEM()), 0o600))
	bearer := map[string]string{"bootstrap.servers": "127.0.0.1:1", "security.protocol": "SASL_PLAINTEXT",
		"sasl.mechanism": "OAUTHBEARER"}
	initialMessage := func(t *testing.T, properties ...string) (string, error) {
		t.Helper()
		_, message, err := parseConfig(t, with(bearer, properties...)).SASL().Authenticate(context.Background(), "")
		return string(message), err
	}
	t.Run("token service", func(t *testing.T) {
		message, err := initialMessage(t, "sasl.login.callback.handler.class="+tokenHandler,
			"sasl.oauthbearer.token.endpoint.url="+s.URL+connectivitytest.TokenPath,
			"sasl.jaas.config="+oauthModule+" required "+id+secret+`extension_logicalCluster="lkc-1";`)
		assert.True(t, err == nil && strings.HasPrefix(message, "n,,\x01auth=Bearer eyJ") &&
			strings.HasSuffix(message, "\x01logicalCluster=lkc-1\x01\x01"),
			"expected the service's token and the extension, found %q, %v", message, err)
	})
	t.Run("token service by TLS, properties of Kafka 4.1", func(t *testing.T) {
		message, err := initialMessage(t, "sasl.oauthbearer.token.endpoint.url="+s.TLSURL+connectivitytest.TokenPath,
			"sasl.oauthbearer.client.credentials.client.id="+s.XSUAA.ID,
			"sasl.oauthbearer.client.credentials.client.secret="+s.XSUAA.Secret,
			"sasl.jaas.config="+oauthModule+` required ssl.truststore.type="PEM" ssl.truststore.location="`+roots+`";`)
		assert.True(t, err == nil && strings.HasPrefix(message, "n,,\x01auth=Bearer eyJ"),
			"expected the service's token, found %q, %v", message, err)
	})
	t.Run("wrong secret", func(t *testing.T) {
		_, err := initialMessage(t, "sasl.oauthbearer.token.endpoint.url="+s.URL+connectivitytest.TokenPath,
			"sasl.jaas.config="+oauthModule+" required "+id+`clientSecret="hush-hush";`)
		assert.True(t, err != nil && !strings.Contains(err.Error(), "hush-hush") && !kgo.IsRetryableBrokerErr(err),
			"expected a permanent error, found %v", err)
	})
	t.Run("token service down", func(t *testing.T) {
		s.TokenServiceDown(503)
		defer s.TokenServiceDown(0)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c := parseConfig(t, with(bearer, "sasl.oauthbearer.token.endpoint.url="+s.URL+connectivitytest.TokenPath,
			"sasl.jaas.config="+oauthModule+" required "+id+secret+";"))
		if _, _, err := c.SASL().Authenticate(ctx, ""); err == nil || !kgo.IsRetryableBrokerErr(err) {
			t.Errorf("expected an error that the client takes for a transient one, found %v", err)
		}
	})
	t.Run("file", func(t *testing.T) {
		address := (&url.URL{Scheme: "file", Path: file}).String()
		message, err := initialMessage(t, "sasl.oauthbearer.token.endpoint.url="+address,
			"sasl.oauthbearer.jwt.retriever.class="+oauthHandlers+"FileJwtRetriever",
			"sasl.jaas.config="+oauthModule+" required;")
		assert.True(t, err == nil && message == "n,,\x01auth=Bearer eyJ.from.file\x01\x01",
			"expected the token of the file, found %q, %v", message, err)
	})
	t.Run("unsecured", func(t *testing.T) {
		message, err := initialMessage(t, "sasl.jaas.config="+oauthModule+
			` required unsecuredLoginStringClaim_sub="alice" unsecuredLoginNumberClaim_n="1.5" unsecuredLoginListClaim_l=",a,b" unsecuredLoginLifetimeSeconds="60";`)
		token, ok := strings.CutPrefix(message, "n,,\x01auth=Bearer eyJhbGciOiJub25lIn0.")
		body, _, _ := strings.Cut(token, ".")
		claims, decodeErr := base64.RawURLEncoding.DecodeString(body)
		const want = `"l":["a","b"],"n":1.5,"sub":"alice"`
		assert.True(t, err == nil && decodeErr == nil && ok && strings.Contains(string(claims), want),
			"expected an unsigned token with %s, found %q with %s, %v", want, message, claims, err)
	})
}
