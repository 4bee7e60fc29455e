package chain

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// program is what steps come to for one schema: pass over the members of the input, then copy and write. On the plain
// way it has one step; in the fast lane it has all of a chain. Once it is
// made it stays as it is.
type program struct {
	reader
	// made is what becomes of the value; same: its bytes are the input's.
	made output
	same bool
	// key and headers are what becomes of those, nil: they stay.
	key     *output
	headers *output
	checks  []check
	// edited is what the parts of its kind write.
	edited []edited
	// failure is that of every value that is not null, ofNull that of every null.
	failure, ofNull *failure
	// nullMade is what becomes of a null, nil: it stays as it is.
	nullMade []byte
	fast     fastProgram
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

// opened notes in w.ends where the members of a column's structure begin. done: there is nothing to do, because it is
// null, or the row has failed.
func (p *program) opened(w *work, c *column, stage int) (done bool, f *failure) {
	null, start, ok := p.null(c.bytes)
	switch {
	case !ok:
		return true, broken(stage, 0)
	case null:
		return true, nil
	case p.failure != nil:
		return true, p.failure
	}
	if bad := w.offsets(&p.reader, c.bytes, start); bad >= 0 {
		return true, broken(stage, bad)
	}
	return false, nil
}

// changes tells whether a step does more than append fields. Several steps read all members: what is no value of the
// schema is to fail as it does when one step after another reads what it needs.
func (s step) changes() bool { return !s.operation.about().appends }

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
		if p.headers = l.headerParts(s); p.headers == nil {
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
	p.same = p.same && copiesAll(parts, len(p.skips))
}

// copiesAll tells whether parts are the input's members, all and in order.
func copiesAll(parts []part, members int) bool {
	if members == 0 {
		return len(parts) == 0
	}
	return len(parts) == 1 && parts[0].whole(members)
}

func (p *program) compileFast() {
	f := &p.fast
	f.usable = littleEndian && p.failure == nil && !slices.ContainsFunc(p.checks, p.unchecked)
	f.Root, f.Fields = p.root, p.codes
	if p.key != nil {
		f.Key, f.Twice = datumWord(wit.Structured, p.key.schema), 1
	}
	value := p.made.parts
	if p.same {
		value = nil
	}
	f.compile(p.key, p.headers, value, p.edited)
	if !p.same && p.key == nil && p.headers == nil && len(p.edited) == 0 {
		f.append(p.made.parts, 0, len(p.skips))
	}
}

// unchecked tells whether nothing that is written of a row tells that it fails a check.
func (p *program) unchecked(c check) bool {
	return !slices.ContainsFunc(p.made.parts, func(x part) bool { return x.from == attribute && x.what == c.what })
}

// apply does a program of one step to a column.
func (p *program) apply(w *work, v *view, c *column, stage int) *failure {
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
	if bad := w.offsets(&p.reader, c.bytes, start); bad >= 0 {
		return broken(stage, bad)
	}
	return p.write(w, v, c, stage)
}

// write makes what becomes of a column whose members w.ends notes.
func (p *program) write(w *work, v *view, c *column, stage int) (f *failure) {
	in := c.bytes
	if p.key != nil {
		from := len(w.scratch)
		if w.scratch, f = p.append(w.scratch, p.key.parts, w.ends, in, v.row); f != nil {
			return f
		}
		v.columns[keySide].set(wit.Structured, p.key.schema, w.scratch[from:])
	}
	if p.headers != nil {
		if f = w.addHeaders(v, p.headers.count, stage, func(dst []byte) ([]byte, *failure) {
			return p.append(dst, p.headers.parts, w.ends, in, v.row)
		}); f != nil {
			return f
		}
	}
	if p.same {
		c.schema = p.made.schema
		return nil
	}
	from := len(w.scratch)
	if w.scratch, f = p.append(w.scratch, p.made.parts, w.ends, in, v.row); f == nil {
		c.set(wit.Structured, p.made.schema, w.scratch[from:])
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
