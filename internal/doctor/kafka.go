package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// Kafka specifies the connection to the brokers.
type Kafka struct {
	Bootstrap []string
	Route     route.Settings // the proxy, if any. The diagnosis sets Outage and Trace.
	TLS       *tls.Config
	// Explain adds the setting that fixes a failed handshake. Nil means that errors are not changed.
	Explain func(error) error
	SASL    sasl.Mechanism
	Timeout time.Duration // of the connection to a broker; zero means stepTimeout
}

// stepTimeout bounds a step that calls brokers or a registry.
const stepTimeout = 30 * time.Second

// Kafka checks the proxy, the bootstrap servers with TLS and SASL, and then all advertised brokers. Metadata follows
// TLS and SASL, because a broker returns it only to clients that have logged on.
func (d *Diagnosis) Kafka(ctx context.Context, k Kafka) {
	if k.Timeout == 0 {
		k.Timeout = stepTimeout
	}
	if k.Explain == nil {
		k.Explain = func(err error) error { return err }
	}
	probe, err := newRoute(k.Route)
	if err != nil {
		d.record("settings", 0, "", err)
		return
	}
	if !d.checkProxy(ctx, probe) {
		return
	}
	isChecked := map[string]bool{}
	var brokers []security.Broker
	for _, address := range k.Bootstrap {
		conn := d.connectBroker(ctx, probe, k, address, source{setting: "bootstrap.servers",
			hint: "Check that the broker listens there and that no firewall blocks it"})
		if conn == nil {
			return
		}
		isChecked[address] = true
		if len(brokers) == 0 {
			brokers = d.fetchBrokers(ctx, probe, k, conn, address)
		}
		conn.Close()
	}
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		if isChecked[address] || d.hasFailed {
			continue
		}
		isChecked[address] = true
		addressSource := source{setting: probe.name(route.NameAddressMap),
			hint: fmt.Sprintf("Broker %d advertises this address in advertised.listeners; if it is valid only in "+
				"another network, map it to an address that is valid here", b.ID)}
		if conn := d.connectBroker(ctx, probe, k, address, addressSource); conn != nil {
			conn.Close()
		}
	}
}

// connectBroker connects to a broker, with TLS if configured. It returns nil after a failure.
func (d *Diagnosis) connectBroker(ctx context.Context, probe *routeProbe, k Kafka, address string,
	addressSource source) net.Conn {
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	conn := d.connect(ctx, probe, address, addressSource)
	if conn == nil {
		return nil
	}
	return d.handshake(ctx, conn, address, k.TLS, func(err error) error {
		if keystore.ClassOf(err) == keystore.NotTLS || errors.Is(err, io.EOF) ||
			errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ECONNRESET) {
			return &hintError{"security.protocol", "", fmt.Errorf("expected a broker that answers with TLS: %w", err)}
		}
		return k.Explain(err)
	})
}

func (d *Diagnosis) fetchBrokers(ctx context.Context, probe *routeProbe, k Kafka, conn net.Conn,
	address string) (brokers []security.Broker) {
	conn.SetDeadline(time.Now().Add(k.Timeout))
	broker := security.NewConn(conn)
	if k.SASL != nil && !d.runStep("sasl "+address, func() (string, error) {
		host, _, _ := net.SplitHostPort(address)
		_, err := security.Authenticate(ctx, host, k.SASL, broker.RoundTrip)
		return k.SASL.Name(), explainProtocol(err, "sasl.jaas.config")
	}) {
		return nil
	}
	d.runStep("metadata "+address, func() (message string, err error) {
		if brokers, err = broker.Brokers(); err != nil {
			return "", explainProtocol(err, "security.protocol")
		}
		if len(brokers) == 0 {
			return "", errors.New("the cluster names no brokers yet")
		}
		return describeBrokers(probe, brokers), nil
	})
	return brokers
}

// keySASLAuthenticate is the API key of requests with credentials (SaslAuthenticate).
const keySASLAuthenticate = 36

func explainProtocol(err error, setting string) error {
	var closedErr *security.ConnectionClosedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &closedErr) && closedErr.Key == keySASLAuthenticate:
		return &hintError{setting,
			"User and password, or token, are wrong, or do not fit the mechanism in sasl.mechanism", err}
	case closedErr != nil:
		return &hintError{"security.protocol", "Check whether the listener requires TLS, SASL, both or neither", err}
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		setting = "sasl.mechanism"
	}
	return &hintError{setting, "", err}
}

func describeBrokers(probe *routeProbe, brokers []security.Broker) string {
	var descriptions []string
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		description := fmt.Sprintf("%d %s", b.ID, address)
		if mapped := probe.route.MapAddress(address); mapped != address {
			description += " -> " + mapped
		}
		descriptions = append(descriptions, description)
	}
	noun := "brokers"
	if len(brokers) == 1 {
		noun = "broker"
	}
	return fmt.Sprintf("%d %s: %s", len(brokers), noun, strings.Join(descriptions, ", "))
}
