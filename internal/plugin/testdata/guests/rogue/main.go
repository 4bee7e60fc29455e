// Rogue is a guest that violates one rule of the contract at a time. It implements the canonical ABI by hand, because
// the SDK would prevent it. The chain that prepare receives names the rule, as the component or, for connectors, in the
// setting `mode`; apply violates it.
package main

import (
	"math"
	"os"
	"strconv"
	"time"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

func main() {}

// allocations keeps every allocation that was returned: this guest is short-lived.
var allocations [][]byte

// allocate returns the address of size bytes, aligned to 8.
func allocate(size uint32) uint32 {
	if size == 0 {
		return 0
	}
	b := make([]byte, size+8)
	allocations = append(allocations, b)
	return (addressOf(&b[0]) + 7) &^ 7
}

// mode is the rule to violate.
var mode string

// outside is an address that no memory of a guest reaches.
const outside = 0xffff_fff0

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	switch mode {
	case "realloc-unaligned":
		return allocate(size+8) + 1
	case "realloc-outside":
		return outside
	}
	return allocate(size)
}

func addressOf[T any](p *T) uint32 { return uint32(uintptr(unsafe.Pointer(p))) }

func view(ptr, size uint32) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(ptr))), size)
}

type memory struct{}

func (memory) View(ptr, size uint32) ([]byte, bool) { return view(ptr, size), true }

func lower(iface, method string, v any) uint32 {
	im, err := canon.Function(iface, method).Lower(v, nil)
	if err != nil {
		panic(err)
	}
	at, err := im.Place(memory{}, func(size, _ uint32) (uint32, error) { return allocate(size), nil })
	if err != nil {
		panic(err)
	}
	return at[0]
}

//go:wasmimport culvert:connect/host@0.3.0 log
func log(level, ptr, size uint32)

//go:wasmexport culvert:connect/plugin@0.3.0#describe
func describe() uint32 {
	return lower(wit.InterfacePlugin, "Describe", wit.Description{Name: "rogue", Version: "1.0.0",
		Components: []wit.Component{{Name: "rogue", Kind: wit.ComponentTransformation,
			Settings: []wit.ConfigKey{{Name: "mode"}}}}})
}

//go:wasmexport culvert:connect/plugin@0.3.0#validate
func validate(component, componentLen, settings, settingsLen, online, state, stateLen, answers,
	answersLen uint32) uint32 {
	return lower(wit.InterfacePlugin, "Validate", wit.ValidateResult{Done: &[]wit.ConfigValue{}})
}

//go:wasmexport culvert:connect/transform@0.3.0#prepare
func prepare(chain, chainLen uint32) uint32 {
	args, err := canon.Function(wit.InterfaceTransform, "Prepare").Lift(memory{},
		[]uint64{uint64(chain), uint64(chainLen)})
	if err != nil {
		panic(err)
	}
	stage := args[0].Interface().([]wit.Stage)[0]
	chosen := stage.Component
	if len(stage.Settings) > 0 {
		chosen = stage.Settings[0].Value
	}
	p := lower(wit.InterfaceTransform, "Prepare", []byte(chosen))
	mode = chosen
	return p
}

// result is apply's result in memory. If isFault is 1, the fault is in place of the other fields.
type result struct {
	isFault  uint32
	schemas  list
	topics   list
	rows     list
	data     list
	faults   list
	consumed uint32
	// space for a fault
	_ [2]uint32
}

type list struct{ ptr, n uint32 }

const rowBytes = uint32(unsafe.Sizeof(wit.Row{}))

var (
	answer result
	row    wit.Row
	text   = []byte("x\xffy") // not UTF-8, except for the first byte alone
)

//go:wasmexport culvert:connect/transform@0.3.0#apply
func apply(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen uint32) uint32 {
	if contextLen > 0 { // another instance may have prepared the context
		mode = string(view(context, contextLen))
	}
	answer = result{rows: list{rows, rowsLen}, data: list{data, dataLen}, consumed: rowsLen}
	row = *(*wit.Row)(unsafe.Pointer(uintptr(rows)))
	ptr := addressOf(&answer)
	// returnOneRow replaces the result's rows by row, a copy of the first input row.
	returnOneRow := func() { answer.rows = list{addressOf(&row), 1} }
	switch mode {
	case "result-outside":
		return outside
	case "result-unaligned":
		return ptr + 2
	case "case":
		answer.isFault = 7
	case "fault-kind":
		// A fault is stored in place of schemas, topics and rows: kind, message, setting, …
		answer = result{isFault: 1, schemas: list{99, addressOf(&text[0])}, topics: list{1, 0}}
	case "fault-text":
		answer = result{isFault: 1, schemas: list{0, addressOf(&text[0])}, topics: list{3, 0}}
	case "fault-option":
		answer = result{isFault: 1, schemas: list{0, addressOf(&text[0])}, topics: list{1, 2}}
	case "fault":
		answer = result{isFault: 1, schemas: list{uint32(wit.ErrorConflict), addressOf(&text[0])},
			topics: list{1, 0}}
	case "rows-outside":
		answer.rows.ptr = outside
	case "rows-unaligned":
		answer.rows.ptr += 4
	case "3gb":
		answer.data.n = 3 << 30
	case "rows-3gb":
		answer.rows.n = 3 << 30 / rowBytes
	case "rows-wrap":
		answer.rows.n = math.MaxUint32/rowBytes + 1 // the size in bytes overflows 32 bits
	case "rows-overlap":
		same := make([]byte, 1<<20)
		many := make([]wit.Row, 100)
		for n := range many {
			many[n] = row
			many[n].Value.Start = 0
			many[n].Value.Size = 1 << 20
		}
		answer.data = list{addressOf(&same[0]), 1 << 20}
		answer.rows = list{addressOf(&many[0]), 100}
	case "row-by-row":
		returnOneRow()
		row.RowIndex = 0
		row.Value.Start = 0
		row.Value.Size = 900
		part := make([]byte, 900)
		answer.data = list{addressOf(&part[0]), 900}
		answer.consumed = 1
	case "topics-outside":
		answer.topics = list{rows, 1 << 20}
	case "topics-many", "topics-most":
		n := uint32(10_000)
		if mode == "topics-many" {
			n++
		}
		p := allocate(8 * n)
		names := unsafe.Slice((*list)(unsafe.Pointer(uintptr(p))), n)
		for i := range names {
			name := allocate(8)
			copy(view(name, 8), "t"+strconv.Itoa(10_000_000 + i)[1:])
			names[i] = list{name, 8}
		}
		answer.topics = list{p, n}
	case "topic-utf8":
		p := allocate(8)
		*(*list)(unsafe.Pointer(uintptr(p))) = list{addressOf(&text[0]), 3}
		answer.topics = list{p, 1}
	case "faults-outside":
		answer.faults = list{0xffff_ff00, 9}
	case "consumed-none":
		answer.consumed = 0
	case "consumed-more":
		answer.consumed = rowsLen + 1
	case "form":
		returnOneRow()
		row.Value.Encoding = 9
	case "raw-value":
		returnOneRow()
		row.Value.Encoding = wit.Raw
	case "structured-headers":
		returnOneRow()
		row.Headers = row.Value
	case "datum":
		returnOneRow()
		row.Value.Start = 0xffff_ffff
		row.Value.Size = 2
	case "schema":
		returnOneRow()
		row.Value.Schema = wit.GuestSchemas + 5
	case "host-schema":
		returnOneRow()
		row.Value.Schema = 4000
	case "no-schema":
		returnOneRow()
		row.Value.Schema = 0
	case "topic":
		returnOneRow()
		row.Topic = 1
	case "partition":
		returnOneRow()
		row.Partition = -2
	case "timestamp":
		returnOneRow()
		row.Timestamp = -2
	case "origin":
		returnOneRow()
		row.RowIndex = rowsLen
	case "order":
		(*wit.Row)(unsafe.Pointer(uintptr(rows))).RowIndex = 2 // the next row has a lower index
	case "headers":
		returnOneRow()
		row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: 0, Size: 2}
	case "dynamic":
		returnOneRow()
		row.Value = wit.ValueSlice{Encoding: wit.Schemaless, Start: 0, Size: 2}
		copy(view(data, 2), "\x0f\x0f") // a struct that ends after the number of its schema
	case "log-level":
		log(9, data, 1)
	case "log-outside":
		log(0, data, 0xffff_0000)
	case "log-binary":
		log(2, addressOf(&text[0]), 3)
	case "flood":
		for range 1_000_000 {
			log(2, data, 1)
		}
	case "chatter":
		for range 300 {
			log(2, data, 1)
		}
	case "grow":
		for {
			allocations = append(allocations, make([]byte, 4<<20))
		}
	case "swell":
		for range 10 {
			allocations = append(allocations, make([]byte, 4<<20))
		}
	case "panic":
		panic("boom")
	case "exit":
		os.Exit(3)
	case "deadlock":
		select {}
	case "recurse":
		recurse(0)
	case "spin":
		for {
			mode += ""
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "output":
		for range 10_000 {
			println("some output")
		}
	}
	return ptr
}

// post must be called once after an accepted result, and never after a rejected one.
//
//go:wasmexport cabi_post_culvert:connect/transform@0.3.0#apply
func post(ptr uint32) {
	switch mode {
	case "nothing", "swell", "row-by-row", "topics-most", "chatter", "output", "log-binary", "fault":
		mode = "posted"
	default:
		panic("post-return after " + mode)
	}
}

//go:noinline
func recurse(n int) int {
	var frame [1024]byte
	frame[n%1024] = 1
	return recurse(n+1) + int(frame[n%7])
}

//go:wasmexport culvert:connect/transform@0.3.0#test
func test(context, contextLen, schemas, schemasLen, topics, topicsLen, rows, rowsLen, data, dataLen uint32) uint32 {
	return lower(wit.InterfaceTransform, "Test", wit.TestResult{Matches: make([]bool, rowsLen+1)})
}
