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

// maxRefusals is how many are listed.
const maxRefusals = 100

// refusals collects the letters that are refused again; a dry run also keeps the reasons.
type refusals struct {
	mu      sync.Mutex
	of      *replay
	letters *deadLetters // writes refused letters of a sink; nil in a dry run
}

// Send implements [sink.DeadLetters].
func (r *refusals) Send(ctx context.Context, letters []sink.FailedRecord) error {
	if r.letters != nil {
		if err := r.letters.Send(ctx, letters); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.of.done.Rejected += len(letters)
	r.mu.Unlock()
	for i := range letters {
		r.add(letters[i].ReplayedFrom, letters[i].Err)
	}
	return nil
}

// add records why a letter would be refused. Several goroutines call it.
func (r *refusals) add(letter string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.of.done
	known := func(one Rejection) bool { return one.Position == letter } // another row of its document
	if r.of.of.DryRun && len(done.Rejections) < maxRefusals && !slices.ContainsFunc(done.Rejections, known) {
		done.Rejections = append(done.Rejections, Rejection{letter, r.of.connector.o.Worker.Redact(why.Error())})
	}
}

// unsent is an output that acknowledges what it does not send.
type unsent struct{ source.Output }

func (unsent) Produce(_ context.Context, b source.Batch, _ kafka.Offset, done func(int, error)) {
	done(b.Len(), nil)
}
