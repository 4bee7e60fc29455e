package transport

import (
	"context"
	"errors"
)

// beforeKey is the key of a context's [before].
type beforeKey struct{}

// before is asked before each try of an exchange whether it may be sent, see [Before].
type before struct {
	ask   func() error
	still func() bool
}

// Before has ask called before each try of an exchange that is made with the context it returns. It may take its time:
// the try has no place among the requests to its origin yet, which others need. An error is the exchange's, and nothing
// is sent. When the try is about to be sent, as it has its place, its CSRF token and a connection, and has waited for
// the rate and for maintenance windows, still says without waiting whether what was asked holds on; if not, all is
// given back, and ask is called again.
func Before(ctx context.Context, ask func() error, still func() bool) context.Context {
	return context.WithValue(ctx, beforeKey{}, before{ask, still})
}

// MaySend asks what [Before] has put into a context; nil: nothing speaks against sending.
func MaySend(ctx context.Context) error {
	if b, ok := ctx.Value(beforeKey{}).(before); ok {
		return b.ask()
	}
	return nil
}

// StillMaySend says whether what was asked holds on.
func StillMaySend(ctx context.Context) bool {
	b, ok := ctx.Value(beforeKey{}).(before)
	return !ok || b.still()
}

// errNoLonger: nothing was sent, since what was asked before holds no longer.
var errNoLonger = errors.New("what was asked before the request holds no longer")
