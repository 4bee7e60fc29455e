package fastpath

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/compile"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms/fields"
	"github.com/culvert-project/culvert/plugins/smt/transforms/records"
	"github.com/culvert-project/culvert/wit"
)

// trace compiles a program for rows like row. It is not usable if the kernel does not support the stages.
func (r *route) trace(scratch *object.Scratch, row *wit.Row, data []byte) *compile.Program {
	unusable := &compile.Program{}
	obj := &object.Object{}
	if !openForTrace(obj, scratch, row, data) || !r.traceStages(obj, row) {
		return unusable
	}
	results := &object.Results{}
	if !obj.IsMap {
		// Only the interpreter converts the default of a struct.
		if obj.Root.DefaultValue != nil && !obj.KeepsSchema {
			return unusable
		}
		if results = obj.DeclareResults(&scratch.Schemas, 0, nil); results.Failure != nil {
			return unusable
		}
	}
	var head []byte
	for _, stage := range r.hoists {
		hoist := stage.Operation.(*records.HoistField)
		if obj.IsMap {
			head = append(hoist.AppendHead(nil), head...)
			continue
		}
		schema, ok := hoist.Relabel(&scratch.Schemas, results.Value, stage.Number)
		if !ok {
			return unusable
		}
		results.Value = schema
	}
	obj.DropsHeaders = r.dropsHeaders
	return compile.Compile(obj, results, row, head)
}

// openForTrace opens the value of a row. It returns false for a null, and for anything that is no struct or map.
func openForTrace(obj *object.Object, scratch *object.Scratch, row *wit.Row, data []byte) bool {
	value := data[row.Value.Start:][:row.Value.Size]
	if row.Value.Encoding != wit.WithSchema {
		class, invalid := obj.ReadMap(scratch, value)
		return class == "" && !invalid
	}
	reader, err := scratch.Reader(row.Value.Schema)
	if err != nil || !reader.IsStruct() {
		return false
	}
	isNull, start, ok := reader.Null(value)
	if !ok || isNull {
		return false
	}
	obj.Open(scratch, reader, value, start)
	return true
}

// traceStages applies the operations on fields. It returns false if one fails or is not supported.
func (r *route) traceStages(obj *object.Object, row *wit.Row) bool {
	obj.Trace = &object.Trace{}
	for i, stage := range r.stages {
		step := operation.Step{Stage: stage.Number, Topic: r.topics[i], Row: row}
		if !r.traceStage(obj, stage, step) {
			return false
		}
	}
	if !obj.IsMap && !obj.KeepsInput() {
		obj.Load(0)
	}
	return obj.Pending == nil && (obj.Key == nil || obj.Key.Pending == nil)
}

// traceStage applies a stage to a traced object, or to the key created from it.
func (r *route) traceStage(obj *object.Object, stage *operation.Stage, step operation.Step) bool {
	switch op := stage.Operation.(type) {
	case *records.InsertHeader:
		added := object.AddedHeader{Name: op.Name, Bytes: op.Header(&obj.Scratch.Schemas)}
		obj.Headers = append(obj.Headers, added)
		return true
	case *records.DropHeaders:
		count := len(obj.Headers)
		obj.Headers = slices.DeleteFunc(obj.Headers, func(h object.AddedHeader) bool { return op.Drops(h.Name) })
		return len(obj.Headers) == count || !r.copiesHeaders // the fields of removed headers would have to be checked
	}
	op, ok := stage.Operation.(operation.FieldOperation)
	if !ok || op.Options().Whole {
		return false
	}
	target := obj
	if op.Options().Target == record.Key {
		target = obj.Key
	}
	if target == nil || target.Whole {
		return false
	}
	_, isValueToKey := op.(*fields.ValueToKey)
	_, isHeaderFrom := op.(*fields.HeaderFrom)
	if (target == obj.Key && isHeaderFrom) || (isValueToKey && obj.Key != nil) {
		return false
	}
	return op.Apply(target, step) == nil
}
