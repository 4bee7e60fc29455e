package interpreter

import (
	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Interpreter sends records through stages one at a time, as Kafka Connect does. Only the interpreter fails rows.
type Interpreter struct {
	operation.Context
	// Emit receives each record that comes out of the last stage. It is valid until emit returns.
	Emit func(v *record.Record)
}

// Run sends a record through stages. The error is of the call, not of the row.
func (p *Interpreter) Run(stages []operation.Stage, v *record.Record) (*rowerror.Failure, error) {
	p.Buf, p.SplitSize = p.Buf[:0], 0
	return p.through(stages, v)
}

// through sends a record, or a part of one that was split, through the remaining stages.
func (p *Interpreter) through(stages []operation.Stage, v *record.Record) (*rowerror.Failure, error) {
	for i := range stages {
		s := &stages[i]
		applies, f, err := s.Applies(&p.Context, v)
		if f != nil || err != nil {
			return f, err
		}
		if !applies {
			continue
		}
		if o, ok := s.Operation.(operation.SplitOperation); ok {
			return o.Split(&p.Context, v, s.Number, func() (*rowerror.Failure, error) { return p.through(stages[i+1:], v) })
		}
		if f, err = p.apply(s, v); err != nil {
			return nil, err
		}
		if f != nil {
			return v.WithClass(&p.Schemas, f), nil
		}
		if v.Dropped {
			return nil, nil
		}
	}
	for at := record.Key; at <= record.Value; at++ {
		if f := v.Parts[at].ResolveNull(&p.Schemas); f != nil {
			return f, nil
		}
	}
	p.Emit(v)
	return nil, nil
}

func (p *Interpreter) apply(s *operation.Stage, v *record.Record) (*rowerror.Failure, error) {
	o, ok := s.Operation.(operation.FieldOperation)
	if !ok {
		return s.Operation.(operation.RowOperation).Apply(&p.Context, v, s.Number)
	}
	c, options := &v.Parts[o.Options().Target], o.Options()
	switch {
	case c.Encoding == wit.Absent && options.RejectNull:
		return rowerror.OnlyMap(s.Number, options.Purpose, "null"), nil
	case c.Encoding == wit.Absent:
		return nil, nil
	case c.Encoding == wit.Schemaless && options.RequireSchema:
		return rowerror.Data(s.Number, "Schema required for ["+options.Purpose+"]"), nil
	case c.Encoding == wit.Schemaless:
		return p.applySchemaless(s, v, o), nil
	}
	return p.applyWithSchema(s, v, o)
}

// applySchemaless applies a field operation to a key or value without schema.
func (p *Interpreter) applySchemaless(s *operation.Stage, v *record.Record, o operation.FieldOperation) *rowerror.Failure {
	options, x := o.Options(), &p.Object
	c := &v.Parts[options.Target]
	if options.Whole {
		if err := connectdata.CheckSchemaless(c.Bytes); err != nil {
			return rowerror.BadSchemaless(s.Number)
		}
		x.OpenWhole(&p.Scratch, nil, c.Bytes, c.Class)
	} else if f := x.OpenMap(&p.Scratch, c.Bytes, s.Number, options.Purpose); f != nil {
		return f
	}
	if f := o.Apply(x, operation.Step{Stage: s.Number, Topic: v.Topic, Row: v.Row}); f != nil {
		return f
	}
	if x.IsNull {
		c.Set(wit.Absent, 0, nil)
		return nil
	}
	if x.Pending != nil {
		return x.Pending
	}
	return p.write(s, v, options, wit.Schemaless, &object.Results{})
}

// applyWithSchema applies a field operation to a key or value with schema.
func (p *Interpreter) applyWithSchema(s *operation.Stage, v *record.Record, o operation.FieldOperation) (*rowerror.Failure, error) {
	options, x := o.Options(), &p.Object
	c := &v.Parts[options.Target]
	at := operation.Step{Stage: s.Number, Topic: v.Topic, Row: v.Row}
	l, err := p.Layout(c.Schema)
	if err != nil {
		return nil, err
	}
	null, start, ok := l.Null(c.Bytes)
	switch {
	case !ok:
		return rowerror.BadValue(s.Number, 0), nil
	case null && options.RejectNull:
		return rowerror.OnlyStruct(s.Number, options.Purpose, "null"), nil
	case null && !options.ConvertNull:
		return nil, nil
	case options.Whole:
		x.OpenWhole(&p.Scratch, l, c.Bytes, c.Class)
	case l.IsStruct():
		x.Open(&p.Scratch, l, c.Bytes, start)
	case null || options.RequireStruct:
		return rowerror.Data(s.Number, "Cannot "+options.FieldAction+" fields on non-struct type"), nil
	default:
		return rowerror.OnlyStruct(s.Number, options.Purpose, javaclass.Of(&l.Nodes[0])), nil
	}
	x.IsNull = null
	if f := o.Apply(x, at); f != nil {
		return f, nil
	}
	r, err := s.Results.Get(&p.Schemas, c.Schema, func([]wit.SchemaNode) *object.Results {
		var convertDefault func(y *object.Object) *rowerror.Failure
		if options.ConvertDefault {
			convertDefault = func(y *object.Object) *rowerror.Failure {
				f := o.Apply(y, at)
				if f == nil {
					f = y.Pending
				}
				return f
			}
		}
		return x.Results(&p.Schemas, s.Number, convertDefault)
	})
	switch {
	case err != nil || r.Failure != nil:
		return r.Failure, err
	case x.IsNull && !x.Root.Optional: // a field of a null
		c.SetInvalidNull(&p.Schemas, x.Fields[0].Subtree(), s.Number)
		return nil, nil
	case x.IsNull:
		missing := c.InvalidNull
		c.Set(wit.WithSchema, r.Value, connectdata.AppendBranch(nil, &x.Root, true))
		if x.Whole == options.Whole {
			c.InvalidNull = missing
		}
		return nil, nil
	case !x.KeepsInput():
		x.Load(s.Number)
	}
	if x.Pending != nil {
		return x.Pending, nil
	}
	return p.write(s, v, options, wit.WithSchema, r), nil
}

// write sets the parts of the record to what the object became: headers, key and value.
func (p *Interpreter) write(s *operation.Stage, v *record.Record, options *operation.FieldOptions, encoding wit.Encoding, r *object.Results) *rowerror.Failure {
	x, c := &p.Object, &v.Parts[options.Target]
	if len(x.Headers) > 0 {
		f := v.AddHeaders(&p.Scratch, len(x.Headers), s.Number,
			func(dst []byte) []byte { return x.AppendHeaders(dst, r) })
		if f != nil {
			return f
		}
	}
	if x.Key != nil {
		v.Parts[record.Key].Write(&p.Scratch, encoding, r.Key, x.Key.Append)
	}
	if !x.SameBytes() {
		c.Write(&p.Scratch, encoding, r.Value, x.Append)
		c.Class = x.Class
		return nil
	}
	if c.Schema = r.Value; !options.KeepObject && x.IsMap {
		c.Class = x.Class // Kafka's transforms make a new map, even of the same entries
	}
	return nil
}
