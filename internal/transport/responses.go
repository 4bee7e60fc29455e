package transport

import (
	"net/http"
	"sync"
)

// responseTracker tracks responses that have begun to arrive but were not returned by net/http yet. net/http counts
// a connection as idle shortly before it returns a response without a body; closing idle connections at that moment
// loses the response. So they are closed when no response is arriving, else after the last one was returned;
// IdleConnTimeout covers slow ones.
type responseTracker struct {
	// mu is held while connections are closed. TLS may take seconds to write each connection's last record, longer
	// than guard.Mutex allows.
	mu          sync.Mutex
	arriving    int
	closeWanted bool // somebody wants idle connections to be ended
}

type arrivingResponse struct{ begun, over bool }

// started records the first byte of a response; net/http calls it before the connection counts as idle.
func (h *responseTracker) started(one *arrivingResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !one.begun && !one.over { // the caller may have gone meanwhile
		one.begun = true
		h.arriving++
	}
}

// finished records that a response was returned or will not arrive. over ends the request.
func (h *responseTracker) finished(one *arrivingResponse, over bool, w *http.Transport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.over = over
	if one.begun {
		one.begun = false
		h.arriving--
		h.closeIdleIfDue(w)
	}
}

func (h *responseTracker) closeIdleIfDue(w *http.Transport) {
	if h.closeWanted && h.arriving == 0 {
		h.closeWanted = false
		w.CloseIdleConnections()
	}
}
