package kernel

import (
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// writeRow executes the ops and writes the row, whose bytes start at end in Dst. It returns ready, or why it stopped.
// The caller has checked that there is space.
func writeRow(rows *Rows, row unsafe.Pointer, end int) (reason int) {
	dst := rows.Dst
	rows.KeyEnd = rows.DstEnd
	rows.HeadersEnd = rows.DstEnd
	op := rows.Program.Ops
	for op.Kind != End {
		source := op.Bytes
		size := op.Size
		if op.Kind == Copied {
			first := int(Load(rows.Ends, op.First)) + op.KeySize
			size = int(Load(rows.Ends, op.Last)) - first
			source = unsafe.Add(rows.Data, first)
		} else if op.Kind != Constant { // the most common kinds come first
			if op.Kind == Attribute {
				end = putAttribute(dst, end, row, op)
				if end == 0 {
					return Done
				}
				size = 0
			} else if op.Kind == Edited {
				if rows.Edited != 0 {
					size = int(Load(source, 8))
					source = pointer(source, 0)
				} else {
					end = putConverted(rows, op, dst, end)
					if end == 0 {
						return Edit
					}
				}
			} else if op.Kind == EndOfKey {
				rows.KeyEnd = end
				rows.HeadersEnd = end
			} else if op.Kind == EndOfHeaders {
				rows.HeadersEnd = end
			} else if op.Kind == HeaderCount {
				first, headersSize, count := findHeaders(rows, row)
				count += uint64(size)
				if count >= 64 { // its encoding needs two bytes, or the headers are not supported
					return Done
				}
				Put(dst, end, byte(count<<1))
				end++
				size = headersSize
				source = first
			} else if op.Kind == CopiedWithSize {
				first := int(Load(rows.Ends, op.First)) + op.KeySize
				size = int(Load(rows.Ends, op.Last)) - first
				source = unsafe.Add(rows.Data, first)
				end = putNumber(dst, end, uint64(size)<<1)
			} else {
				source, size = choose(rows, op, source, size)
			}
		}
		copyBytes(dst, end, source, size)
		end += size
		op = (*Op)(unsafe.Add(unsafe.Pointer(op), opBytes))
	}
	finishRow(rows, row, end)
	return ready
}

// putAttribute writes an attribute of the row and returns its end, 0 if the row lacks a required one.
func putAttribute(dst unsafe.Pointer, position int, row unsafe.Pointer, op *Op) (end int) {
	attribute := int64(Load(row, op.First))
	if op.First == Partition {
		attribute = attribute << 32 >> 32
	}
	if op.Size != 0 && attribute < 0 {
		return 0
	}
	if op.Null != 0 {
		Put(dst, position, 2&^byte(attribute>>63))
		position++
	}
	if attribute >= 0 {
		position = putNumber(dst, position, uint64(attribute)<<1)
	}
	return position
}

// findHeaders returns the row's headers after their count, and the count: bad if the kernel does not support them.
func findHeaders(rows *Rows, row unsafe.Pointer) (first unsafe.Pointer, size int, count uint64) {
	if Load(row, headers)&0xff == uint64(wit.Absent) {
		return rows.Data, 0, 0
	}
	start := int(Load(row, headers+8) & low)
	length := int(Load(row, headers+8)>>32) - 1
	encoded := uint64(Byte(rows.Data, start))
	if start+length >= rows.Limit || encoded&0x81 != 0 || length < 0 {
		return rows.Data, 0, bad
	}
	return unsafe.Add(rows.Data, start+1), length, encoded >> 1
}

// choose returns the source and size of a Choosing or OrDefault op. They depend on the first byte of a field.
func choose(rows *Rows, op *Op, src unsafe.Pointer, size int) (unsafe.Pointer, int) {
	first := int(Load(rows.Ends, op.First)) + op.KeySize
	choice := uint64(Byte(rows.Data, first))
	if op.Kind == Choosing {
		piece := int(choice) * 16
		size = int(Load(src, piece+8))
		src = pointer(src, piece)
	} else if choice != op.Null {
		size = int(Load(rows.Ends, op.Last)) - first
		src = unsafe.Add(rows.Data, first)
	}
	return src, size
}

// copyBytes copies size bytes from src to an offset in dst. It copies small sizes by whole words, up to 15 bytes more,
// which is faster than a call.
func copyBytes(dst unsafe.Pointer, position int, src unsafe.Pointer, size int) {
	if size > Room {
		Copy(dst, position, src, 0, size)
	} else {
		for offset := 0; offset < size; offset += 16 {
			Store(dst, position+offset, Load(src, offset))
			Store(dst, position+offset+8, Load(src, offset+8))
		}
	}
}

// finishRow writes the row with the key, headers and value that the ops have written before end.
func finishRow(rows *Rows, row unsafe.Pointer, end int) {
	out := unsafe.Add(rows.Out, rows.OutCount*rowBytes)
	Store(out, 0, uint64(rows.First+rows.N)|rows.OutTopic<<32)
	Store(out, Partition, Load(row, Partition))
	Store(out, Offset, Load(row, Offset))
	Store(out, Timestamp, Load(row, Timestamp))
	word := rows.Program.Key
	if word != 0 {
		Store(out, key, word)
		Store(out, key+8, uint64(rows.DstEnd)|uint64(rows.KeyEnd-rows.DstEnd)<<32)
	} else {
		Store(out, key, Load(row, key)&schema|uint64(wit.Unchanged))
		Store(out, key+8, 0)
	}
	word = rows.Program.Headers
	if word != 0 {
		Store(out, headers, word)
		Store(out, headers+8, uint64(rows.KeyEnd)|uint64(rows.HeadersEnd-rows.KeyEnd)<<32)
	} else {
		Store(out, headers, uint64(wit.Unchanged))
		Store(out, headers+8, 0)
	}
	Store(out, value, rows.Result)
	Store(out, value+8, uint64(rows.HeadersEnd)|uint64(end-rows.HeadersEnd)<<32)
	rows.DstEnd = end
	rows.N++
	rows.OutCount++
	rows.Field = 0
	rows.Edited = 0
}
