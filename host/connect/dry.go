package connect

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
)

// refusals are why letters would be refused that a dry replay takes. Safe for use by several goroutines.
type refusals struct {
	mu   sync.Mutex
	list []LetterRefusal
}

// LetterRefusal is why a letter would be refused, by where it stands.
type LetterRefusal struct {
	Letter, Why string
}

// maxRefusals is how many are listed.
const maxRefusals = 100

func (r *refusals) add(letter string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := func(one LetterRefusal) bool { return one.Letter == letter } // another row of its document
	if len(r.list) < maxRefusals && !slices.ContainsFunc(r.list, known) {
		r.list = append(r.list, LetterRefusal{letter, why.Error()})
	}
}

// quiet is the log of what is done for a dry run: nothing was skipped.
var quiet = slog.New(slog.DiscardHandler)

// freely is the turn of a replay that sends nothing.
type freely struct{}

func (freely) Alive(context.Context) error { return nil }
func (freely) Lasts() bool                 { return true }

// nowhere is an output that acknowledges what it does not send.
type nowhere struct{}

func (nowhere) NewBatch() source.Batch { return new(kafka.Producer).NewBatch() }

func (nowhere) Produce(_ context.Context, b source.Batch, _ kafka.Offset, done func(int, error)) {
	done(b.Len(), nil)
}

func (nowhere) OnFailure(func(error))        {}
func (nowhere) Keeps() bool                  { return true }
func (nowhere) Begin(context.Context) error  { return nil }
func (nowhere) Commit(context.Context) error { return nil }
func (nowhere) Abort(context.Context) error  { return nil }
func (nowhere) Flush(context.Context) error  { return nil }
func (nowhere) Close(context.Context) error  { return nil }

// toNowhere is how the rows of a dry replay are delivered.
func toNowhere(string, func(int) []string) (delivery, error) {
	return delivery{output: func(string) (source.Output, error) { return nowhere{}, nil },
		close: func(context.Context) {}}, nil
}
