package btp

import "context"

// Destinations finds destinations by name and keeps them for a while. Safe for use by several goroutines; it has none of its own.
type Destinations struct{}

// NewDestinations checks the binding; nothing is asked for yet. Of the options, Verbatim, InHeader and Scope do not apply.
func NewDestinations(d Destination, o TokenOptions) (*Destinations, error) { return nil, nil }

// Find is the destination of that name, at most 4 minutes old, its token valid. Cheap enough to be called for each request. Errors are
// *Failure.
func (d *Destinations) Find(ctx context.Context, name string) (Target, error) { return Target{}, nil }

// Renew is Find for one whose token a service has refused: it holds another one.
func (d *Destinations) Renew(ctx context.Context, name, refused string) (Target, error) {
	return Target{}, nil
}
