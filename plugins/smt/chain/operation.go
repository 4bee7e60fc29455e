package chain

import (
	"github.com/culvert-project/culvert/wit"
)

// operation is what a transform does: a [rowOperation], a [fieldOperation], or a [split].
type operation any

// rowOperation works on the view of one row.
type rowOperation interface {
	// apply changes the view. What it writes goes after w.scratch. The error is of the call, not of the row.
	apply(w *work, v *view, stage int) (*failure, error)
}

// topicOperation is a rowOperation that changes the topic alone, by the topic alone.
type topicOperation interface {
	rowOperation
	topicFor(topic string, stage int) (string, *failure)
}

// relabeler is a rowOperation that changes nothing of a structure but its schema.
type relabeler interface {
	rowOperation
	// relabel returns the column of the operation and the number of the schema that values of a schema get; ok is false
	// where it does more.
	relabel(w *work, schema uint32, stage int) (at side, out uint32, ok bool)
}

// fieldOperation works on the fields of a key or value, in one form for structures and maps.
type fieldOperation interface {
	about() *target
	// apply changes the object. A failure of [object.fail] counts only if the result's schema can be made.
	apply(x *object, s step) *failure
}

// target has what all operations on fields have.
type target struct {
	at side
	// purpose names the operation in messages.
	purpose string
	// needed: it accepts no null in the place of a structure or map.
	needed bool
	// keeps: the structure or map stays the one that it is.
	keeps bool
	// listing: of values that are no structures Kafka says that it cannot list their fields.
	listing bool
	// nulls: a null gets the schema of the result, too.
	nulls bool
	// replaceNull: a null is its field's default, if that has one.
	replaceNull bool
}

func (t *target) about() *target { return t }

// configure reads the setting that all have.
func (t *target) configure(s settings) (err *wit.Fault) {
	t.replaceNull, err = s.boolean(replaceNullSpec.Name, true)
	return err
}

// step is the place of an operation: its stage, the topic there, and the row.
type step struct {
	stage int
	topic string
	row   *wit.Row
}

// condition is a predicate.
type condition interface {
	// matches reports whether the row at work matches. An *unmatched is that row's failure, another error the call's.
	matches(v *view, w *work) (bool, error)
}

// topicCondition is a predicate of the topic alone: in the fast lane it is asked once for each topic.
type topicCondition interface {
	condition
	matchesTopic(topic string) (bool, *unmatched)
}
