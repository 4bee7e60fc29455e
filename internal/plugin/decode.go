package plugin

import (
	"context"
	"math"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Decode passes a piece of a response; tag "" means the main body, last that no more pieces follow. Rows and data are
// appended to into with the host's schema IDs and topic 0, and are nil in the result. On an error into is unchanged.
func (i *Instance) Decode(ctx context.Context, page uint32, tag string, status uint16, piece []byte, last bool,
	into *record.Batch) (result wit.DecodeResult, err error) {
	rows := len(into.Rows)
	data := len(into.Data)
	pass := func(export *abi.Func) (uint32, error) {
		guest := i.guest
		if !utf8.ValidString(tag) {
			return 0, abi.NewRefusal("the tag %q is not UTF-8", tag)
		}
		lastPiece := uint64(0)
		if last {
			lastPiece = 1
		}
		guest.BeginCall()
		blockTag := guest.AddBlock(len(tag), 1)
		blockPiece := guest.AddBlock(len(piece), 1)
		if err := guest.AllocateBlocks(i.callCtx); err != nil {
			return 0, err
		}
		guest.Pass(uint64(page))
		guest.PassList(blockTag, len(tag))
		guest.Pass(uint64(status))
		guest.PassList(blockPiece, len(piece))
		guest.Pass(lastPiece)
		copy(guest.BlockBytes(blockTag), tag)
		copy(guest.BlockBytes(blockPiece), piece)
		return guest.Call(i.callCtx, export)
	}
	err = i.callBatch(ctx, decodeFunc, pass, decodeResultSize, func(payload []byte, ptr uint32) (err error) {
		result, err = i.readDecode(payload, ptr, into)
		return err
	})
	if err != nil {
		into.Rows = into.Rows[:rows]
		into.Data = into.Data[:data]
		return wit.DecodeResult{}, err
	}
	return result, nil
}

// readDecode reads the result of decode. The offsets in payload: schemas 0, rows 8, data 16, errors 24, linked 32,
// next 40, more 52, wait-ms 56.
func (i *Instance) readDecode(payload []byte, ptr uint32, into *record.Batch) (result wit.DecodeResult, err error) {
	if err := i.readSchemas(payload, 0); err != nil {
		return result, err
	}
	list, _, err := i.guest.ListAt(payload, 8, abi.RowBytes, 8)
	if err != nil {
		return result, err
	}
	start := len(into.Rows)
	into.Rows = abi.AppendRows(into.Rows, list)
	size, err := i.readData(payload, 16, into)
	if err != nil {
		return result, err
	}
	check := rowCheck{instance: i, batch: into, base: uint32(len(into.Data)) - size, size: size,
		limit: uint64(i.module.limits.ResultBytes)}
	i.buffers.topics = append(i.buffers.topics[:0], 0) // rows may have topic 0 only
	for index := range into.Rows[start:] {
		row := &into.Rows[start+index]
		if err := check.translateRow(index, row, nil); err != nil {
			return result, err
		}
		row.Offset = -1
	}
	if result.Errors, err = i.readRowErrors(payload, 24, math.MaxUint32, 0, &check); err != nil {
		return result, err
	}
	if abi.U32(payload, 36) > 0 {
		if err := i.guest.LiftAt(payload, 32, &result.Linked); err != nil {
			return result, err
		}
	}
	if err := i.guest.Lift(ptr+40, &result.Next); err != nil {
		return result, err
	}
	if err := checkPosition("decode: next", result.Next); err != nil {
		return result, err
	}
	result.More = payload[52] != 0
	result.WaitMs = abi.U32(payload, 56)
	return result, nil
}
