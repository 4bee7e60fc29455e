package chain

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// structDraft is a structure on its way through the steps: which fields the result has, and where each comes from.
type structDraft struct {
	fields []field
	checks []check
	// edited is what becomes of fields that are edited, those included that are taken out behind that: an edit may fail
	// the row.
	edited *[]edited
	// key is the key where a step makes it of the value; whole: it is its only field, and no structure.
	key   *structDraft
	whole bool
	// wrong is a failure that counts only when the schema can be made.
	wrong *failure
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

// fieldSource tells where a field's bytes come from.
type fieldSource uint8

const (
	input fieldSource = iota
	constant
	attribute
	// chosen goes by the first byte of a member of the input, its branch, or of an entry's value, its tag.
	chosen
	// byEdits is what edits make, of which the program has a list. Only the loops of package kernel write it:
	// program.run does phases of several stages, and by phases each stage that edits is one of its own.
	byEdits
	// keyEnd writes nothing: the parts before it make the key, those behind it the value.
	keyEnd
)

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

func (l *structDraft) pending(f *failure) {
	if l.wrong == nil {
		l.wrong = f
	}
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
	case by == nil:
	case f.from == constant:
		f.bytes, wrong = m.append(nil, f.bytes)
	case f.edited > 0:
		l.goOn(f, m)
	default:
		*l.edited = append(*l.edited, edited{from: f.part()})
		f.edited = len(*l.edited)
		l.goOn(f, m)
	}
	f.nodes, f.node = []wit.Node{to}, 0
	return wrong
}

// goOn edits a field that is edited further.
func (l *structDraft) goOn(f *field, m *memberEdit) {
	x := &(*l.edited)[f.edited-1]
	if f.shared {
		*l.edited = append(*l.edited, edited{from: x.from, edits: slices.Clone(x.edits)})
		f.edited, f.shared = len(*l.edited), false
		x = &(*l.edited)[f.edited-1]
	}
	x.edits = append(x.edits, m.append)
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
		l.goOn(f, &memberEdit{from: n, to: n,
			edit: func(dst, _ []byte) ([]byte, *failure) { return append(dst, value...), nil }})
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

// subtree is a field's schema with its own numbering.
func subtree(f field) []wit.Node {
	return graft(nil, f.nodes, f.node)
}

// graft appends a node and what is below it, numbered anew, parents first.
func graft(dst, nodes []wit.Node, node uint32) []wit.Node {
	at := len(dst)
	n := nodes[node]
	dst = append(dst, n)
	below := func(child uint32) uint32 {
		id := uint32(len(dst))
		dst = graft(dst, nodes, child)
		return id
	}
	switch n.Kind {
	case wit.Array:
		n.Element = below(n.Element)
	case wit.Mapping:
		n.Key = below(n.Key)
		n.Element = below(n.Element)
	case wit.Structure:
		n.Members = append([]wit.Member(nil), n.Members...)
		for i := range n.Members {
			n.Members[i].Node = below(n.Members[i].Node)
		}
	}
	dst[at] = n
	return dst
}

// program is a plan for one schema: skip over the input, then copy and write.
type program struct {
	skips []skip
	// read is how many members are read, one after another: those behind them stay together to the end of the value.
	read  int
	parts []part
	// same: the result's bytes are the input's.
	same   bool
	out    uint32
	checks []check
	// edited is what the pieces of the parts of its kind are made of.
	edited []edited
	// key is what the key becomes, under the schema keyOut; nil: it stays.
	key    []part
	keyOut uint32
	// failure of every row that is not null, unless a check of an earlier stage fails it first.
	failure *failure
	// optional: the input begins with a branch, full being that of a value.
	optional bool
	full     byte
	fast     fastProgram
}

// part of a result.
type part struct {
	from fieldSource
	// first and last: the members of the input to copy, in one piece. Of what edits make, first is the number in the
	// list.
	first, last int
	// behind is how many bytes of the first are left out: the key, in a map.
	behind int
	// bytes: a constant, or what replaces a null of the member `first`, whose branch is then null.
	bytes []byte
	null  byte
	// choice is what is written instead of the member `first`, by its first byte.
	choice   [][]byte
	what     what
	optional bool
}

// reads is how many of so many members must be read to find the part.
func (x *part) reads(members int) int {
	switch {
	case x.from == chosen:
		return x.first + 1
	case x.from != input:
		return 0
	case x.last+1 < members || x.bytes != nil:
		return x.last + 1
	}
	return x.first // to the end of the value
}

// newProgram compiles steps for a schema. declare gives a new schema its number.
func newProgram(steps []step, schema uint32, nodes []wit.Node, declare func([]wit.Node) uint32) *program {
	p, l := beginProgram(nodes)
	if l == nil {
		p.failure = onlyStruct(steps[0].stage, steps[0].operation.purpose(), javaClass(&nodes[0]))
		return p
	}
	stays, fits := rootOf(steps, &nodes[0])
	if !fits {
		p.failure = byPhases
		return p
	}
	for _, s := range steps {
		of := l
		if s.onKey {
			of = l.key
		}
		if of.whole {
			p.failure = byPhases
		} else {
			p.failure = s.operation.layout(of, s)
		}
		if p.failure != nil {
			break
		}
	}
	p.checks = l.checks
	stage := steps[len(steps)-1].stage
	if p.failure == nil && l.key != nil {
		p.checks = append(p.checks, l.key.checks...)
		p.finishKey(l.key, stage, declare)
	}
	if p.failure == nil {
		if stays {
			declare = func([]wit.Node) uint32 { return schema }
		}
		p.finish(l, basics(&nodes[0]), stage, declare)
	}
	return p
}

// byPhases is the failure of a program in which stages cannot be one, so that all rows go by phases. No row is told of
// it: see chain.joined.
var byPhases = &failure{0, dataException, "these stages have no program in common"}

// rootOf tells whether the schema of the value stays, and whether [program.finish] can make what becomes of it: that
// has neither a branch nor a default, which stages that change the fields drop, but not those that edit values.
func rootOf(steps []step, root *wit.Node) (stays, fits bool) {
	kept, edits := true, false
	for _, s := range steps {
		switch s.operation.(type) {
		case *mask, *valueToKey:
		case *cast, *timestampConverter:
			edits = edits || !s.onKey
		default:
			kept = kept && s.onKey
		}
	}
	return kept && !edits, !(kept && root.Optional || edits && root.DefaultValue != nil)
}

// finishKey makes what writes the key of a layout.
func (p *program) finishKey(l *structDraft, stage int, declare func([]wit.Node) uint32) {
	var made program
	result := []wit.Node{{Kind: wit.Structure}}
	if l.whole {
		result = subtree(l.fields[0])
		made.emit(&l.fields[0])
	} else if result, p.failure = made.lay(l, result[0], stage); p.failure != nil {
		return
	}
	p.key, p.keyOut = made.parts, declare(result)
}

// readLess leaves members unread that are copied together with all behind them. Edits may read any member, and a key
// is made of others than the value.
func (p *program) readLess() {
	if len(p.edited) > 0 || p.key != nil {
		return
	}
	read := 0
	for i := range p.parts {
		read = max(read, p.parts[i].reads(len(p.skips)))
	}
	if read < p.read {
		p.read = read
		p.compileFields(kernel.Rest | uint64(len(p.skips))<<8)
	}
}

// basics is what a structure's schema is besides its fields; that it is optional, and its default, are no part of that.
func basics(root *wit.Node) wit.Node {
	return wit.Node{Kind: wit.Structure, Name: root.Name, Version: root.Version, Doc: root.Doc,
		Parameters: root.Parameters}
}

// beginProgram makes what reads values of a schema, and the layout of its fields; that is nil when the root is no
// structure.
func beginProgram(nodes []wit.Node) (*program, *structDraft) {
	root := &nodes[0]
	p := &program{optional: root.Optional, full: 2}
	if root.DefaultValue != nil {
		p.full = 0
	}
	if root.Kind != wit.Structure {
		return p, nil
	}
	l := &structDraft{edited: new([]edited)}
	for i, m := range root.Members {
		l.fields = append(l.fields, field{name: m.Name, nodes: nodes, node: m.Node, index: i})
		p.skips = append(p.skips, newSkip(nodes, m.Node))
	}
	p.read = len(p.skips)
	p.compileFields(kernel.Last)
	return p, l
}

// finish makes what writes values of a layout, under a root without members.
func (p *program) finish(l *structDraft, root wit.Node, stage int, declare func([]wit.Node) uint32) {
	result, f := p.lay(l, root, stage)
	if p.failure = f; f != nil {
		return
	}
	p.out = declare(result)
	if l.edited != nil {
		p.edited = *l.edited
	}
	p.same = !p.optional && p.whole(len(p.skips)) && len(p.edited) == 0
	p.compileFast()
}

// lay adds the fields of a layout to the parts, and returns the schema of what they write.
func (p *program) lay(l *structDraft, root wit.Node, stage int) ([]wit.Node, *failure) {
	result := []wit.Node{root}
	members := make([]wit.Member, len(l.fields))
	for i := range l.fields {
		f := &l.fields[i]
		members[i] = wit.Member{Name: f.name, Node: uint32(len(result))}
		result = graft(result, f.nodes, f.node)
		p.emit(f)
	}
	result[0].Members = members
	if _, err := datum.CheckSchema(result); err != nil {
		return nil, &failure{stage, dataException, "what the transforms make of the schema is none: " + err.Error()}
	}
	return result, nil
}

// emit adds a field to the parts.
func (p *program) emit(f *field) {
	if f.edited > 0 {
		p.join(part{from: byEdits, first: f.edited - 1})
		return
	}
	p.join(f.part())
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

// join adds a part, making it one with the part before where it can. Constants have room behind them: the fast way
// copies short ones by words.
func (p *program) join(x part) {
	var last *part
	if n := len(p.parts); n > 0 {
		last = &p.parts[n-1]
	}
	switch {
	case last != nil && x.from == input && last.from == input && x.bytes == nil && last.bytes == nil &&
		last.last+1 == x.first && x.behind == 0:
		last.last = x.last
		return
	case last != nil && x.from == constant && last.from == constant:
		x.bytes = append(bytes.Clone(last.bytes), x.bytes...)
		p.parts = p.parts[:len(p.parts)-1]
	}
	if x.from == constant {
		x.bytes = append(make([]byte, 0, len(x.bytes)+8), x.bytes...)
	}
	p.parts = append(p.parts, x)
}

// whole tells whether the parts are the input's members, all and in order.
func (p *program) whole(members int) bool {
	if members == 0 {
		return len(p.parts) == 0
	}
	return len(p.parts) == 1 && p.parts[0].whole(members)
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

// whole tells whether the part is the input's members, all and in order.
func (x *part) whole(members int) bool {
	return members > 0 && x.from == input && x.bytes == nil && x.first == 0 && x.last == members-1
}

// reading tells whether the part comes of the input's members.
func (x part) reading() bool { return x.from == input || x.from == chosen }

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
