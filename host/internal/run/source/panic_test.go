package source

import (
	"context"
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// broken has a mistake wherever it is used.
type broken struct{ asIs }

func (broken) Encode(context.Context, []byte, int, string, *record.Batch, wit.Datum) ([]byte, bool, error) {
	panic("a mistake in a converter")
}

type brokenService struct{ *service }

func (brokenService) Do(context.Context, *wit.Request) (*transport.Answer, error) {
	panic("a mistake in the transport")
}

type brokenProducer struct{ Output }

func (brokenProducer) Produce(context.Context, Batch, kafka.Offset, func(int, error)) {
	panic("a mistake in the producer")
}

// A mistake of the host's in any stage fails the task, which returns.
func TestPanicsAreTheTasks(t *testing.T) {
	for name, breakIt := range map[string]func(*world){
		"reading": func(w *world) { w.o.Client = brokenService{w.service} },
		"shaping": func(w *world) { w.o.NewConverters = converting(broken{}, broken{}) },
		"producing": func(w *world) {
			w.o.NewOutput = func(name string) (Output, error) {
				p, err := w.broker.output(name)
				return brokenProducer{p}, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(&reader{}, rows("a", 10), rows("b", 10))
			breakIt(w)
			_, err := w.run(t)
			if p := new(guard.Panic); !errors.As(err, &p) {
				t.Errorf("expected the mistake as the task's fault, found %v", err)
			}
		})
	}
}
