package chain

import (
	"github.com/culvert-project/culvert/wit"
)

// work is what the plain way works with: the schemas, and the row at work. Columns that stages have written lie in
// scratch, so nothing there is written again until the row is done, but for a part of a split row. Of the column that
// is open the entries tell the value, until closeMap has written them.
type work struct {
	schemas schemas
	// number is the row's in the call.
	number int
	view   view
	// scratch takes what is written for the row on the way; spent is what its parts have come to, in bytes.
	scratch []byte
	spent   int
	finder
	// entries are those of the map at work; open is the column whose value they are, nil: none's.
	entries entries
	open    *column
}

// closeMap writes the map that is open, if it was changed.
func (w *work) closeMap() {
	if w.open != nil && w.entries.changed {
		from := len(w.scratch)
		w.scratch = w.entries.write(w.scratch)
		w.open.set(wit.Dynamic, 0, w.scratch[from:])
	}
	w.open = nil
}

// addHeaders adds n headers to those of a row, which add appends.
func (w *work) addHeaders(v *view, n, stage int, add func(dst []byte) ([]byte, *failure)) *failure {
	b, f := beginHeaders(w.scratch, &v.columns[headerSide], n, stage)
	if f == nil {
		b, f = add(b)
	}
	if f == nil {
		from := len(w.scratch)
		w.scratch = b
		v.columns[headerSide].set(wit.Raw, 0, b[from:])
	}
	return f
}

// operation is what a transform does: a [rowOperation], a [fieldOperation], both, or a [split].
type operation any

// rowOperation works on the view of one row: on several columns, or by what the row holds.
type rowOperation interface {
	// apply changes the view. What it writes goes after w.scratch. The error is of the call, not of the row.
	apply(w *work, v *view, stage int) (*failure, error)
}

// topicOperation is a rowOperation that changes the topic alone, by the topic alone.
type topicOperation interface {
	rowOperation
	// topicFor returns the topic that becomes of one.
	topicFor(topic string, stage int) (string, *failure)
}

// fieldOperation works on the fields of a key or value, as a step of a program. One that is a rowOperation as well is
// that on the plain way.
type fieldOperation interface {
	about() *target
	// layout changes the fields of a structure.
	layout(l *structDraft, s step) *failure
	// schemaless changes the entries of a map.
	schemaless(m *entries, s step, row *wit.Row) *failure
}

// target is what all operations on fields have.
type target struct {
	at side
	// purpose names the operation in messages.
	purpose string
	// needed: it takes no null in the place of a structure or map.
	needed bool
	// keeps: the structure or map stays the one that it is.
	keeps bool
	// topical: programs have the topic in them.
	topical bool
	// appends: it adds fields at the end, and reads none.
	appends bool
	// replaceNull: a null is its field's default, where that has one.
	replaceNull bool
}

func (t *target) about() *target { return t }

// configure reads the setting that all have.
func (t *target) configure(s settings) (err *wit.Fault) {
	t.replaceNull, err = s.boolean(replaceNullSpec.Name, true)
	return err
}

// step is a field operation at its place: in which stage, and with which topic.
type step struct {
	stage     int
	operation fieldOperation
	topic     string
	// onKey: it is a step on the key that a step before made of the value.
	onKey bool
}

// condition is a predicate.
type condition interface {
	// matches tells whether the row at work is one of those. An *unmatched is that row's failure, another error the
	// call's.
	matches(v *view, w *work) (bool, error)
}

// topicCondition is a predicate that asks the topic alone: in the fast lane it is asked once for each topic.
type topicCondition interface {
	condition
	matchesTopic(topic string) (bool, *unmatched)
}
