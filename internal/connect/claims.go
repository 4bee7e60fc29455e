package connect

import (
	"sync"

	"github.com/culvert-project/culvert/internal/resolved"
)

// claimRegistry records which running connector has which claim. The zero value is ready; nil records nothing.
type claimRegistry struct {
	mu       sync.Mutex
	owners   map[string]string // by claim
	released chan struct{}     // closed by release; nil while no connector waits
}

// claimedError reports that another connector, which still runs, has the claim.
type claimedError struct {
	error
	released <-chan struct{} // closed when claims are released
}

func (e *claimedError) Unwrap() error { return e.error }

// acquire adds claims to a connector: all or, with a *claimedError, none because another connector has one.
func (r *claimRegistry) acquire(name string, claims []string) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, claim := range claims {
		if owner := r.owners[claim]; owner != "" && owner != name {
			if r.released == nil {
				r.released = make(chan struct{})
			}
			return &claimedError{resolved.ClaimConflict(claim, owner, name), r.released}
		}
	}
	if r.owners == nil {
		r.owners = map[string]string{}
	}
	for _, claim := range claims {
		r.owners[claim] = name
	}
	return nil
}

// release deletes all claims of a connector and wakes the connectors that wait for claims.
func (r *claimRegistry) release(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for claim, owner := range r.owners {
		if owner == name {
			delete(r.owners, claim)
		}
	}
	if r.released != nil {
		close(r.released)
		r.released = nil
	}
}
