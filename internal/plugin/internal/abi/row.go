package abi

import (
	"encoding/binary"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// RowBytes is the size of a row in a guest's memory.
const RowBytes = 80

// wit.Row has the layout of the canonical ABI; otherwise these do not compile.
var (
	_ [RowBytes]byte = [unsafe.Sizeof(wit.Row{})]byte{}
	_ [16]byte       = [unsafe.Sizeof(wit.ValueSlice{})]byte{}
	_ [8]byte        = [unsafe.Offsetof(wit.Row{}.Partition)]byte{}
	_ [16]byte       = [unsafe.Offsetof(wit.Row{}.Offset)]byte{}
	_ [24]byte       = [unsafe.Offsetof(wit.Row{}.Timestamp)]byte{}
	_ [32]byte       = [unsafe.Offsetof(wit.Row{}.Key)]byte{}
	_ [48]byte       = [unsafe.Offsetof(wit.Row{}.Value)]byte{}
	_ [64]byte       = [unsafe.Offsetof(wit.Row{}.Headers)]byte{}
	_ [4]byte        = [unsafe.Offsetof(wit.ValueSlice{}.Schema)]byte{}
	_ [8]byte        = [unsafe.Offsetof(wit.ValueSlice{}.Start)]byte{}
	_ [12]byte       = [unsafe.Offsetof(wit.ValueSlice{}.Size)]byte{}

	_ [RecordIDBytes]byte = [unsafe.Sizeof(wit.RecordID{})]byte{}
)

// Rows are copied as they are, since numbers have the byte order of WebAssembly on every machine that wazero supports.
func init() {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		panic("culvert: rows cannot be copied on a machine whose numbers begin with their highest byte")
	}
}

// PutRows writes rows to dst, RowBytes each.
func PutRows(dst []byte, rows []wit.Row) {
	if len(rows) == 0 {
		return
	}
	copy(dst, unsafe.Slice((*byte)(unsafe.Pointer(&rows[0])), len(rows)*RowBytes))
}

// RecordIDBytes is the size of a wit.RecordID in a guest's memory.
const RecordIDBytes = 24

// PutRecordIDs writes record IDs to dst, RecordIDBytes each.
func PutRecordIDs(dst []byte, ids []wit.RecordID) {
	if len(ids) > 0 {
		copy(dst, unsafe.Slice((*byte)(unsafe.Pointer(&ids[0])), len(ids)*RecordIDBytes))
	}
}

// AppendRows appends the rows in src. It does not check them.
func AppendRows(dst []wit.Row, src []byte) []wit.Row {
	count := len(src) / RowBytes
	if count == 0 {
		return dst
	}
	start := len(dst)
	if cap(dst)-start < count {
		dst = append(make([]wit.Row, 0, max(2*cap(dst), start+count)), dst...)
	}
	dst = dst[:start+count]
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[start])), count*RowBytes), src)
	return dst
}
