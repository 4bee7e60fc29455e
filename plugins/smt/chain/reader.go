package chain

import (
	"encoding/binary"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// littleEndian tells that rows lie in memory as the kernel takes them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// reader finds the members of values of one schema.
type reader struct {
	skips []skip
	// read is how many members are read, one after another: those after them stay together to the end of the value.
	read int
	// optional: a value begins with a branch, full being that of one that is not null.
	optional bool
	full     byte
	// codes are the members as the kernel takes them; root is 0 or one more than full.
	codes unsafe.Pointer
	root  uint64
}

// lead is the branch of a value that is not null.
func (p *reader) lead() []byte {
	if !p.optional {
		return nil
	}
	return []byte{p.full}
}

// null reads the branch of a value: whether it is null, and where it begins.
func (p *reader) null(in []byte) (null bool, start int, ok bool) {
	if !p.optional {
		return false, 0, true
	}
	if len(in) == 0 || in[0]&^2 != 0 {
		return false, 0, false
	}
	return in[0] != p.full, 1, true
}

// offsets notes where the members of a structure begin, and where the last ends: ends has one entry more than there are
// members. Of those that are not read nothing is noted. It returns the member at which the bytes are bad, or -1.
func (p *reader) offsets(in []byte, i int, ends []uint64) int {
	bad := begins(p.skips[:p.read], in, i, ends)
	switch {
	case bad >= 0:
		return bad
	case p.read < len(p.skips):
		ends[len(p.skips)] = uint64(len(in))
	case ends[len(p.skips)] != uint64(len(in)):
		return len(p.skips)
	}
	return -1
}

// compileFields makes the codes of the members that are read, and the one after them.
func (p *reader) compileFields(last uint64) {
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
	p.codes = unsafe.Pointer(unsafe.SliceData(append(fields, last)))
}

// skip knows how far a member of a structure reaches.
type skip struct {
	how how
	// optional members begin with a branch; full is the one that a value follows.
	optional bool
	full     byte
	nodes    []wit.Node
	node     uint32
}

// how to skip.
type how uint8

func newSkip(nodes []wit.Node, node uint32) skip {
	n := &nodes[node]
	s := skip{how: skipOther, optional: n.Optional, full: 2, nodes: nodes, node: node}
	if n.DefaultValue != nil {
		s.full = 0
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		s.how = skipNumber
		// Whether a number fits its kind is looked at by those who read it, as in the kernel.
		s.nodes, s.node = []wit.Node{{Kind: wit.Int64, Optional: n.Optional, DefaultValue: n.DefaultValue}}, 0
	case wit.Float32:
		s.how = skip4
	case wit.Float64:
		s.how = skip8
	case wit.Boolean:
		s.how = skipBoolean
	case wit.Text, wit.Bytes:
		s.how = skipBlock
	}
	return s
}

// begins is offsets for some first members of a structure.
func begins(skips []skip, in []byte, i int, ends []uint64) int {
	for m := range skips {
		ends[m] = uint64(i)
		s := &skips[m]
		end := datum.Short(&s.nodes[s.node], in, i)
		if end == 0 {
			size, err := datum.Skip(s.nodes, s.node, in[i:])
			if err != nil {
				return m
			}
			end = i + size
		}
		i = end
	}
	ends[len(skips)] = uint64(i)
	return -1
}

// finder finds the members of the value at work.
type finder struct {
	// ends are where they begin, and where the last ends.
	ends []uint64
	// loop is the kernel's, program what that has of a reader.
	loop   kernel.Rows
	fields kernel.Program
}

// room makes room for so many ends.
func (f *finder) room(n int) {
	if len(f.ends) < n {
		f.ends = make([]uint64, n)
	}
}

// offsets notes the ends of a value: as [reader.offsets], by the kernel where there is as much after the value as that
// reads.
func (f *finder) offsets(p *reader, in []byte, start int) (bad int) {
	f.room(len(p.skips) + 1)
	if !littleEndian || cap(in)-len(in) < kernel.Room {
		return p.offsets(in, start, f.ends)
	}
	s := &f.loop
	s.Program, s.Data, s.Limit = &f.fields, unsafe.Pointer(unsafe.SliceData(in)), len(in)
	s.Program.Fields = p.codes
	s.Ends, s.Place, s.Member = unsafe.Pointer(unsafe.SliceData(f.ends)), start, 0
	for {
		switch why := kernel.Members(s); why {
		case kernel.Full:
			return -1
		case kernel.Done:
			return p.offsets(in, start, f.ends) // it is bad, or more than the kernel knows
		}
		skip := &p.skips[s.Member-1]
		size, err := datum.Skip(skip.nodes, skip.node, in[s.Place:])
		if err != nil {
			return s.Member - 1
		}
		s.Place += size
	}
}

const (
	skipNumber how = iota
	skipBlock
	skipBoolean
	skip4
	skip8
	// skipOther goes by the schema.
	skipOther
)
