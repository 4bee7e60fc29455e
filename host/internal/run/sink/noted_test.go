package sink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A task that is about to end puts back what it has announced and not sent. That leaves room in the metadata, so that
// deliveries which waited for room are looked at once more: with nothing on its way nothing else would have them go, or
// be set aside, and the task would never end.
func TestPutBackLeavesRoom(t *testing.T) {
	x := newWorld(&writer{})
	task := NewTask(x.o)
	ending, fail := context.WithCancel(t.Context())
	task.run = &running{stopping: t.Context(), ending: ending, working: t.Context(), fail: fail}
	d := newDispatch(task)
	p := &partition{at: topicPartition{"t", 0}, delivering: 1}
	w := &writing{task: task, tries: make([]tries, 2), batch: &batch{}}
	lanes := make([]*lane, 2)
	for n := range lanes {
		w.batch.items = append(w.batch.items, &item{partition: p, record: &kgo.Record{Offset: int64(n)},
			offset: int64(n), left: 1})
		j := job{of: w}
		j.rows = []uint32{uint32(n)}
		lanes[n] = &lane{jobs: []job{j}}
	}
	d.noted = lanes[1:]
	d.queue.put(lanes[0])
	d.queue.full(lanes[0])
	d.fail(errors.New("over"))
	if d.unnoteAll(); d.queue.first() != lanes[0] || p.delivering != 0 {
		t.Errorf("expected the first delivery to be next, found %v, %d on their way", d.queue.first(), p.delivering)
	}
}

// A version that takes over encodes each batch of which nothing was sent, also where deliveries of it are announced:
// these are put back. It comes while the second of five batches is sent, at one request of it after another.
func TestAnnouncedBatchIsTakenOver(t *testing.T) {
	for at := 11; at < 19; at++ {
		synctest.Test(t, func(t *testing.T) {
			next := &writer{version: "2", topics: []string{"t"}}
			x := newWorld(&writer{version: "1", topics: []string{"t"}})
			x.o.Rows, x.group.atMost, x.o.InFlight, x.service.slow = 10, 10, 2, time.Millisecond
			for n := range 50 {
				x.group.put("t", 0, fmt.Sprintf("%c=v", 'A'+n)) // lanes are those of the first letter
			}
			x.service.answer = func(n int, _ string) (uint16, error) {
				if n == at {
					x.versions.Offer(code(next.version, next))
				}
				return 201, nil
			}
			x.ok(t)
			if n := len(x.service.seen()); n != 50 || next.encoded != 30 {
				t.Errorf("at request %d: expected 50 rows, 30 of them by the next version, found %d and %d", at, n,
					next.encoded)
			}
		})
	}
}
