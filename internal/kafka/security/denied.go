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

	"github.com/culvert-project/culvert/internal/transport/btp"
)

// Denied is an error that only a changed setting can resolve, here or at the broker.
type Denied struct {
	Broker string
	Cause  error
	text   string
}

// Error names the broker. There is no Unwrap: the client would retry if it found a network error in the cause.
func (d *Denied) Error() string {
	if strings.HasPrefix(d.text, d.Broker+" ") { // text has a mapped address
		return "broker " + d.text
	}
	return "broker " + d.Broker + ": " + d.text
}

// Permanent returns true.
func (d *Denied) Permanent() bool { return true }

// transientDialError returns an error that the client retries. Its cause is text: our timeout is not the caller's.
func transientDialError(network string, err error, isTimeout bool) error {
	return &net.OpError{Op: "dial", Net: network, Err: &dialError{text: err.Error(), isTimeout: isTimeout}}
}

type dialError struct {
	text      string
	isTimeout bool
}

func (d *dialError) Error() string   { return d.text }
func (d *dialError) Timeout() bool   { return d.isTimeout }
func (d *dialError) Temporary() bool { return d.isTimeout }

func isDisconnect(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

func isNetworkError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// IsUnreachable reports whether no broker could be reached, or a connection ended, without a rejection.
func IsUnreachable(err error) bool {
	return !errors.As(err, new(*Denied)) && (isDisconnect(err) || isNetworkError(err))
}

// IsTransient reports whether an error is of the network, or a retriable one of Kafka.
func IsTransient(err error) bool {
	return isNetworkError(err) || kgo.IsRetryableBrokerErr(err) || kerr.IsRetriable(err)
}

// isPermanent reports whether only changed settings or secrets resolve an error.
func isPermanent(err error) bool {
	var permanent interface{ Permanent() bool }
	var tokenErr *btp.Failure
	return (errors.As(err, &permanent) && permanent.Permanent()) || (errors.As(err, &tokenErr) && !tokenErr.Temporary())
}
