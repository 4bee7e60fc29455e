package sink

import (
	"reflect"
	"slices"

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

// encode lifts rare arguments by reflection and passes rows and data without a copy.
//
//go:wasmexport culvert:connect/sink@0.3.0#encode
func encode(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen, recordIDs,
	recordIDsLen,
	recordTopics, recordTopicsLen, hints, hintsLen uint32) uint32 {
	return guest.Call(encodeFunc, func(a []reflect.Value) (any, error) {
		return registered.Encode(a[0].Bytes(), guest.Arg[[]wit.Schema](a[1]), guest.Arg[[]string](a[2]),
			guest.List[wit.Row](rows, rowsLen), guest.View(data, dataLen), guest.List[wit.RecordID](recordIDs,
				recordIDsLen), guest.Arg[[]string](a[6]),
			guest.Arg[[]wit.Hint](a[7]))
	}, guest.Widen(context, contextLen, schemas, schemasLen, topics, topicsLen, 0, 0, 0, 0, 0, 0, recordTopics,
		recordTopicsLen, hints, hintsLen)...)
}

// resultArea contains the result of handle-response if all rows were written.
var resultArea = make([]byte, guest.ResponseResultSize)

// rowResultSize is the size of a row result in memory.
var rowResultSize = canon.SizeOf[wit.RowResult]()

// handleResponse is called for each request. It copies only the strings of the response; its body, the state and the
// rows are passed without a copy.
//
//go:wasmexport culvert:connect/sink@0.3.0#handle-response
func handleResponse(context, contextLen, state, stateLen, rows, rowsLen, tag, tagLen, status, target, targetLen,
	headers,
	headersLen, body, bodyLen uint32, at int64) uint32 {
	response := wit.Response{Tag: guest.String(tag, tagLen), Status: uint16(status),
		Target: guest.String(target, targetLen), Headers: guest.Headers(headers, headersLen),
		Body: guest.View(body, bodyLen), ReceivedAt: at}
	out, err := registered.HandleResponse(guest.View(context, contextLen), guest.View(state, stateLen),
		guest.List[uint32](rows, rowsLen), response)
	failure := guest.AsError(err)
	if failure == nil && out.Context == nil && !slices.ContainsFunc(out.Results, func(v wit.RowResult) bool {
		return v.Written == nil || v.Rejected != nil || v.Retry != nil
	}) {
		return guest.Zeros(resultArea, guest.ResponseResultsOffset, len(out.Results), rowResultSize)
	}
	return guest.Result(handleResponseFunc, out, failure)
}
