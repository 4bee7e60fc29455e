package chain

import (
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// interpreter sends records through stages one at a time, as Kafka Connect does.
type interpreter struct {
	transforms.Context
	emit func(rec *record.Record) // receives each record after the last stage, valid until emit returns
}

// run sends a record through stages. An error concerns the call, a failure this row.
func (in *interpreter) run(stages []transforms.Stage, rec *record.Record) (*record.Failure, error) {
	in.Buf = in.Buf[:0]
	in.SplitSize = 0
	return in.runFrom(stages, rec)
}

// runFrom sends a record through stages. After a split, it continues with each of the new records.
func (in *interpreter) runFrom(stages []transforms.Stage, rec *record.Record) (*record.Failure, error) {
	for i := range stages {
		stage := &stages[i]
		applies, failure, err := stage.Applies(&in.Context, rec)
		if failure != nil || err != nil {
			return failure, err
		}
		if !applies {
			continue
		}
		if split, ok := stage.Operation.(transforms.SplitOperation); ok {
			return split.Split(&in.Context, rec, stage.Number, func() (*record.Failure, error) {
				return in.runFrom(stages[i+1:], rec)
			})
		}
		if failure, err = in.apply(stage, rec); err != nil {
			return nil, err
		}
		if failure != nil {
			return rec.WithClass(&in.Schemas, failure), nil
		}
		if rec.Dropped {
			return nil, nil
		}
	}
	// A null of a required type becomes its default or fails the row, unless a stage has replaced it.
	for target := record.Key; target <= record.Value; target++ {
		if failure := rec.Parts[target].ResolveNull(&in.Schemas); failure != nil {
			return failure, nil
		}
	}
	in.emit(rec)
	return nil, nil
}

// apply applies the operation of a stage, other than a split.
func (in *interpreter) apply(stage *transforms.Stage, rec *record.Record) (*record.Failure, error) {
	fieldOp, ok := stage.Operation.(transforms.FieldOperation)
	if !ok {
		return stage.Operation.(transforms.RowOperation).Apply(&in.Context, rec, stage.Number)
	}
	part := &rec.Parts[fieldOp.Options().Target]
	options := fieldOp.Options()
	switch {
	case part.Encoding == wit.Absent && options.RejectNull:
		return record.OnlyMap(stage.Number, options.Purpose, "null"), nil
	case part.Encoding == wit.Absent:
		return nil, nil
	case part.Encoding == wit.Schemaless && options.RequireSchema:
		return record.DataFailure(stage.Number, "Schema required for ["+options.Purpose+"]"), nil
	case part.Encoding == wit.Schemaless:
		return in.applySchemaless(stage, rec, fieldOp), nil
	}
	return in.applyWithSchema(stage, rec, fieldOp)
}

func (in *interpreter) applySchemaless(stage *transforms.Stage, rec *record.Record,
	fieldOp transforms.FieldOperation) *record.Failure {
	options := fieldOp.Options()
	obj := &in.Object
	part := &rec.Parts[options.Target]
	if options.Whole {
		if err := connectdata.CheckSchemaless(part.Bytes); err != nil {
			return record.BadSchemaless(stage.Number)
		}
		obj.OpenWhole(&in.Scratch, nil, part.Bytes, part.Class)
	} else if failure := obj.OpenMap(&in.Scratch, part.Bytes, stage.Number, options.Purpose); failure != nil {
		return failure
	}
	step := transforms.Step{Stage: stage.Number, Topic: rec.Topic, Row: rec.Row}
	if failure := fieldOp.Apply(obj, step); failure != nil {
		return failure
	}
	if obj.IsNull {
		part.Set(wit.Absent, 0, nil)
		return nil
	}
	if obj.Pending != nil {
		return obj.Pending
	}
	return in.write(stage, rec, options, wit.Schemaless, &record.Results{})
}

func (in *interpreter) applyWithSchema(stage *transforms.Stage, rec *record.Record,
	fieldOp transforms.FieldOperation) (*record.Failure, error) {
	options := fieldOp.Options()
	obj := &in.Object
	part := &rec.Parts[options.Target]
	step := transforms.Step{Stage: stage.Number, Topic: rec.Topic, Row: rec.Row}
	reader, err := in.Reader(part.Schema)
	if err != nil {
		return nil, err
	}
	applies, failure := in.open(reader, part, options, stage.Number)
	if !applies || failure != nil {
		return failure, nil
	}
	if failure := fieldOp.Apply(obj, step); failure != nil {
		return failure, nil
	}
	results, err := in.results(stage, fieldOp, step, part.Schema)
	switch {
	case err != nil || results.Failure != nil:
		return results.Failure, err
	case obj.IsNull:
		if !obj.Root.Optional { // a field of a null struct
			part.SetInvalidNull(&in.Schemas, obj.Fields[0].Subtree(), stage.Number)
			return nil, nil
		}
		invalidNull := part.InvalidNull
		part.Set(wit.WithSchema, results.Value, record.NullBranch(&obj.Root))
		if obj.Whole == options.Whole { // the operation has not extracted a field
			part.InvalidNull = invalidNull
		}
		return nil, nil
	case !obj.KeepsInput():
		obj.Load(stage.Number) // the result is written field by field
	}
	if obj.Pending != nil {
		return obj.Pending, nil
	}
	return in.write(stage, rec, options, wit.WithSchema, results), nil
}

// results declares the schemas of the result, which depend only on the stage and the schema of the input.
func (in *interpreter) results(stage *transforms.Stage, fieldOp transforms.FieldOperation, step transforms.Step,
	schema uint32) (*record.Results, error) {
	return stage.Results.Get(&in.Schemas, schema, func([]wit.SchemaNode) *record.Results {
		if !fieldOp.Options().ConvertDefault {
			return in.Object.DeclareResults(&in.Schemas, stage.Number, nil)
		}
		return in.Object.DeclareResults(&in.Schemas, stage.Number, func(converted *record.Object) *record.Failure {
			if failure := fieldOp.Apply(converted, step); failure != nil {
				return failure
			}
			return converted.Pending
		})
	})
}

// open opens a key or value with schema. applies is false for a null that the operation does not change.
func (in *interpreter) open(reader *record.ValueReader, part *record.Part, options *transforms.FieldOptions,
	stage int) (applies bool, _ *record.Failure) {
	obj := &in.Object
	isNull, start, ok := reader.Null(part.Bytes)
	switch { // in the order of the checks of Kafka's transforms
	case !ok:
		return false, record.BadValue(stage, 0)
	case isNull && options.RejectNull:
		return false, record.OnlyStruct(stage, options.Purpose, "null")
	case isNull && !options.ConvertNull:
		return false, nil
	case options.Whole:
		obj.OpenWhole(&in.Scratch, reader, part.Bytes, part.Class)
	case reader.IsStruct():
		obj.Open(&in.Scratch, reader, part.Bytes, start)
	case isNull || options.RequireStruct:
		return false, record.DataFailure(stage, "Cannot "+options.FieldAction+" fields on non-struct type")
	default:
		return false, record.OnlyStruct(stage, options.Purpose, record.JavaClass(&reader.Nodes[0]))
	}
	obj.IsNull = isNull
	return true, nil
}

// write replaces the parts of the record by the result of an operation.
func (in *interpreter) write(stage *transforms.Stage, rec *record.Record, options *transforms.FieldOptions,
	encoding wit.Encoding, results *record.Results) *record.Failure {
	obj := &in.Object
	part := &rec.Parts[options.Target]
	if len(obj.Headers) > 0 {
		failure := rec.AddHeaders(&in.Scratch, len(obj.Headers), stage.Number,
			func(dst []byte) []byte { return obj.AppendHeaders(dst, results) })
		if failure != nil {
			return failure
		}
	}
	if obj.Key != nil {
		rec.Parts[record.Key].Write(&in.Scratch, encoding, results.Key, obj.Key.Append)
	}
	if !obj.SameBytes() {
		part.Write(&in.Scratch, encoding, results.Value, obj.Append)
		part.Class = obj.Class
		return nil
	}
	part.Schema = results.Value
	if !options.KeepObject && obj.IsMap {
		part.Class = obj.Class // Kafka's transforms make a new map, even of the same entries
	}
	return nil
}
