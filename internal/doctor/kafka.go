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

	"github.com/culvert-project/culvert/internal/kafka/wire"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// Kafka is how a worker reaches its brokers.
type Kafka struct {
	Bootstrap []string
	// Route is how they are connected to; of it, Outage and Trace are set here.
	Route route.Settings
	// TLS is that of connections to brokers, nil for none.
	TLS *tls.Config
	// Explain says of a failed handshake which setting mends it. Default: as it is.
	Explain func(error) error
	// SASL is how connections are logged on, nil for none.
	SASL sasl.Mechanism
	// Timeout bounds each step. Default 30 s.
	Timeout time.Duration
}

// stepWithin bounds a step that asks brokers or a registry.
const stepWithin = 30 * time.Second

// Kafka goes from the token of a proxy to every broker of the cluster. A broker that starts the way is connected to,
// secured and logged on to; then all that the cluster advertises are connected to and secured. Metadata comes after TLS
// and SASL, since a broker tells it to nobody else.
func (v *Diagnosis) Kafka(ctx context.Context, k Kafka) {
	if k.Timeout == 0 {
		k.Timeout = stepWithin
	}
	if k.Explain == nil {
		k.Explain = func(err error) error { return err }
	}
	var w *routeProbe
	var err error
	if w, err = newRoute(k.Route); err != nil {
		v.record("settings", 0, "", err)
		return
	}
	if !v.checkProxy(ctx, w) {
		return
	}
	reached := map[string]bool{}
	var brokers []wire.Broker
	for _, address := range k.Bootstrap {
		conn := v.connectBroker(ctx, w, k, address, source{"bootstrap.servers",
			"Does the broker listen there, and does nothing between refuse it?"})
		if conn == nil {
			return
		}
		reached[address] = true
		if len(brokers) == 0 {
			brokers = v.metadata(ctx, w, k, conn, address)
		}
		conn.Close()
	}
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		if reached[address] || v.failed {
			continue
		}
		reached[address] = true
		from := source{w.name(route.NameAddressMap), fmt.Sprintf("Broker %d says in its advertised.listeners that it "+
			"is reached so; where that is right elsewhere only, the map has another address for it", b.ID)}
		if conn := v.connectBroker(ctx, w, k, address, from); conn != nil {
			conn.Close()
		}
	}
}

// connectBroker connects to a broker, with TLS where that is asked for.
func (v *Diagnosis) connectBroker(ctx context.Context, w *routeProbe, k Kafka, address string, from source) net.Conn {
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	conn := v.connect(ctx, w, address, from)
	if conn == nil {
		return nil
	}
	return v.handshake(ctx, conn, address, k.TLS, func(err error) error {
		if keystore.ClassOf(err) == keystore.NotTLS || errors.Is(err, io.EOF) || errors.Is(err,
			context.DeadlineExceeded) || errors.Is(err, syscall.ECONNRESET) {
			return &fixHint{"security.protocol", "", fmt.Errorf("expected a broker that answers with TLS: %w", err)}
		}
		return k.Explain(err)
	})
}

func (v *Diagnosis) metadata(ctx context.Context, w *routeProbe, k Kafka, conn net.Conn,
	address string) (brokers []wire.Broker) {
	conn.SetDeadline(time.Now().Add(k.Timeout))
	broker := wire.New(conn)
	if k.SASL != nil && !v.runStep("sasl "+address, func() (string, error) {
		host, _, _ := net.SplitHostPort(address)
		_, err := wire.Authenticate(ctx, host, k.SASL, broker.RoundTrip)
		return k.SASL.Name(), protocol(err, "sasl.jaas.config")
	}) {
		return nil
	}
	v.runStep("metadata "+address, func() (message string, err error) {
		if brokers, err = broker.Brokers(); err != nil {
			return "", protocol(err, "security.protocol")
		}
		if len(brokers) == 0 {
			return "", errors.New("the cluster names no brokers yet")
		}
		return advertised(w, brokers), nil
	})
	return brokers
}

const keySASLAuthenticate = 36

func protocol(err error, setting string) error {
	var hungUp *wire.ConnectionClosed
	switch {
	case err == nil:
		return nil
	case errors.As(err, &hungUp) && hungUp.Key == keySASLAuthenticate:
		return &fixHint{setting,
			"Either user and password, or token, are wrong, or they are not of the mechanism in sasl.mechanism", err}
	case hungUp != nil:
		return &fixHint{"security.protocol", "Does the listener want TLS or SASL, or none of them?", err}
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		setting = "sasl.mechanism"
	}
	return &fixHint{setting, "", err}
}

func advertised(w *routeProbe, brokers []wire.Broker) string {
	var list []string
	for _, b := range brokers {
		address := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		text := fmt.Sprintf("%d %s", b.ID, address)
		if mapped := w.route.Mapped(address); mapped != address {
			text += " -> " + mapped
		}
		list = append(list, text)
	}
	noun := "brokers"
	if len(brokers) == 1 {
		noun = "broker"
	}
	return fmt.Sprintf("%d %s: %s", len(brokers), noun, strings.Join(list, ", "))
}
