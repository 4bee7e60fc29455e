package chain

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// program is what steps come to for one schema: pass over the members of the input, then copy and write. On the plain
// way it has one step; in the fast lane it has all of a chain.
type program struct {
	reader
	// made is what becomes of the value; same: its bytes are the input's.
	made output
	same bool
	// key and headers are what becomes of those, nil: they stay.
	key     *output
	headers *output
	added   int
	checks  []check
	// edited is what the parts of its kind write.
	edited []edited
	// failure is that of every value that is not null, ofNull that of every null.
	failure, ofNull *failure
	// nullMade is what becomes of a null, nil: it stays as it is.
	nullMade []byte
	fast     fastProgram
}

// output is what parts write, and the schema of it.
type output struct {
	parts  []part
	schema uint32
}

// part of a result.
type part struct {
	from fieldSource
	// first and last: the members of the input to copy, in one piece. Of what edits make, first is the number in the
	// list.
	first, last int
	// after is how many bytes at the beginning of the first are left out: the key, in a map.
	after int
	// bytes: a constant, or what replaces a null of the member `first`, whose branch is then null.
	bytes []byte
	null  byte
	// choice is what is written instead of the member `first`, by its first byte.
	choice   [][]byte
	what     what
	optional bool
	// sized: the size stands in front.
	sized bool
}

// fieldSource tells where a field's bytes come from.
type fieldSource uint8

const (
	input fieldSource = iota
	constant
	attribute
	// chosen goes by the first byte of a member of the input, its branch, or of an entry's value, its tag.
	chosen
	// byEdits is what edits make, of which the program has a list.
	byEdits
	// headerCount is the number of headers, `first` more than the row has, and those. Only the kernel writes it.
	headerCount
	// keyEnd and headersEnd write nothing: what stands before them is the key, and the headers.
	keyEnd
	headersEnd
)

// reads is how many of so many members must be read to find the part.
func (x *part) reads(members int, edited []edited) int {
	switch {
	case x.from == byEdits:
		from := edited[x.first].from
		if from.from == input && from.bytes == nil {
			return from.last + 1
		}
		return from.reads(members, nil)
	case x.from == chosen:
		return x.first + 1
	case x.from != input:
		return 0
	case x.last+1 < members || x.bytes != nil || x.sized:
		return x.last + 1
	}
	return x.first // to the end of the value
}

// step is a field operation at its place: in which stage, and with which topic.
type step struct {
	stage     int
	operation fieldOperation
	topic     string
	// onKey: it is a step on the key that a step before made of the value.
	onKey bool
}

// changes tells whether a step does more than append fields. Several steps read all members: what is no value of the
// schema is to fail as it does when one step after another reads what it needs.
func (s step) changes() bool {
	_, appends := s.operation.(*insert)
	return !appends
}

// unfit is the failure of a program in which steps cannot be one, so that rows go the plain way. No row fails by it.
var unfit = &failure{0, dataException, "these stages have no program in common"}

// newProgram compiles steps for a schema.
func newProgram(s *schemas, steps []step, schema uint32, nodes []wit.Node) *program {
	p, l := beginProgram(nodes)
	stage, about := steps[0].stage, steps[0].operation.about()
	if about.needed {
		p.ofNull = onlyStruct(stage, about.purpose, "null")
	}
	if l == nil {
		p.failure = onlyStruct(stage, about.purpose, javaClass(&nodes[0]))
		if o, ok := steps[0].operation.(interface{ noStruct(*program, int) }); ok {
			o.noStruct(p, stage)
		}
		return p
	}
	for _, step := range steps {
		of := l
		if step.onKey {
			of = l.key
		}
		if p.failure = unfit; !of.whole {
			p.failure = step.operation.layout(of, step)
		}
		if p.failure != nil {
			return p
		}
	}
	stage = steps[len(steps)-1].stage
	if p.finish(s, l, schema, stage); p.failure == nil {
		p.failure = l.wrong
	}
	if len(steps) == 1 || !slices.ContainsFunc(steps, step.changes) {
		p.readLess(l.reads(len(p.skips)))
	}
	if l.nullsToo {
		p.finishNull(s, l, stage, len(steps))
	}
	p.compileFast()
	return p
}

// finishNull makes what becomes of nulls and of the structure's default, where a step gives them the new schema, too.
func (p *program) finishNull(s *schemas, l *structDraft, stage, steps int) {
	if l.root.DefaultValue != nil {
		switch {
		case p.failure != nil:
		case steps > 1:
			p.failure = unfit
		default:
			p.remakeDefault(s, l, stage)
		}
		p.ofNull = p.failure
	} else if p.failure != l.wrong {
		p.ofNull = p.failure // there is no schema
	}
	p.nullMade = datum.AppendBranch(nil, &l.root, true)
}

// remakeDefault edits the default of a structure as values are.
func (p *program) remakeDefault(s *schemas, l *structDraft, stage int) {
	in := *l.root.DefaultValue
	ends := make([]uint64, len(p.skips)+1)
	if bad := p.offsets(in, 0, ends); bad >= 0 {
		p.failure = broken(stage, bad)
		return
	}
	made, f := p.append(nil, p.made.parts, ends, in, nil)
	if p.failure = f; f != nil {
		return
	}
	made = made[len(branchOf(&l.root)):]
	l.root.DefaultValue, p.made = &made, output{}
	p.made.schema, p.failure = p.made.write(s, l, stage)
}

// reads is how many members must be read for the draft as it is.
func (l *structDraft) reads(members int) (read int) {
	var q output
	q.lay(l.fields)
	if l.key != nil {
		q.lay(l.key.fields)
	}
	for i := range q.parts {
		read = max(read, q.parts[i].reads(members, l.edited.list))
	}
	for i := range l.headers {
		x := l.headers[i].field.part()
		x.sized = true
		read = max(read, x.reads(members, l.edited.list))
	}
	return read
}

// readLess leaves members unread that are copied together with all after them.
func (p *program) readLess(read int) {
	if read < p.read {
		p.read = read
		p.compileFields(kernel.Rest | uint64(len(p.skips))<<8)
	}
}

// finish makes what writes the draft: value, key and headers.
func (p *program) finish(s *schemas, l *structDraft, schema uint32, stage int) {
	p.checks, p.edited = l.checks, l.edited.list
	if l.key != nil {
		p.checks = append(p.checks, l.key.checks...)
		p.key = &output{}
		if p.key.schema, p.failure = p.key.write(s, l.key, stage); p.failure != nil {
			return
		}
	}
	if len(l.headers) > 0 {
		if p.headers, p.added = l.headerParts(s), len(l.headers); p.headers == nil {
			p.failure = unfit
			return
		}
	}
	if p.made.schema, p.failure = p.made.write(s, l, stage); p.failure != nil {
		return
	}
	if l.stays {
		p.made.schema = schema
	}
	lead, parts := p.lead(), p.made.parts
	if p.same = len(p.edited) == 0 && bytes.Equal(lead, branchOf(&l.root)); p.same && len(lead) > 0 {
		p.same = len(parts) > 0 && parts[0].from == constant && len(parts[0].bytes) == len(lead)
		parts = parts[min(1, len(parts)):]
	}
	p.same = p.same && whole(parts, len(p.skips))
}

// whole tells whether parts are the input's members, all and in order.
func whole(parts []part, members int) bool {
	if members == 0 {
		return len(parts) == 0
	}
	return len(parts) == 1 && parts[0].whole(members)
}

// whole tells whether the part is the input's members, all and in order.
func (x *part) whole(members int) bool {
	return members > 0 && x.from == input && x.bytes == nil && x.first == 0 && x.last == members-1
}

// branchOf is what stands in front of a value that is not null.
func branchOf(n *wit.Node) []byte { return datum.AppendBranch(nil, n, false) }

// write makes the parts of a draft, and the schema of what they write.
func (o *output) write(s *schemas, l *structDraft, stage int) (uint32, *failure) {
	if l.whole {
		o.emit(&l.fields[0])
		return s.declare(subtree(l.fields[0])), nil
	}
	if b := branchOf(&l.root); len(b) > 0 {
		o.join(part{from: constant, bytes: b})
	}
	o.lay(l.fields)
	result := []wit.Node{l.root}
	members := make([]wit.Member, len(l.fields))
	for i := range l.fields {
		f := &l.fields[i]
		members[i] = wit.Member{Name: f.name, Node: uint32(len(result))}
		result = graft(result, f.nodes, f.node)
	}
	result[0].Members = members
	if _, err := datum.CheckSchema(result); err != nil {
		return 0, &failure{stage, dataException, "what the transforms make of the schema is none: " + err.Error()}
	}
	if l.stays {
		return 0, nil
	}
	return s.declare(result), nil
}

// headerParts are the parts of the headers that a draft adds; nil: one of them is more than a member of the input.
func (l *structDraft) headerParts(s *schemas) *output {
	o := &output{}
	for i := range l.headers {
		h := &l.headers[i]
		x := h.field.part()
		if x.from != input || h.field.edited > 0 {
			return nil
		}
		head := append(datum.AppendText(nil, h.name), byte(wit.Structured))
		o.join(part{from: constant, bytes: datum.AppendNumber(head, int64(s.declare(subtree(h.field))))})
		x.sized = true
		o.parts = append(o.parts, x)
	}
	return o
}

// lay adds the fields of a draft to the parts.
func (o *output) lay(fields []field) {
	for i := range fields {
		o.emit(&fields[i])
	}
}

// emit adds a field to the parts.
func (o *output) emit(f *field) {
	if f.edited > 0 {
		o.join(part{from: byEdits, first: f.edited - 1})
		return
	}
	o.join(f.part())
}

// part writes what a field is before it is edited.
func (f *field) part() part {
	switch {
	case f.from == input && f.masked != nil:
		return part{from: chosen, first: f.index, choice: f.choice()}
	case f.from == input && f.orDefault:
		null, bytes := f.nullAndDefault()
		return part{from: input, first: f.index, last: f.index, null: null, bytes: bytes}
	case f.from == input:
		return part{from: input, first: f.index, last: f.index}
	case f.from == constant:
		return part{from: constant, bytes: f.bytes}
	}
	return part{from: attribute, what: f.what, optional: f.optional}
}

// join adds a part, making it one with the part before where it can.
func (o *output) join(x part) {
	var last *part
	if n := len(o.parts); n > 0 {
		last = &o.parts[n-1]
	}
	switch {
	case last != nil && x.from == input && last.from == input && x.bytes == nil && last.bytes == nil && !last.sized &&
		last.last+1 == x.first && x.after == 0:
		last.last = x.last
		return
	case last != nil && x.from == constant && last.from == constant:
		last.bytes = slices.Concat(last.bytes, x.bytes)
		return
	}
	o.parts = append(o.parts, x)
}

// applyFields does a stage on fields to the row at work.
func (e *Engine) applyFields(s *stage, o fieldOperation, v *view) (*failure, error) {
	about := o.about()
	c := &v.columns[about.at]
	switch {
	case c.form == wit.Absent && about.needed:
		return onlyMap(s.number, about.purpose, "null"), nil
	case c.form == wit.Absent:
		return nil, nil
	case c.form == wit.Dynamic:
		return e.applyEntries(s, o, v), nil
	}
	e.closeMap()
	p, err := s.program(e, o, v.topic, c.schema)
	if err != nil {
		return nil, err
	}
	return p.apply(e, v, c, s.number), nil
}

// apply does a program of one step to a column.
func (p *program) apply(e *Engine, v *view, c *column, stage int) *failure {
	null, start, ok := p.null(c.bytes)
	switch {
	case !ok:
		return broken(stage, 0)
	case null && (p.ofNull != nil || p.nullMade == nil):
		return p.ofNull
	case null:
		missing := c.missing
		c.set(wit.Structured, p.made.schema, p.nullMade)
		c.missing = missing
		return nil
	case p.failure != nil:
		return p.failure
	}
	if f := failed(p.checks, v.row); f != nil {
		return f
	}
	if p.same && p.key == nil && p.headers == nil {
		c.schema = p.made.schema
		return nil
	}
	if bad := e.offsets(p, c.bytes, start); bad >= 0 {
		return broken(stage, bad)
	}
	return p.write(e, v, c, stage)
}

// write makes what becomes of a column whose members e.ends notes.
func (p *program) write(e *Engine, v *view, c *column, stage int) (f *failure) {
	in := c.bytes
	if p.key != nil {
		from := len(e.scratch)
		if e.scratch, f = p.append(e.scratch, p.key.parts, e.ends, in, v.row); f != nil {
			return f
		}
		v.columns[keySide].set(wit.Structured, p.key.schema, e.scratch[from:])
	}
	if p.headers != nil {
		if f = e.addHeaders(v, p.added, stage, func(dst []byte) ([]byte, *failure) {
			return p.append(dst, p.headers.parts, e.ends, in, v.row)
		}); f != nil {
			return f
		}
	}
	if p.same {
		c.schema = p.made.schema
		return nil
	}
	from := len(e.scratch)
	if e.scratch, f = p.append(e.scratch, p.made.parts, e.ends, in, v.row); f == nil {
		c.set(wit.Structured, p.made.schema, e.scratch[from:])
	}
	return f
}

// append appends what parts write; ends say where the members of the input are.
func (p *program) append(dst []byte, parts []part, ends []uint64, in []byte, row *wit.Row) (_ []byte, f *failure) {
	for i := range parts {
		part := &parts[i]
		switch part.from {
		case input:
			b := part.copied(ends, in)
			if part.sized {
				dst = datum.AppendNumber(dst, int64(len(b)))
			}
			dst = append(dst, b...)
		case constant:
			dst = append(dst, part.bytes...)
		case chosen:
			dst = append(dst, part.choice[in[ends[part.first]]]...)
		case attribute:
			dst = part.attribute(dst, row)
		case byEdits:
			if dst, f = p.edited[part.first].append(dst, ends, in, row); f != nil {
				return dst, f
			}
		}
	}
	return dst, nil
}

// copied is what a part copies.
func (x *part) copied(ends []uint64, in []byte) []byte {
	b := in[int(ends[x.first])+x.after : ends[x.last+1]]
	if x.bytes != nil && b[0] == x.null {
		return x.bytes
	}
	return b
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
