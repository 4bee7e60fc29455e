package sink

import (
	"math"
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var (
	openFunc           = canon.FuncOf(wit.InterfaceSink, "Open", wit.Sink.Open)
	encodeFunc         = canon.FuncOf(wit.InterfaceSink, "Encode", wit.Sink.Encode)
	handleResponseFunc = canon.FuncOf(wit.InterfaceSink, "HandleResponse", wit.Sink.HandleResponse)
)

//go:wasmexport culvert:connect/sink@0.3.0#open
func open(component, componentLen, settings, settingsLen, state, stateLen, answers, answersLen uint32) uint32 {
	return guest.Call(openFunc, func(a []reflect.Value) (any, error) {
		return registered.Open(a[0].String(), guest.Arg[[]wit.Setting](a[1]), a[2].Bytes(),
			guest.Arg[[]wit.Response](a[3]))
	}, guest.Widen(component, componentLen, settings, settingsLen, state, stateLen, answers, answersLen)...)
}

// encode lifts schemas by reflection, since most calls have none. Rows and data are passed without a copy.
//
//go:wasmexport culvert:connect/sink@0.3.0#encode
func encode(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen, recordIDs,
	recordIDsLen, recordTopics, recordTopicsLen, hints, hintsLen uint32) uint32 {
	var list []wit.Schema
	if schemasLen > 0 {
		lifter := canon.Lifter{Memory: guest.Memory, Budget: math.MaxUint32}
		if err := lifter.LiftList(schemas, schemasLen, &list); err != nil {
			return guest.Result(encodeFunc, nil, guest.AsError(err))
		}
	}
	out, err := registered.Encode(guest.View(context, contextLen), list, guest.Strings(topics, topicsLen),
		guest.List[wit.Row](rows, rowsLen), guest.View(data, dataLen),
		guest.List[wit.RecordID](recordIDs, recordIDsLen), guest.Strings(recordTopics, recordTopicsLen),
		guest.Hints(hints, hintsLen))
	return guest.ReturnEncoded(encodeFunc, &out, guest.AsError(err))
}

// handleResponse is called for each request. It copies only the strings of the response; its body, the state and the
// rows are passed without a copy.
//
//go:wasmexport culvert:connect/sink@0.3.0#handle-response
func handleResponse(context, contextLen, state, stateLen, rows, rowsLen, tag, tagLen, status, target, targetLen,
	headers, headersLen, body, bodyLen uint32, at int64) uint32 {
	response := wit.Response{Tag: guest.String(tag, tagLen), Status: uint16(status),
		Target: guest.String(target, targetLen), Headers: guest.Headers(headers, headersLen),
		Body: guest.View(body, bodyLen), ReceivedAt: at}
	out, err := registered.HandleResponse(guest.View(context, contextLen), guest.View(state, stateLen),
		guest.List[uint32](rows, rowsLen), response)
	return guest.ReturnHandled(handleResponseFunc, &out, guest.AsError(err))
}
