package transport

import (
	"net/http"
	"sync"
)

// responseTracker delays closing idle connections while responses arrive. net/http counts a connection as idle
// shortly before it returns a response without a body; closing it then loses the response. IdleConnTimeout covers
// connections that are never closed here.
type responseTracker struct {
	// mu is held while connections are closed, which with TLS may take longer than guard.Mutex allows.
	mu          sync.Mutex
	arriving    int
	closeWanted bool // idle connections are to be closed
}

// arrivingResponse is the state of one response. Both are false before its first byte.
type arrivingResponse struct{ isArriving, hasEnded bool }

func (r *responseTracker) started(response *arrivingResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !response.isArriving && !response.hasEnded { // the request may have been canceled
		response.isArriving = true
		r.arriving++
	}
}

func (r *responseTracker) ended(response *arrivingResponse, transport *http.Transport) {
	r.finish(response, true, transport)
}

func (r *responseTracker) restarted(response *arrivingResponse, transport *http.Transport) {
	r.finish(response, false, transport)
}

func (r *responseTracker) finish(response *arrivingResponse, hasEnded bool, transport *http.Transport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	response.hasEnded = hasEnded
	if response.isArriving {
		response.isArriving = false
		r.arriving--
		r.closeIdleIfDue(transport)
	}
}

func (r *responseTracker) closeIdleIfDue(transport *http.Transport) {
	if r.closeWanted && r.arriving == 0 {
		r.closeWanted = false
		transport.CloseIdleConnections()
	}
}
