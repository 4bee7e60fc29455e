package connect

import (
	"context"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
)

// Rejection is why a letter would be refused, by where it stands.
type Rejection struct {
	Position string `json:"letter"`
	Reason   string `json:"why"`
}

// maxRejections is how many are listed.
const maxRejections = 100

// rejections collects the letters that are refused again; a dry run also keeps the reasons.
type rejections struct {
	mu      sync.Mutex
	replay  *partitionReplay
	letters *deadLetterProducer // writes refused letters of a sink; nil in a dry run
}

// Send implements [sink.DeadLetters].
func (r *rejections) Send(ctx context.Context, deadLetters []sink.FailedRecord) error {
	if r.letters != nil {
		if err := r.letters.Send(ctx, deadLetters); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.replay.result.Rejected += len(deadLetters)
	r.mu.Unlock()
	for i := range deadLetters {
		r.add(deadLetters[i].ReplayedFrom, deadLetters[i].Err)
	}
	return nil
}

// add records why a letter would be refused. Several goroutines call it.
func (r *rejections) add(letter string, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.replay.result
	known := func(one Rejection) bool { return one.Position == letter } // another row of its document
	if r.replay.request.DryRun && len(done.Rejections) < maxRejections && !slices.ContainsFunc(done.Rejections, known) {
		done.Rejections = append(done.Rejections, Rejection{letter, r.replay.conn.options.Worker.Redact(reason.Error())})
	}
}

// discardOutput is an output that acknowledges what it does not send.
type discardOutput struct{ source.Output }

func (discardOutput) Produce(_ context.Context, b source.Batch, _ kafka.Offset, done func(int, error)) {
	done(b.Len(), nil)
}
