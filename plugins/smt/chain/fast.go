package chain

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// This file and shape.go make programs for the loops of package kernel, which do rows that are alike: what Engine.row
// would have done, or they stop at a row that they cannot do and leave it to that.

// littleEndian tells that rows lie in memory as the kernels take them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// fastProgram is what a kernel needs of a program.
type fastProgram struct {
	kernel.Program
	// usable: nothing in the program needs the slow way for every row.
	usable bool
	// ends is how many places the kernel notes.
	ends int
	// edited is what pieces are made of, of each row.
	edited []edited
	pieces []kernel.Piece
	// appends: the value stays, and behind it comes what tail writes, which fits in the room behind a value.
	appends bool
	tail    kernel.Program
}

func (p *program) compileFast() {
	f := &p.fast
	f.usable = littleEndian && p.failure == nil && len(p.checks) == 0
	if p.optional {
		f.Root = uint64(p.full) + 1
	}
	f.ends = len(p.skips) + 1
	parts := p.parts
	if p.key != nil {
		f.Key, f.Twice = datumWord(wit.Structured, p.keyOut), 1
		if parts = withKey(p.key, parts); p.same {
			parts = parts[:len(p.key)+1]
		}
	}
	f.compileParts(parts, p.edited)
	if p.key == nil && len(p.edited) == 0 && len(p.parts) > 1 && p.parts[0].whole(len(p.skips)) &&
		!slices.ContainsFunc(p.parts[1:], part.reading) && f.Extra+kernel.Slack <= kernel.Room {
		f.appends, f.tail = true, f.Program
		f.tail.Parts, f.tail.Pieces = &unsafe.Slice(f.Parts, f.Pieces)[1], f.Pieces-1
	}
}

// withKey is the parts of a key and a value.
func withKey(key, value []part) []part { return slices.Concat(key, []part{{from: keyEnd}}, value) }

// compileFields makes the codes of the members that are read, and the one behind them.
func (p *program) compileFields(last uint64) {
	fields := make([]uint64, 0, p.read+1)
	for i := range p.skips[:p.read] {
		s := &p.skips[i]
		code := [...]uint64{skipNumber: kernel.Number, skipBlock: kernel.Block, skipBoolean: kernel.Boolean,
			skip4: kernel.Four, skip8: kernel.Eight, skipOther: kernel.Other}[s.how]
		if s.optional && s.how != skipOther {
			code |= kernel.Optional | uint64(s.full)<<8
		}
		fields = append(fields, code)
	}
	run := uint64(0)
	for i := len(fields) - 1; i >= 0; i-- {
		if run++; fields[i] != kernel.OptionalText {
			run = 0
			continue
		}
		fields[i] |= run << kernel.Run
	}
	p.fast.Fields = unsafe.Pointer(unsafe.SliceData(append(fields, last)))
}

// compileParts makes parts of a kernel's.
func (f *fastProgram) compileParts(parts []part, edits []edited) {
	f.edited, f.pieces, f.Edits = edits, make([]kernel.Piece, len(edits)), min(1, len(edits))
	list := make([]kernel.Part, len(parts), len(parts)+1)
	for i := range parts {
		from, to := &parts[i], &list[i]
		to.First, to.Behind, to.Last = from.first*8, from.behind, from.last*8+8
		switch from.from {
		case input:
			to.Kind = kernel.Copied
			if from.bytes != nil {
				to.Kind, to.Null = kernel.OrDefault, uint64(from.null)
			}
		case keyEnd:
			to.Kind = kernel.KeyEnd
		case byEdits:
			to.Kind, to.Bytes = kernel.Edited, unsafe.Pointer(&f.pieces[from.first])
		case chosen:
			to.Kind = kernel.Choosing
			pieces := make([]kernel.Piece, len(from.choice))
			longest := 0
			for c, b := range from.choice {
				pieces[c] = kernel.Piece{Bytes: padded(b), Size: len(b)}
				longest = max(longest, len(b))
			}
			to.Bytes = unsafe.Pointer(unsafe.SliceData(pieces))
			f.Extra += longest
		case attribute:
			to.Kind = kernel.Attribute
			to.First = [...]int{thePartition: kernel.Partition, theOffset: kernel.Offset,
				theTimestamp: kernel.Timestamp}[from.what]
			if from.optional {
				to.Null = 1
			}
			f.Extra += 1 + binary.MaxVarintLen64
		}
		if from.bytes != nil {
			to.Bytes, to.Size = padded(from.bytes), len(from.bytes)
			f.Extra += len(from.bytes)
		}
	}
	f.Parts, f.Pieces = unsafe.SliceData(list), len(list)
}

// padded is a copy of bytes with room behind it.
func padded(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(b)+kernel.Room), b...)))
}

// beginLoop makes e.loop ready for rows of one route from n on; first is the number of rows[0] in the call.
func (e *Engine) beginLoop(first int, to uint32, rows []wit.Row, n int, data []byte) *kernel.Rows {
	e.loop = kernel.Rows{In: unsafe.Pointer(unsafe.SliceData(rows)), First: first, N: n, Count: len(rows),
		Out: unsafe.Pointer(unsafe.SliceData(e.rows)), Made: len(e.rows), Most: cap(e.rows),
		Data: unsafe.Pointer(unsafe.SliceData(data)), Limit: len(data) - kernel.Room,
		Dst: unsafe.Pointer(unsafe.SliceData(e.data)), At: len(e.data), Size: cap(e.data), Full: maxData,
		Topic: uint64(rows[n].Topic), To: uint64(to)}
	return &e.loop
}

// endLoop takes what e.loop has made and returns the first row that it did not do.
func (e *Engine) endLoop() int {
	n := e.loop.N
	e.rows, e.data = e.rows[:e.loop.Made], e.data[:e.loop.At]
	e.loop = kernel.Rows{} // it holds on to the call's memory
	return n
}

// grow makes room for the result of the row at work, for about a call's worth at once.
func (e *Engine) grow(size int) {
	s := &e.loop
	need := (size+s.Edited)<<s.Program.Twice + s.Program.Extra + kernel.Room
	bigger := make([]byte, s.At, max(2*cap(e.data), s.At+need, 64<<10))
	copy(bigger, e.data[:s.At])
	e.data = bigger
	s.Dst, s.Size = unsafe.Pointer(unsafe.SliceData(bigger)), cap(bigger)
}

// pass handles rows of one route without steps: only the topic changes. It returns the first row that it did not do.
func (e *Engine) pass(c *chain, to uint32, rows []wit.Row, n int) int {
	var mask, wanted uint64
	if in := &rows[n].Value; c.live {
		// rows of another form or schema may be tombstones
		nodes := e.schemas[in.Schema]
		if in.Form != wit.Dynamic && (in.Form != wit.Structured || nodes == nil || nodes[0].Optional) {
			return n
		}
		mask, wanted = datumWord(0xff, ^uint32(0)), datumWord(in.Form, in.Schema)
	}
	s := e.beginLoop(0, to, rows, n, nil)
	s.Mask, s.Value = mask, wanted
	s.Keep, s.Result = datumWord(0, ^uint32(0)), datumWord(wit.Unchanged, 0)
	kernel.Pass(s)
	return e.endLoop()
}

// datumWord is the word with form and schema of a datum.
func datumWord(form wit.Form, schema uint32) uint64 { return uint64(form) | uint64(schema)<<32 }

// structures handles rows of one route whose values are structures of one schema, for a route with steps on values
// only. It returns the first row that it did not do.
func (e *Engine) structures(p *program, schema uint32, first int, to uint32, rows []wit.Row, n int,
	data []byte) int {
	begin := func() *kernel.Rows {
		s := e.beginLoop(first, to, rows, n, data)
		s.Value, s.Result = datumWord(wit.Structured, schema), datumWord(wit.Structured, p.out)
		return s
	}
	switch {
	case p.same && p.key == nil:
		s := begin()
		s.Mask, s.Result = datumWord(0xff, ^uint32(0)), datumWord(wit.Unchanged, p.out)
		kernel.Pass(s)
		return e.endLoop()
	case p.fast.appends && e.mayAppend(rows, data):
		s := begin()
		s.Program, s.Dst = &p.fast.tail, s.Data
		if kernel.Append(s); s.N > n {
			e.here = data[:s.At]
		}
		s.At = len(e.data)
		return e.endLoop()
	}
	e.settle()
	s := begin()
	if p.same {
		s.Result = datumWord(wit.Unchanged, p.out)
	}
	s.Program = &p.fast.Program
	s.Ends = e.places(p.fast.ends)
	for {
		switch why := kernel.Structures(s); why {
		case kernel.Done:
			return e.endLoop()
		case kernel.Full:
			e.grow(int(rows[s.N].Value.Size))
		case kernel.Edit:
			if !e.edit(&p.fast, &rows[s.N], data) {
				return e.endLoop()
			}
		default:
			in, skip := &rows[s.N].Value, &p.skips[s.Member-1]
			size, err := datum.Skip(skip.nodes, skip.node, data[s.Place:in.Start+in.Size])
			if err != nil {
				return e.endLoop()
			}
			s.Place += size
		}
	}
}

// mayAppend tells whether results may be written behind the call's own values: those are apart, and nothing of the
// result is elsewhere.
func (e *Engine) mayAppend(rows []wit.Row, data []byte) bool {
	if e.apart == unknown {
		e.apart = no
		e.loop.In, e.loop.Count, e.loop.Limit = unsafe.Pointer(unsafe.SliceData(rows)), len(rows), len(data)-kernel.Room
		if len(data) <= maxData && kernel.Apart(&e.loop) == kernel.Full {
			e.apart = yes
		}
	}
	return e.apart == yes && len(e.data) == 0
}

// settle moves what was written behind the call's values to where other results are written.
func (e *Engine) settle() {
	if e.here != nil {
		e.data = append(e.data, e.here...)
		e.here, e.apart = nil, no
	}
}

// offsets is the function offsets for a program, by the kernel where there is as much behind the value as that reads.
func (e *Engine) offsets(p *program, in []byte, start int) (bad int) {
	if !littleEndian || cap(in)-len(in) < kernel.Room {
		return offsets(p.skips, in, start, e.ends)
	}
	s := &e.loop
	s.Program, s.Data, s.Limit = &p.fast.Program, unsafe.Pointer(unsafe.SliceData(in)), len(in)
	s.Ends, s.Place, s.Member = e.places(len(p.skips)+1), start, 0
	for {
		switch why := kernel.Members(s); why {
		case kernel.Full:
			return -1
		case kernel.Done:
			return offsets(p.skips, in, start, e.ends) // it is bad, or more than the kernel knows
		}
		skip := &p.skips[s.Member-1]
		size, err := datum.Skip(skip.nodes, skip.node, in[s.Place:])
		if err != nil {
			return s.Member - 1
		}
		s.Place += size
	}
}

// opened notes in e.ends where the members of a column's structure begin. done: there is nothing to do, because it is
// null, or the row has failed.
func (e *Engine) opened(p *program, c *column, stage int) (done bool, f *failure) {
	start, done, f := p.opened(c, stage)
	if done {
		return true, f
	}
	if bad := e.offsets(p, c.bytes, start); bad >= 0 {
		return true, broken(stage, bad)
	}
	return false, nil
}

// places has room for n places.
func (e *Engine) places(n int) unsafe.Pointer {
	if len(e.ends) < n {
		e.ends = make([]uint64, n)
	}
	return unsafe.Pointer(unsafe.SliceData(e.ends))
}
