package connect

import (
	"context"
	"slices"

	"github.com/culvert-project/culvert/host/internal/run/source"
	"github.com/culvert-project/culvert/host/kafka"
)

// LetterRefusal is why a letter would be refused, by where it stands.
type LetterRefusal struct {
	Letter string `json:"letter"`
	Why    string `json:"why"`
}

// maxRefusals is how many are listed.
const maxRefusals = 100

// refuses notes why a letter would be refused. It is called by several goroutines.
func (p *replay) refuses(letter string, why error) {
	p.refusing.Lock()
	defer p.refusing.Unlock()
	list := p.done.Refusals
	known := func(one LetterRefusal) bool { return one.Letter == letter } // another row of its document
	if len(list) < maxRefusals && !slices.ContainsFunc(list, known) {
		p.done.Refusals = append(list, LetterRefusal{letter, p.connector.o.Worker.Strike(why.Error())})
	}
}

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
