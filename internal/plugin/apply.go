package plugin

import (
	"context"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// batchResultFactor times the limit of one call is the limit of all results for a batch.
const batchResultFactor = 4

// Apply runs a batch through the chain of transforms that context was prepared from, and replaces batch.Rows with the
// result. Rows keep RowIndex and Offset of their input row. The guest's data is appended to batch.Data, so unchanged
// rows stay where they are. Errors refer to rows by their position in the input. On an error of the call the batch is
// unchanged.
func (i *Instance) Apply(ctx context.Context, context []byte, batch *record.Batch) ([]wit.RowError, error) {
	topics := len(batch.Topics)
	data := len(batch.Data)
	i.buffers.rows = i.buffers.rows[:0]
	var rowErrors []wit.RowError
	for first := 0; first < len(batch.Rows); {
		consumed, chunkErrors, err := i.applyChunk(ctx, context, batch, first)
		added := int64(len(batch.Data)-data) + int64(len(i.buffers.rows))*abi.RowBytes
		if limit := batchResultFactor * i.module.limits.ResultBytes; err == nil && added > limit {
			err = i.discard(abi.NewTooLarge("the results for one batch have %d bytes: at most %d are allowed", added,
				limit))
		}
		if err != nil {
			batch.Topics = batch.Topics[:topics]
			batch.Data = batch.Data[:data]
			return nil, err
		}
		rowErrors = append(rowErrors, chunkErrors...)
		first += consumed
	}
	batch.Rows = append(batch.Rows[:0], i.buffers.rows...)
	return rowErrors, nil
}

// applyChunk makes one call for the rows from index first on; the guest decides how many it consumes.
func (i *Instance) applyChunk(ctx context.Context, context []byte, batch *record.Batch,
	first int) (consumed int, rowErrors []wit.RowError, err error) {
	call := batchCall{batch: batch, rows: batch.Rows[first:], padded: true}
	pass := func(export *abi.Func) (uint32, error) { return i.passBatch(export, context, &call, nil) }
	err = i.callBatch(ctx, applyFunc, pass, applyResultSize, func(payload []byte, _ uint32) (err error) {
		consumed, rowErrors, err = i.readApply(payload, &call, first)
		return err
	})
	return consumed, rowErrors, err
}

// readApply reads the result of apply: rows are appended to i.buffers.rows, data to the batch. The offsets in payload:
// schemas 0, topics 8, rows 16, data 24, errors 32, consumed 40.
func (i *Instance) readApply(payload []byte, call *batchCall,
	first int) (consumed int, rowErrors []wit.RowError, err error) {
	if err := i.readSchemas(payload, 0); err != nil {
		return 0, nil, err
	}
	consumed = int(abi.U32(payload, 40))
	if consumed > len(call.rows) || (consumed == 0 && len(call.rows) > 0) {
		return 0, nil, abi.NewViolation("consumed: expected 1 to %d rows, found %d", len(call.rows), consumed)
	}
	if err := i.readTopics(payload, 8, call.batch); err != nil {
		return 0, nil, err
	}
	list, _, err := i.guest.ListAt(payload, 16, abi.RowBytes, 8)
	if err != nil {
		return 0, nil, err
	}
	start := len(i.buffers.rows)
	i.buffers.rows = abi.AppendRows(i.buffers.rows, list)
	size, err := i.readData(payload, 24, call.batch)
	if err != nil {
		return 0, nil, err
	}
	check := rowCheck{instance: i, batch: call.batch, base: uint32(len(call.batch.Data)) - size, size: size,
		limit: uint64(i.module.limits.ResultBytes)}
	previous := uint32(0)
	for index := range i.buffers.rows[start:] {
		row := &i.buffers.rows[start+index]
		if row.RowIndex >= uint32(consumed) || row.RowIndex < previous {
			return 0, nil, abi.NewViolation("row %d: expected a row-index from %d to %d, found %d", index, previous,
				consumed-1, row.RowIndex)
		}
		previous = row.RowIndex
		input := &call.rows[row.RowIndex]
		if err := check.translateRow(index, row, input); err != nil {
			return 0, nil, err
		}
		row.RowIndex = input.RowIndex
		row.Offset = input.Offset
	}
	rowErrors, err = i.readRowErrors(payload, 32, uint32(consumed), uint32(first), &check)
	return consumed, rowErrors, err
}

// Test evaluates a predicate without its negation, and returns one match for each row. The batch is not changed.
func (i *Instance) Test(ctx context.Context, context []byte,
	batch *record.Batch) (matches []bool, rowErrors []wit.RowError, err error) {
	call := batchCall{batch: batch, rows: batch.Rows}
	pass := func(export *abi.Func) (uint32, error) { return i.passBatch(export, context, &call, nil) }
	err = i.callBatch(ctx, testFunc, pass, testResultSize, func(payload []byte, _ uint32) (err error) {
		matches, rowErrors, err = i.readTest(payload, len(batch.Rows))
		return err
	})
	return matches, rowErrors, err
}

// readTest reads the result of test. The offsets in payload: matches 0, errors 8.
func (i *Instance) readTest(payload []byte, rows int) ([]bool, []wit.RowError, error) {
	list, n, err := i.guest.ListAt(payload, 0, 1, 1)
	if err != nil {
		return nil, nil, err
	}
	if n != rows {
		return nil, nil, abi.NewViolation("matches: expected %d, one for each row, found %d", rows, n)
	}
	matches := make([]bool, n)
	for i, m := range list {
		// In the canonical ABI any number but 0 is true.
		matches[i] = m != 0
	}
	rowErrors, err := i.readRowErrors(payload, 8, uint32(rows), 0, &rowCheck{})
	return matches, rowErrors, err
}
