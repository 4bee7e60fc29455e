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
	o.onColumn = onColumn[*extraction]{side: at, compile: o.find, structured: o.take, dynamic: o.takeEntry}
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

// extraction is the way down a schema, and the schema at its end.
type extraction struct {
	failure *failure
	steps   []extractStep
	out     uint32
	// root is that of the result.
	root *wit.Node
}

// extractStep is a structure on the way down, and the member to go on with.
type extractStep struct {
	layout    *layout
	member    int
	byDefault *edit
}

// find finds the way down a schema.
func (o *extract) find(w *work, l *layout, stage int) *extraction {
	x := &extraction{}
	for i, name := range o.path {
		if !l.isStruct() {
			x.failure = &failure{stage, dataException, "Cannot look up fields on non-struct type"}
			return x
		}
		at := slices.IndexFunc(l.fields, func(f field) bool { return f.name == name })
		if at < 0 {
			x.failure = &failure{stage, illegalArgument, "Unknown field: " + o.name}
			return x
		}
		f := &l.fields[at]
		s := extractStep{layout: l, member: at}
		if n := f.schema(); (o.replaceNull || i+1 < len(o.path)) && n.Optional && n.DefaultValue != nil {
			by := orDefault(n)
			s.byDefault = &by
		}
		x.steps = append(x.steps, s)
		l = newLayout(0, f.subtree())
	}
	x.out, x.root = w.schemas.declare(l.nodes), &l.nodes[0]
	return x
}

// extract takes a field out of an object that is traced. A null goes the plain way.
func (x *object) extract(o *extract, stage int) bool {
	f := x.find(o.path[0])
	if f == nil || x.isMap && f.bytes[0] == datum.TagNull {
		return false
	}
	if o.replaceNull && !x.isMap {
		x.replaceNulls(stage)
	}
	if x.isMap {
		x.trace.full = append(x.trace.full, f.origin)
	}
	x.fields, x.whole, x.stays = []field{*f}, true, false
	return x.load(stage)
}

// take does a column with a schema.
func (o *extract) take(w *work, c *column, l *layout, x *extraction, stage int) *failure {
	null, _, ok := l.null(c.bytes)
	switch {
	case !ok:
		return broken(stage, 0)
	case !null && !l.isStruct():
		return onlyStruct(stage, extractPurpose, javaClass(&l.nodes[0]))
	case len(o.path) == 0:
		return noPath(stage)
	}
	in := c.bytes
	for i := range x.steps {
		s := &x.steps[i]
		var start int
		if null, start, ok = s.layout.null(in); !ok {
			return broken(stage, 0)
		}
		if null || x.failure != nil {
			break
		}
		y := &w.object
		if y.open(w, s.layout, in, start); !y.load(stage) {
			return y.pending
		}
		if in = y.fields[s.member].bytes; s.byDefault != nil && in[0] == s.byDefault.null {
			in = s.byDefault.instead
		}
	}
	switch {
	case x.failure != nil:
		return x.failure
	case !null:
		c.set(wit.Structured, x.out, in)
	case !x.root.Optional:
		c.setMissing(&w.schemas, w.schemas.known[x.out], stage)
	default:
		c.set(wit.Structured, x.out, datum.AppendBranch(nil, x.root, true))
	}
	return nil
}

// takeEntry does a column without schema.
func (o *extract) takeEntry(w *work, c *column, stage int) *failure {
	in, purpose := c.bytes, extractPurpose
	if len(o.path) == 0 {
		if f := w.object.openMap(w, in, stage, purpose); f != nil {
			return f
		}
		return noPath(stage)
	}
	for _, name := range o.path {
		if f := w.object.openMap(w, in, stage, purpose); f != nil {
			return f
		}
		x := w.object.find(name)
		if x == nil || x.bytes[0] == datum.TagNull {
			c.set(wit.Absent, 0, nil)
			return nil
		}
		in, purpose = x.bytes, "nested field access"
	}
	c.set(wit.Dynamic, 0, in)
	return nil
}
