// Package wire asks a Kafka broker over one connection, request by request, where a client with its pools, retries and
// metadata would be in the way: to log on for somebody else's connection, and to see which step of getting there fails.
package wire

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

// ConnectionClosed is a broker that closed the connection instead of answering, as it does where it is spoken to in
// another way than its listener wants, and some where a logon is refused.
type ConnectionClosed struct {
	// Key is that of the request.
	Key   int16
	cause error
}

func (h *ConnectionClosed) Error() string {
	return fmt.Sprintf("the broker closed the connection instead of answering %s (%v)", kmsg.NameForKey(h.Key), h.cause)
}

func (h *ConnectionClosed) Unwrap() error { return h.cause }

// maxResponseBytes bounds what is read for one answer. Logons are short, metadata without topics is.
const maxResponseBytes = 1 << 20

// Conn is a connection to a broker. It is for one goroutine.
type Conn struct {
	net.Conn
	// Responses is what the broker sends; bytes after an answer stay in it.
	Responses   *bufio.Reader
	correlation int32
}

// New speaks over a connection that is made already.
func New(conn net.Conn) *Conn { return &Conn{Conn: conn, Responses: bufio.NewReaderSize(conn, 64<<10)} }

// RoundTrip sends a request in its version and returns the body of the answer. Requests must be of versions whose
// headers are the plain ones, without tags.
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
		return nil, fmt.Errorf("an answer to %s: expected correlation %d and at most %d bytes, found %d and %d bytes",
			kmsg.NameForKey(request.Key()), c.correlation, maxResponseBytes, correlation, size)
	}
	frame := make([]byte, size+4)
	if _, err := io.ReadFull(c.Responses, frame); err != nil {
		return nil, asConnectionClosed(request, err)
	}
	return frame[8:], nil
}

func asConnectionClosed(request kmsg.Request, err error) error {
	var broken net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) && !broken.Timeout() {
		return &ConnectionClosed{request.Key(), err}
	}
	return err
}

// EncodeRequest is a request as it travels.
func EncodeRequest(request kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("culvert")).AppendRequest(nil, request, correlation)
}

// PeekResponse looks at the head of an answer without taking it. size is of what follows the size itself.
func PeekResponse(r *bufio.Reader) (size, correlation int32, err error) {
	b, err := r.Peek(8)
	if err != nil {
		return 0, 0, err
	}
	size, correlation = int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))
	if size < 4 {
		return 0, 0, fmt.Errorf("expected an answer of a Kafka broker, found bytes % x: does its listener want "+
			"another security.protocol?", b)
	}
	return size, correlation, nil
}

// Broker is one that a cluster names.
type Broker struct {
	ID   int32
	Host string
	Port int32
}

// Brokers asks for the brokers of the cluster.
func (c *Conn) Brokers() ([]Broker, error) {
	// Version 4 is the first in which an empty list of topics asks for none; brokers from 0.11 to 4 know it.
	request := kmsg.NewPtrMetadataRequest()
	request.Version, request.Topics = 4, []kmsg.MetadataRequestTopic{}
	answer, err := Exchange[*kmsg.MetadataResponse](c.RoundTrip, request)
	if err != nil {
		return nil, err
	}
	brokers := make([]Broker, 0, len(answer.Brokers))
	for _, b := range answer.Brokers {
		brokers = append(brokers, Broker{b.NodeID, b.Host, b.Port})
	}
	return brokers, nil
}

// Exchange sends a request by ask, which is as [Conn.RoundTrip], and reads its answer.
func Exchange[R kmsg.Response](send func(kmsg.Request) ([]byte, error), request kmsg.Request) (answer R, err error) {
	body, err := send(request)
	if err != nil {
		return answer, err
	}
	answer = request.ResponseKind().(R)
	return answer, answer.ReadFrom(body)
}

// Authenticate authenticates with SASL (KIP-152): host is the broker's name for mechanisms that want it. ask sends a
// request and returns the body of its answer, as [Conn.RoundTrip] does. life is how long the broker takes the logon
// for, 0 where it has no end.
func Authenticate(ctx context.Context, host string, mechanism sasl.Mechanism, send func(kmsg.Request) ([]byte,
	error)) (lifetime time.Duration, err error) {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, mechanism.Name()
	offered, err := Exchange[*kmsg.SASLHandshakeResponse](send, handshake)
	if err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(offered.ErrorCode); err != nil {
		return 0, fmt.Errorf("%w; the broker offers %q", err, offered.SupportedMechanisms)
	}
	session, message, err := mechanism.Authenticate(ctx, host)
	if err != nil {
		return 0, err
	}
	for done := false; ; {
		if done && len(message) == 0 {
			return lifetime, nil
		}
		// Version 1, of brokers from 2.2 on, is the first that tells how long the logon lasts (KIP-368).
		request := kmsg.NewPtrSASLAuthenticateRequest()
		request.Version, request.SASLAuthBytes = 1, message
		answer, err := Exchange[*kmsg.SASLAuthenticateResponse](send, request)
		if err != nil {
			return 0, err
		}
		if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
			if answer.ErrorMessage != nil {
				err = fmt.Errorf("%w: %s", err, *answer.ErrorMessage)
			}
			turnAway(mechanism)
			return 0, err
		}
		lifetime = time.Duration(answer.SessionLifetimeMillis) * time.Millisecond
		if done {
			return lifetime, nil
		}
		if done, message, err = session.Challenge(answer.SASLAuthBytes); err != nil {
			turnAway(mechanism)
			return 0, err
		}
	}
}

// turnAway tells a mechanism that can show something else the next time, such as another token, that it was refused.
func turnAway(mechanism sasl.Mechanism) {
	if m, ok := mechanism.(interface{ TurnedAway() }); ok {
		m.TurnedAway()
	}
}
