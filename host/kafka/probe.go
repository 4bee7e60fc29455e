package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka/wire"
	"github.com/culvert-project/culvert/host/keystore"
)

// A broker that is spoken to in the wrong way ends the connection, and so does one that is being stopped. The
// difference shows when it is spoken to in the other way. Nothing secret is sent for that.

// look asks a broker over a connection of its own, and denies the client when the answer is yes. It returns at
// once; one such question is open at a time.
func (g *dialer) look(address string, ask func(context.Context, string) bool, format, property string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looks.looking || time.Since(g.looks.looked) < lookEvery || g.life.Err() != nil {
		return
	}
	g.looks.looking = true
	go func() {
		defer guard.Recover(nil, "a question to a broker that does not answer", nil)
		ctx, cancel := context.WithTimeout(g.life, lookTime)
		defer cancel()
		yes := ask(ctx, address)
		g.mu.Lock()
		g.looks.looking, g.looks.looked = false, time.Now()
		g.mu.Unlock()
		if yes {
			g.deny(&Denied{Broker: address, text: fmt.Sprintf(format, g.access.named(property))})
		}
	}()
}

// speaksTLS tells whether a port answers TLS.
func (g *dialer) speaksTLS(ctx context.Context, address string) bool {
	conn, err := g.access.connectBy(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	// Whose certificate it is does not matter: nothing is said on this connection.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return err == nil || keystore.ClassOf(err) == keystore.Alert
}

// plainKafka tells whether a port answers Kafka without TLS.
func (g *dialer) plainKafka(ctx context.Context, address string) bool {
	conn, err := g.access.connectBy(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_, err = exchange[*kmsg.ApiVersionsResponse](ctx, conn, kmsg.NewPtrApiVersionsRequest())
	return err == nil
}

// wantsSASL tells whether a port has mechanisms to log on with, and talks of nothing else before. (Some name mechanisms
// that nobody needs.)
func (g *dialer) wantsSASL(ctx context.Context, address string) bool {
	if has, _ := g.mechanisms(ctx, address); !has {
		return false
	}
	conn, err := g.connected(ctx, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Version, request.Topics = 4, []kmsg.MetadataRequestTopic{} // none; nil is all
	_, err = exchange[*kmsg.MetadataResponse](ctx, conn, request)
	return err != nil && broken(err)
}

// connected is a connection as the client has it, before anybody logs on.
func (g *dialer) connected(ctx context.Context, address string) (net.Conn, error) {
	conn, err := g.access.connectBy(ctx, "tcp", address)
	if err != nil || g.access.tls == nil {
		return conn, err
	}
	secure := g.secured(conn, address)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// offered is what a broker says of its mechanisms, for a message.
func (g *dialer) offered(address string) string {
	ctx, cancel := context.WithTimeout(g.life, lookTime)
	defer cancel()
	if _, names := g.mechanisms(ctx, address); len(names) > 0 {
		return ", only " + strings.Join(names, ", ")
	}
	return ""
}

// mechanisms asks for an unknown mechanism: brokers answer with the list of those that they have.
func (g *dialer) mechanisms(ctx context.Context, address string) (wanted bool, names []string) {
	conn, err := g.connected(ctx, address)
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
