package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/task"
	"github.com/culvert-project/culvert/wit"
)

// DeadLetters takes records that cannot be written where such records are tolerated.
type DeadLetters interface {
	// Send returns nil when the brokers have the record. It is called by several goroutines.
	Send(ctx context.Context, l Letter) error
}

// Letter is a record that cannot be written, as it was read.
type Letter struct {
	Record *kgo.Record
	Stage  task.ErrorStage
	// Transform is the position of the transform that failed, of [task.AtTransforms].
	Transform int
	// Class is the Java class that Kafka Connect would give to the failure, "" where it has none.
	Class string
	Err   error
}

// rowFault is a fault of a transform, with what dead letters say of it.
type rowFault struct{ *wit.RowFault }

func (f rowFault) Error() string { return f.Fault.Error() }

func (f rowFault) Unwrap() error { return &f.Fault }

// bury sends the record of a row that cannot be written to the topic of dead letters. Of a record that several rows
// came of there is one letter, about the first that failed.
func (t *Task) bury(i *item, stage task.ErrorStage, err error) error {
	if !t.ledger.bury(i) {
		return nil
	}
	l := Letter{Record: i.record, Stage: stage, Class: convert.ErrorClass(err), Err: err}
	var f rowFault
	if errors.As(err, &f) {
		l.Class, l.Transform = f.ErrorClass, int(f.Stage)
	}
	t.o.Tally.Letters.Add(1)
	if failure := t.o.DeadLetters.Send(t.settling, l); failure != nil {
		t.o.Tally.LostLetters.Add(1)
		return &recordError{item: i, stage: string(stage),
			err: fmt.Errorf("%w; it stays unwritten, because its dead letter cannot be stored: %w", err, failure)}
	}
	return nil
}
