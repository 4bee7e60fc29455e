package transport

import (
	"context"
	"errors"
)

type sendCheckKey struct{}

type sendCheck struct {
	check func() error
	holds func() bool
}

// WithSendCheck returns a context whose exchanges call check before each attempt. check may take long: it runs
// before the attempt occupies a slot of the origin's limits. Its error ends the exchange. Immediately before
// sending, after all waits, holds reports without waiting whether the result is still valid; if not, everything is
// released and check is called again.
func WithSendCheck(ctx context.Context, ask func() error, still func() bool) context.Context {
	return context.WithValue(ctx, sendCheckKey{}, sendCheck{ask, still})
}

// CheckSend calls the check of [WithSendCheck], if the context has one.
func CheckSend(ctx context.Context) error {
	if b, ok := ctx.Value(sendCheckKey{}).(sendCheck); ok {
		return b.check()
	}
	return nil
}

// SendCheckHolds reports whether the result of the check is still valid.
func SendCheckHolds(ctx context.Context) bool {
	b, ok := ctx.Value(sendCheckKey{}).(sendCheck)
	return !ok || b.holds()
}

var errSendCheckExpired = errors.New("what was asked before the request holds no longer")
