package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// serverOf returns a TLS configuration with a server certificate for these hosts and 127.0.0.1.
func serverOf(t *testing.T, ca *certtest.Issued, hosts ...string) *tls.Config {
	t.Helper()
	broker := certtest.Issue(t, "broker", ca, func(c *x509.Certificate) {
		c.DNSNames = hosts
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	return &tls.Config{Certificates: []tls.Certificate{broker.TLS()}}
}

// clientOf returns a client certificate and its key as PEM texts.
func clientOf(t *testing.T, ca *certtest.Issued) (chain, key string) {
	t.Helper()
	client := certtest.Issue(t, "client", ca, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	chain = string(client.PEM())
	return chain, strings.TrimSuffix(string(client.KeyPEM(t)), chain)
}

const (
	plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"

	oauthHandlers = "org.apache.kafka.common.security.oauthbearer."
	oauthModule   = oauthHandlers + "OAuthBearerLoginModule"
	tokenHandler  = oauthHandlers + "OAuthBearerLoginCallbackHandler"

	plainLogon = plainModule + ` required username="alice" password="hush-hush";`
	scramLogon = scramModule + ` required username="alice" password="hush-hush";`
	oauthLogon = oauthModule + ` required clientId="id" clientSecret="hush-hush" scope="kafka";`
)

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 60)]
}

// Kinds of clients inherit the common settings property by property. A client of another cluster inherits none of them.
func TestSecurityByClientKind(t *testing.T) {
	a := certtest.Issue(t, "authority", nil, nil)
	worker, _, err := Parse(t.Context(), map[string]string{
		"bootstrap.servers":           "kafka:9092",
		"security.protocol":           "SASL_SSL",
		"sasl.mechanism":              "PLAIN",
		"sasl.jaas.config":            plainLogon,
		"ssl.truststore.certificates": string(a.PEM()),
		"consumer.sasl.mechanism":     "SCRAM-SHA-512",
		"consumer.sasl.jaas.config":   scramLogon,
		"admin.bootstrap.servers":     "elsewhere:9092",
	})
	require.NoError(t, err)
	mechanism := func(c ClientConfig) string {
		tlsConfig, _ := c.access.TLS()
		logon := c.access.SASL()
		switch {
		case logon == nil && tlsConfig == nil:
			return "PLAINTEXT"
		case tlsConfig == nil:
			return logon.Name()
		case logon == nil:
			return "TLS"
		}
		return "TLS " + logon.Name()
	}
	mechanisms := func(c Config) []string {
		return []string{mechanism(c.Producer.ClientConfig), mechanism(c.Consumer.ClientConfig), mechanism(c.Admin)}
	}
	assert.Equal(t, []string{"TLS PLAIN", "TLS SCRAM-SHA-512", "PLAINTEXT"}, mechanisms(worker), "worker")
	connector, _, err := worker.Override(t.Context(), map[string]string{
		"producer.override.sasl.mechanism":    "SCRAM-SHA-256",
		"producer.override.sasl.jaas.config":  scramLogon,
		"consumer.override.security.protocol": "SSL",
		"admin.override.bootstrap.servers":    "kafka:9092",
		"admin.override.security.protocol":    "SASL_PLAINTEXT",
		"admin.override.sasl.mechanism":       "PLAIN",
		"admin.override.sasl.jaas.config":     plainLogon,
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"TLS SCRAM-SHA-256", "TLS", "PLAIN"}, mechanisms(connector), "connector")
	diff := cmp.Diff([]string{"TLS PLAIN", "TLS SCRAM-SHA-512", "PLAINTEXT"}, mechanisms(worker))
	assert.True(t, diff == "", "expected the worker's configuration not to change (-want +got):\n%s", diff)
	_, _, err = worker.Override(t.Context(), map[string]string{"producer.override.sasl.jaas.config": scramLogon})
	if err == nil || !strings.HasPrefix(err.Error(), "producer.override.sasl.jaas.config: expected "+plainModule+
		" for sasl.mechanism PLAIN") {
		t.Errorf("expected an error with the connector's name of the setting, found %v", err)
	}
}

// Reading a key store is bounded work, and stops when its caller's context ends.
func TestKeyStoreReadStopsWithContext(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, store := range []string{"client.p12", "client.jceks"} {
		properties := map[string]string{"bootstrap.servers": "a:1", "security.protocol": "SSL",
			"ssl.keystore.location": "../../testdata/samples/keystores/" + store, "ssl.keystore.password": "changeit"}
		_, _, err := Parse(t.Context(), properties)
		assert.NoError(t, err, store)
		_, _, err = Parse(canceled, properties)
		assert.ErrorIs(t, err, context.Canceled, store, "the read to stop")
	}
}
