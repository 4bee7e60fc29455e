package connect

import (
	"sync"

	"github.com/culvert-project/culvert/internal/components"
)

// claimRegistry records which running connector has which claim. The zero value is ready; nil records nothing.
type claimRegistry struct {
	mu       sync.Mutex
	owners   map[string]string // by claim
	released chan struct{}     // closed by release; nil while no connector waits
}

// claimedError reports a claim of another connector that still runs. The caller waits until that connector ends or has
// fewer claims.
type claimedError struct {
	error
	released <-chan struct{} // closed when claims are released
}

func (e *claimedError) Unwrap() error { return e.error }

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
			return &claimedError{components.ClaimedTwice(claim, first, name), k.released}
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
