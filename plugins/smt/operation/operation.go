package operation

import (
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
)

// Operation is what a transform does: a [rowOperation], a [fieldOperation], or a [split].
type Operation any

// RowOperation works on the view of one row.
type RowOperation interface {
	// Apply changes the view. What it writes goes after w.scratch. The error is of the call, not of the row.
	Apply(w *Context, v *record.Record, stage int) (*rowerror.Failure, error)
}

// TopicOperation is a rowOperation that changes the topic alone, by the topic alone.
type TopicOperation interface {
	RowOperation
	TopicFor(topic string, stage int) (string, *rowerror.Failure)
}

// FieldOperation works on the fields of a key or value, in one form for structures and maps.
type FieldOperation interface {
	Options() *FieldOptions
	// Apply changes the object. A failure of [object.fail] counts only if the result's schema can be made.
	Apply(x *object.Object, s Step) *rowerror.Failure
}

// FieldOptions has what all operations on fields have.
type FieldOptions struct {
	Target record.Target
	// Purpose names the operation in messages.
	Purpose string
	// RejectNull: it accepts no null in the place of a structure or map.
	RejectNull bool
	// KeepObject: the structure or map stays the one that it is.
	KeepObject bool
	// Whole: the operation applies to the whole key or value, of any type, as the only field of the object.
	Whole bool
	// RequireSchema: values without a schema fail.
	RequireSchema bool
	// FieldAction is what Kafka cannot do with the fields of nulls of other types than structures; listing: and of values.
	FieldAction   string
	RequireStruct bool
	// ConvertNull: a null gets the schema of the result, too. defaults: so does the default of a structure.
	ConvertNull, ConvertDefault bool
	// ReplaceNull: a null is its field's default, if that has one.
	ReplaceNull bool
}

func (t *FieldOptions) Options() *FieldOptions { return t }

// Configure reads the setting that all have.
func (t *FieldOptions) Configure(s settings.Values) (err *wit.Error) {
	t.ReplaceNull, err = s.Bool(settings.ReplaceNull.Name, true)
	return err
}

// Step is the place of an operation: its stage, the topic there, and the row.
type Step struct {
	Stage int
	Topic string
	Row   *wit.Row
}

// SplitOperation is a transform that makes several records of one.
type SplitOperation interface {
	// Split calls next for each record; its result is the first failure or error.
	Split(w *Context, v *record.Record, stage int, next func() (*rowerror.Failure, error)) (*rowerror.Failure, error)
}
