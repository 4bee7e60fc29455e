package operation

import (
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
)

// Context is what operations work with: the schemas, and memory for the current record. What operations write goes to
// buf and is not overwritten until the record is done, except for a record that is split.
type Context struct {
	object.Scratch
	// Object is the current key or value.
	Object object.Object
	// SplitSize is the size of the records that the current one was split into so far, in bytes.
	SplitSize int
}

// Stage is a transform with its condition.
type Stage struct {
	Number    int
	Operation Operation
	Predicate Predicate // nil: always
	Negate    bool
	// Results are those of a [fieldOperation], by schema.
	Results schemas.Cache[*object.Results]
}

// Applies reports whether a stage is for the row at work.
func (s *Stage) Applies(w *Context, v *record.Record) (bool, *rowerror.Failure, error) {
	if s.Predicate == nil {
		return true, nil, nil
	}
	matches, err := s.Predicate.Matches(v, w)
	if matchErr, ok := err.(*MatchError); ok {
		return false, matchErr.Failure(s.Number), nil
	}
	return matches != s.Negate, nil, err
}
