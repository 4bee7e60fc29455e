package abi

import (
	"encoding/binary"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// RowBytes is the size of a row in a guest's memory.
const RowBytes = 80

// A wit.Row has the layout that the canonical ABI gives a row: these fail to compile where it has not.
var (
	_ [RowBytes]byte = [unsafe.Sizeof(wit.Row{})]byte{}
	_ [16]byte       = [unsafe.Sizeof(wit.Datum{})]byte{}
	_ [8]byte        = [unsafe.Offsetof(wit.Row{}.Partition)]byte{}
	_ [16]byte       = [unsafe.Offsetof(wit.Row{}.Offset)]byte{}
	_ [24]byte       = [unsafe.Offsetof(wit.Row{}.Timestamp)]byte{}
	_ [32]byte       = [unsafe.Offsetof(wit.Row{}.Key)]byte{}
	_ [48]byte       = [unsafe.Offsetof(wit.Row{}.Value)]byte{}
	_ [64]byte       = [unsafe.Offsetof(wit.Row{}.Headers)]byte{}
	_ [4]byte        = [unsafe.Offsetof(wit.Datum{}.Schema)]byte{}
	_ [8]byte        = [unsafe.Offsetof(wit.Datum{}.Start)]byte{}
	_ [12]byte       = [unsafe.Offsetof(wit.Datum{}.Size)]byte{}
)

// sameOrder tells that this machine's numbers have the byte order of WebAssembly, so that rows are copied as they are.
// A variable for the sake of the test of the other path.
var sameOrder = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// PutRows writes rows into dst, which is RowBytes for each of them.
func PutRows(dst []byte, rows []wit.Row) {
	if len(rows) == 0 {
		return
	}
	if sameOrder {
		copy(dst, unsafe.Slice((*byte)(unsafe.Pointer(&rows[0])), len(rows)*RowBytes))
		return
	}
	for i := range rows {
		putRow(dst[i*RowBytes:], &rows[i])
	}
}

// RecordIDBytes is the size of the identification of a record in a guest's memory.
const RecordIDBytes = 24

// PutRecordIDs writes identifications into dst, which is RecordIDBytes for each of them.
func PutRecordIDs(dst []byte, ids []wit.RecordID) {
	le := binary.LittleEndian
	for n := range ids {
		b, id := dst[n*RecordIDBytes:], &ids[n]
		le.PutUint32(b[0:], id.Topic)
		le.PutUint32(b[4:], uint32(id.Partition))
		le.PutUint64(b[8:], uint64(id.Offset))
		le.PutUint64(b[16:], uint64(id.Part))
	}
}

// AppendRows appends the rows that lie in src. Forms are not yet checked.
func AppendRows(dst []wit.Row, src []byte) []wit.Row {
	n := len(src) / RowBytes
	if n == 0 {
		return dst
	}
	start := len(dst)
	if cap(dst)-start < n {
		dst = append(make([]wit.Row, 0, max(2*cap(dst), start+n)), dst...)
	}
	dst = dst[:start+n]
	if sameOrder {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[start])), n*RowBytes), src)
		return dst
	}
	for i := range n {
		getRow(&dst[start+i], src[i*RowBytes:])
	}
	return dst
}

func putRow(b []byte, r *wit.Row) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], r.Origin)
	le.PutUint32(b[4:], r.Topic)
	le.PutUint32(b[8:], uint32(r.Partition))
	le.PutUint64(b[16:], uint64(r.Offset))
	le.PutUint64(b[24:], uint64(r.Timestamp))
	putDatum(b[32:], &r.Key)
	putDatum(b[48:], &r.Value)
	putDatum(b[64:], &r.Headers)
}

func putDatum(b []byte, d *wit.Datum) {
	b[0] = byte(d.Form)
	binary.LittleEndian.PutUint32(b[4:], d.Schema)
	binary.LittleEndian.PutUint32(b[8:], d.Start)
	binary.LittleEndian.PutUint32(b[12:], d.Size)
}

func getRow(r *wit.Row, b []byte) {
	le := binary.LittleEndian
	r.Origin, r.Topic, r.Partition = le.Uint32(b[0:]), le.Uint32(b[4:]), int32(le.Uint32(b[8:]))
	r.Offset, r.Timestamp = int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:]))
	getDatum(&r.Key, b[32:])
	getDatum(&r.Value, b[48:])
	getDatum(&r.Headers, b[64:])
}

func getDatum(d *wit.Datum, b []byte) {
	d.Form, d.Schema = wit.Form(b[0]), binary.LittleEndian.Uint32(b[4:])
	d.Start, d.Size = binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
}
