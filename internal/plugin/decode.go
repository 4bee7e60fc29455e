package plugin

import (
	"context"
	"math"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Decode passes a piece of a response (tag "": of its main body). Rows and data are appended to into, with the host's
// schema IDs; they are nil in the result. Rows have topic 0. On an error into is unchanged.
func (i *Instance) Decode(ctx context.Context, page uint32, tag string, status uint16, piece []byte, last bool,
	into *record.Batch) (p wit.DecodeResult, err error) {
	rows, data := len(into.Rows), len(into.Data)
	err = i.callBatch(ctx, decodeFunc, func(f *abi.Func) (uint32, error) {
		return i.passPiece(f, page, tag, status, piece, last)
	}, portionSize, func(ok []byte, ptr uint32) (err error) {
		p, err = i.readDecode(ok, ptr, into)
		return err
	})
	if err != nil {
		into.Rows, into.Data = into.Rows[:rows], into.Data[:data]
		return wit.DecodeResult{}, err
	}
	return p, nil
}

func (i *Instance) passPiece(f *abi.Func, page uint32, tag string, status uint16, piece []byte, last bool) (uint32,
	error) {
	g := i.guest
	if !utf8.ValidString(tag) {
		return 0, abi.Refused("the tag %q is not UTF-8", tag)
	}
	lastPiece := uint64(0)
	if last {
		lastPiece = 1
	}
	g.Start()
	blockTag, blockPiece := g.Add(len(tag), 1), g.Add(len(piece), 1)
	if err := g.Place(i.callCtx); err != nil {
		return 0, err
	}
	g.Pass(uint64(page))
	g.PassList(blockTag, len(tag))
	g.Pass(uint64(status))
	g.PassList(blockPiece, len(piece))
	g.Pass(lastPiece)
	copy(g.At(blockTag), tag)
	copy(g.At(blockPiece), piece)
	return g.Call(i.callCtx, f)
}

// readDecode reads the result of decode at these offsets: schemas 0, rows 8, data 16, faults 24, follow 32, next 40,
// more 52, wait-ms 56.
func (i *Instance) readDecode(ok []byte, ptr uint32, into *record.Batch) (p wit.DecodeResult, err error) {
	if err := i.declared(ok, 0); err != nil {
		return p, err
	}
	list, _, err := i.guest.ListAt(ok, 8, abi.RowBytes, 8)
	if err != nil {
		return p, err
	}
	start := len(into.Rows)
	into.Rows = abi.AppendRows(into.Rows, list)
	size, err := i.data(ok, 16, into)
	if err != nil {
		return p, err
	}
	check := rowCheck{i: i, b: into, base: uint32(len(into.Data)) - size, size: size,
		limit: uint64(i.module.limits.ResultBytes)}
	i.scratch.topics = append(i.scratch.topics[:0], 0)
	for n := range into.Rows[start:] {
		r := &into.Rows[start+n]
		if err := check.row(n, r, nil); err != nil {
			return p, err
		}
		r.Offset = -1
	}
	if p.Errors, err = i.faults(ok, 24, math.MaxUint32, 0, &check); err != nil {
		return p, err
	}
	if abi.Word(ok, 36) > 0 {
		if err := i.guest.LiftAt(ok, 32, &p.Linked); err != nil {
			return p, err
		}
	}
	if err := i.guest.Lift(ptr+40, &p.Next); err != nil {
		return p, err
	}
	if err := checkPosition("decode: next", p.Next); err != nil {
		return p, err
	}
	p.More, p.WaitMs = ok[52] != 0, abi.Word(ok, 56)
	return p, nil
}
