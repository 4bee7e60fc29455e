package chain

import (
	"github.com/culvert-project/culvert/wit"
)

// onColumn is a rowOperation on one column as a whole: structured does one with a schema, by what compile made of that,
// dynamic one without.
type onColumn[P any] struct {
	side       side
	programs   programs[P]
	compile    func(w *work, l *layout, stage int) P
	structured func(w *work, c *column, l *layout, x P, stage int) *failure
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
	l, err := w.layout(c.schema)
	if err != nil {
		return nil, err
	}
	x, _ := o.programs.of(&w.schemas, c.schema, func([]wit.Node) P { return o.compile(w, l, stage) })
	return o.structured(w, c, l, x, stage), nil
}

// opened takes the structure of a column apart, with its values. done: it is null, or the row has failed, with wrong
// where that is given.
func (w *work) opened(c *column, l *layout, wrong *failure, stage int) (done bool, f *failure) {
	null, start, ok := l.null(c.bytes)
	switch {
	case !ok:
		return true, broken(stage, 0)
	case null:
		return true, nil
	case wrong != nil:
		return true, wrong
	}
	w.object.open(w, l, c.bytes, start)
	return !w.object.load(stage), w.object.pending
}
