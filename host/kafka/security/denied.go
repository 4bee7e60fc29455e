package security

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/transport/btp"
)

// Denied is why brokers cannot be used until somebody changes a setting, here or at the broker.
type Denied struct {
	// Broker is its host:port, as it advertises itself.
	Broker string
	Cause  error
	text   string
}

// Error names the broker. There is no Unwrap: the client would find something of the network in the cause, and try
// again.
func (d *Denied) Error() string {
	if strings.HasPrefix(d.text, d.Broker+" ") { // with the address that the map has for it
		return "broker " + d.text
	}
	return "broker " + d.Broker + ": " + d.text
}

// Permanent is true.
func (d *Denied) Permanent() bool { return true }

// away is a broker that cannot be reached now, in the words of the client: a dialling that failed. What is inside is
// text alone, or the client would take the end of our own patience for the end of its caller's.
func away(network string, err error, slow bool) error {
	return &net.OpError{Op: "dial", Net: network, Err: &unreached{err.Error(), slow}}
}

type unreached struct {
	text string
	slow bool
}

func (u *unreached) Error() string   { return u.text }
func (u *unreached) Timeout() bool   { return u.slow }
func (u *unreached) Temporary() bool { return u.slow }

// broken tells whether the other side ended a connection.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

func isNet(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// Away tells whether a request failed because no broker could be reached, or a connection ended. Brokers that do not
// let the client in are there.
func Away(err error) bool {
	denied := (*Denied)(nil)
	return !errors.As(err, &denied) && (broken(err) || isNet(err))
}

// Passes tells whether an error is one of the network, or one of Kafka's that passes.
func Passes(err error) bool {
	return isNet(err) || kgo.IsRetryableBrokerErr(err) || kerr.IsRetriable(err)
}

// lasts tells whether a failed dialling fails again until somebody changes something.
func lasts(err error) bool {
	var lasting interface{ Permanent() bool }
	var token *btp.Failure
	return errors.As(err, &lasting) && lasting.Permanent() || errors.As(err, &token) && !token.Temporary()
}
