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

// Apply, Test, Encode and Decode copy rows and data as arrays, once each way and without allocations per row; the
// reflective codec would allocate. Results follow the canonical ABI: byte 0 is ok or error, the payload is at byte 4. A
// list in it is a pointer and, 4 bytes after that, a length.
const (
	payloadOffset    = 4
	errorSize        = 48
	applyResultSize  = 44
	testResultSize   = 16
	decodeResultSize = 60
)

var (
	applyFunc  = functions[wit.InterfaceTransform]["Apply"]
	testFunc   = functions[wit.InterfaceTransform]["Test"]
	encodeFunc = functions[wit.InterfaceSink]["Encode"]
	decodeFunc = functions[wit.InterfaceSource]["Decode"]

	responseFunc = functions[wit.InterfaceSink]["HandleResponse"]
)

// batchCall holds the rows of a call. checkRows computes low, high and size.
type batchCall struct {
	batch  *record.Batch
	rows   []wit.Row
	low    uint32 // the rows use the bytes from low to high of the batch's data
	high   uint32
	size   uint64 // the sum of the sizes of the rows' keys, values and headers
	padded bool   // data is copied one by one, with padding after each value
}

// valuePadding is the free space after each value: a transform may append a field there without moving the value.
const valuePadding = 64

func (c *batchCall) transferBytes() int {
	if c.padded {
		return int(c.size) + valuePadding*len(c.rows)
	}
	return int(c.high - c.low)
}

// checkRows checks the host's rows, sets the call's range and size of data, and collects schemas that the instance
// needs. It resets padded if rows share bytes, which are then copied once.
func (i *Instance) checkRows(call *batchCall) error {
	call.low = math.MaxUint32
	call.high = 0
	call.size = 0
	if uint64(len(call.batch.Data)) > math.MaxUint32 {
		return abi.NewRefusal("a batch with %d bytes of data: at most %d can be addressed", len(call.batch.Data),
			uint32(math.MaxUint32))
	}
	var lastSchemas [3]uint32
	for index := range call.rows {
		row := &call.rows[index]
		if int(row.Topic) >= len(call.batch.Topics) {
			return abi.NewRefusal("row %d: topic %d of %d", index, row.Topic, len(call.batch.Topics))
		}
		for n, value := range [3]*wit.ValueSlice{&row.Key, &row.Value, &row.Headers} {
			if value.Encoding == wit.Absent {
				continue
			}
			if uint64(value.Start)+uint64(value.Size) > uint64(len(call.batch.Data)) ||
				value.Encoding == wit.Unchanged || int(value.Encoding) >= value.Encoding.Cases() {
				return abi.NewRefusal("row %d: a value of encoding %d with %d bytes at %d of %d", index, value.Encoding,
					value.Size, value.Start, len(call.batch.Data))
			}
			call.low = min(call.low, value.Start)
			call.high = max(call.high, value.Start+value.Size)
			call.size += uint64(value.Size)
			if value.Encoding == wit.WithSchema {
				if value.Schema == lastSchemas[n] && value.Schema != 0 {
					continue // needed for the previous row
				}
				lastSchemas[n] = value.Schema
				if err := i.schemas.Need(value.Schema); err != nil {
					return err
				}
				continue
			}
			if err := i.schemas.NeedReferenced(value.Encoding, call.batch.Bytes(*value)); err != nil {
				return err
			}
		}
	}
	call.low = min(call.low, call.high) // both 0 without data
	call.padded = call.padded && call.size <= uint64(call.high-call.low)
	return nil
}

// encodeArguments holds the arguments of encode except its rows.
type encodeArguments struct {
	origins record.RecordIDs
	hints   []wit.Hint
}

func (e *encodeArguments) pass(ctx context.Context, guest *abi.Guest, blockOrigins abi.Block) error {
	guest.PassList(blockOrigins, len(e.origins.IDs))
	if err := guest.PassLowered(ctx, e.origins.Topics, len(e.origins.Topics)); err != nil {
		return err
	}
	return guest.PassLowered(ctx, e.hints, len(e.hints))
}

func (e *encodeArguments) check(rows int) error {
	if len(e.origins.IDs) != rows {
		return abi.NewRefusal("%d rows with the origins of %d", rows, len(e.origins.IDs))
	}
	for n := range e.origins.IDs {
		if topic := e.origins.IDs[n].Topic; int(topic) >= len(e.origins.Topics) {
			return abi.NewRefusal("origin %d: topic %d of %d", n, topic, len(e.origins.Topics))
		}
	}
	return nil
}

// callBatch calls a function. pass copies the arguments and makes the call; read reads a successful result, whose fixed
// part of size bytes is payload, at ptr in the guest's memory.
func (i *Instance) callBatch(ctx context.Context, function *canon.Func, pass func(export *abi.Func) (uint32, error),
	size int, read func(payload []byte, ptr uint32) error) error {
	export, err := i.beginCall(ctx, function)
	if err != nil {
		return err
	}
	var failure *wit.Error
	ptr, err := pass(export)
	if err == nil {
		var payload []byte
		if payload, failure, err = i.readResult(ptr, size); err == nil && failure == nil {
			err = read(payload, ptr+payloadOffset)
		}
	}
	if err == nil {
		err = i.guest.PostReturn(i.callCtx, export, ptr)
	}
	i.schemas.Sent(err == nil && failure == nil)
	return i.endCall(failure, err)
}

func (i *Instance) passBatch(export *abi.Func, context []byte, call *batchCall,
	encodeArgs *encodeArguments) (uint32, error) {
	guest := i.guest
	if err := i.checkRows(call); err != nil {
		return 0, err
	}
	if encodeArgs != nil {
		if err := encodeArgs.check(len(call.rows)); err != nil {
			return 0, err
		}
	}
	// Allocate memory in the guest for all arguments but lists of schemas, topics of origins and hints.
	guest.BeginCall()
	blockContext := guest.AddBlock(len(context), 1)
	blockTopics := guest.AddBlock(8*len(call.batch.Topics), 4)
	i.buffers.blocks = i.buffers.blocks[:0]
	for _, t := range call.batch.Topics {
		if !utf8.ValidString(t) {
			return 0, abi.NewRefusal("the topic name %q is not UTF-8", t)
		}
		i.buffers.blocks = append(i.buffers.blocks, guest.AddBlock(len(t), 1))
	}
	blockRows := guest.AddBlock(len(call.rows)*abi.RowBytes, 8)
	blockData := guest.AddBlock(call.transferBytes(), 1)
	var blockOrigins abi.Block
	if encodeArgs != nil {
		blockOrigins = guest.AddBlock(len(encodeArgs.origins.IDs)*abi.RecordIDBytes, 8)
	}
	if err := guest.AllocateBlocks(i.callCtx); err != nil {
		return 0, err
	}
	// Pass the arguments in the order of the contract.
	guest.PassList(blockContext, len(context))
	if list := i.schemas.Pending(); len(list) > 0 {
		if err := guest.PassLowered(i.callCtx, list, len(list)); err != nil {
			return 0, err
		}
	} else if err := guest.PassEmpty(i.callCtx, 4); err != nil {
		return 0, err
	}
	guest.PassList(blockTopics, len(call.batch.Topics))
	guest.PassList(blockRows, len(call.rows))
	guest.PassList(blockData, call.transferBytes())
	if encodeArgs != nil {
		if err := encodeArgs.pass(i.callCtx, guest, blockOrigins); err != nil {
			return 0, err
		}
	}
	// Nothing is allocated from here on, so the views stay valid.
	copy(guest.BlockBytes(blockContext), context)
	list := guest.BlockBytes(blockTopics)
	for n, t := range call.batch.Topics {
		binary.LittleEndian.PutUint32(list[8*n:], guest.Pointer(i.buffers.blocks[n]))
		binary.LittleEndian.PutUint32(list[8*n+4:], uint32(len(t)))
		copy(guest.BlockBytes(i.buffers.blocks[n]), t)
	}
	call.write(guest.BlockBytes(blockRows), guest.BlockBytes(blockData))
	if encodeArgs != nil {
		abi.PutRecordIDs(guest.BlockBytes(blockOrigins), encodeArgs.origins.IDs)
	}
	return guest.Call(i.callCtx, export)
}

// write writes the rows, numbered from 0, to dst and their data to data.
func (c *batchCall) write(dst, data []byte) {
	abi.PutRows(dst, c.rows)
	for n := range c.rows {
		binary.LittleEndian.PutUint32(dst[n*abi.RowBytes:], uint32(n))
	}
	if c.padded { // each value is copied and gets a new start
		copied := 0
		for n := range c.rows {
			row := &c.rows[n]
			target := dst[n*abi.RowBytes:]
			for part, value := range [3]*wit.ValueSlice{&row.Key, &row.Value, &row.Headers} {
				if value.Encoding == wit.Absent {
					continue
				}
				binary.LittleEndian.PutUint32(target[sliceOffset(part)+8:], uint32(copied))
				copied += copy(data[copied:], c.batch.Data[value.Start:value.Start+value.Size])
				if value == &row.Value {
					copied += valuePadding
				}
			}
		}
		return
	}
	// All data are copied at once, and all starts decrease by low.
	copy(data, c.batch.Data[c.low:c.high])
	if c.low == 0 {
		return
	}
	for row := 0; row < len(dst); row += abi.RowBytes {
		for part := range 3 {
			if slice := dst[row+sliceOffset(part):]; slice[0] != byte(wit.Absent) {
				start := slice[8:]
				binary.LittleEndian.PutUint32(start, binary.LittleEndian.Uint32(start)-c.low)
			}
		}
	}
}

// sliceOffset returns the offset of the key (0), value (1) or headers (2) in a row, each a [wit.ValueSlice] whose
// encoding is at 0 and start at 8.
func sliceOffset(part int) int { return 32 + 16*part }

func (i *Instance) readResult(ptr uint32, size int) (payload []byte, failure *wit.Error, err error) {
	area, err := i.guest.Area(ptr, uint32(payloadOffset+max(size, errorSize)), 4)
	if err != nil {
		return nil, nil, err
	}
	switch area[0] {
	case 0:
		return area[payloadOffset:], nil, nil
	case 1:
		failure = new(wit.Error)
		return nil, failure, i.guest.Lift(ptr+payloadOffset, failure)
	}
	return nil, nil, abi.NewViolation("result: expected ok (0) or an error (1), found case %d", area[0])
}

func (i *Instance) readSchemas(payload []byte, offset int) error {
	if abi.U32(payload, offset+4) == 0 {
		return nil
	}
	var list []wit.Schema
	if err := i.guest.LiftAt(payload, offset, &list); err != nil {
		return err
	}
	return i.schemas.Declare(list)
}

// fewTopics is the number of topics up to which a linear search is faster than a map.
const fewTopics = 16

// readTopics reads the result's topics into i.buffers.topics, as indices of batch.Topics, to which new topics are
// appended. An empty result means the topics of the call.
func (i *Instance) readTopics(payload []byte, offset int, batch *record.Batch) error {
	i.buffers.topics = i.buffers.topics[:0]
	list, count, err := i.guest.ListAt(payload, offset, 8, 4)
	if err != nil {
		return err
	}
	if err := checkCount("topics", count, MaxTopics); err != nil {
		return err
	}
	if count == 0 {
		for t := range batch.Topics {
			i.buffers.topics = append(i.buffers.topics, uint32(t))
		}
		return nil
	}
	var positions map[string]int
	if count+len(batch.Topics) > fewTopics {
		positions = make(map[string]int, len(batch.Topics))
		for t := len(batch.Topics) - 1; t >= 0; t-- { // of equal names the first counts, as for slices.Index
			positions[batch.Topics[t]] = t
		}
	}
	for topic := range count {
		name, _, err := i.guest.ListAt(list, 8*topic, 1, 1)
		if err != nil {
			return err
		}
		index := -1
		if positions != nil {
			if t, ok := positions[string(name)]; ok {
				index = t
			}
		} else {
			index = slices.Index(batch.Topics, string(name))
		}
		if index < 0 {
			if len(batch.Topics) >= MaxTopics {
				return abi.NewViolation("expected at most %d topics in a batch, found more", MaxTopics)
			}
			if !utf8.Valid(name) || len(name) == 0 {
				return abi.NewViolation("topic %d: expected a name in UTF-8, found %q", topic, name)
			}
			index = len(batch.Topics)
			batch.Topics = append(batch.Topics, string(name))
			if positions != nil {
				positions[string(name)] = index
			}
		}
		i.buffers.topics = append(i.buffers.topics, uint32(index))
	}
	return nil
}

// readData appends the result's data to the batch, and returns its size.
func (i *Instance) readData(payload []byte, offset int, batch *record.Batch) (uint32, error) {
	list, count, err := i.guest.ListAt(payload, offset, 1, 1)
	if err != nil {
		return 0, err
	}
	if uint64(len(batch.Data))+uint64(count) > math.MaxUint32 {
		return 0, abi.NewViolation("%d bytes of data more than the %d of the batch: at most %d can be addressed", count,
			len(batch.Data), uint32(math.MaxUint32))
	}
	batch.Data = append(batch.Data, list...)
	i.schemas.SetBatch(batch)
	return uint32(count), nil
}

// readRowErrors reads errors of rows. Their row indices must be below limit, and are increased by firstRow. check has
// the range of the batch's data that the errors may refer to.
func (i *Instance) readRowErrors(payload []byte, offset int, limit, firstRow uint32,
	check *rowCheck) ([]wit.RowError, error) {
	if abi.U32(payload, offset+4) == 0 {
		return nil, nil
	}
	var list []wit.RowError
	if err := i.guest.LiftAt(payload, offset, &list); err != nil {
		return nil, err
	}
	for index := range list {
		if index%checkEvery == checkEvery-1 {
			if err := i.clock.callerErr(); err != nil {
				return nil, err
			}
		}
		rowError := &list[index]
		if rowError.RowIndex >= limit {
			return nil, abi.NewViolation("error %d: expected a row-index below %d, found %d", index, limit,
				rowError.RowIndex)
		}
		rowError.RowIndex += firstRow
		if uint64(rowError.RawStart)+uint64(rowError.RawSize) > uint64(check.size) {
			return nil, abi.NewViolation("error %d: %d raw bytes at %d exceed the data (%d bytes)", index,
				rowError.RawSize, rowError.RawStart, check.size)
		}
		rowError.RawStart += check.base
		sanitize(&rowError.Error)
		rowError.ErrorClass = shown.LineUpTo(rowError.ErrorClass, maxNameBytes)
	}
	return list, nil
}
