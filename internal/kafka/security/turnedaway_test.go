package security

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/wire"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// A token that a broker rejects, although it has not expired, is replaced by another one: it may have been revoked, or
// signed with a key that is no longer in use.
func TestRejectedTokenIsReplaced(t *testing.T) {
	s := connectivitytest.NewServer()
	t.Cleanup(s.Close)
	given := map[string]Value{}
	for name, value := range map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER",
		"sasl.oauthbearer.token.endpoint.url": s.URL + connectivitytest.TokenPath,
		"sasl.jaas.config": oauthModule + ` required clientId="` + s.XSUAA.ID + `" clientSecret="` +
			s.XSUAA.Secret + `";`} {
		given[name] = Value{Name: name, Value: value}
	}
	a, _, err := New(t.Context(), Options{Properties: given, Live: &CurrentValues{}})
	require.NoError(t, err)
	g := NewDialer(a, nil, nil)
	defer g.cancel()
	g.logons.accepted = true // a client that had access until now
	show := func() string {
		_, message, err := g.access.sasl.Authenticate(context.Background(), "")
		require.NoError(t, err)
		return string(message)
	}
	first := show()
	if again := show(); again != first {
		t.Error("expected the token to be kept while brokers accept it")
	}
	conn, other := net.Pipe()
	defer conn.Close()
	defer other.Close()
	for _, refusal := range []error{kerr.SaslAuthenticationFailed,
		errors.New(`unexpected data in oauth response: "{\"status\":\"invalid_token\"}"`)} {
		before := show()
		g.OnBrokerConnect(kgo.BrokerMetadata{Host: "broker", Port: 9093}, 0, conn, refusal)
		if next := show(); next == before {
			t.Errorf("%v: expected another token", refusal)
		}
	}
	if n := s.TokenCount(s.XSUAA); n != 3 {
		t.Errorf("expected three tokens in all, found %d", n)
	}
	// A tunnel authenticates by itself.
	old := show()
	_, err = wire.Authenticate(t.Context(), "broker", g.access.sasl, func(r kmsg.Request) ([]byte, error) {
		if a, ok := r.ResponseKind().(*kmsg.SASLAuthenticateResponse); ok {
			a.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return a.AppendTo(nil), nil
		}
		return r.ResponseKind().AppendTo(nil), nil
	})
	if next := show(); err == nil || next == old {
		t.Errorf("expected another token after %v", err)
	}
	// If there is no other token, it is used again.
	before := show()
	s.TokenServiceDown(400)
	g.OnBrokerConnect(kgo.BrokerMetadata{Host: "broker", Port: 9093}, 0, conn, kerr.SaslAuthenticationFailed)
	if next := show(); next != before {
		t.Error("expected the only token")
	}
}
