package guest

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// roots keeps the memory alive that a result refers to outside the arena.
var roots [2]any

type linear struct{}

// Memory is the linear memory of this module.
var Memory canon.Memory = linear{}

func (linear) View(ptr, size uint32) ([]byte, bool) { return View(ptr, size), true }

// View returns the memory at an address that the host passed.
func View(ptr, size uint32) []byte {
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(ptr))), size)
}

// List returns a list that the host passed. Its type must have the layout of the canonical ABI in memory.
func List[T wit.Row | wit.RecordID | uint32](ptr, n uint32) []T {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(ptr))), n)
}

// arguments is the memory that the host allocates.
var arguments = arena{minChunk: minArguments}

// realloc is the allocator of the canonical ABI. Its first call after the end of an export frees the memory of that
// export. Size 0 returns 0: small pointers to nothing crash Go's stack copier.
//
//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return 0
	}
	if arguments.released {
		roots = [2]any{}
		collectIfDue()
	}
	b := arguments.alloc(int(size))
	if old != 0 {
		copy(b, View(old, min(oldSize, size)))
	}
	return address(b)
}

func address(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

//go:wasmimport culvert:connect/host@0.3.0 log
func hostLog(level uint32, ptr unsafe.Pointer, size uint32)

// Log writes a line to the host's log.
func Log(level wit.Level, message string) {
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

// Call runs an export that is called rarely: it lifts the arguments, calls run and lowers the result. It does not
// recover panics: Go's runtime prints the stack and ends the instance, so that the host can find the row that causes it
// and roll back a new version of the plugin.
func Call(f *canon.Func, run func(args []reflect.Value) (any, error), flats ...uint64) (ptr uint32) {
	args, err := f.Lift(Memory, flats)
	var result any
	if err == nil {
		result, err = run(args)
	}
	return Result(f, result, AsError(err))
}

// Result lowers the result of an export that is called rarely, and releases the memory of its arguments.
func Result(f *canon.Func, result any, failure *wit.Error) (ptr uint32) {
	lowered, err := f.Lower(result, failure)
	if err != nil {
		lowered, err = f.Lower(nil, AsError(err))
	}
	if err != nil {
		panic(err)
	}
	results.reset()
	addresses, err := lowered.Place(Memory, allocResult)
	if err != nil {
		panic(err)
	}
	arguments.released = true
	return addresses[0]
}

func allocResult(size, _ uint32) (ptr uint32, err error) {
	return address(results.alloc(int(size))), nil
}

// ReturnEncoded returns the result of encode, which must stay unchanged until the next call.
func ReturnEncoded(f *canon.Func, out *wit.EncodeResult, failure *wit.Error) uint32 {
	return returnWords(f, out, lowerEncode, failure)
}

// ReturnHandled returns the result of handle-response, which must stay unchanged until the next call.
func ReturnHandled(f *canon.Func, out *wit.ResponseResult, failure *wit.Error) uint32 {
	return returnWords(f, out, lowerResponse, failure)
}

// returnWords returns the words of lower. Package canon lowers a failure, and what lower rejects.
func returnWords[T any](f *canon.Func, out *T, lower func(*T) (words, bool), failure *wit.Error) uint32 {
	results.reset()
	if failure == nil {
		if result, ok := lower(out); ok {
			roots[0] = out
			arguments.released = true
			return result.address()
		}
	}
	return Result(f, *out, failure)
}

// Run is [Call] for a function without a result.
func Run(f *canon.Func, run func(args []reflect.Value), flats ...uint64) {
	args, err := f.Lift(Memory, flats)
	if err != nil {
		panic(err)
	}
	run(args)
	arguments.released = true
}

// Lower lowers the result of a frequent export: its rare parts by reflection, then the addresses of rows and data at
// their offsets in the result. Both must stay unchanged until the next call.
func Lower(f *canon.Func, result any, failure *wit.Error, rowsOffset uint32, rows []wit.Row, dataOffset uint32,
	data []byte) uint32 {
	results.reset()
	lowered, err := f.Lower(result, failure)
	if err != nil {
		panic(err)
	}
	addresses, err := lowered.Place(Memory, allocResult)
	if err != nil {
		panic(err)
	}
	if failure == nil {
		root := View(addresses[0], max(rowsOffset, dataOffset)+8)
		putLists(root, rowsOffset, rows, data, dataOffset)
	}
	arguments.released = true
	return addresses[0]
}

// putLists writes the addresses and lengths of rows and data to a result, and keeps both alive until the next call.
func putLists(root []byte, rowsOffset uint32, rows []wit.Row, data []byte, dataOffset uint32) {
	roots[0] = unsafe.SliceData(rows)
	roots[1] = unsafe.SliceData(data)
	binary.LittleEndian.PutUint32(root[rowsOffset:], uint32(uintptr(unsafe.Pointer(unsafe.SliceData(rows)))))
	binary.LittleEndian.PutUint32(root[rowsOffset+4:], uint32(len(rows)))
	binary.LittleEndian.PutUint32(root[dataOffset:], address(data))
	binary.LittleEndian.PutUint32(root[dataOffset+4:], uint32(len(data)))
}

// ReturnRows returns the address of root, a result to which it adds only rows and data. It does not allocate.
func ReturnRows(root []byte, rowsOffset uint32, rows []wit.Row, dataOffset uint32, data []byte) uint32 {
	putLists(root, rowsOffset, rows, data, dataOffset)
	arguments.released = true
	return address(root)
}

var (
	describeFunc = canon.FuncOf(wit.InterfacePlugin, "Describe", wit.Plugin.Describe)
	validateFunc = canon.FuncOf(wit.InterfacePlugin, "Validate", wit.Plugin.Validate)
)

//go:wasmexport culvert:connect/plugin@0.3.0#describe
func describe() uint32 {
	return Call(describeFunc, func([]reflect.Value) (any, error) { return Plugin.Describe(), nil })
}

//go:wasmexport culvert:connect/plugin@0.3.0#validate
func validate(component, componentLen, settings, settingsLen, online, state, stateLen, answers,
	answersLen uint32) uint32 {
	return Call(validateFunc, func(a []reflect.Value) (any, error) {
		return Plugin.Validate(a[0].String(), Arg[[]wit.Setting](a[1]), a[2].Bool(), a[3].Bytes(),
			Arg[[]wit.Response](a[4]))
	}, Widen(component, componentLen, settings, settingsLen, online, state, stateLen, answers, answersLen)...)
}

// Widen converts core values of 32 bits to 64.
func Widen(v ...uint32) []uint64 {
	w := make([]uint64, len(v))
	for i, x := range v {
		w[i] = uint64(x)
	}
	return w
}
