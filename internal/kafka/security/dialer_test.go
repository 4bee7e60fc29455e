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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

var toleratedRejectionCases = []struct {
	name        string
	err         error
	wasAccepted bool
	waits       []time.Duration // intervals between rejections, the last of which must cause a denial
}{
	{name: "password refused, never let in", err: kerr.SaslAuthenticationFailed},
	{
		name: "password refused", err: kerr.SaslAuthenticationFailed, wasAccepted: true,
		waits: []time.Duration{time.Second, 3 * time.Second, 2 * time.Second},
	},
	{
		name: "mechanism refused", err: kerr.UnsupportedSaslMechanism, wasAccepted: true,
		waits: []time.Duration{6 * time.Second, 0},
	},
	{name: "no SASL on this port", err: kerr.IllegalSaslState},
	{name: "hung up, never let in", err: io.EOF, waits: []time.Duration{time.Second, time.Second}},
	{
		name: "credentials that cannot be used",
		err:  &credentialError{errors.New("sasl.jaas.config: expected a semicolon")},
	},
}

// A client that had access is denied only after repeated rejections for a while: secrets are not changed on both sides
// at once.
func TestDialerToleratesRejections(t *testing.T) {
	broker := kgo.BrokerMetadata{NodeID: 1, Host: "broker", Port: 9092}
	cases := toleratedRejectionCases
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refuseAll := func(context.Context, string, string) (net.Conn, error) {
					return nil, errors.New("nobody")
				}
				d := NewDialer(&Access{
					dial:           refuseAll,
					connectTimeout: time.Second,
					sasl:           plain.Auth{User: "u", Pass: "p"}.AsMechanism(),
					settingName:    func(name string) string { return name },
				}, nil, nil)
				defer d.cancel()
				var denials []error
				d.OnDenied(func(err error) { denials = append(denials, err) })
				conn, peer := net.Pipe()
				defer conn.Close()
				defer peer.Close()
				if c.wasAccepted {
					d.OnBrokerRead(broker, 3, 100, 0, 0, nil)
				}
				d.OnBrokerConnect(broker, 0, conn, c.err)
				for _, wait := range c.waits {
					require.Len(t, 0, denials, "a later denial")
					time.Sleep(wait)
					d.OnBrokerConnect(broker, 0, conn, c.err)
				}
				require.True(t, len(denials) == 1 && d.activeDenial() != nil,
					"expected to be denied once, found %v", denials)
				time.Sleep(denialTime)
				assert.NoError(t, d.activeDenial(), "another try after", denialTime)
			})
		})
	}
	t.Run("let in between", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := NewDialer(nil, nil, nil)
			defer d.cancel()
			conn, peer := net.Pipe()
			defer conn.Close()
			defer peer.Close()
			for range 10 {
				d.OnBrokerRead(broker, 3, 100, 0, 0, nil)
				d.OnBrokerConnect(broker, 0, conn, kerr.SaslAuthenticationFailed)
				time.Sleep(3 * time.Second)
			}
			assert.NoError(t, d.activeDenial(), "no denial by brokers that gave access before")
		})
	})
}
