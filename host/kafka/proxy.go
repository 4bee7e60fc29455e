package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/transport/route"
)

// Proxy is the way to brokers behind one. Its connections are plain TCP: TLS with the broker runs inside.
type Proxy struct {
	dial   way
	outage time.Duration
	kind   string
}

// proxyPrefix begins the settings of the way to the brokers.
const proxyPrefix = "kafka.proxy."

// proxyNames are the settings by the short names of package route.
var proxyNames = map[string]string{
	route.NameType: "type", route.NameAddress: "address", route.NameUser: "user", route.NamePassword: "password",
	route.NameLocationID: "location.id", route.NameAddressMap: "address.map",
	route.NameTokenURL: "token.url", route.NameTokenClientID: "token.client.id", route.NameTokenSecret: "token.client.secret",
	route.NameTokenCertificate: "token.certificate.location", route.NameTokenKey: "token.key.location",
	route.NameServiceKey: "service.key", route.NameOutage: "outage.ms",
}

// RouteSettings are what a worker's properties say about the way to its brokers; VCAP_SERVICES is taken from the environment. The outage is
// left out: a client has many connections, and keeps count over all of them.
func RouteSettings(properties map[string]string) (s route.Settings, outage time.Duration, err error) {
	text := func(short string) string { return strings.TrimSpace(properties[proxyPrefix+proxyNames[short]]) }
	s = route.Settings{
		Type: strings.ToLower(text(route.NameType)), Allow: []string{route.None, route.SOCKS5, route.HTTP, route.Connectivity},
		Address: text(route.NameAddress), User: text(route.NameUser), Password: text(route.NamePassword),
		TokenCertificateFile: text(route.NameTokenCertificate), TokenKeyFile: text(route.NameTokenKey),
		ServiceKey: text(route.NameServiceKey), VCAP: os.Getenv("VCAP_SERVICES"),
		Outage: -1,
		Name:   func(short string) string { return proxyPrefix + proxyNames[short] },
	}
	s.Token.TokenURL, s.Token.ClientID, s.Token.Secret = text(route.NameTokenURL), text(route.NameTokenClientID), text(route.NameTokenSecret)
	if ids := text(route.NameLocationID); ids != "" {
		for _, id := range strings.Split(ids, ",") {
			s.Locations = append(s.Locations, strings.TrimSpace(id))
		}
	}
	if s.AddressMap, err = route.ParseAddressMap(text(route.NameAddressMap)); err != nil {
		return s, 0, fmt.Errorf("%s: %w", s.Name(route.NameAddressMap), err)
	}
	outage = route.DefaultOutage
	if v := text(route.NameOutage); v != "" {
		n, err := number(0, math.MaxInt64/int64(time.Millisecond))(v)
		if err != nil {
			return s, 0, fmt.Errorf("%s: %w (milliseconds)", s.Name(route.NameOutage), err)
		}
		// 0 is no patience at all, not none to be counted.
		outage = max(time.Duration(n)*time.Millisecond, 1)
	}
	return s, outage, nil
}

func newProxy(properties map[string]string, bootstrap []string, log *slog.Logger) (*Proxy, error) {
	s, outage, err := RouteSettings(properties)
	if err != nil {
		return nil, err
	}
	s.Logger = log
	r, err := route.New(s)
	if err != nil {
		return nil, err
	}
	switch {
	case (r.Type() == route.Unset || r.Type() == route.None) && len(s.AddressMap) == 0:
		return nil, nil
	case r.Type() == route.Unset || r.Type() == route.None:
		outage = 0 // of brokers themselves, which are waited for without end
	case len(bootstrap) > 0 && strings.HasPrefix(bootstrap[0], "embedded"):
		return nil, errors.New(proxyPrefix + "type: expected none with the embedded broker of bootstrap.servers, found " + r.Type())
	}
	return &Proxy{dial: r.DialContext, outage: outage, kind: r.Type()}, nil
}
