package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

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

// offsets notes where the members of a structure begin, and where the last ends: ends has one entry more than there are
// members. It returns the member at which the bytes are bad, or -1.
func offsets(skips []skip, in []byte, i int, ends []uint64) int {
	bad := begins(skips, in, i, ends)
	if bad < 0 && ends[len(skips)] != uint64(len(in)) {
		return len(skips)
	}
	return bad
}

// begins is offsets for some first members of a structure.
func begins(skips []skip, in []byte, i int, ends []uint64) int {
	for m := range skips {
		ends[m] = uint64(i)
		s := &skips[m]
		if s.how == skipOther {
			size, err := datum.Skip(s.nodes, s.node, in[i:])
			if err != nil {
				return m
			}
			i += size
			continue
		}
		if s.optional {
			if i >= len(in) || in[i]&^2 != 0 {
				return m
			}
			i++
			if in[i-1] != s.full {
				continue
			}
		}
		switch s.how {
		case skipBlock:
			if i >= len(in) {
				return m
			}
			n, size := int64(in[i]>>1), 1
			if in[i]&0x81 != 0 {
				// negative, or of several bytes
				if n, size = datum.Number(in[i:]); size <= 0 || n < 0 {
					return m
				}
			}
			i += size
			if n > int64(len(in)-i) {
				return m
			}
			i += int(n)
		case skipNumber:
			from := i
			for i < len(in) && in[i] >= 0x80 {
				i++
			}
			if i >= len(in) || i-from > 9 || i-from == 9 && in[i] > 1 {
				return m
			}
			i++
		case skipBoolean:
			if i >= len(in) || in[i] > 1 {
				return m
			}
			i++
		case skip4:
			i += 4
		case skip8:
			i += 8
		}
		if i > len(in) {
			return m
		}
	}
	ends[len(skips)] = uint64(i)
	return -1
}

// run makes another structured value of a column's; dst takes what is written.
func (p *program) run(dst []byte, ends []uint64, c *column, row *wit.Row, stage int) ([]byte, *failure) {
	null, start, ok := p.null(c.bytes)
	if !ok {
		return dst, broken(stage, 0)
	}
	if null {
		return dst, nil // null passes
	}
	if len(p.checks) > 0 {
		if f := failed(p.checks, row); f != nil && (p.failure == nil || f.stage < p.failure.stage) {
			return dst, f
		}
	}
	if p.failure != nil {
		return dst, p.failure
	}
	if p.same {
		c.schema = p.out
		return dst, nil
	}
	bad := -1
	if p.read < len(p.skips) {
		bad = begins(p.skips[:p.read], c.bytes, start, ends)
		ends[len(p.skips)] = uint64(len(c.bytes))
	} else {
		bad = offsets(p.skips, c.bytes, start, ends)
	}
	if bad >= 0 {
		return dst, broken(stage, bad)
	}
	from := len(dst)
	dst = p.write(dst, ends, c.bytes, row)
	c.set(wit.Structured, p.out, dst[from:], -1)
	return dst, nil
}

// opened is where the members of a column's structure begin, as [program.null] reads it. done: there is nothing to do,
// because it is null, or the row has failed.
func (p *program) opened(c *column, stage int) (start int, done bool, f *failure) {
	null, start, ok := p.null(c.bytes)
	switch {
	case !ok:
		return 0, true, broken(stage, 0)
	case null:
		return 0, true, nil
	}
	return start, p.failure != nil, p.failure
}

// null reads the branch of a value: whether it is null, and where it begins.
func (p *program) null(in []byte) (null bool, start int, ok bool) {
	if !p.optional {
		return false, 0, true
	}
	if len(in) == 0 || in[0]&^2 != 0 {
		return false, 0, false
	}
	return in[0] != p.full, 1, true
}

// write appends the result's parts; ends say where the members of the input are.
func (p *program) write(dst []byte, ends []uint64, in []byte, row *wit.Row) []byte {
	for i := range p.parts {
		part := &p.parts[i]
		switch part.from {
		case input:
			b := in[ends[part.first]:ends[part.last+1]]
			if part.bytes != nil && b[0] == part.null {
				b = part.bytes
			}
			dst = append(dst, b...)
		case constant:
			dst = append(dst, part.bytes...)
		case chosen:
			dst = append(dst, part.choice[in[ends[part.first]]]...)
		case attribute:
			dst = part.attribute(dst, row)
		}
	}
	return dst
}

// attribute writes what the row has to say.
func (x *part) attribute(dst []byte, row *wit.Row) []byte {
	n := row.Offset
	switch x.what {
	case thePartition:
		n = int64(row.Partition)
	case theTimestamp:
		n = row.Timestamp
	}
	if x.optional {
		if n < 0 {
			return append(dst, 0)
		}
		dst = append(dst, 2)
	}
	return datum.AppendNumber(dst, n)
}

func broken(stage, member int) *failure {
	return &failure{stage, dataException, "bytes that are no value of the record's schema, at member " +
		strconv.Itoa(member)}
}
