package transforms

import (
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
)

// Operation is a transform: a [RowOperation], [FieldOperation] or [SplitOperation].
type Operation any

// RowOperation changes a record and may append to ctx.Buf. Its error concerns the call, the failure this row.
type RowOperation interface {
	Apply(ctx *Context, rec *record.Record, stage int) (*record.Failure, error)
}

// TopicOperation is a RowOperation that computes a new topic from the topic alone.
type TopicOperation interface {
	RowOperation
	TopicFor(topic string, stage int) (string, *record.Failure)
}

// FieldOperation changes the fields of a key or value, for structs and maps alike.
type FieldOperation interface {
	Options() *FieldOptions
	Apply(obj *record.Object, step Step) *record.Failure
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

// configure reads the setting that these transforms share.
func (f *FieldOptions) configure(values Settings) (err *wit.Error) {
	f.ReplaceNull, err = values.Bool(replaceNullKey.Name, true)
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
	Split(ctx *Context, rec *record.Record, stage int, next func() (*record.Failure, error)) (*record.Failure, error)
}

// Context holds the schemas and the memory of the current record. Operations append to Buf; only a split overwrites it.
type Context struct {
	record.Scratch
	Object    record.Object
	SplitSize int // of the records split from the current one so far, in bytes
}

// Stage is a transform with its condition.
type Stage struct {
	Number    int
	Operation Operation
	Predicate Predicate // if nil, the stage applies to all records
	Negate    bool
	Results   record.SchemaCache[*record.Results]
}

// Applies evaluates the stage's condition for a record. A failure concerns the row, an error the call.
func (s *Stage) Applies(ctx *Context, rec *record.Record) (applies bool, _ *record.Failure, _ error) {
	if s.Predicate == nil {
		return true, nil, nil
	}
	matches, err := s.Predicate.Matches(rec, ctx)
	if matchErr, ok := err.(*MatchError); ok {
		return false, matchErr.failure(s.Number), nil
	}
	return matches != s.Negate, nil, err
}
