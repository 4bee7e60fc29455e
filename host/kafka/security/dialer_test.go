package security

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// A client that was let in is denied only when it is turned away again and again for a while: secrets are not changed
// on both sides at once.
func TestDialersPatience(t *testing.T) {
	broker := kgo.BrokerMetadata{NodeID: 1, Host: "broker", Port: 9092}
	cases := []struct {
		name string
		err  error
		let  bool
		// waits are between one refusal and the next; denied after the last one alone.
		waits []time.Duration
	}{
		{"password refused, never let in", kerr.SaslAuthenticationFailed, false, nil},
		{"password refused", kerr.SaslAuthenticationFailed, true, []time.Duration{time.Second, 3 * time.Second,
			2 * time.Second}},
		{"mechanism refused", kerr.UnsupportedSaslMechanism, true, []time.Duration{6 * time.Second, 0}},
		{"no SASL on this port", kerr.IllegalSaslState, false, nil},
		{"hung up, never let in", io.EOF, false, []time.Duration{time.Second, time.Second}},
		{"credentials that cannot be used", &logonError{errors.New("sasl.jaas.config: expected a semicolon")}, false,
			nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nobody := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody") }
				g := NewDialer(&Access{connectBy: nobody, connect: time.Second,
					sasl:  plain.Auth{User: "u", Pass: "p"}.AsMechanism(),
					named: func(name string) string { return name }}, nil, nil)
				defer g.end()
				var told []error
				g.OnDenied(func(err error) { told = append(told, err) })
				conn, other := net.Pipe()
				defer conn.Close()
				defer other.Close()
				if c.let {
					g.OnBrokerRead(broker, 3, 100, 0, 0, nil)
				}
				g.OnBrokerConnect(broker, 0, conn, c.err)
				for _, wait := range c.waits {
					if len(told) > 0 {
						t.Fatalf("denied too early: %v", told)
					}
					time.Sleep(wait)
					g.OnBrokerConnect(broker, 0, conn, c.err)
				}
				if len(told) != 1 || g.standing() == nil {
					t.Fatalf("expected to be denied once, found %v", told)
				}
				time.Sleep(denialLasts)
				if err := g.standing(); err != nil {
					t.Errorf("expected another try after %v, found %v", denialLasts, err)
				}
			})
		})
	}
	t.Run("let in between", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := NewDialer(nil, nil, nil)
			defer g.end()
			conn, other := net.Pipe()
			defer conn.Close()
			defer other.Close()
			for range 10 {
				g.OnBrokerRead(broker, 3, 100, 0, 0, nil)
				g.OnBrokerConnect(broker, 0, conn, kerr.SaslAuthenticationFailed)
				time.Sleep(3 * time.Second)
			}
			if err := g.standing(); err != nil {
				t.Errorf("expected that brokers which let the client in go before, found %v", err)
			}
		})
	})
}
