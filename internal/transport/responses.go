package transport

import (
	"net/http"
	"sync"
)

// responseTracker delays closing idle connections while responses arrive: net/http counts a connection as idle before
// it returns a response without a body, which closing it would lose. IdleConnTimeout closes the others.
type responseTracker struct {
	// mu is held while connections are closed, which with TLS may take longer than guard.Mutex allows.
	mu            sync.Mutex
	arriving      int  // responses
	mustCloseIdle bool // idle connections must be closed once no response arrives
}

// arrivingResponse is the state of one response. Both are false before its first byte.
type arrivingResponse struct{ isArriving, hasEnded bool }

// begin is called with the first byte of a response.
func (r *responseTracker) begin(response *arrivingResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !response.isArriving && !response.hasEnded { // the request may have been canceled
		response.isArriving = true
		r.arriving++
	}
}

func (r *responseTracker) end(response *arrivingResponse, transport *http.Transport) {
	r.finish(response, true, transport)
}

// restart is called if the request is sent again after its response has begun.
func (r *responseTracker) restart(response *arrivingResponse, transport *http.Transport) {
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
	if r.mustCloseIdle && r.arriving == 0 {
		r.mustCloseIdle = false
		transport.CloseIdleConnections()
	}
}
