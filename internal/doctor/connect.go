package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

// connect dials an address and reports the steps through SAP Connectivity's proxy; with several location IDs, the steps
// of the last attempt. addressSource is the setting of the address. It returns nil after a failure.
func (d *Diagnosis) connect(ctx context.Context, probe *routeProbe, address string, addressSource source) net.Conn {
	if d.hasFailed {
		return nil
	}
	probe.events = nil
	start := time.Now()
	conn, err := probe.route.DialContext(ctx, "tcp", address)
	elapsed := time.Since(start)
	lastEvents := map[socks.Step]socks.Event{}
	for _, event := range probe.events {
		lastEvents[event.Step] = event
	}
	if !probe.isProxyReported {
		for _, step := range []socks.Step{socks.StepProxy, socks.StepGreeting, socks.StepAuthentication} {
			event, ok := lastEvents[step]
			if !ok {
				continue
			}
			elapsed -= event.Elapsed // the rest is of the step connect
			name := string(step)
			err := probe.explain(event.Err, address)
			if step == socks.StepProxy {
				name += " " + probe.route.Address()
				proxySource := source{setting: probe.name(route.NameAddress), hint: "Is this the host and SOCKS5 " +
					"port of the Connectivity proxy, which only applications on BTP reach?"}
				err = proxySource.explain(err)
			}
			if !d.record(name, event.Elapsed, "", err) {
				if conn != nil {
					conn.Close()
				}
				return nil
			}
		}
		probe.isProxyReported = len(lastEvents) > 0
	}
	if event, ok := lastEvents[socks.StepConnect]; ok {
		elapsed = event.Elapsed
	}
	mapped := probe.route.MapAddress(address)
	message := ""
	if mapped != address {
		message = "as " + mapped
	}
	if event, ok := lastEvents[socks.StepConnect]; ok && event.Location != "" {
		message += " " + locationText(event.Location)
	}
	err = probe.explain(err, address)
	if probe.isDirect() {
		err = addressSource.explain(err)
	}
	if !d.record("connect "+address, elapsed, message, err) {
		return nil
	}
	return conn
}

// source is the setting of an address, with a hint for connection failures.
type source struct{ setting, hint string }

// explain adds the setting and the hint, unless the error has a hint or a setting.
func (s source) explain(err error) error {
	if err == nil || errors.As(err, new(*hintError)) || settingOf(err) != "" {
		return err
	}
	return &hintError{setting: s.setting, instructions: s.hint, cause: err}
}

func (r *routeProbe) isDirect() bool {
	return r.route.Type() == route.Unset || r.route.Type() == route.None
}

func (r *routeProbe) name(short string) string {
	if r.settings.Name == nil {
		return short
	}
	return r.settings.Name(short)
}

// explain adds a hint how to fix a failure of the route. Other errors are returned as they are.
func (r *routeProbe) explain(err error, address string) error {
	var refused *socks.Refused
	if err == nil || !errors.As(err, &refused) {
		return err
	}
	switch {
	case refused.Authentication():
		return &hintError{r.name(route.NameServiceKey),
			"The token must be from the connectivity instance of this subaccount: see BTP cockpit, Instances and " +
				"Subscriptions", err}
	case refused.Step == socks.StepGreeting:
		return &hintError{r.name(route.NameAddress), "", err}
	case refused.Code == socks.Forbidden:
		return &hintError{r.name(route.NameAddressMap), "", err} // the error contains how to fix it
	case refused.Code == socks.NetworkUnreachable:
		return &hintError{r.name(route.NameLocationID),
			"Is the Cloud Connector connected, and is this its location id? " + cockpitConnectors, err}
	case refused.Code == socks.HostUnreachable || refused.Code == socks.Failure:
		return &hintError{"", accessControl +
			": \"Check Availability\" of the mapping must show Reachable; otherwise the internal host and port are " +
			"wrong, or a firewall blocks them", err}
	}
	return err
}

// handshake makes and reports the TLS handshake. It closes the connection and returns nil after a failure.
func (d *Diagnosis) handshake(ctx context.Context, conn net.Conn, address string, config *tls.Config,
	explain func(error) error) net.Conn {
	if d.hasFailed || config == nil {
		return conn
	}
	host, _, _ := net.SplitHostPort(address)
	tlsConn := tls.Client(conn, keystore.ForHost(config, host))
	if !d.runStep("tls "+address, func() (string, error) {
		if err := tlsConn.HandshakeContext(ctx); err != nil {
			return "", explain(err)
		}
		return describeTLS(tlsConn.ConnectionState()), nil
	}) {
		conn.Close()
		return nil
	}
	return tlsConn
}

func describeTLS(s tls.ConnectionState) string {
	description := tls.VersionName(s.Version)
	if len(s.PeerCertificates) > 0 {
		c := s.PeerCertificates[0]
		description += fmt.Sprintf(", %s, valid until %s", c.Subject, c.NotAfter.Format(time.DateOnly))
	}
	return description
}
