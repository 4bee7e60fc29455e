package plugin

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Apply, Test, Encode and Decode pass rows and data as arrays laid out by hand, with one copy each way and no
// allocation per row. Results follow the canonical ABI: byte 0 is ok or fault, the payload begins at byte 4.
const (
	payload     = 4
	faultSize   = 48
	appliedSize = 44
	testedSize  = 16
	portionSize = 60
)

var (
	applyFunc  = functions[wit.InterfaceTransform]["Apply"]
	testFunc   = functions[wit.InterfaceTransform]["Test"]
	encodeFunc = functions[wit.InterfaceSink]["Encode"]
	decodeFunc = functions[wit.InterfaceSource]["Decode"]
)

type batchCall struct {
	b         *record.Batch
	rows      []wit.Row
	low, high uint32
	// size is the sum of the rows' data. spaced: values are passed one by one with padding after each.
	size   uint64
	spaced bool
}

// valuePadding is the free space after each value, in bytes: a transform may append a field there without moving the
// value.
const valuePadding = 64

func (c *batchCall) crossing() int {
	if c.spaced {
		return int(c.size) + valuePadding*len(c.rows)
	}
	return int(c.high - c.low)
}

// checkRows checks the host's rows, finds the used range of data, and collects schemas that the instance does not
// know.
func (i *Instance) checkRows(c *batchCall) error {
	c.low, c.high, c.size = math.MaxUint32, 0, 0
	if uint64(len(c.b.Data)) > math.MaxUint32 {
		return abi.Refused("a batch with %d bytes of data: at most %d can be addressed", len(c.b.Data),
			uint32(math.MaxUint32))
	}
	var last [3]uint32
	for n := range c.rows {
		r := &c.rows[n]
		if int(r.Topic) >= len(c.b.Topics) {
			return abi.Refused("row %d: topic %d of %d", n, r.Topic, len(c.b.Topics))
		}
		for at, d := range [3]*wit.ValueSlice{&r.Key, &r.Value, &r.Headers} {
			if d.Encoding == wit.Absent {
				continue
			}
			if uint64(d.Start)+uint64(d.Size) > uint64(len(c.b.Data)) || d.Encoding == wit.Unchanged ||
				int(d.Encoding) >= d.Encoding.Cases() {
				return abi.Refused("row %d: a datum of form %d with %d bytes at %d of %d", n, d.Encoding, d.Size,
					d.Start,
					len(c.b.Data))
			}
			c.low, c.high = min(c.low, d.Start), max(c.high, d.Start+d.Size)
			c.size += uint64(d.Size)
			if d.Encoding == wit.WithSchema {
				if d.Schema == last[at] && d.Schema != 0 {
					continue
				}
				last[at] = d.Schema
				if err := i.schemas.Need(d.Schema); err != nil {
					return err
				}
				continue
			}
			if err := i.schemas.GiveInside(d.Encoding, c.b.Bytes(*d)); err != nil {
				return err
			}
		}
	}
	c.low = min(c.low, c.high)
	c.spaced = c.spaced && c.size <= uint64(c.high-c.low) // what rows share crosses once
	return nil
}

type encoding struct {
	origins record.RecordIDs
	hints   []wit.Hint
}

func (e *encoding) pass(ctx context.Context, g *abi.Guest, blockOrigins abi.Block) error {
	g.PassList(blockOrigins, len(e.origins.IDs))
	if err := g.PassLowered(ctx, e.origins.Topics, len(e.origins.Topics)); err != nil {
		return err
	}
	return g.PassLowered(ctx, e.hints, len(e.hints))
}

func (e *encoding) check(rows int) error {
	if len(e.origins.IDs) != rows {
		return abi.Refused("%d rows with the origins of %d", rows, len(e.origins.IDs))
	}
	for n := range e.origins.IDs {
		if at := e.origins.IDs[n].Topic; int(at) >= len(e.origins.Topics) {
			return abi.Refused("origin %d: topic %d of %d", n, at, len(e.origins.Topics))
		}
	}
	return nil
}

// callBatch calls a function. pass passes the arguments and makes the call, read reads the result of size bytes at
// ptr, whose fixed part is ok.
func (i *Instance) callBatch(ctx context.Context, fn *canon.Func, pass func(f *abi.Func) (ptr uint32, err error),
	size int,
	read func(ok []byte, ptr uint32) error) error {
	f, err := i.enter(ctx, fn)
	if err != nil {
		return err
	}
	var fault *wit.Error
	ptr, err := pass(f)
	if err == nil {
		var ok []byte
		if ok, fault, err = i.result(ptr, size); err == nil && fault == nil {
			err = read(ok, ptr+payload)
		}
	}
	if err == nil {
		err = i.guest.Done(i.callCtx, f, ptr)
	}
	i.schemas.Sent(err == nil && fault == nil)
	return i.leave(fault, err)
}

func (i *Instance) passBatch(f *abi.Func, context []byte, c *batchCall, e *encoding) (uint32, error) {
	g := i.guest
	if err := i.checkRows(c); err != nil {
		return 0, err
	}
	if e != nil {
		if err := e.check(len(c.rows)); err != nil {
			return 0, err
		}
	}
	g.Start()
	blockContext, blockTopics := g.Add(len(context), 1), g.Add(8*len(c.b.Topics), 4)
	i.scratch.blocks = i.scratch.blocks[:0]
	for _, t := range c.b.Topics {
		if !utf8.ValidString(t) {
			return 0, abi.Refused("the topic name %q is not UTF-8", t)
		}
		i.scratch.blocks = append(i.scratch.blocks, g.Add(len(t), 1))
	}
	blockRows, blockData := g.Add(len(c.rows)*abi.RowBytes, 8), g.Add(c.crossing(), 1)
	var blockOrigins abi.Block
	if e != nil {
		blockOrigins = g.Add(len(e.origins.IDs)*abi.RecordIDBytes, 8)
	}
	if err := g.Place(i.callCtx); err != nil {
		return 0, err
	}
	g.PassList(blockContext, len(context))
	if err := i.passSchemas(); err != nil {
		return 0, err
	}
	g.PassList(blockTopics, len(c.b.Topics))
	g.PassList(blockRows, len(c.rows))
	g.PassList(blockData, c.crossing())
	if e != nil {
		if err := e.pass(i.callCtx, g, blockOrigins); err != nil {
			return 0, err
		}
	}
	// Nothing is allocated from here on, so the views hold.
	copy(g.At(blockContext), context)
	list := g.At(blockTopics)
	for n, t := range c.b.Topics {
		binary.LittleEndian.PutUint32(list[8*n:], g.Pointer(i.scratch.blocks[n]))
		binary.LittleEndian.PutUint32(list[8*n+4:], uint32(len(t)))
		copy(g.At(i.scratch.blocks[n]), t)
	}
	c.put(g.At(blockRows), g.At(blockData))
	if e != nil {
		abi.PutRecordIDs(g.At(blockOrigins), e.origins.IDs)
	}
	return g.Call(i.callCtx, f)
}

func (i *Instance) passSchemas() error {
	list := i.schemas.Pending()
	if len(list) == 0 {
		return i.guest.PassEmpty(i.callCtx, 4)
	}
	return i.guest.PassLowered(i.callCtx, list, len(list))
}

func (c *batchCall) put(dst, data []byte) {
	abi.PutRows(dst, c.rows)
	for n := range c.rows {
		binary.LittleEndian.PutUint32(dst[n*abi.RowBytes:], uint32(n))
	}
	if c.spaced {
		c.putSpaced(dst, data)
		return
	}
	copy(data, c.b.Data[c.low:c.high])
	if c.low == 0 {
		return
	}
	for at := 0; at < len(dst); at += abi.RowBytes {
		for _, d := range [3]int{32, 48, 64} {
			if dst[at+d] != byte(wit.Absent) {
				start := dst[at+d+8:]
				binary.LittleEndian.PutUint32(start, binary.LittleEndian.Uint32(start)-c.low)
			}
		}
	}
}

func (c *batchCall) putSpaced(dst, data []byte) {
	at := 0
	for n := range c.rows {
		r, row := &c.rows[n], dst[n*abi.RowBytes:]
		for i, d := range [3]*wit.ValueSlice{&r.Key, &r.Value, &r.Headers} {
			if d.Encoding == wit.Absent {
				continue
			}
			binary.LittleEndian.PutUint32(row[32+16*i+8:], uint32(at))
			at += copy(data[at:], c.b.Data[d.Start:d.Start+d.Size])
			if d == &r.Value {
				at += valuePadding
			}
		}
	}
}

func (i *Instance) result(ptr uint32, size int) (ok []byte, fault *wit.Error, err error) {
	area, err := i.guest.Area(ptr, uint32(payload+max(size, faultSize)), 4)
	if err != nil {
		return nil, nil, err
	}
	switch area[0] {
	case 0:
		return area[payload:], nil, nil
	case 1:
		fault = new(wit.Error)
		return nil, fault, i.guest.Lift(ptr+payload, fault)
	}
	return nil, nil, abi.Violated("result: expected ok (0) or a fault (1), found case %d", area[0])
}

func (i *Instance) declared(ok []byte, offset int) error {
	if abi.Word(ok, offset+4) == 0 {
		return nil
	}
	var list []wit.Schema
	if err := i.guest.LiftAt(ok, offset, &list); err != nil {
		return err
	}
	return i.schemas.Declare(list)
}

const fewTopics = 16

// topics reads the result's topics into i.scratch.topics, as indices in b.Topics. An empty result uses the topics of
// the call.
func (i *Instance) topics(ok []byte, offset int, b *record.Batch) error {
	i.scratch.topics = i.scratch.topics[:0]
	list, n, err := i.guest.ListAt(ok, offset, 8, 4)
	if err != nil {
		return err
	}
	if err := checkCount("topics", n, MaxTopics); err != nil {
		return err
	}
	if n == 0 {
		for t := range b.Topics {
			i.scratch.topics = append(i.scratch.topics, uint32(t))
		}
		return nil
	}
	var numbers map[string]int
	if n+len(b.Topics) > fewTopics {
		numbers = make(map[string]int, len(b.Topics))
		for t := len(b.Topics) - 1; t >= 0; t-- {
			numbers[b.Topics[t]] = t
		}
	}
	for at := range n {
		name, _, err := i.guest.ListAt(list, 8*at, 1, 1)
		if err != nil {
			return err
		}
		index := -1
		if numbers != nil {
			if t, ok := numbers[string(name)]; ok {
				index = t
			}
		} else {
			index = slices.Index(b.Topics, string(name))
		}
		if index < 0 {
			if len(b.Topics) >= MaxTopics {
				return abi.Violated("expected at most %d topics in a batch, found more", MaxTopics)
			}
			if !utf8.Valid(name) || len(name) == 0 {
				return abi.Violated("topic %d: expected a name in UTF-8, found %q", at, name)
			}
			index = len(b.Topics)
			b.Topics = append(b.Topics, string(name))
			if numbers != nil {
				numbers[string(name)] = index
			}
		}
		i.scratch.topics = append(i.scratch.topics, uint32(index))
	}
	return nil
}

func (i *Instance) data(ok []byte, offset int, b *record.Batch) (uint32, error) {
	list, n, err := i.guest.ListAt(ok, offset, 1, 1)
	if err != nil {
		return 0, err
	}
	if uint64(len(b.Data))+uint64(n) > math.MaxUint32 {
		return 0, abi.Violated("%d bytes of data more than the %d of the batch: at most %d can be addressed", n,
			len(b.Data), uint32(math.MaxUint32))
	}
	b.Data = append(b.Data, list...)
	i.schemas.SetBatch(b)
	return uint32(n), nil
}

// faults reads row faults. Their origins are below limit and are moved by from.
func (i *Instance) faults(ok []byte, offset int, limit, from uint32, check *rowCheck) ([]wit.RowError, error) {
	if abi.Word(ok, offset+4) == 0 {
		return nil, nil
	}
	var list []wit.RowError
	if err := i.guest.LiftAt(ok, offset, &list); err != nil {
		return nil, err
	}
	for n := range list {
		if n%watchEvery == watchEvery-1 {
			if err := i.clock.callerErr(); err != nil {
				return nil, err
			}
		}
		f := &list[n]
		if f.RowIndex >= limit {
			return nil, abi.Violated("error %d: expected a row-index below %d, found %d", n, limit, f.RowIndex)
		}
		f.RowIndex += from
		if uint64(f.RawStart)+uint64(f.RawSize) > uint64(check.size) {
			return nil, abi.Violated("error %d: %d raw bytes at %d are past the end of data (%d bytes)", n, f.RawSize,
				f.RawStart, check.size)
		}
		f.RawStart += check.base
		readable(&f.Error)
		f.ErrorClass = shown.Within(f.ErrorClass, maxNameBytes)
	}
	return list, nil
}
