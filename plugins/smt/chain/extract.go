package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var extractSpecs = []wit.ConfigKey{
	needs("field", wit.Medium, "Field name to extract."),
	replaceNullSpec,
	{Name: "field.syntax.version", Kind: wit.KindString, DefaultValue: wit.Ptr("V1"), Importance: wit.High,
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
	name string
	path []string
	// levels are the objects below the one at the top.
	levels []object
}

func newExtract(at side, s settings) (operation, *wit.Error) {
	text, err := s.needed("field")
	if err != nil {
		return nil, err
	}
	o := &extract{target: target{at: at, purpose: "field extraction", nulls: true, looks: "look up"},
		name: setting.Trim(text)}
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
		o.levels = make([]object, len(o.path))
	default:
		err = invalid("field.syntax.version", syntax, "String must be one of (case insensitive): V1, V2")
	}
	return o, err
}

// parsePath reads names between dots. One in backticks may hold dots: it ends at a backtick in front of a dot or at the
// end. There a backslash makes the backtick part of the name.
func parsePath(setting, text string) (path []string, _ *wit.Error) {
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

func (o *extract) apply(x *object, s step) *failure {
	switch {
	case len(o.path) == 0: // V2's path without a step, which every value has but a null without schema
		return &failure{s.stage, illegalArgument, "fromIndex(0) > toIndex(-1)"}
	case len(o.path) > 1 && x.trace != nil:
		return unfit
	}
	at := x
	var f *field
	for i, name := range o.path {
		if i > 0 {
			if wrong := at.inside(&o.levels[i-1], f, s.stage); wrong != nil {
				return wrong
			}
			at = &o.levels[i-1]
		}
		if f = at.find(name); x.isMap {
			null := f == nil || f.bytes[0] == connectdata.TagNull
			switch {
			case null && x.trace != nil:
				return unfit
			case null:
				x.null = true
				return nil
			case x.trace != nil:
				x.allow(f, ^uint64(1)) // all but null
			}
			continue
		}
		if f == nil {
			return &failure{s.stage, illegalArgument, "Unknown field: " + o.name}
		}
		if !at.load(s.stage) {
			return at.pending
		}
		if n := f.schema(); (o.replaceNull || i+1 < len(o.path)) && n.Optional && n.DefaultValue != nil && !f.full {
			at.edit(f, orDefault(n), s.stage)
			f.full = true
		}
	}
	if x.null = at.null; !x.isMap {
		x.root = *f.schema()
	}
	x.fields, x.whole, x.stays = []field{*f}, true, false
	return nil
}

// inside takes the value of a field apart, into y.
func (x *object) inside(y *object, f *field, stage int) *failure {
	if x.isMap {
		return y.openMap(x.w, f.bytes, stage, "nested field access")
	}
	n, null, size, ok := f.schema(), x.null, 0, true
	if n.Kind != wit.Struct {
		return &failure{stage, dataException, "Cannot look up fields on non-struct type"}
	}
	if !null {
		null, size, ok = connectdata.IsNull(n, f.bytes)
	}
	y.open(x.w, x.layout.inside(f.index), f.bytes, size)
	if y.null = null; !ok {
		return broken(stage, 0)
	}
	return nil
}
