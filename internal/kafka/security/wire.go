package security

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
)

// ConnectionClosedError means that the broker closes the connection: another security protocol, or a rejected logon.
type ConnectionClosedError struct {
	Key   int16 // of the request
	cause error
}

func (c *ConnectionClosedError) Error() string {
	return fmt.Sprintf("the broker closed the connection instead of answering %s (%v)", kmsg.NameForKey(c.Key), c.cause)
}

func (c *ConnectionClosedError) Unwrap() error { return c.cause }

const maxResponseBytes = 1 << 20

// Conn is a connection to a broker for one request at a time. It has no timeout; the caller sets deadlines.
type Conn struct {
	net.Conn
	Responses   *bufio.Reader // Responses reads the broker's responses; bytes after a response stay in it.
	correlation int32
}

// NewConn returns a connection that reads responses from conn. Close closes conn.
func NewConn(conn net.Conn) *Conn {
	return &Conn{Conn: conn, Responses: bufio.NewReaderSize(conn, 64<<10)}
}

// RoundTrip sends a request in its version, which must have a header without tags, and returns the response's body.
func (c *Conn) RoundTrip(request kmsg.Request) ([]byte, error) {
	c.correlation++
	if _, err := c.Write(EncodeRequest(request, c.correlation)); err != nil {
		return nil, asConnectionClosed(request, err)
	}
	size, correlation, err := PeekResponse(c.Responses)
	if err != nil {
		return nil, asConnectionClosed(request, err)
	}
	if correlation != c.correlation || size > maxResponseBytes {
		return nil, fmt.Errorf("response to %s: expected correlation ID %d and at most %d bytes, found %d and %d bytes",
			kmsg.NameForKey(request.Key()), c.correlation, maxResponseBytes, correlation, size)
	}
	frame := make([]byte, size+4)
	if _, err := io.ReadFull(c.Responses, frame); err != nil {
		return nil, asConnectionClosed(request, err)
	}
	return frame[8:], nil
}

func asConnectionClosed(request kmsg.Request, err error) error {
	var netErr net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || (errors.As(err, &netErr) && !netErr.Timeout()) {
		return &ConnectionClosedError{Key: request.Key(), cause: err}
	}
	return err
}

// EncodeRequest returns a request with its length and header.
func EncodeRequest(request kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("culvert")).AppendRequest(nil, request, correlation)
}

// PeekResponse returns the head of the next response without consuming it. size does not include its own four bytes.
func PeekResponse(r *bufio.Reader) (size, correlation int32, err error) {
	b, err := r.Peek(8)
	if err != nil {
		return 0, 0, err
	}
	size = int32(binary.BigEndian.Uint32(b))
	correlation = int32(binary.BigEndian.Uint32(b[4:]))
	if size < 4 {
		return 0, 0, fmt.Errorf("expected a response of a Kafka broker, found bytes % x: does its listener use "+
			"another security.protocol?", b)
	}
	return size, correlation, nil
}

// Broker is the advertised address of a broker.
type Broker struct {
	ID   int32
	Host string
	Port int32
}

// Brokers requests the brokers of the cluster.
func (c *Conn) Brokers() ([]Broker, error) {
	// Version 4 is the first in which an empty list of topics means none. Brokers from 0.11 on support it.
	request := kmsg.NewPtrMetadataRequest()
	request.Version = 4
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := Exchange[*kmsg.MetadataResponse](c.RoundTrip, request)
	if err != nil {
		return nil, err
	}
	brokers := make([]Broker, 0, len(response.Brokers))
	for _, b := range response.Brokers {
		brokers = append(brokers, Broker{ID: b.NodeID, Host: b.Host, Port: b.Port})
	}
	return brokers, nil
}

// Exchange sends a request with a function like [Conn.RoundTrip] and decodes the response.
func Exchange[R kmsg.Response](send func(kmsg.Request) ([]byte, error), request kmsg.Request) (response R, err error) {
	body, err := send(request)
	if err != nil {
		return response, err
	}
	response = request.ResponseKind().(R)
	return response, response.ReadFrom(body)
}

// Authenticate logs on with SASL (KIP-152). host is for mechanisms that need it. A zero lifetime has no limit.
func Authenticate(ctx context.Context, host string, mechanism sasl.Mechanism,
	send func(kmsg.Request) ([]byte, error)) (lifetime time.Duration, err error) {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Mechanism = mechanism.Name()
	handshake.Version = 1
	offer, err := Exchange[*kmsg.SASLHandshakeResponse](send, handshake)
	if err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(offer.ErrorCode); err != nil {
		return 0, fmt.Errorf("%w; the broker offers %q", err, offer.SupportedMechanisms)
	}
	session, message, err := mechanism.Authenticate(ctx, host)
	if err != nil {
		return 0, err
	}
	for done := false; ; {
		if done && len(message) == 0 { // the last challenge needs no answer
			return lifetime, nil
		}
		// Version 1 (Kafka 2.2) is the first with the lifetime of the logon (KIP-368).
		request := kmsg.NewPtrSASLAuthenticateRequest()
		request.Version = 1
		request.SASLAuthBytes = message
		response, err := Exchange[*kmsg.SASLAuthenticateResponse](send, request)
		if err != nil {
			return 0, err
		}
		if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
			if response.ErrorMessage != nil {
				err = fmt.Errorf("%w: %s", err, *response.ErrorMessage)
			}
			reportRejection(mechanism)
			return 0, err
		}
		lifetime = time.Duration(response.SessionLifetimeMillis) * time.Millisecond
		if done {
			return lifetime, nil
		}
		if done, message, err = session.Challenge(response.SASLAuthBytes); err != nil {
			reportRejection(mechanism)
			return 0, err
		}
	}
}

// reportRejection informs a mechanism that its credentials were rejected, so that it can use another token next time.
func reportRejection(mechanism sasl.Mechanism) {
	if m, ok := mechanism.(interface{ LogonRejected() }); ok {
		m.LogonRejected()
	}
}
