package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// interpreter sends records through stages one at a time, as Kafka Connect does. Only the interpreter fails rows.
type interpreter struct {
	work
	// emit receives each record that comes out of the last stage. It is valid until emit returns.
	emit func(v *view)
}

// run sends a record through stages. The error is of the call, not of the row.
func (p *interpreter) run(stages []transformationStage, v *view) (*failure, error) {
	p.buf, p.spent = p.buf[:0], 0
	return p.through(stages, v)
}

// through sends a record, or a part of one that was split, through the remaining stages.
func (p *interpreter) through(stages []transformationStage, v *view) (*failure, error) {
	for i := range stages {
		s := &stages[i]
		applies, f, err := s.applies(&p.work, v)
		if f != nil || err != nil {
			return f, err
		}
		if !applies {
			continue
		}
		if o, ok := s.operation.(splitOperation); ok {
			return o.through(&p.work, v, s.number, func() (*failure, error) { return p.through(stages[i+1:], v) })
		}
		if f, err = p.apply(s, v); err != nil {
			return nil, err
		}
		if f != nil {
			return v.named(&p.schemas, f), nil
		}
		if v.dropped {
			return nil, nil
		}
	}
	for at := keySide; at <= valueSide; at++ {
		if f := v.columns[at].settle(&p.schemas); f != nil {
			return f, nil
		}
	}
	p.emit(v)
	return nil, nil
}

func (p *interpreter) apply(s *transformationStage, v *view) (*failure, error) {
	o, ok := s.operation.(fieldOperation)
	if !ok {
		return s.operation.(rowOperation).apply(&p.work, v, s.number)
	}
	c, about := &v.columns[o.about().at], o.about()
	switch {
	case c.form == wit.Absent && about.needed:
		return onlyMap(s.number, about.purpose, "null"), nil
	case c.form == wit.Absent:
		return nil, nil
	case c.form == wit.Schemaless && about.schema:
		return &failure{s.number, dataException, "Schema required for [" + about.purpose + "]"}, nil
	case c.form == wit.Schemaless:
		return p.applySchemaless(s, v, o), nil
	}
	return p.applyWithSchema(s, v, o)
}

// applySchemaless applies a field operation to a key or value without schema.
func (p *interpreter) applySchemaless(s *transformationStage, v *view, o fieldOperation) *failure {
	about, x := o.about(), &p.object
	c := &v.columns[about.at]
	if about.whole {
		if err := connectdata.CheckSchemaless(c.bytes); err != nil {
			return brokenDynamic(s.number)
		}
		x.openWhole(&p.buffers, nil, c.bytes, c.class)
	} else if f := x.openMap(&p.buffers, c.bytes, s.number, about.purpose); f != nil {
		return f
	}
	if f := o.apply(x, step{stage: s.number, topic: v.topic, row: v.row}); f != nil {
		return f
	}
	if x.null {
		c.set(wit.Absent, 0, nil)
		return nil
	}
	if x.pending != nil {
		return x.pending
	}
	return p.write(s, v, about, wit.Schemaless, &results{})
}

// applyWithSchema applies a field operation to a key or value with schema.
func (p *interpreter) applyWithSchema(s *transformationStage, v *view, o fieldOperation) (*failure, error) {
	about, x := o.about(), &p.object
	c := &v.columns[about.at]
	at := step{stage: s.number, topic: v.topic, row: v.row}
	l, err := p.layout(c.schema)
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
		x.openWhole(&p.buffers, l, c.bytes, c.class)
	case l.isStruct():
		x.open(&p.buffers, l, c.bytes, start)
	case null || about.listing:
		return &failure{s.number, dataException, "Cannot " + about.looks + " fields on non-struct type"}, nil
	default:
		return onlyStruct(s.number, about.purpose, javaClass(&l.nodes[0])), nil
	}
	x.null = null
	if f := o.apply(x, at); f != nil {
		return f, nil
	}
	r, err := s.results.of(&p.schemas, c.schema, func([]wit.SchemaNode) *results {
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
		return x.results(&p.schemas, s.number, again)
	})
	switch {
	case err != nil || r.failure != nil:
		return r.failure, err
	case x.null && !x.root.Optional: // a field of a null
		c.setMissing(&p.schemas, x.fields[0].subtree(), s.number)
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
	return p.write(s, v, about, wit.WithSchema, r), nil
}

// write sets the parts of the record to what the object became: headers, key and value.
func (p *interpreter) write(s *transformationStage, v *view, about *target, form wit.Encoding, r *results) *failure {
	x, c := &p.object, &v.columns[about.at]
	if len(x.headers) > 0 {
		f := v.addHeaders(&p.buffers, len(x.headers), s.number,
			func(dst []byte) []byte { return x.appendHeaders(dst, r) })
		if f != nil {
			return f
		}
	}
	if x.key != nil {
		v.columns[keySide].write(&p.buffers, form, r.key, x.key.write)
	}
	if !x.same() {
		c.write(&p.buffers, form, r.value, x.write)
		c.class = x.class
		return nil
	}
	if c.schema = r.value; !about.keeps && x.isMap {
		c.class = x.class // Kafka's transforms make a new map, even of the same entries
	}
	return nil
}
