package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// work is what the plain way works with: the schemas, and the row at work. Columns that stages have written are in
// scratch, so nothing there is written again until the row is done, but for a part of a split row.
type work struct {
	schemas schemas
	layouts programs[*layout]
	// number is the row's in the call.
	number int
	view   view
	// scratch takes what is written for the row on the way; spent is the size of its parts so far, in bytes.
	scratch []byte
	spent   int
	// ends are where the members of the value at work begin, and where the last ends.
	ends []uint64
	// object is the key or value at work.
	object object
}

// room makes room for so many ends.
func (w *work) room(n int) {
	if len(w.ends) < n {
		w.ends = make([]uint64, n)
	}
}

// put writes a column's value.
func (w *work) put(c *column, form wit.Encoding, schema uint32, write func(dst []byte) []byte) {
	from := len(w.scratch)
	w.scratch = write(w.scratch)
	c.set(form, schema, w.scratch[from:])
}

// branched is a value of a schema, or a null, with its branch.
func (w *work) branched(n *wit.SchemaNode, null bool, value []byte) []byte {
	from := len(w.scratch)
	w.scratch = append(connectdata.AppendBranch(w.scratch, n, null), value...)
	return w.scratch[from:len(w.scratch):len(w.scratch)]
}

// addHeaders adds n headers to those of a row, which add appends.
func (w *work) addHeaders(v *view, n, stage int, add func(dst []byte) []byte) *failure {
	b, f := beginHeaders(w.scratch, &v.columns[headerSide], n, stage)
	if f == nil {
		from := len(w.scratch)
		w.scratch = add(b)
		v.columns[headerSide].set(wit.Raw, 0, w.scratch[from:])
	}
	return f
}

// transformationStage is a transform with its condition.
type transformationStage struct {
	number    int
	operation operation
	condition condition // nil: always
	negate    bool
	// results are those of a [fieldOperation], by schema.
	results programs[*results]
}

// applies reports whether a stage is for the row at work.
func (s *transformationStage) applies(w *work, v *view) (bool, *failure, error) {
	if s.condition == nil {
		return true, nil, nil
	}
	matches, err := s.condition.matches(v, w)
	if unknown, is := err.(*unmatched); is {
		return false, unknown.at(s.number), nil
	}
	return matches != s.negate, nil, err
}

// apply does a stage to the row at work.
func (s *transformationStage) apply(w *work, v *view) (*failure, error) {
	if o, ok := s.operation.(fieldOperation); ok {
		return s.applyFields(w, v, o)
	}
	return s.operation.(rowOperation).apply(w, v, s.number)
}

// applyFields does a stage on fields to the row at work.
func (s *transformationStage) applyFields(w *work, v *view, o fieldOperation) (*failure, error) {
	about, x := o.about(), &w.object
	c := &v.columns[about.at]
	at := step{s.number, v.topic, v.row}
	switch {
	case c.form == wit.Absent && about.needed:
		return onlyMap(s.number, about.purpose, "null"), nil
	case c.form == wit.Absent:
		return nil, nil
	case c.form == wit.Schemaless && about.schema:
		return &failure{s.number, dataException, "Schema required for [" + about.purpose + "]"}, nil
	case c.form == wit.Schemaless:
		f := x.openDynamic(w, c, s.number, about)
		if f == nil {
			f = o.apply(x, at)
		}
		switch {
		case f != nil:
		case x.null:
			c.set(wit.Absent, 0, nil)
		case x.pending != nil:
			f = x.pending
		default:
			f = s.write(w, v, c, x, about, wit.Schemaless, &results{})
		}
		return f, nil
	}
	l, err := w.layout(c.schema)
	if err != nil {
		return nil, err
	}
	null, start, ok := l.null(c.bytes)
	switch {
	case !ok:
		return broken(s.number, 0), nil
	case null && about.needed:
		return onlyStruct(s.number, about.purpose, "null"), nil
	case null && !about.nulls:
		return nil, nil
	case about.whole:
		x.openWhole(w, l, c)
	case l.isStruct():
		x.open(w, l, c.bytes, start)
	case null || about.listing:
		return &failure{s.number, dataException, "Cannot " + about.looks + " fields on non-struct type"}, nil
	default:
		return onlyStruct(s.number, about.purpose, javaClass(&l.nodes[0])), nil
	}
	x.null = null
	if f := o.apply(x, at); f != nil {
		return f, nil
	}
	r, err := s.results.of(&w.schemas, c.schema, func([]wit.SchemaNode) *results {
		var again func(y *object) *failure
		if about.defaults {
			again = func(y *object) *failure {
				f := o.apply(y, at)
				if f == nil {
					f = y.pending
				}
				return f
			}
		}
		return x.results(&w.schemas, s.number, again)
	})
	switch {
	case err != nil || r.failure != nil:
		return r.failure, err
	case x.null && !x.root.Optional: // a field of a null
		c.setMissing(&w.schemas, x.fields[0].subtree(), s.number)
		return nil, nil
	case x.null:
		missing := c.missing
		c.set(wit.WithSchema, r.value, connectdata.AppendBranch(nil, &x.root, true))
		if x.whole == about.whole {
			c.missing = missing
		}
		return nil, nil
	case !x.untouched():
		x.load(s.number)
	}
	if x.pending != nil {
		return x.pending, nil
	}
	return s.write(w, v, c, x, about, wit.WithSchema, r), nil
}

// write makes the columns of an object: headers, key and value.
func (s *transformationStage) write(w *work, v *view, c *column, x *object, about *target, form wit.Encoding,
	r *results) *failure {
	if len(x.headers) > 0 {
		f := w.addHeaders(v, len(x.headers), s.number, func(dst []byte) []byte { return x.appendHeaders(dst, r) })
		if f != nil {
			return f
		}
	}
	if x.key != nil {
		w.put(&v.columns[keySide], form, r.key, x.key.write)
	}
	if !x.same() {
		w.put(c, form, r.value, x.write)
		c.class = x.class
		return nil
	}
	if c.schema = r.value; !about.keeps && x.isMap {
		c.class = x.class // Kafka's transforms make a new map, even of the same entries
	}
	return nil
}
