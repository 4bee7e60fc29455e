package chain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var extractSpecs = []wit.SettingSpec{
	needs("field", wit.Medium, "Field name to extract."),
	replaceNullSpec,
	{Name: "field.syntax.version", Kind: wit.KindText, DefaultValue: wit.Ptr("V1"), Importance: wit.High,
		Documentation: "Defines the version of the syntax to access fields. If set to <code>V1</code>, then the " +
			"field paths are limited to access the elements at the root level of the struct or map. If set to " +
			"<code>V2</code>, the syntax will support accessing nested elements. To access nested elements, dotted " +
			"notation is used. If dots are already included in the field name, then backtick pairs can be used to " +
			"wrap field names containing dots. E.g. to access the subfield <code>baz</code> from a field named " +
			"\"foo.bar\" in a struct/map the following format can be used to access its elements: " +
			"\"<code>foo.bar</code>.baz\"."},
}

// extract is ExtractField: the key or value becomes one of its fields.
type extract struct {
	target
	onColumn[*extraction]
	name string
	path []string
}

const extractPurpose = "field extraction"

func newExtract(at side, s settings) (operation, *wit.Fault) {
	text, err := s.needed("field")
	if err != nil {
		return nil, err
	}
	o := &extract{target: target{at: at, purpose: extractPurpose}, name: setting.Trim(text)}
	o.onColumn = onColumn[*extraction]{side: at, compile: o.extraction, structured: o.take, dynamic: o.takeEntry}
	if err = o.configure(s); err != nil {
		return nil, err
	}
	syntax, given := s.find("field.syntax.version")
	syntax = setting.Trim(syntax)
	switch {
	case !given, strings.EqualFold(syntax, "V1"):
		o.path = []string{o.name}
	case strings.EqualFold(syntax, "V2"):
		o.path, err = parsePath("field", o.name)
	default:
		err = invalid("field.syntax.version", syntax, "String must be one of (case insensitive): V1, V2")
	}
	return o, err
}

// noPath is the failure of V2's path that has no step, which every value has but a null without schema.
func noPath(stage int) *failure {
	return &failure{stage, illegalArgument, "fromIndex(0) > toIndex(-1)"}
}

// parsePath reads names between dots. One in backticks may hold dots: it ends at a backtick in front of a dot or at the
// end. There a backslash makes the backtick part of the name.
func parsePath(setting, text string) (path []string, _ *wit.Fault) {
	rest := text
	if text == "" {
		return []string{}, nil
	}
	for strings.HasPrefix(rest, "`") || strings.Contains(rest, ".") {
		if !strings.HasPrefix(rest, "`") {
			name, after, _ := strings.Cut(rest, ".")
			path, rest = append(path, name), after
			continue
		}
		name, size := quotedName(rest)
		if size < 0 {
			return nil, fail(setting, "Incomplete backtick pair in path: ["+text+
				"], consider adding a backslash before backtick at position "+strconv.Itoa(len(text)-len(rest))+
				" to escape it")
		}
		path = append(path, name)
		if size == len(rest) {
			return path, nil
		}
		rest = rest[size+1:]
	}
	return append(path, rest), nil
}

// quotedName reads a name in backticks at the start of a text, and tells its size there, -1 when it does not end.
func quotedName(text string) (name string, size int) {
	start := 1
	for at := 1; at < len(text); at++ {
		last := at+1 == len(text)
		if text[at] != '`' || !last && text[at+1] != '.' {
			continue
		}
		switch {
		case text[at-1] != '\\':
			return name + text[start:at], at + 1
		case last:
			return "", -1
		}
		name, start = name+text[start:at-1]+"`", at+1
	}
	return "", -1
}

// extraction is what the transform comes to for one schema: the way down, and the schema at its end.
type extraction struct {
	failure *failure
	steps   []extractStep
	// noPath: there is no step, which fails nulls, too.
	noPath bool
	out    uint32
	// root is that of the result.
	root *wit.Node
}

// extractStep is a structure on the way down, and the member to go on with.
type extractStep struct {
	*program
	member  int
	null    byte
	instead []byte
}

// extraction compiles the way down a schema.
func (o *extract) extraction(w *work, nodes []wit.Node, stage int) *extraction {
	x := &extraction{}
	if len(o.path) == 0 {
		p, l := beginProgram(nodes)
		x.noPath = true
		if x.failure = noPath(stage); l == nil {
			x.failure = onlyStruct(stage, extractPurpose, javaClass(&nodes[0]))
		}
		x.steps = append(x.steps, extractStep{program: p})
		return x
	}
	for i, name := range o.path {
		p, l := beginProgram(nodes)
		if l == nil {
			x.failure = &failure{stage, dataException, "Cannot look up fields on non-struct type"}
			if i == 0 {
				x.failure = onlyStruct(stage, extractPurpose, javaClass(&nodes[0]))
				x.steps = append(x.steps, extractStep{program: p})
			}
			return x
		}
		at := l.find(name)
		if at < 0 {
			x.failure = &failure{stage, illegalArgument, "Unknown field: " + o.name}
			return x
		}
		if o.replaceNull || i+1 < len(o.path) {
			l.replaceNulls()
		}
		step := extractStep{program: p, member: at}
		if l.fields[at].orDefault {
			step.null, step.instead = l.fields[at].nullAndDefault()
		}
		x.steps = append(x.steps, step)
		nodes = subtree(l.fields[at])
	}
	x.out, x.root = w.schemas.declare(nodes), &nodes[0]
	return x
}

// layout takes a field out of a key that was made of the value.
func (o *extract) layout(l *structDraft, _ step) *failure {
	at := l.find(o.path[0])
	if at < 0 {
		return unfit // and all rows fail there
	}
	if o.replaceNull {
		l.replaceNulls()
	}
	l.fields, l.whole = l.fields[at:at+1], true
	return nil
}

// schemaless takes an entry out of a key that was made of the value. A null goes by phases: it leaves the row without
// a key.
func (o *extract) schemaless(m *entries, _ step, _ *wit.Row) *failure {
	x := m.find(o.path[0])
	if x == nil || x.value[0] == datum.TagNull {
		return unfit
	}
	made := *x
	switch {
	case m.lesson == nil:
	case made.edited > 0:
		m.goOn(&made, edit{make: func(dst, in []byte) ([]byte, *failure) {
			if in[0] == datum.TagNull {
				return dst, unfit
			}
			return append(dst, in...), nil
		}})
	case made.valueAt >= 0:
		m.lesson.choices = append(m.lesson.choices, choiceByTag{made.valueAt, noNull})
	}
	m.list, m.whole = []entry{made}, true
	return nil
}

// noNull is a choice by tag that allows all values but null.
var noNull = slices.Concat([][]byte{nil}, slices.Repeat([][]byte{{}}, len(dynamicClasses)-1))

// take does a column with a schema.
func (o *extract) take(w *work, c *column, x *extraction, stage int) *failure {
	in := c.bytes
	for i := range x.steps {
		s := &x.steps[i]
		null, start, ok := s.program.null(in)
		if !ok {
			return broken(stage, 0)
		}
		if null {
			return x.null(w, c, stage)
		}
		if x.failure != nil {
			break
		}
		if bad := w.offsets(&s.program.reader, in, start); bad >= 0 {
			return broken(stage, bad)
		}
		in = in[w.ends[s.member]:w.ends[s.member+1]]
		if s.instead != nil && in[0] == s.null {
			in = s.instead
		}
	}
	if x.failure != nil {
		return x.failure
	}
	c.set(wit.Structured, x.out, in)
	return nil
}

// null is the outcome where a structure on the way is null.
func (x *extraction) null(w *work, c *column, stage int) *failure {
	switch {
	case x.noPath:
		return noPath(stage)
	case x.failure != nil && x.failure.class == dataException && len(x.steps) == 1 && x.steps[0].skips == nil:
		// a null that is no structure passes the first look
		return &failure{stage, dataException, "Cannot look up fields on non-struct type"}
	case x.failure != nil:
		return x.failure
	case !x.root.Optional:
		c.setMissing(&w.schemas, w.schemas.known[x.out], stage)
		return nil
	}
	c.set(wit.Structured, x.out, datum.AppendBranch(nil, x.root, true))
	return nil
}

// takeEntry does a column without schema.
func (o *extract) takeEntry(w *work, c *column, stage int) *failure {
	in, purpose := c.bytes, extractPurpose
	if len(o.path) == 0 {
		if f := w.entries.take(in, stage, purpose); f != nil {
			return f
		}
		return noPath(stage)
	}
	for _, name := range o.path {
		if f := w.entries.take(in, stage, purpose); f != nil {
			return f
		}
		x := w.entries.find(name)
		if x == nil || x.value[0] == datum.TagNull {
			c.set(wit.Absent, 0, nil)
			return nil
		}
		in, purpose = x.value, "nested field access"
	}
	c.set(wit.Dynamic, 0, in)
	return nil
}
