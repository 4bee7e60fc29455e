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
	// whole: the operation applies to the whole key or value, of any type, as the only field of the object.
	whole bool
	// schema: values without a schema fail.
	schema bool
	// looks is what Kafka cannot do with the fields of nulls of other types than structures; listing: and of values.
	looks   string
	listing bool
	// nulls: a null gets the schema of the result, too. defaults: so does the default of a structure.
	nulls, defaults bool
	// replaceNull: a null is its field's default, if that has one.
	replaceNull bool
}

func (t *target) about() *target { return t }

// configure reads the setting that all have.
func (t *target) configure(s settings) (err *wit.Error) {
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
