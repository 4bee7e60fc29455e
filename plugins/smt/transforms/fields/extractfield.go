package fields

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var extractFieldKeys = []wit.ConfigKey{
	settings.RequiredKey("field", wit.Medium, "Field name to extract."),
	settings.ReplaceNull,
	{Name: "field.syntax.version", Kind: wit.KindString, DefaultValue: wit.Ptr("V1"), Importance: wit.High,
		Documentation: "Defines the version of the syntax to access fields. If set to <code>V1</code>, then the " +
			"field paths are limited to access the elements at the root level of the struct or map. If set to " +
			"<code>V2</code>, the syntax will support accessing nested elements. To access nested elements, dotted " +
			"notation is used. If dots are already included in the field name, then backtick pairs can be used to " +
			"wrap field names containing dots. E.g. to access the subfield <code>baz</code> from a field named " +
			"\"foo.bar\" in a struct/map the following format can be used to access its elements: " +
			"\"<code>foo.bar</code>.baz\"."},
}

// ExtractField replaces the key or value by one of its fields.
type ExtractField struct {
	operation.FieldOptions
	name   string
	path   []string
	levels []object.Object
}

func newExtractField(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	text, err := s.Required("field")
	if err != nil {
		return nil, err
	}
	o := &ExtractField{FieldOptions: operation.FieldOptions{Target: at, Purpose: "field extraction", ConvertNull: true,
		FieldAction: "look up"},
		name: setting.Trim(text)}
	if err = o.Configure(s); err != nil {
		return nil, err
	}
	syntax, isSet := s.Find("field.syntax.version")
	syntax = setting.Trim(syntax)
	switch {
	case !isSet, strings.EqualFold(syntax, "V1"):
		o.path = []string{o.name}
	case strings.EqualFold(syntax, "V2"):
		o.path, err = parsePath("field", o.name)
		o.levels = make([]object.Object, len(o.path))
	default:
		err = settings.Invalid("field.syntax.version", syntax, "String must be one of (case insensitive): V1, V2")
	}
	return o, err
}

// parsePath splits a path at dots. A name in backticks may contain dots, and backticks after a backslash.
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
			return nil, settings.Error(setting, "Incomplete backtick pair in path: ["+text+
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

// quotedName reads a name in backticks and returns its size in text, -1 if it is not closed.
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

func (o *ExtractField) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	switch {
	case len(o.path) == 0: // an empty path of V2
		return rowerror.New(s.Stage, rowerror.IllegalArgumentException, "fromIndex(0) > toIndex(-1)")
	case len(o.path) > 1 && x.Trace != nil:
		return object.NotTraceable
	}
	at := x
	var f *object.Field
	for i, name := range o.path {
		if i > 0 {
			if failure := openField(&o.levels[i-1], at, f, s.Stage); failure != nil {
				return failure
			}
			at = &o.levels[i-1]
		}
		if f = at.Find(name); x.IsMap {
			null := f == nil || f.Bytes[0] == connectdata.TagNull
			switch {
			case null && x.Trace != nil:
				return object.NotTraceable
			case null:
				x.IsNull = true
				return nil
			case x.Trace != nil:
				x.Allow(f, ^uint64(1)) // all but null
			}
			continue
		}
		if f == nil {
			return rowerror.New(s.Stage, rowerror.IllegalArgumentException, "Unknown field: "+o.name)
		}
		if !at.Load(s.Stage) {
			return at.Pending
		}
		if n := f.Schema(); (o.ReplaceNull || i+1 < len(o.path)) && n.Optional && n.DefaultValue != nil &&
			!f.NeverNull {
			at.Edit(f, object.OrDefault(n), s.Stage)
			f.NeverNull = true
		}
	}
	if x.IsNull = at.IsNull; !x.IsMap {
		x.Root = *f.Schema()
	}
	x.Fields, x.Whole, x.KeepsSchema = []object.Field{*f}, true, false
	return nil
}

func openField(y, x *object.Object, f *object.Field, stage int) *rowerror.Failure {
	if x.IsMap {
		return y.OpenMap(x.Scratch, f.Bytes, stage, "nested field access")
	}
	n, null, size, ok := f.Schema(), x.IsNull, 0, true
	if n.Kind != wit.Struct {
		return rowerror.Data(stage, "Cannot look up fields on non-struct type")
	}
	if !null {
		null, size, ok = connectdata.IsNull(n, f.Bytes)
	}
	y.Open(x.Scratch, x.Layout.FieldLayout(f.Index), f.Bytes, size)
	if y.IsNull = null; !ok {
		return rowerror.BadValue(stage, 0)
	}
	return nil
}
