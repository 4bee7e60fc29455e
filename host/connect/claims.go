package connect

import (
	"sync"

	"github.com/culvert-project/culvert/host/components"
)

// claims is what the connectors that run have. The zero value is ready; nil keeps no account.
type claims struct {
	mu    sync.Mutex
	names map[string]string // of connectors, by claim
	freed chan struct{}     // closed when any are given back; nil: nobody waits for that
}

// heldError is the error of a connector that claims what another one has still. Both were accepted, so that the other
// one ends, or claims less from its next start on: it is waited for.
type heldError struct {
	error
	freed <-chan struct{} // closed when claims are given back
}

func (e *heldError) Unwrap() error { return e.error }

// take has a connector claim all of these, or none where another one has one.
func (k *claims) take(name string, all []string) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, claim := range all {
		if first := k.names[claim]; first != "" && first != name {
			if k.freed == nil {
				k.freed = make(chan struct{})
			}
			return &heldError{components.ClaimedTwice(claim, first, name), k.freed}
		}
	}
	if k.names == nil {
		k.names = map[string]string{}
	}
	for _, claim := range all {
		k.names[claim] = name
	}
	return nil
}

// release gives back what a connector has.
func (k *claims) release(name string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for claim, holder := range k.names {
		if holder == name {
			delete(k.names, claim)
		}
	}
	if k.freed != nil {
		close(k.freed)
		k.freed = nil
	}
}
