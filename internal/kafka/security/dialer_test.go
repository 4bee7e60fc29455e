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

// A client that had access is denied only after repeated rejections for a while: secrets are not changed on both sides
// at once.
func TestDialerToleratesRejections(t *testing.T) {
	broker := kgo.BrokerMetadata{NodeID: 1, Host: "broker", Port: 9092}
	cases := []struct {
		name     string
		err      error
		accepted bool
		// waits are the intervals between rejections. denied applies to the last rejection alone.
		waits []time.Duration
	}{
		{name: "password refused, never let in", err: kerr.SaslAuthenticationFailed},
		{
			name: "password refused", err: kerr.SaslAuthenticationFailed, accepted: true,
			waits: []time.Duration{time.Second, 3 * time.Second, 2 * time.Second},
		},
		{
			name: "mechanism refused", err: kerr.UnsupportedSaslMechanism, accepted: true,
			waits: []time.Duration{6 * time.Second, 0},
		},
		{name: "no SASL on this port", err: kerr.IllegalSaslState},
		{name: "hung up, never let in", err: io.EOF, waits: []time.Duration{time.Second, time.Second}},
		{
			name: "credentials that cannot be used",
			err:  &credentialError{errors.New("sasl.jaas.config: expected a semicolon")},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refuseAll := func(context.Context, string, string) (net.Conn, error) {
					return nil, errors.New("nobody")
				}
				g := NewDialer(&Access{dial: refuseAll, connectTimeout: time.Second,
					sasl:        plain.Auth{User: "u", Pass: "p"}.AsMechanism(),
					settingName: func(name string) string { return name }}, nil, nil)
				defer g.cancel()
				var denials []error
				g.OnDenied(func(err error) { denials = append(denials, err) })
				conn, other := net.Pipe()
				defer conn.Close()
				defer other.Close()
				if c.accepted {
					g.OnBrokerRead(broker, 3, 100, 0, 0, nil)
				}
				g.OnBrokerConnect(broker, 0, conn, c.err)
				for _, wait := range c.waits {
					if len(denials) > 0 {
						t.Fatalf("expected a later denial, found %v", denials)
					}
					time.Sleep(wait)
					g.OnBrokerConnect(broker, 0, conn, c.err)
				}
				if len(denials) != 1 || g.activeDenial() == nil {
					t.Fatalf("expected to be denied once, found %v", denials)
				}
				time.Sleep(denialTime)
				if err := g.activeDenial(); err != nil {
					t.Errorf("expected another try after %v, found %v", denialTime, err)
				}
			})
		})
	}
	t.Run("let in between", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := NewDialer(nil, nil, nil)
			defer g.cancel()
			conn, other := net.Pipe()
			defer conn.Close()
			defer other.Close()
			for range 10 {
				g.OnBrokerRead(broker, 3, 100, 0, 0, nil)
				g.OnBrokerConnect(broker, 0, conn, kerr.SaslAuthenticationFailed)
				time.Sleep(3 * time.Second)
			}
			if err := g.activeDenial(); err != nil {
				t.Errorf("expected no denial by brokers that gave access before, found %v", err)
			}
		})
	})
}
