package connect

import (
	"sync"

	"github.com/culvert-project/culvert/host/check"
)

// claimRegistry is what the connectors that run have. The zero value is ready; nil keeps no account.
type claimRegistry struct {
	mu       sync.Mutex
	owners   map[string]string // of connectors, by claim
	released chan struct{}     // closed when any are given back; nil: nobody waits for that
}

// claimedError is the error of a connector that claims what another one has still. Both were accepted, so that the other
// one ends, or claims less from its next start on: it is waited for.
type claimedError struct {
	error
	released <-chan struct{} // closed when claims are given back
}

func (e *claimedError) Unwrap() error { return e.error }

// acquire has a connector claim all of these, or none where another one has one.
func (k *claimRegistry) acquire(name string, all []string) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, claim := range all {
		if first := k.owners[claim]; first != "" && first != name {
			if k.released == nil {
				k.released = make(chan struct{})
			}
			return &claimedError{check.ClaimedTwice(claim, first, name), k.released}
		}
	}
	if k.owners == nil {
		k.owners = map[string]string{}
	}
	for _, claim := range all {
		k.owners[claim] = name
	}
	return nil
}

// release gives back what a connector has.
func (k *claimRegistry) release(name string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for claim, holder := range k.owners {
		if holder == name {
			delete(k.owners, claim)
		}
	}
	if k.released != nil {
		close(k.released)
		k.released = nil
	}
}
