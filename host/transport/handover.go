package transport

import (
	"net/http"
	"sync"
)

// responseTracker are the answers of a destination that have begun to arrive and are not handed over yet. net/http counts a
// connection as idle a moment before it hands over an answer without a body, and who ends idle connections in this
// moment takes the answer along: a POST that was written would be reported as one of unknown fate. So idle connections
// are ended where no answer is on its way to the caller, else as soon as the last one has got there. It may be on its
// way for long where a server is slow within the headers of an answer; net/http ends what is idle meanwhile by itself,
// after IdleConnTimeout.
type responseTracker struct {
	// mu is held while connections are ended. TLS may take some seconds for the last record of each, longer than
	// guard.Mutex allows.
	mu       sync.Mutex
	arriving int
	closeWanted   bool // somebody wants idle connections to be ended
}

// arrivingResponse is what is known of one request.
type arrivingResponse struct{ begun, over bool }

// started notes that the first byte of an answer is there; net/http says so before it counts the connection as idle.
func (h *responseTracker) started(one *arrivingResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !one.begun && !one.over { // the caller may have gone meanwhile
		one.begun = true
		h.arriving++
	}
}

// finished notes that an answer was handed over, or that there will be none. over: no other one of this request comes.
func (h *responseTracker) finished(one *arrivingResponse, over bool, w *http.Transport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.over = over
	if one.begun {
		one.begun = false
		h.arriving--
		h.endIdle(w)
	}
}

// endIdle ends idle connections where that is wanted and takes no answer along; h.mu is held.
func (h *responseTracker) endIdle(w *http.Transport) {
	if h.closeWanted && h.arriving == 0 {
		h.closeWanted = false
		w.CloseIdleConnections()
	}
}
