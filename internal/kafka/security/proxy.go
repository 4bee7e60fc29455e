package security

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Proxy connects to brokers behind a proxy. Its connections are plain TCP: TLS with the broker runs inside.
type Proxy struct {
	maxOutage time.Duration
	live      *CurrentValues

	mu         sync.Mutex
	properties map[string]string
	secrets    [sha256.Size]byte // of the present route
	route      *route.Route
}

// dial retries once with new credentials if the proxy rejects the old ones and their files have changed.
func (p *Proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	r := p.route
	p.mu.Unlock()
	conn, err := r.DialContext(ctx, network, address)
	if err == nil || !isPermanent(err) {
		return conn, err
	}
	renewed := p.reopen(r)
	if renewed == nil {
		return nil, err
	}
	return renewed.DialContext(ctx, network, address)
}

// reopen returns a route with changed secrets, nil if they are unchanged or invalid.
func (p *Proxy) reopen(old *route.Route) *route.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.route != old {
		return p.route // another dial has reopened it
	}
	properties := maps.Clone(p.properties)
	for name := range properties {
		if value, ok := p.live.value(name); ok && strings.HasPrefix(name, proxyPrefix) {
			properties[name] = value
		}
	}
	secrets := secretsDigest(properties)
	if secrets == p.secrets {
		return nil
	}
	s, _, err := RouteSettings(properties)
	if err != nil {
		return nil
	}
	s.Logger = p.live.logger()
	made, err := route.New(s)
	if err != nil {
		s.Logger.Warn("kafka: the proxy's settings have changed and cannot be used", "error", err)
		return nil
	}
	p.secrets, p.route = secrets, made
	return made
}

func secretsDigest(properties map[string]string) (digest [sha256.Size]byte) {
	all := sha256.New()
	for _, short := range []string{route.NameUser, route.NamePassword, route.NameTokenClientID, route.NameTokenSecret} {
		fmt.Fprintf(all, "%q", properties[proxyPrefix+proxyNames[short]])
	}
	for _, short := range []string{route.NameTokenCertificate, route.NameTokenKey, route.NameServiceKey} {
		text, _ := keystore.ReadFile(strings.TrimSpace(properties[proxyPrefix+proxyNames[short]]))
		fmt.Fprintf(all, "%q", text)
	}
	return [sha256.Size]byte(all.Sum(nil))
}

const proxyPrefix = "kafka.proxy."

var proxyNames = map[string]string{
	route.NameType: "type", route.NameAddress: "address", route.NameUser: "user", route.NamePassword: "password",
	route.NameLocationID: "location.id", route.NameAddressMap: "address.map",
	route.NameTokenURL: "token.url", route.NameTokenClientID: "token.client.id",
	route.NameTokenSecret:      "token.client.secret",
	route.NameTokenCertificate: "token.certificate.location", route.NameTokenKey: "token.key.location",
	route.NameServiceKey: "service.key", route.NameOutage: "outage.ms",
}

// RouteSettings returns the settings of the route to the brokers, without the outage time, which counts over all
// connections.
func RouteSettings(properties map[string]string) (routeSettings route.Settings, outage time.Duration, err error) {
	vcap, unread := btp.ReadVCAP()
	text := func(short string) string { return strings.TrimSpace(properties[proxyPrefix+proxyNames[short]]) }
	routeSettings, err = route.SettingsOf(text, func(short string) string { return proxyPrefix + proxyNames[short] },
		vcap, unread)
	routeSettings.Allow, routeSettings.Outage = []string{route.None, route.SOCKS5, route.HTTP, route.Connectivity}, -1
	if err != nil {
		return routeSettings, 0, setting.Problem{Setting: routeSettings.Name(route.NameAddressMap),
			Code: setting.CodeInvalid,
			Text: err.Error()}
	}
	outage = route.DefaultOutage
	if v := text(route.NameOutage); v != "" {
		spec := setting.Define(routeSettings.Name(route.NameOutage), wit.KindLong, wit.Low, nil, "", setting.AtLeast(0),
			setting.AtMost(math.MaxInt64/int64(time.Millisecond)))
		if why := (setting.Check{}).Value(&spec, v); why != "" {
			return routeSettings, 0, setting.Problem{Setting: spec.Name, Code: setting.CodeInvalid, Text: why}
		}
		n, _ := setting.ParseInt(spec.Kind, v)
		// Zero would mean that outages are not counted.
		outage = max(time.Duration(n)*time.Millisecond, 1)
	}
	return routeSettings, outage, nil
}

// NewProxy creates the proxy of kafka.proxy.* properties, nil for none. The error wraps a [setting.Problem].
func NewProxy(properties map[string]string, bootstrap []string, live *CurrentValues) (*Proxy, error) {
	routeSettings, outage, err := RouteSettings(properties)
	if err != nil {
		return nil, err
	}
	routeSettings.Logger = live.logger()
	r, err := route.New(routeSettings)
	if m := (*route.Misconfigured)(nil); errors.As(err, &m) {
		return nil, setting.Problem{Setting: m.Setting, Code: setting.CodeInvalid, Text: m.Unwrap().Error()}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case (r.Type() == route.Unset || r.Type() == route.None) && len(routeSettings.AddressMap) == 0:
		return nil, nil
	case r.Type() == route.Unset || r.Type() == route.None:
		outage = 0 // no limit: these are outages of brokers, not of a proxy
	case len(bootstrap) > 0 && strings.HasPrefix(bootstrap[0], "embedded"):
		return nil, setting.Problem{Setting: proxyPrefix + "type", Code: setting.CodeInvalid,
			Text: setting.Invalid(proxyPrefix+"type", r.Type(),
				"expected none with the embedded broker of bootstrap.servers")}
	}
	return &Proxy{maxOutage: outage, live: live, properties: maps.Clone(properties),
		secrets: secretsDigest(properties), route: r}, nil
}
