package security

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/keystore"
)

// Probes use separate connections and send no secrets. A broker that is stopping closes connections like one that
// expects another protocol; only a try with the other protocol tells them apart.

func (a *Access) speaksTLS(ctx context.Context, address string) bool {
	conn, err := a.dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return err == nil || keystore.ClassOf(err) == keystore.Alert
}

func (a *Access) speaksPlainKafka(ctx context.Context, address string) bool {
	conn, err := a.dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_, err = exchange[*kmsg.ApiVersionsResponse](ctx, conn, kmsg.NewPtrApiVersionsRequest())
	return err == nil
}

// requiresSASL reports whether a broker has SASL mechanisms and closes unauthenticated connections. Both are checked
// twice: kfake has mechanisms without requiring them, and a killed broker closes connections.
func (a *Access) requiresSASL(ctx context.Context, address string) bool {
	for range 2 {
		if hasSASL, _ := a.mechanisms(ctx, address); !hasSASL || !a.closesOnMetadata(ctx, address) {
			return false
		}
	}
	return true
}

// closesOnMetadata reports whether a broker closes a connection that requests metadata before authentication.
func (a *Access) closesOnMetadata(ctx context.Context, address string) bool {
	conn, err := a.open(ctx, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Version = 4
	request.Topics = []kmsg.MetadataRequestTopic{} // no topics; nil would request all
	_, err = exchange[*kmsg.MetadataResponse](ctx, conn, request)
	return err != nil && isDisconnect(err)
}

// open connects with TLS, if configured, but without SASL.
func (a *Access) open(ctx context.Context, address string) (net.Conn, error) {
	conn, err := a.dial(ctx, "tcp", address)
	if err != nil || a.tls == nil {
		return conn, err
	}
	tlsConn := a.startTLS(conn, address)
	if err := tlsConn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return tlsConn, nil
}

func (a *Access) startTLS(conn net.Conn, address string) *tls.Conn {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return tls.Client(conn, keystore.ForHost(a.tls, host))
}

// mechanisms returns the SASL mechanisms of a broker: it responds with them to the request for an unknown one.
func (a *Access) mechanisms(ctx context.Context, address string) (hasSASL bool, names []string) {
	conn, err := a.open(ctx, address)
	if err != nil {
		return false, nil
	}
	defer conn.Close()
	request := kmsg.NewPtrSASLHandshakeRequest()
	request.Version = 1
	request.Mechanism = "NONE-OF-THEM"
	response, err := exchange[*kmsg.SASLHandshakeResponse](ctx, conn, request)
	if err != nil {
		return false, nil
	}
	return len(response.SupportedMechanisms) > 0, response.SupportedMechanisms
}

// exchange sends a request and returns the response. It ends with ctx.
func exchange[R kmsg.Response](ctx context.Context, conn net.Conn, request kmsg.Request) (R, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // in the past
	defer stop()
	return Exchange[R](NewConn(conn).RoundTrip, request)
}
