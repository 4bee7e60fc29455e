package chain

import (
	"strconv"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

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

// beginProgram makes what reads values of a schema, and the draft of its fields; that is nil when the root is no
// structure.
func beginProgram(nodes []wit.Node) (*program, *structDraft) {
	root := nodes[0]
	root.Members = nil
	p := &program{reader: reader{optional: root.Optional, full: 2}}
	if root.DefaultValue != nil {
		p.full = 0
	}
	if root.Optional {
		p.root = uint64(p.full) + 1
	}
	if root.Kind != wit.Structure {
		return p, nil
	}
	l := &structDraft{root: root, stays: true, edited: &editedList{}}
	for i, m := range nodes[0].Members {
		l.fields = append(l.fields, field{name: m.Name, nodes: nodes, node: m.Node, index: i})
		p.skips = append(p.skips, newSkip(nodes, m.Node))
	}
	p.read = len(p.skips)
	p.compileFields(kernel.Last)
	return p, l
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

// room makes room for so many offsets.
func (r *row) room(n int) {
	if len(r.ends) < n {
		r.ends = make([]uint64, n)
	}
}

// offsets notes in e.ends where the members of a value begin, and where the last ends: as [reader.offsets], by the
// kernel where there is as much after the value as that reads.
func (e *Engine) offsets(p *program, in []byte, start int) (bad int) {
	e.room(len(p.skips) + 1)
	if !littleEndian || cap(in)-len(in) < kernel.Room {
		return p.offsets(in, start, e.ends)
	}
	s := &e.reading
	s.Program, s.Data, s.Limit = &p.fast.Program, unsafe.Pointer(unsafe.SliceData(in)), len(in)
	s.Program.Fields = p.codes
	s.Ends, s.Place, s.Member = unsafe.Pointer(unsafe.SliceData(e.ends)), start, 0
	for {
		switch why := kernel.Members(s); why {
		case kernel.Full:
			return -1
		case kernel.Done:
			return p.offsets(in, start, e.ends) // it is bad, or more than the kernel knows
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
	null, start, ok := p.null(c.bytes)
	switch {
	case !ok:
		return true, broken(stage, 0)
	case null:
		return true, nil
	case p.failure != nil:
		return true, p.failure
	}
	if bad := e.offsets(p, c.bytes, start); bad >= 0 {
		return true, broken(stage, bad)
	}
	return false, nil
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

const (
	skipNumber how = iota
	skipBlock
	skipBoolean
	skip4
	skip8
	// skipOther goes by the schema.
	skipOther
)

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

func broken(stage, member int) *failure {
	return &failure{stage, dataException, "bytes that are no value of the record's schema, at member " +
		strconv.Itoa(member)}
}

// logicalClass is the class that Kafka Connect has for the logical type that a schema is named after, "" for none.
func logicalClass(n *wit.Node) string {
	if n.Name == nil {
		return ""
	}
	switch *n.Name {
	case wit.NameDecimal:
		return "java.math.BigDecimal"
	case wit.NameDate, wit.NameTime, wit.NameTimestamp:
		return "java.util.Date"
	}
	return ""
}

// javaClass is the class that Kafka Connect holds a value of a schema in.
func javaClass(n *wit.Node) string {
	if class := logicalClass(n); class != "" { // a Cast leaves the name on another type
		switch {
		case *n.Name == wit.NameDecimal && n.Kind == wit.Bytes,
			(*n.Name == wit.NameDate || *n.Name == wit.NameTime) && n.Kind == wit.Int32,
			*n.Name == wit.NameTimestamp && n.Kind == wit.Int64:
			return class
		}
	}
	return [...]string{"java.lang.Byte", "java.lang.Short", "java.lang.Integer", "java.lang.Long", "java.lang.Float",
		"java.lang.Double",
		"java.lang.Boolean", "java.lang.String", "[B", "java.util.ArrayList", "java.util.HashMap",
		"org.apache.kafka.connect.data.Struct"}[n.Kind]
}
