package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/host/transport/route"
	"github.com/culvert-project/culvert/host/transport/socks"
)

// connect goes to a target by the route, and tells of the steps through SAP Connectivity's proxy one by one: where
// several location ids were tried, those of the last one. from is where the address stands.
func (v *Visit) connect(ctx context.Context, w *routeOut, address string, from source) net.Conn {
	if v.failed {
		return nil
	}
	w.events = nil
	start := time.Now()
	conn, err := w.route.DialContext(ctx, "tcp", address)
	took := time.Since(start)
	last := map[socks.Step]socks.Event{}
	for _, e := range w.events {
		last[e.Step] = e
	}
	if !w.known {
		for _, s := range []socks.Step{socks.StepProxy, socks.StepGreeting, socks.StepAuthentication} {
			e, there := last[s]
			if !there {
				continue
			}
			took -= e.Elapsed
			name, err := string(s), w.explain(e.Err, address)
			if s == socks.StepProxy {
				name += " " + w.route.Address()
				err = source{w.name(route.NameAddress), "Is this the host and SOCKS5 port of the Connectivity proxy, " +
					"which only applications on BTP reach?"}.explain(err)
			}
			if !v.record(name, e.Elapsed, "", err) {
				if conn != nil {
					conn.Close()
				}
				return nil
			}
		}
		w.known = len(last) > 0
	}
	if e, there := last[socks.StepConnect]; there {
		took = e.Elapsed
	}
	mapped := w.route.Mapped(address)
	message := ""
	if mapped != address {
		message = "as " + mapped
	}
	if e, there := last[socks.StepConnect]; there && e.Location != "" {
		message += " " + place(e.Location)
	}
	err = w.explain(err, address)
	if w.direct() {
		err = from.explain(err)
	}
	if !v.record("connect "+address, took, message, err) {
		return nil
	}
	return conn
}

// source is the setting that an address comes from, and what to look at where nobody answers there.
type source struct{ setting, where string }

// explain is for failures that nobody knows more about.
func (s source) explain(err error) error {
	if err == nil || errors.As(err, new(*mend)) || settingOf(err) != "" {
		return err
	}
	return &mend{s.setting, s.where, err}
}

// direct tells whether no proxy is in between.
func (w *routeOut) direct() bool {
	return w.route.Type() == route.Unset || w.route.Type() == route.None
}

// name is what the user calls a setting of the route.
func (w *routeOut) name(short string) string {
	if w.settings.Name == nil {
		return short
	}
	return w.settings.Name(short)
}

// explain adds where a failure of the route is mended.
func (w *routeOut) explain(err error, address string) error {
	var refused *socks.Refused
	if err == nil || !errors.As(err, &refused) {
		return err
	}
	name := w.name
	switch {
	case refused.Authentication():
		return &mend{name(route.NameServiceKey), "The token has to be one of the connectivity instance of this " +
			"subaccount: BTP cockpit, Instances and Subscriptions", err}
	case refused.Step == socks.StepGreeting:
		return &mend{name(route.NameAddress), "", err}
	case refused.Code == socks.Forbidden:
		return &mend{name(route.NameAddressMap), "", err} // the error says where it is mended
	case refused.Code == socks.NetworkUnreachable:
		return &mend{name(route.NameLocationID), "Is the Cloud Connector connected, and is this its location id? " +
			cockpitConnectors, err}
	case refused.Code == socks.HostUnreachable || refused.Code == socks.Failure:
		return &mend{"", accessControl + ": \"Check Availability\" of the mapping has to say Reachable; else the " +
			"internal host and port are wrong, or a firewall is between", err}
	}
	return err
}

// secure takes the step of the TLS handshake. The connection is closed where it fails.
func (v *Visit) secure(ctx context.Context, conn net.Conn, address string, config *tls.Config,
	explain func(error) error) net.Conn {
	if v.failed || config == nil {
		return conn
	}
	host, _, _ := net.SplitHostPort(address)
	secure := tls.Client(conn, keystore.ForHost(config, host))
	if !v.take("tls "+address, func() (string, error) {
		if err := secure.HandshakeContext(ctx); err != nil {
			return "", explain(err)
		}
		return described(secure.ConnectionState()), nil
	}) {
		conn.Close()
		return nil
	}
	return secure
}

func described(s tls.ConnectionState) string {
	text := tls.VersionName(s.Version)
	if len(s.PeerCertificates) > 0 {
		c := s.PeerCertificates[0]
		text += fmt.Sprintf(", %s, valid until %s", c.Subject, c.NotAfter.Format(time.DateOnly))
	}
	return text
}
