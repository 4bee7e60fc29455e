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

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Proxy connects a client to brokers through the proxy of the kafka.proxy.* properties; TLS to brokers is the client's.
// If the proxy rejects credentials that have changed since the route was created, a new route replaces it.
type Proxy struct {
	maxOutage time.Duration // after which tasks fail; zero means never
	current   *CurrentValues

	mu            sync.Mutex
	properties    map[string]string
	secretsDigest [sha256.Size]byte // of the secrets that route was created with
	route         *route.Route
}

// dial connects to a broker, a second time with a new route if the first error is permanent and secrets have changed.
func (p *Proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	r := p.route
	p.mu.Unlock()
	conn, err := r.DialContext(ctx, network, address)
	if err == nil || !isPermanent(err) {
		return conn, err
	}
	newRoute := p.renewRoute(r)
	if newRoute == nil {
		return nil, err
	}
	return newRoute.DialContext(ctx, network, address)
}

// renewRoute returns the route that replaces old, or nil if no secret has changed or the changed ones are invalid.
func (p *Proxy) renewRoute(old *route.Route) *route.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.route != old {
		return p.route
	}
	properties := maps.Clone(p.properties)
	for name := range properties {
		if value, ok := p.current.value(name); ok && strings.HasPrefix(name, proxyPrefix) {
			properties[name] = value
		}
	}
	digest := digestOfSecrets(properties)
	if digest == p.secretsDigest {
		return nil
	}
	logger := p.current.logger()
	settings, _, err := RouteSettings(properties)
	if err == nil {
		settings.Logger = logger
		var newRoute *route.Route
		if newRoute, err = route.New(settings); err == nil {
			p.secretsDigest = digest
			p.route = newRoute
			return newRoute
		}
	}
	logger.Warn("kafka: the proxy's settings have changed and cannot be used", "error", err)
	return nil
}

// digestOfSecrets covers the values and the content of files from which a route gets its secrets.
func digestOfSecrets(properties map[string]string) [sha256.Size]byte {
	hash := sha256.New()
	for _, name := range []string{route.NameUser, route.NamePassword, route.NameTokenClientID, route.NameTokenSecret} {
		fmt.Fprintf(hash, "%q", properties[proxyProperty(name)])
	}
	for _, name := range []string{route.NameTokenCertificate, route.NameTokenKey, route.NameServiceKey} {
		content, _ := keystore.ReadFile(strings.TrimSpace(properties[proxyProperty(name)]))
		fmt.Fprintf(hash, "%q", content)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

const proxyPrefix = "kafka.proxy."

// proxyNames maps the route's names of settings to properties without their prefix.
var proxyNames = map[string]string{
	route.NameType:             "type",
	route.NameAddress:          "address",
	route.NameUser:             "user",
	route.NamePassword:         "password",
	route.NameLocationID:       "location.id",
	route.NameAddressMap:       "address.map",
	route.NameTokenURL:         "token.url",
	route.NameTokenClientID:    "token.client.id",
	route.NameTokenSecret:      "token.client.secret",
	route.NameTokenCertificate: "token.certificate.location",
	route.NameTokenKey:         "token.key.location",
	route.NameServiceKey:       "service.key",
	route.NameOutage:           "outage.ms",
}

func proxyProperty(name string) string { return proxyPrefix + proxyNames[name] }

// RouteSettings returns the settings of the route to the brokers. It returns the maximum outage separately, because
// that counts over all connections of a client and not per route. The error is a [setting.Problem].
func RouteSettings(properties map[string]string) (settings route.Settings, maxOutage time.Duration, err error) {
	property := func(name string) string { return strings.TrimSpace(properties[proxyProperty(name)]) }
	vcap, vcapErr := btp.ReadVCAP()
	settings, err = route.SettingsOf(property, proxyProperty, vcap, vcapErr)
	if err != nil { // only the address map is parsed here
		return settings, 0, setting.Problem{Setting: proxyProperty(route.NameAddressMap), Code: setting.CodeInvalid,
			Text: err.Error()}
	}
	settings.Allow = []string{route.None, route.SOCKS5, route.HTTP, route.Connectivity}
	settings.Outage = -1 // the route does not wait for the end of an outage
	maxOutage, err = parseOutage(property(route.NameOutage))
	return settings, maxOutage, err
}

func parseOutage(text string) (time.Duration, error) {
	if text == "" {
		return route.DefaultOutage, nil
	}
	spec := setting.Define(proxyProperty(route.NameOutage), wit.KindLong, wit.Low, nil, "", setting.AtLeast(0),
		setting.AtMost(math.MaxInt64/int64(time.Millisecond)))
	if problem := (setting.Check{}).Value(&spec, text); problem != "" {
		return 0, setting.Problem{Setting: spec.Name, Code: setting.CodeInvalid, Text: problem}
	}
	ms, _ := setting.ParseInt(spec.Kind, text)
	// Zero is "no limit" in Proxy, so a configured 0 becomes the shortest limit.
	return max(time.Duration(ms)*time.Millisecond, 1), nil
}

// NewProxy creates the proxy of the kafka.proxy.* properties, nil if they need no proxy. Errors are [setting.Problem].
func NewProxy(properties map[string]string, bootstrap []string, current *CurrentValues) (*Proxy, error) {
	settings, maxOutage, err := RouteSettings(properties)
	if err != nil {
		return nil, err
	}
	settings.Logger = current.logger()
	digest := digestOfSecrets(properties) // first: a file that changes from here on renews the route
	r, err := route.New(settings)
	if m := (*route.Misconfigured)(nil); errors.As(err, &m) {
		return nil, setting.Problem{Setting: m.Setting, Code: setting.CodeInvalid, Text: m.Unwrap().Error()}
	}
	if err != nil {
		return nil, err
	}
	if isDirect := r.Type() == route.Unset || r.Type() == route.None; isDirect {
		if len(settings.AddressMap) == 0 {
			return nil, nil
		}
		maxOutage = 0 // no limit: without a proxy these are outages of brokers
	} else if len(bootstrap) > 0 && clientconfig.IsEmbedded(bootstrap[0]) {
		return nil, setting.Problem{Setting: proxyPrefix + "type", Code: setting.CodeInvalid,
			Text: setting.Invalid(proxyPrefix+"type", r.Type(),
				"expected none with the embedded broker of bootstrap.servers")}
	}
	return &Proxy{maxOutage: maxOutage, current: current, properties: maps.Clone(properties), secretsDigest: digest,
		route: r}, nil
}
