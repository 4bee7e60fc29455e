package plugin

import (
	"context"
	"slices"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Encode creates deliveries from a batch's rows; origins identify their source records. Each row is in exactly one of
// the result's three lists, by its position in the batch.
func (i *Instance) Encode(ctx context.Context, context []byte, batch *record.Batch, origins record.RecordIDs,
	hints []wit.Hint) (result wit.EncodeResult, err error) {
	call := batchCall{batch: batch, rows: batch.Rows}
	encodeArgs := encodeArguments{origins: origins, hints: hints}
	pass := func(export *abi.Func) (uint32, error) { return i.passBatch(export, context, &call, &encodeArgs) }
	err = i.callBatch(ctx, encodeFunc, pass, canon.SizeOf[wit.EncodeResult](), func(_ []byte, ptr uint32) error {
		if err := i.guest.Lift(ptr, &result); err != nil {
			return err
		}
		return i.checkDeliveries(&result, len(batch.Rows))
	})
	if err != nil {
		return wit.EncodeResult{}, err
	}
	return result, nil
}

// checkDeliveries checks that each row is in exactly one list, and sanitizes the errors of rejected rows.
func (i *Instance) checkDeliveries(result *wit.EncodeResult, rows int) error {
	i.buffers.counts = append(i.buffers.counts[:0], make([]uint8, rows)...)
	var firstErr error
	count := func(row uint32) {
		switch {
		case firstErr != nil: // the result is rejected already
		case row >= uint32(rows):
			firstErr = abi.NewViolation("deliveries: row %d of %d", row, rows)
		case i.buffers.counts[row] > 0:
			firstErr = abi.NewViolation("deliveries: row %d is contained twice", row)
		default:
			i.buffers.counts[row]++
		}
	}
	for n := range result.Ready {
		for _, row := range result.Ready[n].Rows {
			count(row)
		}
	}
	for n := range result.Rejected {
		count(result.Rejected[n].RowIndex)
		sanitize(&result.Rejected[n].Error)
	}
	for _, row := range result.Ignored {
		count(row)
	}
	if row := slices.Index(i.buffers.counts, 0); row >= 0 && firstErr == nil {
		return abi.NewViolation("deliveries: row %d is in none of ready, rejected and ignored", row)
	}
	return firstErr
}
