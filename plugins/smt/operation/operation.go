package operation

import (
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
)

// Operation is a transform: a [RowOperation], [FieldOperation] or [SplitOperation].
type Operation any

const (
	KafkaPackage   = "org.apache.kafka.connect.transforms."
	CulvertPackage = "org.culvert.transforms." // of the transforms that Kafka Connect does not have
)

// Class describes a transform or predicate by the name of its Java class.
type Class struct {
	Name string
	Doc  string
	Keys []wit.ConfigKey
	// One of the following creates it. PerTarget creates two classes, $Key and $Value; then Doc contains {target}.
	Transform func(settings.Values) (Operation, *wit.Error)
	PerTarget func(record.Target, settings.Values) (Operation, *wit.Error)
	Predicate func(settings.Values) (Predicate, *wit.Error)
}

// RowOperation changes a record and may append to ctx.Buf. Its error concerns the call, the failure this row.
type RowOperation interface {
	Apply(ctx *Context, rec *record.Record, stage int) (*rowerror.Failure, error)
}

// TopicOperation is a RowOperation that computes a new topic from the topic alone.
type TopicOperation interface {
	RowOperation
	TopicFor(topic string, stage int) (string, *rowerror.Failure)
}

// FieldOperation changes the fields of a key or value, for structs and maps alike.
type FieldOperation interface {
	Options() *FieldOptions
	Apply(obj *object.Object, step Step) *rowerror.Failure
}

// FieldOptions holds what all field operations have in common.
type FieldOptions struct {
	Target         record.Target // key or value
	Purpose        string        // name of the operation in messages
	RejectNull     bool          // a null key or value fails the row
	KeepObject     bool          // Kafka's transform returns the same object, not a copy
	Whole          bool          // applies to a key or value of any type, as the only field of the object
	RequireSchema  bool          // a value without schema fails the row
	FieldAction    string        // part of the message for nulls that are not structs
	RequireStruct  bool          // the message for all other types contains FieldAction, too
	ConvertNull    bool          // nulls get the schema of the result
	ConvertDefault bool          // converts the default of a struct, too
	ReplaceNull    bool          // treats a null as the default of its field, if there is one
}

// Options returns f, so that an operation that embeds FieldOptions has the method.
func (f *FieldOptions) Options() *FieldOptions { return f }

// Configure reads the setting that these transforms share.
func (f *FieldOptions) Configure(values settings.Values) (err *wit.Error) {
	f.ReplaceNull, err = values.Bool(settings.ReplaceNull.Name, true)
	return err
}

// Step is the stage at which an operation is applied, with the topic and the row.
type Step struct {
	Stage int
	Topic string
	Row   *wit.Row
}

// SplitOperation creates several records from one. It calls next for each, and returns the first failure or error.
type SplitOperation interface {
	Split(ctx *Context, rec *record.Record, stage int,
		next func() (*rowerror.Failure, error)) (*rowerror.Failure, error)
}

// Context holds the schemas and the memory of the current record. Operations append to Buf; only a split overwrites it.
type Context struct {
	object.Scratch
	Object    object.Object
	SplitSize int // of the records split from the current one so far, in bytes
}

// Stage is a transform with its condition.
type Stage struct {
	Number    int
	Operation Operation
	Predicate Predicate // if nil, the stage applies to all records
	Negate    bool
	Results   schemas.Cache[*object.Results]
}

// Applies evaluates the stage's condition for a record. A failure concerns the row, an error the call.
func (s *Stage) Applies(ctx *Context, rec *record.Record) (applies bool, _ *rowerror.Failure, _ error) {
	if s.Predicate == nil {
		return true, nil, nil
	}
	matches, err := s.Predicate.Matches(rec, ctx)
	if matchErr, ok := err.(*MatchError); ok {
		return false, matchErr.Failure(s.Number), nil
	}
	return matches != s.Negate, nil, err
}
