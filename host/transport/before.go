package transport

import "context"

// before is the key of what is asked before each try of an exchange.
type before struct{}

// Before has f asked before each try of an exchange that is made with the context it returns, when all that the try
// waits for is there: its place among the requests, and its CSRF token. An error of f is the exchange's, and nothing is
// sent.
func Before(ctx context.Context, f func() error) context.Context {
	return context.WithValue(ctx, before{}, f)
}

// MaySend asks what [Before] has put into a context; nil: nothing speaks against it.
func MaySend(ctx context.Context) error {
	if f, ok := ctx.Value(before{}).(func() error); ok {
		return f()
	}
	return nil
}
