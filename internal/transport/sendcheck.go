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

// WithSendCheck returns a context whose requests call check before each attempt, before they occupy a slot of the
// origin's limits; its error ends the request. Immediately before sending, holds reports without waiting whether the
// result is still valid; if not, check is called again.
func WithSendCheck(ctx context.Context, check func() error, holds func() bool) context.Context {
	return context.WithValue(ctx, sendCheckKey{}, sendCheck{check, holds})
}

// CheckSend calls the context's check, if any.
func CheckSend(ctx context.Context) error {
	if c, ok := ctx.Value(sendCheckKey{}).(sendCheck); ok {
		return c.check()
	}
	return nil
}

// SendCheckHolds reports whether the result of the context's check is still valid, or there is no check.
func SendCheckHolds(ctx context.Context) bool {
	c, ok := ctx.Value(sendCheckKey{}).(sendCheck)
	return !ok || c.holds()
}

var errSendCheckExpired = errors.New("the check before the request is no longer valid")
