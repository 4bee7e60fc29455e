package plugin

import (
	"context"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Encode creates deliveries from a batch's rows, whose source records origins names. Each row is in exactly one of
// the result's three lists, by its position in b.Rows.
func (i *Instance) Encode(ctx context.Context, context []byte, b *record.Batch, origins record.RecordIDs,
	hints []wit.Hint) (d wit.EncodeResult, err error) {
	c, e := batchCall{b: b, rows: b.Rows}, encoding{origins, hints}
	err = i.callBatch(ctx, encodeFunc, func(f *abi.Func) (uint32, error) { return i.passBatch(f, context, &c, &e) },
		canon.SizeOf[wit.EncodeResult](), func(_ []byte, ptr uint32) error {
			if err := i.guest.Lift(ptr, &d); err != nil {
				return err
			}
			return i.checkDeliveries(&d, len(b.Rows))
		})
	if err != nil {
		return wit.EncodeResult{}, err
	}
	return d, nil
}

func (i *Instance) checkDeliveries(d *wit.EncodeResult, rows int) error {
	i.scratch.counts = append(i.scratch.counts[:0], make([]uint8, rows)...)
	count := func(row uint32) error {
		if row >= uint32(rows) {
			return abi.Violated("deliveries: row %d of %d", row, rows)
		}
		if i.scratch.counts[row]++; i.scratch.counts[row] > 1 {
			return abi.Violated("deliveries: row %d stands in two places", row)
		}
		return nil
	}
	for n := range d.Ready {
		for _, row := range d.Ready[n].Rows {
			if err := count(row); err != nil {
				return err
			}
		}
	}
	for n := range d.Rejected {
		if err := count(d.Rejected[n].RowIndex); err != nil {
			return err
		}
		readable(&d.Rejected[n].Error)
	}
	for _, row := range d.Ignored {
		if err := count(row); err != nil {
			return err
		}
	}
	for row, n := range i.scratch.counts {
		if n == 0 {
			return abi.Violated("deliveries: row %d is in none of ready, refused and ignored", row)
		}
	}
	return nil
}
