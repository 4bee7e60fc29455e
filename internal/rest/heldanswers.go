package rest

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/culvert-project/culvert/internal/base/inbound"
)

// Bounds of responses while clients read them. A response of at most smallAnswer bytes is not counted: on all
// inbound.MaxConnections connections such responses need 32 MiB.
const (
	maxHeldAnswers = 64 << 20 // bytes of all responses, and of a single one
	smallAnswer    = 64 << 10
	pieceTimeout   = 30 * time.Second // for a client to read the next smallAnswer bytes
)

// heldAnswers counts the bytes of responses that clients have not read yet. The zero value is ready.
type heldAnswers struct{ bytes inbound.Bodies }

var errAnswersFull = &Refusal{http.StatusServiceUnavailable,
	"responses that other clients have not read yet use all memory for responses: retry later"}

// checkAnswer returns an error if a response is too large, whatever the others are.
func checkAnswer(size int) error {
	if size <= maxHeldAnswers {
		return nil
	}
	return &Refusal{http.StatusInternalServerError, fmt.Sprintf("the response would have more than %d MiB: request "+
		"less, such as a single connector", maxHeldAnswers>>20)}
}

// hold counts a response until release is called. An error means that it must not be sent. The result of a change is
// counted, and never refused.
func (h *heldAnswers) hold(size int, isChange bool) (release func(), err error) {
	release = func() {}
	if h == nil || size <= smallAnswer {
		return release, nil
	}
	limit := int64(math.MaxInt64)
	if !isChange {
		limit = maxHeldAnswers
		if err := checkAnswer(size); err != nil {
			return release, err
		}
	}
	if !h.bytes.Reserve(int64(size), limit) {
		return release, errAnswersFull
	}
	return func() { h.bytes.Reserve(-int64(size), limit) }, nil
}

// pacedWriter disconnects a client that does not read the next bytes of a large response within pieceTimeout, or the
// whole response before the deadline.
type pacedWriter struct {
	http.ResponseWriter
	deadline time.Time
	written  int
}

// Write implements [http.ResponseWriter].
func (p *pacedWriter) Write(data []byte) (n int, err error) {
	c := http.NewResponseController(p.ResponseWriter)
	p.written += len(data)
	for {
		if p.written > smallAnswer { // a test's writer accepts no deadline
			_ = c.SetWriteDeadline(time.Now().Add(min(pieceTimeout, time.Until(p.deadline))))
		}
		piece := data[:min(len(data), smallAnswer)]
		written, err := p.ResponseWriter.Write(piece)
		n += written
		data = data[len(piece):]
		if err != nil || len(data) == 0 {
			return n, err
		}
	}
}

// Unwrap is for [http.ResponseController].
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
