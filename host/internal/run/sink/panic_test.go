package sink

import (
	"context"
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

type brokenService struct{ *service }

func (brokenService) Exchange(context.Context, *wit.Request) (wit.Response, error) {
	panic("a mistake in the transport")
}

type brokenGroup struct{ Consumer }

func (brokenGroup) Commit(context.Context, kafka.Offsets) error { panic("a mistake in the consumer") }

// A mistake of the host's in any stage fails the task, which returns.
func TestPanicsAreTheTasks(t *testing.T) {
	for name, breakIt := range map[string]func(*world){
		"delivering": func(x *world) { x.o.Client = brokenService{x.service} },
		"committing": func(x *world) {
			x.o.NewConsumer = func(topics []string, r kafka.Rebalances) (Consumer, error) {
				c, err := x.group.join(topics, r)
				return brokenGroup{c}, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newWorld(&writer{})
			x.group.put("t", 0, "a=1", "b=2")
			breakIt(x)
			err := guard.Do(nil, "the test", func() error { return NewTask(x.o).Run(t.Context()) })
			if p := new(guard.Panic); !errors.As(err, &p) {
				t.Errorf("expected the mistake as the task's fault, found %v", err)
			}
		})
	}
}
