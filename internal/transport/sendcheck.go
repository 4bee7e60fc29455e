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

// WithSendCheck returns a context whose requests call check before each attempt and before they occupy a slot. holds
// reports without waiting, just before sending, whether the result is still valid; else check is called again.
func WithSendCheck(ctx context.Context, check func() error, holds func() bool) context.Context {
	return context.WithValue(ctx, sendCheckKey{}, sendCheck{check: check, holds: holds})
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
