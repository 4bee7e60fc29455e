package source

import (
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var (
	planFunc        = canon.FuncOf(wit.InterfaceSource, "Plan", wit.Source.Plan)
	openFunc        = canon.FuncOf(wit.InterfaceSource, "Open", wit.Source.Open)
	nextFunc        = canon.FuncOf(wit.InterfaceSource, "Next", wit.Source.Next)
	beginFunc       = canon.FuncOf(wit.InterfaceSource, "Begin", wit.Source.Begin)
	decodeFunc      = canon.FuncOf(wit.InterfaceSource, "Decode", wit.Source.Decode)
	abandonFunc     = canon.FuncOf(wit.InterfaceSource, "Abandon", wit.Source.Abandon)
	checkOffsetFunc = canon.FuncOf(wit.InterfaceSource, "CheckOffset", wit.Source.CheckOffset)
)

//go:wasmexport culvert:connect/source@0.3.0#plan
func plan(component, componentLen, settings, settingsLen, maxTasks uint32) uint32 {
	return guest.Call(planFunc, func(a []reflect.Value) (any, error) {
		return registered.Plan(a[0].String(), guest.Arg[[]wit.Setting](a[1]), uint32(a[2].Uint()))
	}, guest.Widen(component, componentLen, settings, settingsLen, maxTasks)...)
}

//go:wasmexport culvert:connect/source@0.3.0#open
func open(component, componentLen, settings, settingsLen, state, stateLen, answers, answersLen uint32) uint32 {
	return guest.Call(openFunc, func(a []reflect.Value) (any, error) {
		return registered.Open(a[0].String(), guest.Arg[[]wit.Setting](a[1]), a[2].Bytes(),
			guest.Arg[[]wit.Response](a[3]))
	}, guest.Widen(component, componentLen, settings, settingsLen, state, stateLen, answers, answersLen)...)
}

//go:wasmexport culvert:connect/source@0.3.0#next
func next(context, contextLen, feed, offset, offsetLen, reason, wake, wakeLen uint32, now int64) uint32 {
	return guest.Call(nextFunc, func(a []reflect.Value) (any, error) {
		return registered.Next(a[0].Bytes(), uint32(a[1].Uint()), guest.Arg[[]wit.OffsetEntry](a[2]),
			guest.Arg[wit.PollReason](a[3]), a[4].Int())
	}, append(guest.Widen(context, contextLen, feed, offset, offsetLen, reason, wake, wakeLen), uint64(now))...)
}

//go:wasmexport culvert:connect/source@0.3.0#begin
func begin(context, contextLen, feed, hasPosition, position, positionLen, tag, tagLen, status, target, targetLen,
	headers, headersLen, body, bodyLen uint32, at int64) uint32 {
	return guest.Call(beginFunc, func(a []reflect.Value) (any, error) {
		return registered.Begin(a[0].Bytes(), uint32(a[1].Uint()), guest.Arg[*[]wit.OffsetEntry](a[2]),
			guest.Arg[wit.Response](a[3]))
	}, append(guest.Widen(context, contextLen, feed, hasPosition, position, positionLen, tag, tagLen, status, target,
		targetLen, headers, headersLen, body, bodyLen), uint64(at))...)
}

// decodeArea contains the result of decode if it is only rows and data, so that frequent calls allocate nothing.
var decodeArea = make([]byte, guest.DecodeResultSize)

// lastTag is the tag of the last call, to avoid a copy for each piece.
var lastTag string

//go:wasmexport culvert:connect/source@0.3.0#decode
func decode(page, tag, tagLen, status, piece, pieceLen, last uint32) uint32 {
	if t := guest.View(tag, tagLen); string(t) != lastTag {
		lastTag = string(t)
	}
	p, err := registered.Decode(page, lastTag, uint16(status), guest.View(piece, pieceLen), last != 0)
	failure := guest.AsError(err)
	plain := failure == nil && len(p.Schemas) == 0 && len(p.Errors) == 0 && len(p.Linked) == 0 && p.Next == nil &&
		!p.More && p.WaitMs == 0
	if plain {
		return guest.ReturnRows(decodeArea, guest.DecodeRowsOffset, p.Rows, guest.DecodeDataOffset, p.Data)
	}
	rows := p.Rows
	data := p.Data
	p.Rows = nil
	p.Data = nil
	return guest.Lower(decodeFunc, p, failure, guest.DecodeRowsOffset, rows, guest.DecodeDataOffset, data)
}

//go:wasmexport culvert:connect/source@0.3.0#abandon
func abandon(page uint32) {
	guest.Run(abandonFunc, func(a []reflect.Value) { registered.Abandon(uint32(a[0].Uint())) }, uint64(page))
}

//go:wasmexport culvert:connect/source@0.3.0#check-offset
func checkOffset(partition, partitionLen, offset, offsetLen uint32) uint32 {
	return guest.Call(checkOffsetFunc, func(a []reflect.Value) (any, error) {
		return nil, registered.CheckOffset(guest.Arg[[]wit.OffsetEntry](a[0]), guest.Arg[[]wit.OffsetEntry](a[1]))
	}, guest.Widen(partition, partitionLen, offset, offsetLen)...)
}
