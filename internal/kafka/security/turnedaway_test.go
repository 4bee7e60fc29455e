package security

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// A token that a broker rejects, although it has not expired, is replaced by another one: it may have been revoked, or
// signed with a key that is no longer in use.
func TestRejectedTokenIsReplaced(t *testing.T) {
	s := connectivitytest.NewServer()
	t.Cleanup(s.Close)
	properties := map[string]clientconfig.Value{}
	for name, value := range map[string]string{
		"security.protocol":                   "SASL_PLAINTEXT",
		"sasl.mechanism":                      "OAUTHBEARER",
		"sasl.oauthbearer.token.endpoint.url": s.URL + connectivitytest.TokenPath,
		"sasl.jaas.config": oauthModule + ` required clientId="` + s.XSUAA.ID + `" clientSecret="` +
			s.XSUAA.Secret + `";`,
	} {
		properties[name] = clientconfig.Value{Name: name, Value: value}
	}
	a, _, err := New(t.Context(), Options{Properties: properties, Live: &CurrentValues{}})
	require.NoError(t, err)
	d := NewDialer(a, nil, nil)
	defer d.cancel()
	d.logons.wasAccepted = true // a client that had access until now
	logOn := func() string {
		_, message, err := d.access.sasl.Authenticate(context.Background(), "")
		require.NoError(t, err)
		return string(message)
	}
	first := logOn()
	assert.Equal(t, first, logOn(), "the token is kept while brokers accept it")
	conn, peer := net.Pipe()
	defer conn.Close()
	defer peer.Close()
	for _, rejection := range []error{
		kerr.SaslAuthenticationFailed,
		errors.New(`unexpected data in oauth response: "{\"status\":\"invalid_token\"}"`),
	} {
		rejected := logOn()
		d.OnBrokerConnect(kgo.BrokerMetadata{Host: "broker", Port: 9093}, 0, conn, rejection)
		assert.True(t, logOn() != rejected, "%v: expected another token", rejection)
	}
	assert.Equal(t, 3, s.TokenCount(s.XSUAA), "tokens in all")
	// A tunnel authenticates by itself.
	rejected := logOn()
	_, err = Authenticate(t.Context(), "broker", d.access.sasl, func(r kmsg.Request) ([]byte, error) {
		if a, ok := r.ResponseKind().(*kmsg.SASLAuthenticateResponse); ok {
			a.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return a.AppendTo(nil), nil
		}
		return r.ResponseKind().AppendTo(nil), nil
	})
	if next := logOn(); err == nil || next == rejected {
		t.Errorf("expected an error and then another token, found %v, another token: %v", err, next != rejected)
	}
	// If there is no other token, it is used again.
	only := logOn()
	s.TokenServiceDown(400)
	d.OnBrokerConnect(kgo.BrokerMetadata{Host: "broker", Port: 9093}, 0, conn, kerr.SaslAuthenticationFailed)
	assert.True(t, logOn() == only, "expected the rejected token again, because there is no other")
}
