package plugin

import (
	"context"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/abi"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Apply, Test, Encode and Decode carry batches: rows and data cross as arrays laid by hand, one copy each way, without an
// allocation for each row. Results lie in memory as the canonical ABI puts them: byte 0 says ok or fault, the payload begins at
// byte 4.
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

// hot is the buffers of an instance.
type hot struct {
	rows   []wit.Row
	topics []uint32
	blocks []abi.Block
	counts []uint8
}

// batchCall is a call that takes rows, before its results are read.
type batchCall struct {
	b    *record.Batch
	rows []wit.Row
	// low and high are what of the batch's data the rows use: only that crosses.
	low, high uint32
}

// survey checks the host's own rows, finds what of the data they use, and notes the schemas that the instance lacks.
func (i *Instance) survey(c *batchCall) error {
	c.low, c.high = math.MaxUint32, 0
	if uint64(len(c.b.Data)) > math.MaxUint32 {
		return abi.Refused("a batch with %d bytes of data: at most %d can be addressed", len(c.b.Data), uint32(math.MaxUint32))
	}
	var last [3]uint32
	for n := range c.rows {
		r := &c.rows[n]
		if int(r.Topic) >= len(c.b.Topics) {
			return abi.Refused("row %d: topic %d of %d", n, r.Topic, len(c.b.Topics))
		}
		for at, d := range [3]*wit.Datum{&r.Key, &r.Value, &r.Headers} {
			if d.Form == wit.Absent {
				continue
			}
			if uint64(d.Start)+uint64(d.Size) > uint64(len(c.b.Data)) || d.Form == wit.Unchanged || int(d.Form) >= d.Form.Cases() {
				return abi.Refused("row %d: a datum of form %d with %d bytes at %d of %d", n, d.Form, d.Size, d.Start, len(c.b.Data))
			}
			c.low, c.high = min(c.low, d.Start), max(c.high, d.Start+d.Size)
			if d.Form == wit.Structured {
				if d.Schema == last[at] && d.Schema != 0 {
					continue
				}
				last[at] = d.Schema
				if err := i.schemas.need(d.Schema); err != nil {
					return err
				}
				continue
			}
			if err := i.schemas.giveInside(d.Form, c.b.Bytes(*d)); err != nil {
				return err
			}
		}
	}
	c.low = min(c.low, c.high)
	return nil
}

// call passes context, schemas, topics, rows and data, and the hints of encode, and calls.
func (i *Instance) call(f *abi.Func, context []byte, c *batchCall, hints []wit.Hint, hinted bool) (uint32, error) {
	g := i.guest
	if err := i.survey(c); err != nil {
		return 0, err
	}
	g.Start()
	blockContext, blockTopics := g.Add(len(context), 1), g.Add(8*len(c.b.Topics), 4)
	i.hot.blocks = i.hot.blocks[:0]
	for _, t := range c.b.Topics {
		if !utf8.ValidString(t) {
			return 0, abi.Refused("the topic name %q is not UTF-8", t)
		}
		i.hot.blocks = append(i.hot.blocks, g.Add(len(t), 1))
	}
	blockRows, blockData := g.Add(len(c.rows)*abi.RowBytes, 8), g.Add(int(c.high-c.low), 1)
	if err := g.Place(i.calling); err != nil {
		return 0, err
	}
	g.PassList(blockContext, len(context))
	if err := i.passSchemas(); err != nil {
		return 0, err
	}
	g.PassList(blockTopics, len(c.b.Topics))
	g.PassList(blockRows, len(c.rows))
	g.PassList(blockData, int(c.high-c.low))
	if hinted {
		if err := g.PassLowered(i.calling, hints, len(hints)); err != nil {
			return 0, err
		}
	}
	// Nothing is allocated from here on, so the views hold.
	copy(g.At(blockContext), context)
	list := g.At(blockTopics)
	for n, t := range c.b.Topics {
		binary.LittleEndian.PutUint32(list[8*n:], g.Pointer(i.hot.blocks[n]))
		binary.LittleEndian.PutUint32(list[8*n+4:], uint32(len(t)))
		copy(g.At(i.hot.blocks[n]), t)
	}
	c.put(g.At(blockRows))
	copy(g.At(blockData), c.b.Data[c.low:c.high])
	return g.Call(i.calling, f)
}

// passSchemas passes what the instance lacks; mostly nothing.
func (i *Instance) passSchemas() error {
	if len(i.schemas.pending) == 0 {
		return i.guest.PassEmpty(i.calling, 4)
	}
	list := i.schemas.list()
	return i.guest.PassLowered(i.calling, list, len(list))
}

// put writes the rows: numbered by their place in the call, pointing into the data that crosses.
func (c *batchCall) put(dst []byte) {
	abi.PutRows(dst, c.rows)
	for n := range c.rows {
		binary.LittleEndian.PutUint32(dst[n*abi.RowBytes:], uint32(n))
	}
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

// result returns the payload of a result of the given size, or the fault in it.
func (i *Instance) result(ptr uint32, size int) (ok []byte, fault *wit.Fault, err error) {
	area, err := i.guest.Area(ptr, uint32(payload+max(size, faultSize)), 4)
	if err != nil {
		return nil, nil, err
	}
	switch area[0] {
	case 0:
		return area[payload:], nil, nil
	case 1:
		fault = new(wit.Fault)
		return nil, fault, i.guest.Lift(ptr+payload, fault)
	}
	return nil, nil, abi.Violated("result: expected ok (0) or a fault (1), found case %d", area[0])
}

// Apply sends a batch through the chain that context was prepared from. b.Rows becomes the result: each row keeps the Origin and
// the Offset of the row that it came from, b.Topics may grow, and what the guest wrote is appended to b.Data, so that rows which
// it left unchanged keep their place. Faults name rows by their position in b.Rows as it was. On an error b is as it was.
func (i *Instance) Apply(ctx context.Context, context []byte, b *record.Batch) ([]wit.RowFault, error) {
	topics, data := len(b.Topics), len(b.Data)
	i.hot.rows = i.hot.rows[:0]
	var faults []wit.RowFault
	for from := 0; from < len(b.Rows); {
		consumed, some, err := i.applySome(ctx, context, b, from)
		if err != nil {
			b.Topics, b.Data = b.Topics[:topics], b.Data[:data]
			return nil, err
		}
		faults = append(faults, some...)
		from += consumed
	}
	b.Rows = append(b.Rows[:0], i.hot.rows...)
	return faults, nil
}

// applySome makes one call with the rows from a position on; its results go to i.hot.rows.
func (i *Instance) applySome(ctx context.Context, context []byte, b *record.Batch, from int) (consumed int, faults []wit.RowFault, err error) {
	f, err := i.enter(ctx, applyFunc)
	if err != nil {
		return 0, nil, err
	}
	c := batchCall{b: b, rows: b.Rows[from:]}
	var fault *wit.Fault
	ptr, err := i.call(f, context, &c, nil, false)
	if err == nil {
		var ok []byte
		if ok, fault, err = i.result(ptr, appliedSize); err == nil && fault == nil {
			consumed, faults, err = i.applied(ok, &c, from)
		}
	}
	if err == nil {
		err = i.guest.Done(i.calling, f, ptr)
	}
	i.schemas.sent(err == nil && fault == nil)
	return consumed, faults, i.leave(fault, err)
}

// applied reads what apply gave back: schemas 0, topics 8, rows 16, data 24, faults 32, consumed 40.
func (i *Instance) applied(ok []byte, c *batchCall, from int) (consumed int, faults []wit.RowFault, err error) {
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
	start := len(i.hot.rows)
	i.hot.rows = abi.AppendRows(i.hot.rows, list)
	size, err := i.data(ok, 24, c.b)
	if err != nil {
		return 0, nil, err
	}
	check := rowCheck{i: i, b: c.b, base: uint32(len(c.b.Data)) - size, size: size}
	previous := uint32(0)
	for n := range i.hot.rows[start:] {
		r := &i.hot.rows[start+n]
		if r.Origin >= uint32(consumed) || r.Origin < previous {
			return 0, nil, abi.Violated("row %d: expected an origin from %d to %d, found %d", n, previous, consumed-1, r.Origin)
		}
		previous = r.Origin
		in := &c.rows[r.Origin]
		if err := check.row(n, r, in); err != nil {
			return 0, nil, err
		}
		r.Origin, r.Offset = in.Origin, in.Offset
	}
	faults, err = i.faults(ok, 32, uint32(consumed), uint32(from), &check)
	return consumed, faults, err
}

// declared takes the schemas whose list stands at offset; there are seldom any.
func (i *Instance) declared(ok []byte, offset int) error {
	if abi.Word(ok, offset+4) == 0 {
		return nil
	}
	var list []wit.Schema
	if err := i.guest.LiftAt(ok, offset, &list); err != nil {
		return err
	}
	return i.schemas.declare(list)
}

// topics reads the result's topics into i.hot.topics, as indices in the batch's. A result without topics uses the call's.
func (i *Instance) topics(ok []byte, offset int, b *record.Batch) error {
	i.hot.topics = i.hot.topics[:0]
	list, n, err := i.guest.ListAt(ok, offset, 8, 4)
	if err != nil {
		return err
	}
	if n == 0 {
		for t := range b.Topics {
			i.hot.topics = append(i.hot.topics, uint32(t))
		}
		return nil
	}
	for at := range n {
		name, _, err := i.guest.ListAt(list, 8*at, 1, 1)
		if err != nil {
			return err
		}
		index := -1
		for t, known := range b.Topics {
			if known == string(name) {
				index = t
				break
			}
		}
		if index < 0 {
			if !utf8.Valid(name) || len(name) == 0 {
				return abi.Violated("topic %d: expected a name in UTF-8, found %q", at, name)
			}
			index = len(b.Topics)
			b.Topics = append(b.Topics, string(name))
		}
		i.hot.topics = append(i.hot.topics, uint32(index))
	}
	return nil
}

// data appends the result's data to the batch's and returns its size.
func (i *Instance) data(ok []byte, offset int, b *record.Batch) (uint32, error) {
	list, n, err := i.guest.ListAt(ok, offset, 1, 1)
	if err != nil {
		return 0, err
	}
	if uint64(len(b.Data))+uint64(n) > math.MaxUint32 {
		return 0, abi.Violated("%d bytes of data more than the %d of the batch: at most %d can be addressed", n, len(b.Data), uint32(math.MaxUint32))
	}
	b.Data = append(b.Data, list...)
	return uint32(n), nil
}

// faults reads the row faults whose list stands at offset. Their origins lie below limit and are moved by from.
func (i *Instance) faults(ok []byte, offset int, limit, from uint32, check *rowCheck) ([]wit.RowFault, error) {
	if abi.Word(ok, offset+4) == 0 {
		return nil, nil
	}
	var list []wit.RowFault
	if err := i.guest.LiftAt(ok, offset, &list); err != nil {
		return nil, err
	}
	for n := range list {
		f := &list[n]
		if f.Origin >= limit {
			return nil, abi.Violated("fault %d: expected an origin below %d, found %d", n, limit, f.Origin)
		}
		f.Origin += from
		if uint64(f.RawStart)+uint64(f.RawSize) > uint64(check.size) {
			return nil, abi.Violated("fault %d: %d raw bytes at %d lie past the end of data (%d bytes)", n, f.RawSize, f.RawStart, check.size)
		}
		f.RawStart += check.base
	}
	return list, nil
}

// Test asks a predicate of each row: there is one entry for each of b.Rows, the negation not applied. b is left as it is.
func (i *Instance) Test(ctx context.Context, context []byte, b *record.Batch) (matches []bool, faults []wit.RowFault, err error) {
	f, err := i.enter(ctx, testFunc)
	if err != nil {
		return nil, nil, err
	}
	c := batchCall{b: b, rows: b.Rows}
	var fault *wit.Fault
	ptr, err := i.call(f, context, &c, nil, false)
	if err == nil {
		var ok []byte
		if ok, fault, err = i.result(ptr, testedSize); err == nil && fault == nil {
			matches, faults, err = i.tested(ok, len(b.Rows))
		}
	}
	if err == nil {
		err = i.guest.Done(i.calling, f, ptr)
	}
	i.schemas.sent(err == nil && fault == nil)
	return matches, faults, i.leave(fault, err)
}

// tested reads what test gave back: matches 0, faults 8.
func (i *Instance) tested(ok []byte, rows int) ([]bool, []wit.RowFault, error) {
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

// Encode makes deliveries of a batch's rows. Row numbers in hints and in the result are positions in b.Rows, each of which
// stands in exactly one of the result's three lists.
func (i *Instance) Encode(ctx context.Context, context []byte, b *record.Batch, hints []wit.Hint) (d wit.Deliveries, err error) {
	f, err := i.enter(ctx, encodeFunc)
	if err != nil {
		return d, err
	}
	c := batchCall{b: b, rows: b.Rows}
	var fault *wit.Fault
	ptr, err := i.call(f, context, &c, hints, true)
	if err == nil {
		if _, fault, err = i.result(ptr, canon.SizeOf[wit.Deliveries]()); err == nil && fault == nil {
			if err = i.guest.Lift(ptr+payload, &d); err == nil {
				err = i.judgeDeliveries(&d, len(b.Rows))
			}
		}
	}
	if err == nil {
		err = i.guest.Done(i.calling, f, ptr)
	}
	i.schemas.sent(err == nil && fault == nil)
	if err = i.leave(fault, err); err != nil {
		return wit.Deliveries{}, err
	}
	return d, nil
}

// judgeDeliveries checks that each row stands in exactly one place.
func (i *Instance) judgeDeliveries(d *wit.Deliveries, rows int) error {
	i.hot.counts = append(i.hot.counts[:0], make([]uint8, rows)...)
	count := func(row uint32) error {
		if row >= uint32(rows) {
			return abi.Violated("deliveries: row %d of %d", row, rows)
		}
		if i.hot.counts[row]++; i.hot.counts[row] > 1 {
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
	for n := range d.Refused {
		if err := count(d.Refused[n].Origin); err != nil {
			return err
		}
	}
	for _, row := range d.Ignored {
		if err := count(row); err != nil {
			return err
		}
	}
	for row, n := range i.hot.counts {
		if n == 0 {
			return abi.Violated("deliveries: row %d is in none of ready, refused and ignored", row)
		}
	}
	return nil
}

// Decode hands in a piece of a page (tag "": of its main body). Rows and data are appended to into, under the host's ids, and are
// nil in the portion; raw bytes of faults lie in into.Data. Rows have topic 0: into.Topics begins with the feed's. On an error into
// is as it was.
func (i *Instance) Decode(ctx context.Context, page uint32, tag string, piece []byte, last bool, into *record.Batch) (p wit.Portion, err error) {
	f, err := i.enter(ctx, decodeFunc)
	if err != nil {
		return p, err
	}
	rows, data := len(into.Rows), len(into.Data)
	var fault *wit.Fault
	ptr, err := i.passPiece(f, page, tag, piece, last)
	if err == nil {
		var ok []byte
		if ok, fault, err = i.result(ptr, portionSize); err == nil && fault == nil {
			p, err = i.portion(ok, ptr+payload, into)
		}
	}
	if err == nil {
		err = i.guest.Done(i.calling, f, ptr)
	}
	if err = i.leave(fault, err); err != nil {
		into.Rows, into.Data = into.Rows[:rows], into.Data[:data]
		return wit.Portion{}, err
	}
	return p, nil
}

func (i *Instance) passPiece(f *abi.Func, page uint32, tag string, piece []byte, last bool) (uint32, error) {
	g := i.guest
	if !utf8.ValidString(tag) {
		return 0, abi.Refused("the tag %q is not UTF-8", tag)
	}
	g.Start()
	blockTag, blockPiece := g.Add(len(tag), 1), g.Add(len(piece), 1)
	if err := g.Place(i.calling); err != nil {
		return 0, err
	}
	g.Pass(uint64(page))
	g.PassList(blockTag, len(tag))
	g.PassList(blockPiece, len(piece))
	g.Pass(uint64(btoi(last)))
	copy(g.At(blockTag), tag)
	copy(g.At(blockPiece), piece)
	return g.Call(i.calling, f)
}

// portion reads what decode gave back: schemas 0, rows 8, data 16, faults 24, follow 32, next 40, more 52, wait-ms 56.
func (i *Instance) portion(ok []byte, ptr uint32, into *record.Batch) (p wit.Portion, err error) {
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
	check := rowCheck{i: i, b: into, base: uint32(len(into.Data)) - size, size: size}
	i.hot.topics = append(i.hot.topics[:0], 0)
	for n := range into.Rows[start:] {
		r := &into.Rows[start+n]
		if err := check.row(n, r, nil); err != nil {
			return p, err
		}
		r.Offset = -1
	}
	if p.Faults, err = i.faults(ok, 24, math.MaxUint32, 0, &check); err != nil {
		return p, err
	}
	if abi.Word(ok, 36) > 0 {
		if err := i.guest.LiftAt(ok, 32, &p.Follow); err != nil {
			return p, err
		}
	}
	if err := i.guest.Lift(ptr+40, &p.Next); err != nil {
		return p, err
	}
	p.More, p.WaitMs = ok[52] != 0, abi.Word(ok, 56)
	return p, nil
}

// rowCheck checks rows of a guest's and makes them the host's: data moved to where it was appended, schemas by the host's ids.
type rowCheck struct {
	i *Instance
	b *record.Batch
	// base is where the result's data lies in the batch's, size how much it is.
	base, size uint32
	// guest and host are the schema that came last in each column.
	guest, host [3]uint32
}

// row checks one; in is the row that it came from, nil in sources.
func (c *rowCheck) row(n int, r, in *wit.Row) error {
	if int(r.Topic) >= len(c.i.hot.topics) {
		return abi.Violated("row %d: expected a topic below %d, found %d", n, len(c.i.hot.topics), r.Topic)
	}
	r.Topic = c.i.hot.topics[r.Topic]
	if r.Partition < -1 {
		return abi.Violated("row %d: expected a partition of -1 or above, found %d", n, r.Partition)
	}
	if in == nil {
		in = &noRow
	}
	if err := c.datum(0, &r.Key, &in.Key); err != nil {
		return abi.Violated("row %d, key: %v", n, err)
	}
	if err := c.datum(1, &r.Value, &in.Value); err != nil {
		return abi.Violated("row %d, value: %v", n, err)
	}
	if err := c.datum(2, &r.Headers, &in.Headers); err != nil {
		return abi.Violated("row %d, headers: %v", n, err)
	}
	return nil
}

// noRow stands for the input row of a source's.
var noRow = wit.Row{Key: wit.Datum{Form: wit.Unchanged}, Value: wit.Datum{Form: wit.Unchanged}, Headers: wit.Datum{Form: wit.Unchanged}}

func (c *rowCheck) datum(column int, d, in *wit.Datum) (err error) {
	const headers = 2
	switch d.Form {
	case wit.Absent:
		*d = wit.Datum{}
		return nil
	case wit.Unchanged:
		return c.unchanged(column, d, in)
	case wit.Structured, wit.Dynamic, wit.Raw:
		if (d.Form == wit.Raw) != (column == headers) {
			return abi.Violated("form %d does not belong here", d.Form)
		}
	default:
		return abi.Violated("expected a form from 0 to %d, found %d", d.Form.Cases()-1, d.Form)
	}
	if uint64(d.Start)+uint64(d.Size) > uint64(c.size) {
		return abi.Violated("%d bytes at %d lie past the end of data (%d bytes)", d.Size, d.Start, c.size)
	}
	d.Start += c.base
	if d.Form == wit.Structured {
		d.Schema, err = c.schema(column, d.Schema)
		return err
	}
	d.Schema = 0
	data, changed, err := c.i.schemas.translateInside(c.b.Data, d.Form, c.b.Bytes(*d))
	if err == nil && changed {
		d.Start, d.Size = uint32(len(c.b.Data)), uint32(len(data)-len(c.b.Data))
		c.b.Data = data
	}
	return err
}

// unchanged takes the input row's bytes; of a structured datum the schema that the guest names counts.
func (c *rowCheck) unchanged(column int, d, in *wit.Datum) (err error) {
	switch in.Form {
	case wit.Unchanged:
		return abi.Violated("unchanged: there is no input row")
	case wit.Structured:
		schema, err := c.schema(column, d.Schema)
		if err != nil {
			return err
		}
		*d = *in
		d.Schema = schema
		return nil
	}
	*d = *in
	return nil
}

func (c *rowCheck) schema(column int, id uint32) (uint32, error) {
	if id == c.guest[column] && id != 0 {
		return c.host[column], nil
	}
	h, err := c.i.schemas.host(id)
	if err != nil {
		return 0, err
	}
	c.guest[column], c.host[column] = id, h
	return h, nil
}
