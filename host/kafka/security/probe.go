package security

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/kafka/wire"
	"github.com/culvert-project/culvert/host/keystore"
)

// What follows asks a broker over a connection of its own what it speaks. A broker that is spoken to in the wrong way
// ends the connection, and so does one that is being stopped: the difference shows when it is spoken to in the other
// way. Nothing secret is sent for that.

// speaksTLS tells whether a port answers TLS.
func (a *Access) speaksTLS(ctx context.Context, address string) bool {
	conn, err := a.connectBy(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	// Whose certificate it is does not matter: nothing is said on this connection.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return err == nil || keystore.ClassOf(err) == keystore.Alert
}

// plainKafka tells whether a port answers Kafka without TLS.
func (a *Access) plainKafka(ctx context.Context, address string) bool {
	conn, err := a.connectBy(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_, err = exchange[*kmsg.ApiVersionsResponse](ctx, conn, kmsg.NewPtrApiVersionsRequest())
	return err == nil
}

// wantsSASL reports whether a broker has SASL mechanisms and closes connections that send other requests before
// authentication. Mechanisms alone prove nothing: kfake has some and requires none. A broker that is killed closes
// connections, too, so both are checked twice.
func (a *Access) wantsSASL(ctx context.Context, address string) bool {
	for range 2 {
		if has, _ := a.mechanisms(ctx, address); !has || !a.closesOnMetadata(ctx, address) {
			return false
		}
	}
	return true
}

// closesOnMetadata reports whether a broker closes a connection that requests metadata before authentication.
func (a *Access) closesOnMetadata(ctx context.Context, address string) bool {
	conn, err := a.connected(ctx, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Version, request.Topics = 4, []kmsg.MetadataRequestTopic{} // ctx; nil is all
	_, err = exchange[*kmsg.MetadataResponse](ctx, conn, request)
	return err != nil && broken(err)
}

// connected is a connection as the client has it, before anybody logs on.
func (a *Access) connected(ctx context.Context, address string) (net.Conn, error) {
	conn, err := a.connectBy(ctx, "tcp", address)
	if err != nil || a.tls == nil {
		return conn, err
	}
	secure := a.secured(conn, address)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// secured is a connection with TLS, whose handshake is to come.
func (a *Access) secured(conn net.Conn, address string) *tls.Conn {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return tls.Client(conn, keystore.ForHost(a.tls, host))
}

// mechanisms asks for an unknown mechanism: brokers answer with the list of those that they have.
func (a *Access) mechanisms(ctx context.Context, address string) (wanted bool, names []string) {
	conn, err := a.connected(ctx, address)
	if err != nil {
		return false, nil
	}
	defer conn.Close()
	request := kmsg.NewPtrSASLHandshakeRequest()
	request.Version, request.Mechanism = 1, "NONE-OF-THEM"
	response, err := exchange[*kmsg.SASLHandshakeResponse](ctx, conn, request)
	if err != nil {
		return false, nil
	}
	return len(response.SupportedMechanisms) > 0, response.SupportedMechanisms
}

// exchange sends a request of an inflexible version and returns the answer.
func exchange[R kmsg.Response](ctx context.Context, conn net.Conn, request kmsg.Request) (R, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return wire.Answer[R](wire.New(conn).Ask, request)
}
