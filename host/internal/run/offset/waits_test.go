package offset

import (
	"context"
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/guard"
)

// Who has its offsets written waits for another write no longer than its context lasts: a task that ends in its time,
// say, while brokers are away.
func TestFlushWaitsNoLongerThanItsContext(t *testing.T) {
	w := &Writer{flushing: guard.NewTurn()}
	if err := w.flushing.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the context's end, found %v", err)
	}
}

// The same holds for whoever waits while another one reads the topic.
func TestReadingWaitsNoLongerThanItsContext(t *testing.T) {
	s := &Store{reading: guard.NewTurn(), known: map[string]bool{}}
	if err := s.reading.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{"Refresh": s.Refresh(ctx), "learn": s.learn(ctx, "another")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: expected the context's end, found %v", name, err)
		}
	}
}
