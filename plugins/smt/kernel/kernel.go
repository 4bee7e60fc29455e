package kernel

import (
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

const key, value, headers = 32, 48, 64 // offsets in a wit.Row

const (
	schema            = 0xffffffff00000000 // part of a value slice's first word
	encodingAndSchema = 0xffffffff000000ff
)

const (
	low         = 0xffffffff
	highBits    = 0x8080808080808080 // of each byte
	opBytes     = int(unsafe.Sizeof(Op{}))
	keyBytes    = int(unsafe.Sizeof(Key{}))
	choiceBytes = int(unsafe.Sizeof(Choice{}))
	calendarAt  = int(unsafe.Offsetof(Rows{}.Calendar))
	textAt      = int(unsafe.Offsetof(Date{}.Text))
)

// pointer reads the pointer at p+i.
func pointer(p unsafe.Pointer, i int) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Add(p, i)) }

// kernel(row, out): goPass implements Pass.
func goPass(rows *Rows) int {
	row := unsafe.Add(rows.In, rows.N*rowBytes)
	out := unsafe.Add(rows.Out, rows.OutCount*rowBytes)
	first := rows.N
	count := rows.Count
	if count-rows.N > rows.OutLimit-rows.OutCount {
		count = rows.N + rows.OutLimit - rows.OutCount
	}
	rowIndex := rows.N
	topic := rows.Topic
	mask := rows.Mask
	want := rows.Value
	keep := rows.KeepMask
	result := rows.Result
	origin := uint64(rows.First+rowIndex) | rows.OutTopic<<32
	dstEnd := uint64(rows.DstEnd)
	for rowIndex < count {
		head := Load(row, value)
		if Load(row, 0)>>32 != topic || head&mask != want {
			break
		}
		Store(out, headers+8, 0)
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, value+8, dstEnd)
		Store(out, value, head&keep|result)
		Store(out, key+8, 0)
		Store(out, key, Load(row, key)&schema|uint64(wit.Unchanged))
		Store(out, Timestamp, Load(row, Timestamp))
		Store(out, Offset, Load(row, Offset))
		Store(out, Partition, Load(row, Partition))
		Store(out, 0, origin)
		origin++
		rowIndex++
		row = unsafe.Add(row, rowBytes)
		out = unsafe.Add(out, rowBytes)
	}
	rows.OutCount += rowIndex - first
	rows.N = rowIndex
	if rowIndex != first {
		rows.Field = 0
	}
	return Done
}

// kernel(rows, row): goValues implements Values.
func goValues(rows *Rows) int {
	for rows.N < rows.Count {
		row := unsafe.Add(rows.In, rows.N*rowBytes)
		reason := prepareRow(rows, row)
		if reason != ready {
			return reason
		}
		reason = writeRow(rows, row, rows.OpsStart)
		if reason != ready {
			return reason
		}
	}
	return Done
}

// prepareRow finds the fields or entries of a row and the place for its result. It returns ready, or why it stopped.
func prepareRow(rows *Rows, row unsafe.Pointer) (reason int) {
	size := int(Load(row, value+8) >> 32)
	end := int(Load(row, value+8)&low) + size
	stopReason := Done
	if rows.Program.Keys != nil {
		stopReason = findEntries(rows, row, end)
	} else if rows.Program.Appends == 0 {
		stopReason = findFields(rows, row, end)
	} else {
		stopReason = findEnd(rows, row, end)
	}
	if stopReason != ready {
		return stopReason
	}
	if rows.Program.Appends != 0 {
		if rows.Program.Keys != nil {
			rows.DstEnd = end - size
			Put(rows.Data, rows.DstEnd+1, byte(rows.Program.Count))
		}
		rows.OpsStart = end
		return ready
	}
	if rows.Edited < rows.Program.Edits {
		return Edit
	}
	rows.OpsStart = rows.DstEnd
	size += int(Load(row, headers+8)>>32) + rows.Edited
	if rows.DstEnd+size<<rows.Program.GrowthShift+rows.Program.Extra+Room > rows.DstSize {
		return Full
	}
	return ready
}

// kernel(rows, row): goSeparated implements Separated.
func goSeparated(rows *Rows) int {
	row := rows.In
	end := 0
	for remaining := rows.Count; remaining != 0; remaining-- {
		if Load(row, key)&0xff != uint64(wit.Absent) {
			start := int(Load(row, key+8) & low)
			if start < end {
				return 0
			}
			end = start + int(Load(row, key+8)>>32)
		}
		if Load(row, value)&0xff != uint64(wit.Absent) {
			start := int(Load(row, value+8) & low)
			if start < end {
				return 0
			}
			end = start + int(Load(row, value+8)>>32) + Room
		}
		if Load(row, headers)&0xff != uint64(wit.Absent) {
			start := int(Load(row, headers+8) & low)
			if start < end {
				return 0
			}
			end = start + int(Load(row, headers+8)>>32)
		}
		row = unsafe.Add(row, rowBytes)
	}
	if end > rows.Limit+Room {
		return 0
	}
	return 1
}
