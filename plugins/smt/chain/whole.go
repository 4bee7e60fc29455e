package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// onColumn is a rowOperation on one column, by what it comes to for the column's schema.
type onColumn[P any] struct {
	side     side
	programs programs[P]
	// compile makes that for a schema. structured and dynamic do a column with a schema and one without, which is
	// there.
	compile    func(w *work, nodes []wit.Node, stage int) P
	structured func(w *work, c *column, x P, stage int) *failure
	dynamic    func(w *work, c *column, stage int) *failure
}

func (o *onColumn[P]) apply(w *work, v *view, stage int) (*failure, error) {
	c := &v.columns[o.side]
	switch c.form {
	case wit.Absent:
		return nil, nil
	case wit.Dynamic:
		return o.dynamic(w, c, stage), nil
	}
	x, err := o.programs.of(&w.schemas, c.schema, func(nodes []wit.Node) P { return o.compile(w, nodes, stage) })
	if err != nil {
		return nil, err
	}
	return o.structured(w, c, x, stage), nil
}

// wholeEdit is what becomes of values of one schema as a whole.
type wholeEdit struct {
	reader
	failure *failure
	// from and made are the schema before and after, schema the number of that.
	from, made *wit.Node
	schema     uint32
	edit       edit
}

// apply edits a column's value, which begins at start.
func (x *wholeEdit) apply(w *work, c *column, start int, by edit) *failure {
	from := len(w.scratch)
	b, f := by.make(datum.AppendBranch(w.scratch, x.made, false), c.bytes[start:])
	if f == nil {
		w.scratch = b
		c.set(wit.Structured, x.schema, b[from:])
	}
	return f
}

// editDynamic edits a column without schema as a whole.
func editDynamic(w *work, c *column, stage int, by func(dst, in []byte) ([]byte, *failure)) *failure {
	if err := datum.CheckDynamic(c.bytes); err != nil {
		return brokenDynamic(stage)
	}
	from := len(w.scratch)
	b, f := by(w.scratch, c.bytes)
	if f == nil {
		w.scratch = b
		c.set(wit.Dynamic, 0, b[from:])
	}
	return f
}
