package chain

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// structDraft is a structure on its way through the steps: which fields the result has, and where each comes from.
// Everything in it is about the input of the first step: a field that was renamed twice is a member of the input under
// another name.
type structDraft struct {
	// root is the schema of the structure without its members; stays: no step has changed root or fields.
	root   wit.Node
	stays  bool
	fields []field
	checks []check
	// edited is what becomes of fields that are edited, those included that are taken out afterwards: an edit may fail
	// the row. A key has the same.
	edited *editedList
	// key is the key where a step makes it of the value; whole: it is its only field, and no structure.
	key   *structDraft
	whole bool
	// headers are those that steps add.
	headers []headerDraft
	// wrong is the failure of each value that is not null, where the schema can be made. nullsToo: nulls get the schema
	// of the result, too.
	wrong    *failure
	nullsToo bool
}

type editedList struct{ list []edited }

// headerDraft is a header that becomes of a field.
type headerDraft struct {
	name  string
	field field
}

// field of a layout.
type field struct {
	name string
	// nodes and node are its schema.
	nodes []wit.Node
	node  uint32
	from  fieldSource
	// index is the member of the input that it comes from.
	index int
	// edited is one more than the number of what becomes of it in the draft's list, 0: nothing. It makes a value of the
	// field's schema of one of what the rest of this says.
	edited int
	// shared: another field is edited by the same.
	shared bool
	// orDefault: a null becomes the default.
	orDefault bool
	// masked is what becomes of a value that is not null, the branch included; nil: it stays.
	masked []byte
	// bytes of a constant, the branch included.
	bytes []byte
	// what the row has to say, for an attribute.
	what     what
	optional bool
}

func (l *structDraft) add(f field, stage int) *failure {
	if f.name == "" {
		return &failure{stage, schemaBuilderException, "fieldName cannot be null."}
	}
	for i := range l.fields {
		if l.fields[i].name == f.name {
			return &failure{stage, schemaBuilderException, "Cannot create field because of field name duplication " +
				f.name}
		}
	}
	l.fields = append(l.fields, f)
	return nil
}

// pending is a failure of all values that are not null, which counts only when the schema can be made.
func (l *structDraft) pending(f *failure) {
	if l.wrong == nil {
		l.wrong = f
	}
}

// makeAnew is said by stages that make another structure, without a branch or a default.
func (l *structDraft) makeAnew() {
	l.root, l.stays = basics(&l.root), false
}

// find is the place of a field, -1 where there is none of that name.
func (l *structDraft) find(name string) int {
	return slices.IndexFunc(l.fields, func(f field) bool { return f.name == name })
}

// replaceNulls puts defaults for nulls in all fields of the input.
func (l *structDraft) replaceNulls() {
	for i := range l.fields {
		f := &l.fields[i]
		switch n := &f.nodes[f.node]; {
		case f.from != input || !n.Optional || n.DefaultValue == nil:
		case f.edited > 0:
			m := &memberEdit{from: n, to: n}
			m.null, m.instead = f.nullAndDefault()
			l.goOn(f, m)
		default:
			f.orDefault = true
		}
	}
}

// edit has a field get another schema, and its values edited; nil: their bytes are those of the other schema, too.
func (l *structDraft) edit(f *field, to wit.Node, by edit) (wrong *failure) {
	m := &memberEdit{from: &f.nodes[f.node], to: &to, edit: by}
	switch {
	case by.make == nil:
	case f.from == constant:
		f.bytes, wrong = m.append(nil, f.bytes)
	default:
		l.goOn(f, m)
	}
	f.nodes, f.node = []wit.Node{to}, 0
	return wrong
}

// editValue has values of a field edited that are not null; its schema stays.
func (l *structDraft) editValue(f *field, by edit) {
	n := &f.nodes[f.node]
	l.goOn(f, &memberEdit{from: n, to: n, edit: by})
}

// goOn edits a field, after the edits that it has.
func (l *structDraft) goOn(f *field, m *memberEdit) {
	list := l.edited.list
	switch {
	case f.edited == 0:
		list = append(list, edited{from: f.part()})
		f.edited = len(list)
	case f.shared:
		x := &list[f.edited-1]
		list = append(list, edited{from: x.from, edits: slices.Clone(x.edits)})
		f.edited, f.shared = len(list), false
	}
	x := &list[f.edited-1]
	x.edits = append(x.edits, m.whole())
	l.edited.list = list
}

// nullAndDefault is the branch of a null and the bytes of the default of a field that has one.
func (f *field) nullAndDefault() (null byte, bytes []byte) {
	n := &f.nodes[f.node]
	return datum.AppendBranch(nil, n, true)[0], append(datum.AppendBranch(nil, n, false), *n.DefaultValue...)
}

// mask puts a fixed value, given without its branch, in the place of one that is not null.
func (l *structDraft) mask(f *field, value []byte) {
	n := &f.nodes[f.node]
	if f.edited > 0 {
		l.editValue(f, edit{make: func(dst, _ []byte) ([]byte, *failure) { return append(dst, value...), nil }})
		return
	}
	bytes := append(datum.AppendBranch(nil, n, false), value...)
	if f.from == constant || f.orDefault || !n.Optional { // never null
		f.from, f.bytes, f.masked = constant, bytes, nil
		return
	}
	f.masked = bytes
}

// choice is what goes out for a masked field, by the branch that came.
func (f *field) choice() [][]byte {
	n := &f.nodes[f.node]
	null := datum.AppendBranch(nil, n, true)
	list := make([][]byte, 3)
	list[0], list[2] = f.masked, f.masked
	list[null[0]] = null
	if f.orDefault {
		_, list[null[0]] = f.nullAndDefault()
	}
	return list
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
	made := []wit.Node{l.root}
	members := make([]wit.Member, len(l.fields))
	for i := range l.fields {
		f := &l.fields[i]
		members[i] = wit.Member{Name: f.name, Node: uint32(len(made))}
		made = graft(made, f.nodes, f.node)
	}
	made[0].Members = members
	if l.stays {
		return 0, checkMade(made, stage)
	}
	return s.declareMade(made, stage)
}

// headerParts are the parts of the headers that a draft adds; nil: one of them is more than a member of the input.
func (l *structDraft) headerParts(s *schemas) *output {
	o := &output{count: len(l.headers)}
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

// subtree is a field's schema with its own numbering.
func subtree(f field) []wit.Node {
	return graft(nil, f.nodes, f.node)
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
