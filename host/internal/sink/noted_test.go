package sink

import (
	"context"
	"errors"
	"testing"
)

// A task that is about to end puts back what it has announced and not sent. That leaves room in the metadata, so that
// deliveries which waited for room are looked at once more: with nothing on its way nothing else would have them go, or
// be set aside, and the task would never end.
func TestPutBackLeavesRoom(t *testing.T) {
	x := newWorld(&writer{})
	task := NewTask(x.o)
	d := newDispatch(task, context.Background(), context.Background())
	p := &partition{at: topicPartition{"t", 0}, delivering: 1}
	w := &writing{dispatch: d, tries: make([]tries, 2), batch: &batch{}}
	lanes := make([]*lane, 2)
	for n := range lanes {
		w.batch.items = append(w.batch.items, &item{partition: p, offset: int64(n), left: 1})
		j := job{of: w}
		j.rows = []uint32{uint32(n)}
		lanes[n] = &lane{jobs: []job{j}}
	}
	d.noted = lanes[1:]
	d.queue.put(lanes[0])
	d.queue.full(lanes[0])
	d.fail(errors.New("over"))
	if d.unnote(); d.queue.first() != lanes[0] || p.delivering != 0 {
		t.Errorf("expected the first delivery to be next, found %v, %d on their way", d.queue.first(), p.delivering)
	}
}
