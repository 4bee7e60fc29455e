package transform

import (
	"encoding/binary"
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var (
	prepareFunc = canon.FuncOf(wit.InterfaceTransform, "Prepare", wit.Transform.Prepare)
	applyFunc   = canon.FuncOf(wit.InterfaceTransform, "Apply", wit.Transform.Apply)
	testFunc    = canon.FuncOf(wit.InterfaceTransform, "Test", wit.Transform.Test)
)

//go:wasmexport culvert:connect/transform@0.3.0#prepare
func prepare(chain, chainLen uint32) uint32 {
	return guest.Call(prepareFunc, func(a []reflect.Value) (any, error) {
		return registered.Prepare(guest.Arg[[]wit.Stage](a[0]))
	}, guest.Widen(chain, chainLen)...)
}

// batch contains the arguments of apply and test. Lifting it allocates only for new topics or schemas.
type batch struct {
	context []byte
	schemas []wit.Schema
	topics  []string
	rows    []wit.Row
	data    []byte
}

// lastTopics are the topics of the last call, which most calls of an instance share.
var lastTopics []string

// lift returns the arguments of apply or test. Rows and data are not copied.
func lift(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data,
	dataLen uint32) (b batch, err error) {
	b = batch{context: guest.View(context, contextLen), topics: liftTopics(topics, topicsLen),
		rows: guest.List[wit.Row](rows, rowsLen), data: guest.View(data, dataLen)}
	if schemasLen > 0 {
		// Only the schemas are lifted here: the other arguments are passed as empty.
		var args []reflect.Value
		args, err = applyFunc.Lift(guest.Memory, guest.Widen(0, 0, schemas, schemasLen, 0, 0, 0, 0, 0, 0))
		if err == nil {
			b.schemas = guest.Arg[[]wit.Schema](args[1])
		}
	}
	return b, err
}

func liftTopics(ptr, n uint32) []string {
	list := guest.View(ptr, n*8)
	topic := func(i int) []byte {
		return guest.View(binary.LittleEndian.Uint32(list[i*8:]), binary.LittleEndian.Uint32(list[i*8+4:]))
	}
	same := int(n) == len(lastTopics)
	for i := 0; same && i < int(n); i++ {
		same = string(topic(i)) == lastTopics[i]
	}
	if !same {
		lastTopics = make([]string, n)
		for i := range lastTopics {
			lastTopics[i] = string(topic(i))
		}
	}
	return lastTopics
}

// applyArea contains the result of apply if it is only rows and data.
var applyArea = make([]byte, guest.ApplyResultSize)

//go:wasmexport culvert:connect/transform@0.3.0#apply
func apply(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen uint32) uint32 {
	var out wit.ApplyResult
	b, err := lift(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen)
	if err == nil {
		out, err = registered.Apply(b.context, b.schemas, b.topics, b.rows, b.data)
	}
	failure := guest.AsError(err)
	if failure == nil && len(out.Schemas) == 0 && len(out.Topics) == 0 && len(out.Errors) == 0 {
		binary.LittleEndian.PutUint32(applyArea[guest.ApplyConsumedOffset:], out.Consumed)
		return guest.ReturnRows(applyArea, guest.ApplyRowsOffset, out.Rows, guest.ApplyDataOffset, out.Data)
	}
	outRows := out.Rows
	outData := out.Data
	out.Rows = nil
	out.Data = nil
	return guest.Lower(applyFunc, out, failure, guest.ApplyRowsOffset, outRows, guest.ApplyDataOffset, outData)
}

//go:wasmexport culvert:connect/transform@0.3.0#test
func test(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen uint32) uint32 {
	return guest.Call(testFunc, func([]reflect.Value) (any, error) {
		b, err := lift(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen)
		if err != nil {
			return nil, err
		}
		return registered.Test(b.context, b.schemas, b.topics, b.rows, b.data)
	}, guest.Widen(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)...) // lift has read the arguments
}
