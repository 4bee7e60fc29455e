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

// HungUp is a broker that closed the connection instead of answering, as it does where it is spoken to in another way
// than its listener wants, and some where a logon is refused.
type HungUp struct {
	// Key is that of the request.
	Key   int16
	cause error
}

func (h *HungUp) Error() string {
	return fmt.Sprintf("the broker closed the connection instead of answering %s (%v)", kmsg.NameForKey(h.Key), h.cause)
}

func (h *HungUp) Unwrap() error { return h.cause }

// maxAnswer bounds what is read for one answer. Logons are short, metadata without topics is.
const maxAnswer = 1 << 20

// Conn is a connection to a broker. It is for one goroutine.
type Conn struct {
	net.Conn
	// Answers is what the broker sends; bytes after an answer stay in it.
	Answers *bufio.Reader
	asked   int32
}

// New speaks over a connection that is made already.
func New(conn net.Conn) *Conn { return &Conn{Conn: conn, Answers: bufio.NewReaderSize(conn, 64<<10)} }

// Ask sends a request in its version and returns the body of the answer. Requests must be of versions whose headers are
// the plain ones, without tags.
func (c *Conn) Ask(request kmsg.Request) ([]byte, error) {
	c.asked++
	if _, err := c.Write(Frame(request, c.asked)); err != nil {
		return nil, hungUp(request, err)
	}
	size, correlation, err := PeekAnswer(c.Answers)
	if err != nil {
		return nil, hungUp(request, err)
	}
	if correlation != c.asked || size > maxAnswer {
		return nil, fmt.Errorf("an answer to %s: expected correlation %d and at most %d bytes, found %d and %d bytes",
			kmsg.NameForKey(request.Key()), c.asked, maxAnswer, correlation, size)
	}
	frame := make([]byte, size+4)
	if _, err := io.ReadFull(c.Answers, frame); err != nil {
		return nil, hungUp(request, err)
	}
	return frame[8:], nil
}

func hungUp(request kmsg.Request, err error) error {
	var broken net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) && !broken.Timeout() {
		return &HungUp{request.Key(), err}
	}
	return err
}

// Frame is a request as it travels.
func Frame(request kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("culvert")).AppendRequest(nil, request, correlation)
}

// PeekAnswer looks at the head of an answer without taking it. size is of what follows the size itself.
func PeekAnswer(r *bufio.Reader) (size, correlation int32, err error) {
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
	answer, err := Answer[*kmsg.MetadataResponse](c.Ask, request)
	if err != nil {
		return nil, err
	}
	brokers := make([]Broker, 0, len(answer.Brokers))
	for _, b := range answer.Brokers {
		brokers = append(brokers, Broker{b.NodeID, b.Host, b.Port})
	}
	return brokers, nil
}

// Answer sends a request by ask, which is as [Conn.Ask], and reads its answer.
func Answer[R kmsg.Response](ask func(kmsg.Request) ([]byte, error), request kmsg.Request) (answer R, err error) {
	body, err := ask(request)
	if err != nil {
		return answer, err
	}
	answer = request.ResponseKind().(R)
	return answer, answer.ReadFrom(body)
}

// LogOn authenticates with SASL (KIP-152): host is the broker's name for mechanisms that want it. ask sends a request
// and returns the body of its answer, as [Conn.Ask] does. life is how long the broker takes the logon for, 0 where it
// has no end.
func LogOn(ctx context.Context, host string, mechanism sasl.Mechanism, ask func(kmsg.Request) ([]byte,
	error)) (lifetime time.Duration, err error) {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, mechanism.Name()
	shaken, err := Answer[*kmsg.SASLHandshakeResponse](ask, handshake)
	if err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(shaken.ErrorCode); err != nil {
		return 0, fmt.Errorf("%w; the broker offers %q", err, shaken.SupportedMechanisms)
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
		answer, err := Answer[*kmsg.SASLAuthenticateResponse](ask, request)
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
