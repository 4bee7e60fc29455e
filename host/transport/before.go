package transport

import (
	"context"
	"errors"
)

// sendCheckKey is the key of a context's [sendCheck].
type sendCheckKey struct{}

// sendCheck is asked before each try of an exchange whether it may be sent, see [WithSendCheck].
type sendCheck struct {
	check   func() error
	holds func() bool
}

// WithSendCheck has ask called before each try of an exchange that is made with the context it returns. It may take its time:
// the try has no place among the requests to its origin yet, which others need. An error is the exchange's, and nothing
// is sent. When the try is about to be sent, as it has its place, its CSRF token and a connection, and has waited for
// the rate and for maintenance windows, still says without waiting whether what was asked holds on; if not, all is
// given back, and ask is called again.
func WithSendCheck(ctx context.Context, ask func() error, still func() bool) context.Context {
	return context.WithValue(ctx, sendCheckKey{}, sendCheck{ask, still})
}

// CheckSend asks what [WithSendCheck] has put into a context; nil: nothing speaks against sending.
func CheckSend(ctx context.Context) error {
	if b, ok := ctx.Value(sendCheckKey{}).(sendCheck); ok {
		return b.check()
	}
	return nil
}

// SendCheckHolds says whether what was asked holds on.
func SendCheckHolds(ctx context.Context) bool {
	b, ok := ctx.Value(sendCheckKey{}).(sendCheck)
	return !ok || b.holds()
}

// errSendCheckExpired: nothing was sent, since what was asked before holds no longer.
var errSendCheckExpired = errors.New("what was asked before the request holds no longer")
