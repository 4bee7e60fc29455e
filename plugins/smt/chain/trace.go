package chain

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/wit"
)

// trace compiles a program for rows like row. It is not usable if the kernel does not support the stages.
func (r *route) trace(scratch *record.Scratch, row *wit.Row, data []byte) *compiledProgram {
	unusable := &compiledProgram{}
	obj := &record.Object{}
	if !openForTrace(obj, scratch, row, data) {
		return unusable
	}
	obj.Trace = &record.Trace{}
	for i, stage := range r.stages {
		step := transforms.Step{Stage: stage.Number, Topic: r.topics[i], Row: row}
		if !r.traceStage(obj, stage, step) {
			return unusable
		}
	}
	if !obj.IsMap && !obj.KeepsInput() {
		obj.Load(0)
	}
	if obj.Pending != nil || (obj.Key != nil && obj.Key.Pending != nil) {
		return unusable
	}
	results := &record.Results{}
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
		hoist := stage.Operation.(*transforms.HoistField)
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
	return compile(obj, results, row, head)
}

// openForTrace opens the value of a row. It returns false for a null, and for anything that is no struct or map.
func openForTrace(obj *record.Object, scratch *record.Scratch, row *wit.Row, data []byte) bool {
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

// traceStage applies a stage to a traced object, or to the key created from it.
func (r *route) traceStage(obj *record.Object, stage *transforms.Stage, step transforms.Step) bool {
	switch op := stage.Operation.(type) {
	case *transforms.InsertHeader:
		added := record.AddedHeader{Name: op.Name, Bytes: op.Header(&obj.Scratch.Schemas)}
		obj.Headers = append(obj.Headers, added)
		return true
	case *transforms.DropHeaders:
		count := len(obj.Headers)
		obj.Headers = slices.DeleteFunc(obj.Headers, func(h record.AddedHeader) bool { return op.Drops(h.Name) })
		return len(obj.Headers) == count || !r.copiesHeaders // the fields of removed headers would have to be checked
	}
	op, ok := stage.Operation.(transforms.FieldOperation)
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
	_, isValueToKey := op.(*transforms.ValueToKey)
	_, isHeaderFrom := op.(*transforms.HeaderFrom)
	if (target == obj.Key && isHeaderFrom) || (isValueToKey && obj.Key != nil) {
		return false
	}
	return op.Apply(target, step) == nil
}
