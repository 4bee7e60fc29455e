package deadletters

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/sink"
	"github.com/culvert-project/culvert/internal/run/source"
)

// Rejection is the reason why a dead letter was rejected again.
type Rejection struct {
	Position string `json:"letter"`
	Reason   string `json:"why" quotes:"records"`
}

// maxRejections bounds [Result.Rejections].
const maxRejections = 100

// rejections collects the dead letters that a replay rejects again, with the reasons.
type rejections struct {
	writer *Writer // writes them to the topic; nil in a dry run and for a source
	redact func(string) string
	result *Result

	mu        sync.Mutex      // guards positions and result.Rejections
	positions map[string]bool // of all rejected letters
}

func newRejections(redact func(string) string, result *Result) *rejections {
	return &rejections{redact: redact, result: result, positions: map[string]bool{}}
}

// Send implements [sink.DeadLetters].
func (r *rejections) Send(ctx context.Context, deadLetters []sink.FailedRecord) error {
	if r.writer != nil {
		if err := r.writer.Send(ctx, deadLetters); err != nil {
			return err
		}
	}
	for i := range deadLetters {
		r.add(deadLetters[i].ReplayedFrom, deadLetters[i].Err)
	}
	return nil
}

// add records that the letter at a position was rejected. If several rows of a document are rejected, the reason of the
// first one is kept.
func (r *rejections) add(position string, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.positions[position] && len(r.result.Rejections) < maxRejections {
		rejection := Rejection{Position: position, Reason: r.redact(reason.Error())}
		r.result.Rejections = append(r.result.Rejections, rejection)
	}
	r.positions[position] = true
}

// has reports whether the letter at a position was rejected.
func (r *rejections) has(position string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positions[position]
}

// discardOutput acknowledges rows of a dry run without sending them.
type discardOutput struct{ source.Output }

// Produce implements [source.Output]. It calls done before it returns.
func (discardOutput) Produce(_ context.Context, b source.Batch, _ kafka.Offset, done func(int, error)) {
	done(b.Len(), nil)
}
