package security

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The settings of the proxy in front of the brokers.
func TestProxySettings(t *testing.T) {
	cases := []struct {
		name       string
		properties string
		kind       string
		wrong      string
	}{
		{"none", "", "", ""},
		{"none by name", "type=none|address=p:1", "", ""},
		{"map alone", "address.map=a:1=b:2", "", ""},
		{"socks5", "type=socks5|address=p:1080|user=u|password=hush-hush", "socks5", ""},
		{"http", "type=HTTP|address=p:3128", "http", ""},
		{"no address", "type=socks5", "", "kafka.proxy.address: expected"},
		{"no port", "type=http|address=p", "", "kafka.proxy.address: expected host:port"},
		{"unknown type", "type=socks4|address=p:1", "",
			"kafka.proxy.type: expected none, socks5, http, sap-connectivity"},
		{"for requests alone", "type=sap-connectivity-http", "", "kafka.proxy.type: expected"},
		{"settings by name",
			"type=sap-connectivity|address=p:20004|token.url=https://t/|token.client.id=c|" +
				"token.client.secret=hush-hush|location.id=A, " +
				"B", "sap-connectivity", ""},
		{"no secret", "type=sap-connectivity|address=p:20004|token.url=https://t/|token.client.id=c", "",
			"kafka.proxy.token.client.secret"},
		{"no binding", "type=sap-connectivity", "", "VCAP_SERVICES"},
		{"no such key", "type=sap-connectivity|service.key=/nowhere", "", "kafka.proxy.service.key"},
		{"no such certificate",
			"type=sap-connectivity|address=p:1|token.url=https://t/|token.client.id=c|token.certificate.location=/nowhere/c|token.key.location=/nowhere/k", "", "kafka.proxy.token.certificate.location"},
		{"bad map", "type=socks5|address=p:1|address.map=a=b", "", "kafka.proxy.address.map: expected"},
		{"bad outage", "type=socks5|address=p:1|outage.ms=soon", "", "kafka.proxy.outage.ms: Invalid value soon for " +
			"configuration kafka.proxy.outage.ms: Not a number of type LONG"},
		{"password without user", "type=socks5|address=p:1|password=hush-hush", "", "kafka.proxy.user"},
	}
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
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "hush-hush") {
					t.Errorf("expected an error that contains %q, found %v", c.wrong, err)
				}
				return
			}
			require.NoError(t, err)
			kind := ""
			if p != nil && p.route.Type() != "none" {
				kind = p.route.Type()
			}
			if kind != c.kind {
				t.Errorf("expected a connection by %q, found %q", c.kind, kind)
			}
		})
	}
	if _, err := NewProxy(map[string]string{"kafka.proxy.type": "socks5", "kafka.proxy.address": "p:1"},
		[]string{"embedded"}, &CurrentValues{}); err == nil || !strings.HasPrefix(err.Error(),
		"kafka.proxy.type: Invalid "+
			"value socks5 for configuration kafka.proxy.type: expected none with the embedded broker") {
		t.Errorf("the embedded broker behind a proxy: %v", err)
	}
	for server, want := range map[string]bool{"embedded": true, "embedded:9092": true, "embedded-kafka:9092": false} {
		if found := IsEmbedded(server); found != want {
			t.Errorf("%s is embedded: expected %v, found %v", server, want, found)
		}
	}
	_, err := NewProxy(map[string]string{"kafka.proxy.type": "socks5", "kafka.proxy.address": "p:1"},
		[]string{"embedded-kafka:9092"}, &CurrentValues{})
	require.NoError(t, err)
}

// One broker that is unreachable for longer than the maximum outage fails nobody while others respond: the proxy works.
func TestOneUnreachableBrokerFailsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		barred := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("barred") }
		g := NewDialer(&Access{dial: barred, proxied: true, maxProxyOutage: time.Minute, connectTimeout: time.Second},
			nil, nil)
		defer g.cancel()
		dial := func() (isDenied bool) {
			_, err := g.dial(t.Context(), "tcp", "broker:9092")
			denied := (*Denied)(nil)
			return errors.As(err, &denied)
		}
		first := dial()
		time.Sleep(50 * time.Second)
		g.OnBrokerRead(kgo.BrokerMetadata{}, 3, 100, 0, 0, nil)
		second := dial()
		time.Sleep(50 * time.Second)
		third := dial()
		time.Sleep(11 * time.Second)
		if fourth := dial(); first || second || third || !fourth {
			t.Errorf("expected a denial after a minute without responses, found %v %v %v %v", first, second,
				third, fourth)
		}
	})
}

// A proxy that was unreachable once, and was not used for longer than the maximum outage, counts as newly unreachable.
func TestIdleIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		barred := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("barred") }
		g := NewDialer(&Access{dial: barred, proxied: true, maxProxyOutage: 90 * time.Second,
			connectTimeout: time.Second},
			nil, nil)
		defer g.cancel()
		var found []bool
		for _, pause := range []time.Duration{0, 5 * time.Minute, 50 * time.Second, 41 * time.Second} {
			time.Sleep(pause)
			_, err := g.dial(t.Context(), "tcp", "broker:9092")
			found = append(found, errors.As(err, new(*Denied)))
		}
		assert.Equal(t, []bool{false, false, false, true}, found)
	})
}
