package plugin

import (
	"context"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

const maxPortions = 4

// Apply sends a batch through the chain that context was prepared from and replaces b.Rows with the result. Rows keep
// RowIndex and Offset of their input row; data of the guest is appended to b.Data, so unchanged rows stay where they
// are. Errors name rows by their position in the input. On an error b is unchanged.
func (i *Instance) Apply(ctx context.Context, context []byte, b *record.Batch) ([]wit.RowError, error) {
	topics, data := len(b.Topics), len(b.Data)
	i.scratch.rows = i.scratch.rows[:0]
	var faults []wit.RowError
	for from := 0; from < len(b.Rows); {
		consumed, some, err := i.applyChunk(ctx, context, b, from)
		made := int64(len(b.Data)-data) + int64(len(i.scratch.rows))*abi.RowBytes
		if limit := maxPortions * i.module.limits.ResultBytes; err == nil && made > limit {
			err = i.discard(abi.TooMuch("the results for one batch have %d bytes: at most %d are allowed", made, limit))
		}
		if err != nil {
			b.Topics, b.Data = b.Topics[:topics], b.Data[:data]
			return nil, err
		}
		faults = append(faults, some...)
		from += consumed
	}
	b.Rows = append(b.Rows[:0], i.scratch.rows...)
	return faults, nil
}

func (i *Instance) applyChunk(ctx context.Context, context []byte, b *record.Batch, from int) (consumed int,
	faults []wit.RowError, err error) {
	c := batchCall{b: b, rows: b.Rows[from:], spaced: true}
	err = i.callBatch(ctx, applyFunc, func(f *abi.Func) (uint32, error) { return i.passBatch(f, context, &c, nil) },
		appliedSize,
		func(ok []byte, _ uint32) (err error) {
			consumed, faults, err = i.readApply(ok, &c, from)
			return err
		})
	return consumed, faults, err
}

// readApply reads the result of apply at these offsets: schemas 0, topics 8, rows 16, data 24, faults 32, consumed
// 40.
func (i *Instance) readApply(ok []byte, c *batchCall, from int) (consumed int, faults []wit.RowError, err error) {
	if err := i.declared(ok, 0); err != nil {
		return 0, nil, err
	}
	if n := abi.Word(ok, 40); n > uint32(len(c.rows)) || n == 0 && len(c.rows) > 0 {
		return 0, nil, abi.Violated("consumed: expected 1 to %d rows, found %d", len(c.rows), n)
	}
	consumed = int(abi.Word(ok, 40))
	if err := i.topics(ok, 8, c.b); err != nil {
		return 0, nil, err
	}
	list, _, err := i.guest.ListAt(ok, 16, abi.RowBytes, 8)
	if err != nil {
		return 0, nil, err
	}
	start := len(i.scratch.rows)
	i.scratch.rows = abi.AppendRows(i.scratch.rows, list)
	size, err := i.data(ok, 24, c.b)
	if err != nil {
		return 0, nil, err
	}
	check := rowCheck{i: i, b: c.b, base: uint32(len(c.b.Data)) - size, size: size,
		limit: uint64(i.module.limits.ResultBytes)}
	previous := uint32(0)
	for n := range i.scratch.rows[start:] {
		r := &i.scratch.rows[start+n]
		if r.RowIndex >= uint32(consumed) || r.RowIndex < previous {
			return 0, nil, abi.Violated("row %d: expected a row-index from %d to %d, found %d", n, previous, consumed-1,
				r.RowIndex)
		}
		previous = r.RowIndex
		in := &c.rows[r.RowIndex]
		if err := check.row(n, r, in); err != nil {
			return 0, nil, err
		}
		r.RowIndex, r.Offset = in.RowIndex, in.Offset
	}
	faults, err = i.faults(ok, 32, uint32(consumed), uint32(from), &check)
	return consumed, faults, err
}

// Test evaluates a predicate without its negation; there is one match for each of b.Rows. b is not changed.
func (i *Instance) Test(ctx context.Context, context []byte, b *record.Batch) (matches []bool, faults []wit.RowError,
	err error) {
	c := batchCall{b: b, rows: b.Rows}
	err = i.callBatch(ctx, testFunc, func(f *abi.Func) (uint32, error) { return i.passBatch(f, context, &c, nil) },
		testedSize,
		func(ok []byte, _ uint32) (err error) {
			matches, faults, err = i.readTest(ok, len(b.Rows))
			return err
		})
	return matches, faults, err
}

// readTest reads the result of test at these offsets: matches 0, faults 8.
func (i *Instance) readTest(ok []byte, rows int) ([]bool, []wit.RowError, error) {
	list, n, err := i.guest.ListAt(ok, 0, 1, 1)
	if err != nil {
		return nil, nil, err
	}
	if n != rows {
		return nil, nil, abi.Violated("matches: expected %d, one for each row, found %d", rows, n)
	}
	matches := make([]bool, n)
	for at, m := range list {
		// The canonical ABI takes any number but 0 for true.
		matches[at] = m != 0
	}
	faults, err := i.faults(ok, 8, uint32(rows), 0, &rowCheck{})
	return matches, faults, err
}
