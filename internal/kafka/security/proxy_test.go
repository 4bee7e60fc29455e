package security

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
)

var proxySettingsCases = []struct {
	name       string
	properties string
	kind       string // of the route; "" means direct
	wantError  string // a part of the error; "" means no error
}{
	{name: "none"},
	{name: "none by name", properties: "type=none|address=p:1"},
	{name: "map alone", properties: "address.map=a:1=b:2"},
	{name: "socks5", properties: "type=socks5|address=p:1080|user=u|password=hush-hush", kind: "socks5"},
	{name: "http", properties: "type=HTTP|address=p:3128", kind: "http"},
	{name: "no address", properties: "type=socks5", wantError: "kafka.proxy.address: expected"},
	{name: "no port", properties: "type=http|address=p", wantError: "kafka.proxy.address: expected host:port"},
	{
		name:       "unknown type",
		properties: "type=socks4|address=p:1",
		wantError:  "kafka.proxy.type: expected none, socks5, http, sap-connectivity",
	},
	{name: "for requests alone", properties: "type=sap-connectivity-http", wantError: "kafka.proxy.type: expected"},
	{
		name: "settings by name",
		properties: "type=sap-connectivity|address=p:20004|token.url=https://t/|token.client.id=c|" +
			"token.client.secret=hush-hush|location.id=A, B",
		kind: "sap-connectivity",
	},
	{
		name:       "no secret",
		properties: "type=sap-connectivity|address=p:20004|token.url=https://t/|token.client.id=c",
		wantError:  "kafka.proxy.token.client.secret",
	},
	{name: "no binding", properties: "type=sap-connectivity", wantError: "VCAP_SERVICES"},
	{
		name:       "no such key",
		properties: "type=sap-connectivity|service.key=/nowhere",
		wantError:  "kafka.proxy.service.key",
	},
	{
		name: "no such certificate",
		properties: "type=sap-connectivity|address=p:1|token.url=https://t/|token.client.id=c|" +
			"token.certificate.location=/nowhere/c|token.key.location=/nowhere/k",
		wantError: "kafka.proxy.token.certificate.location",
	},
	{
		name:       "bad map",
		properties: "type=socks5|address=p:1|address.map=a=b",
		wantError:  "kafka.proxy.address.map: expected",
	},
	{
		name:       "bad outage",
		properties: "type=socks5|address=p:1|outage.ms=soon",
		wantError: "kafka.proxy.outage.ms: Invalid value soon for " +
			"configuration kafka.proxy.outage.ms: Not a number of type LONG",
	},
	{
		name:       "password without user",
		properties: "type=socks5|address=p:1|password=hush-hush",
		wantError:  "kafka.proxy.user",
	},
}

// The settings of the proxy in front of the brokers.
func TestProxySettings(t *testing.T) {
	cases := proxySettingsCases
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("VCAP_SERVICES", "")
			properties := map[string]string{}
			for _, line := range strings.Split(c.properties, "|") {
				if name, value, ok := strings.Cut(line, "="); ok {
					properties[proxyPrefix+name] = value
				}
			}
			p, err := NewProxy(properties, []string{"kafka:9092"}, &CurrentValues{})
			if c.wantError != "" {
				assert.Error(t, err, c.wantError)
				assert.True(t, !strings.Contains(fmt.Sprint(err), "hush-hush"),
					"expected an error without the password, found %v", err)
				return
			}
			require.NoError(t, err)
			kind := ""
			if p != nil && p.route.Type() != "none" {
				kind = p.route.Type()
			}
			assert.True(t, kind == c.kind, "expected a connection by %q, found %q", c.kind, kind)
		})
	}
	if _, err := NewProxy(map[string]string{"kafka.proxy.type": "socks5", "kafka.proxy.address": "p:1"},
		[]string{"embedded"}, &CurrentValues{}); err == nil || !strings.HasPrefix(err.Error(),
		"kafka.proxy.type: Invalid value socks5 for configuration kafka.proxy.type: expected none with the embedded "+
			"broker") {
		t.Errorf("the embedded broker behind a proxy: expected an error about kafka.proxy.type, found %v", err)
	}
	for server, want := range map[string]bool{"embedded": true, "embedded:9092": true, "embedded-kafka:9092": false} {
		assert.Equal(t, want, clientconfig.IsEmbedded(server), server, "is embedded")
	}
	_, err := NewProxy(map[string]string{"kafka.proxy.type": "socks5", "kafka.proxy.address": "p:1"},
		[]string{"embedded-kafka:9092"}, &CurrentValues{})
	require.NoError(t, err)
}

// One broker that is unreachable for longer than the maximum outage fails nobody while others respond: the proxy works.
func TestOneUnreachableBrokerFailsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("barred") }
		d := NewDialer(&Access{dial: refuse, isProxied: true, maxProxyOutage: time.Minute, connectTimeout: time.Second},
			nil, nil)
		defer d.cancel()
		dial := func() (isDenied bool) {
			_, err := d.dial(t.Context(), "tcp", "broker:9092")
			return errors.As(err, new(*Denied))
		}
		assert.Equal(t, false, dial(), "denied at the beginning of the outage")
		time.Sleep(50 * time.Second)
		d.OnBrokerRead(kgo.BrokerMetadata{}, 3, 100, 0, 0, nil)
		assert.Equal(t, false, dial(), "denied after the response of another broker")
		time.Sleep(50 * time.Second)
		assert.Equal(t, false, dial(), "denied 50 s after the response")
		time.Sleep(11 * time.Second)
		assert.Equal(t, true, dial(), "denied more than a minute after the response")
	})
}

// A proxy that was unreachable once, and was not used for longer than the maximum outage, counts as newly unreachable.
func TestIdleIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("barred") }
		d := NewDialer(&Access{dial: refuse, isProxied: true, maxProxyOutage: 90 * time.Second,
			connectTimeout: time.Second}, nil, nil)
		defer d.cancel()
		var denials []bool
		for _, pause := range []time.Duration{0, 5 * time.Minute, 50 * time.Second, 41 * time.Second} {
			time.Sleep(pause)
			_, err := d.dial(t.Context(), "tcp", "broker:9092")
			denials = append(denials, errors.As(err, new(*Denied)))
		}
		assert.Equal(t, []bool{false, false, false, true}, denials)
	})
}
