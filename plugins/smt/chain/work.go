package chain

import (
	"github.com/culvert-project/culvert/wit"
)

// work is what the plain way works with: the schemas, and the row at work.
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
