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

type arrivingResponse struct{ begun, over bool }

func (h *responseTracker) started(one *arrivingResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !one.begun && !one.over { // the request may have been canceled
		one.begun = true
		h.arriving++
	}
}

func (h *responseTracker) ended(one *arrivingResponse, transport *http.Transport) {
	h.finish(one, true, transport)
}

func (h *responseTracker) restarted(one *arrivingResponse, transport *http.Transport) {
	h.finish(one, false, transport)
}

func (h *responseTracker) finish(one *arrivingResponse, over bool, transport *http.Transport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.over = over
	if one.begun {
		one.begun = false
		h.arriving--
		h.closeIdleIfDue(transport)
	}
}

func (h *responseTracker) closeIdleIfDue(transport *http.Transport) {
	if h.closeWanted && h.arriving == 0 {
		h.closeWanted = false
		transport.CloseIdleConnections()
	}
}
