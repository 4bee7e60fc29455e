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

// Interpreter sends records through stages one at a time, as Kafka Connect does.
type Interpreter struct {
	operation.Context
	// Emit receives each record after the last stage. The record is valid until Emit returns.
	Emit func(rec *record.Record)
}

// Run sends a record through stages. The error concerns the call, the failure this row.
func (p *Interpreter) Run(stages []operation.Stage, rec *record.Record) (*rowerror.Failure, error) {
	p.Buf, p.SplitSize = p.Buf[:0], 0
	return p.through(stages, rec)
}

func (p *Interpreter) through(stages []operation.Stage, rec *record.Record) (*rowerror.Failure, error) {
	for i := range stages {
		s := &stages[i]
		applies, f, err := s.Applies(&p.Context, rec)
		if f != nil || err != nil {
			return f, err
		}
		if !applies {
			continue
		}
		if o, ok := s.Operation.(operation.SplitOperation); ok {
			return o.Split(&p.Context, rec, s.Number, func() (*rowerror.Failure, error) {
				return p.through(stages[i+1:], rec)
			})
		}
		if f, err = p.apply(s, rec); err != nil {
			return nil, err
		}
		if f != nil {
			return rec.WithClass(&p.Schemas, f), nil
		}
		if rec.Dropped {
			return nil, nil
		}
	}
	for at := record.Key; at <= record.Value; at++ {
		if f := rec.Parts[at].ResolveNull(&p.Schemas); f != nil {
			return f, nil
		}
	}
	p.Emit(rec)
	return nil, nil
}

func (p *Interpreter) apply(s *operation.Stage, rec *record.Record) (*rowerror.Failure, error) {
	o, ok := s.Operation.(operation.FieldOperation)
	if !ok {
		return s.Operation.(operation.RowOperation).Apply(&p.Context, rec, s.Number)
	}
	part, options := &rec.Parts[o.Options().Target], o.Options()
	switch {
	case part.Encoding == wit.Absent && options.RejectNull:
		return rowerror.OnlyMap(s.Number, options.Purpose, "null"), nil
	case part.Encoding == wit.Absent:
		return nil, nil
	case part.Encoding == wit.Schemaless && options.RequireSchema:
		return rowerror.Data(s.Number, "Schema required for ["+options.Purpose+"]"), nil
	case part.Encoding == wit.Schemaless:
		return p.applySchemaless(s, rec, o), nil
	}
	return p.applyWithSchema(s, rec, o)
}

func (p *Interpreter) applySchemaless(s *operation.Stage, rec *record.Record,
	o operation.FieldOperation) *rowerror.Failure {
	options, x := o.Options(), &p.Object
	part := &rec.Parts[options.Target]
	if options.Whole {
		if err := connectdata.CheckSchemaless(part.Bytes); err != nil {
			return rowerror.BadSchemaless(s.Number)
		}
		x.OpenWhole(&p.Scratch, nil, part.Bytes, part.Class)
	} else if f := x.OpenMap(&p.Scratch, part.Bytes, s.Number, options.Purpose); f != nil {
		return f
	}
	if f := o.Apply(x, operation.Step{Stage: s.Number, Topic: rec.Topic, Row: rec.Row}); f != nil {
		return f
	}
	if x.IsNull {
		part.Set(wit.Absent, 0, nil)
		return nil
	}
	if x.Pending != nil {
		return x.Pending
	}
	return p.write(s, rec, options, wit.Schemaless, &object.Results{})
}

func (p *Interpreter) applyWithSchema(s *operation.Stage, rec *record.Record,
	o operation.FieldOperation) (*rowerror.Failure, error) {
	options, x := o.Options(), &p.Object
	part := &rec.Parts[options.Target]
	at := operation.Step{Stage: s.Number, Topic: rec.Topic, Row: rec.Row}
	l, err := p.Layout(part.Schema)
	if err != nil {
		return nil, err
	}
	applies, f := p.open(l, part, options, s.Number)
	if !applies || f != nil {
		return f, nil
	}
	if f := o.Apply(x, at); f != nil {
		return f, nil
	}
	r, err := s.Results.Get(&p.Schemas, part.Schema, func([]wit.SchemaNode) *object.Results {
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
	case x.IsNull && !x.Root.Optional: // a field of a null struct
		part.SetInvalidNull(&p.Schemas, x.Fields[0].Subtree(), s.Number)
		return nil, nil
	case x.IsNull:
		missing := part.InvalidNull
		part.Set(wit.WithSchema, r.Value, connectdata.AppendBranch(nil, &x.Root, true))
		if x.Whole == options.Whole {
			part.InvalidNull = missing
		}
		return nil, nil
	case !x.KeepsInput():
		x.Load(s.Number)
	}
	if x.Pending != nil {
		return x.Pending, nil
	}
	return p.write(s, rec, options, wit.WithSchema, r), nil
}

// open opens a key or value with schema. applies is false for a null that the operation does not change.
func (p *Interpreter) open(l *object.Layout, part *record.Part, options *operation.FieldOptions,
	stage int) (applies bool, _ *rowerror.Failure) {
	x := &p.Object
	null, start, ok := l.Null(part.Bytes)
	switch {
	case !ok:
		return false, rowerror.BadValue(stage, 0)
	case null && options.RejectNull:
		return false, rowerror.OnlyStruct(stage, options.Purpose, "null")
	case null && !options.ConvertNull:
		return false, nil
	case options.Whole:
		x.OpenWhole(&p.Scratch, l, part.Bytes, part.Class)
	case l.IsStruct():
		x.Open(&p.Scratch, l, part.Bytes, start)
	case null || options.RequireStruct:
		return false, rowerror.Data(stage, "Cannot "+options.FieldAction+" fields on non-struct type")
	default:
		return false, rowerror.OnlyStruct(stage, options.Purpose, javaclass.Of(&l.Nodes[0]))
	}
	x.IsNull = null
	return true, nil
}

func (p *Interpreter) write(s *operation.Stage, rec *record.Record, options *operation.FieldOptions,
	encoding wit.Encoding,
	r *object.Results) *rowerror.Failure {
	x, part := &p.Object, &rec.Parts[options.Target]
	if len(x.Headers) > 0 {
		f := rec.AddHeaders(&p.Scratch, len(x.Headers), s.Number,
			func(dst []byte) []byte { return x.AppendHeaders(dst, r) })
		if f != nil {
			return f
		}
	}
	if x.Key != nil {
		rec.Parts[record.Key].Write(&p.Scratch, encoding, r.Key, x.Key.Append)
	}
	if !x.SameBytes() {
		part.Write(&p.Scratch, encoding, r.Value, x.Append)
		part.Class = x.Class
		return nil
	}
	if part.Schema = r.Value; !options.KeepObject && x.IsMap {
		part.Class = x.Class // Kafka's transforms make a new map, even of the same entries
	}
	return nil
}
