package plugin

import (
	"context"

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
	count := func(row uint32) error {
		if row >= uint32(rows) {
			return abi.NewViolation("deliveries: row %d of %d", row, rows)
		}
		i.buffers.counts[row]++
		if i.buffers.counts[row] > 1 {
			return abi.NewViolation("deliveries: row %d is contained twice", row)
		}
		return nil
	}
	for n := range result.Ready {
		for _, row := range result.Ready[n].Rows {
			if err := count(row); err != nil {
				return err
			}
		}
	}
	for n := range result.Rejected {
		if err := count(result.Rejected[n].RowIndex); err != nil {
			return err
		}
		sanitize(&result.Rejected[n].Error)
	}
	for _, row := range result.Ignored {
		if err := count(row); err != nil {
			return err
		}
	}
	for row, occurrences := range i.buffers.counts {
		if occurrences == 0 {
			return abi.NewViolation("deliveries: row %d is in none of ready, rejected and ignored", row)
		}
	}
	return nil
}
