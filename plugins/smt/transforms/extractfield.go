package transforms

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var extractFieldKeys = []wit.ConfigKey{
	requiredKey("field", wit.Medium, "Field name to extract."),
	replaceNullKey,
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
	FieldOptions
	name   string // as in the settings, for messages
	path   []string
	levels []record.Object // the structs or maps along the path
}

func newExtractField(target record.Target, values Settings) (Operation, *wit.Error) {
	fieldName, err := values.Required("field")
	if err != nil {
		return nil, err
	}
	options := FieldOptions{Target: target, Purpose: "field extraction", ConvertNull: true, FieldAction: "look up"}
	transform := &ExtractField{FieldOptions: options, name: setting.Trim(fieldName)}
	if err = transform.configure(values); err != nil {
		return nil, err
	}
	syntax, isSet := values.Find("field.syntax.version")
	syntax = setting.Trim(syntax)
	switch {
	case !isSet, strings.EqualFold(syntax, "V1"):
		transform.path = []string{transform.name}
	case strings.EqualFold(syntax, "V2"):
		transform.path, err = parsePath("field", transform.name)
		transform.levels = make([]record.Object, len(transform.path))
	default:
		err = invalidSetting("field.syntax.version", syntax, "String must be one of (case insensitive): V1, V2")
	}
	return transform, err
}

// parsePath splits a path at dots. A name in backticks may contain dots, and backticks after a backslash.
func parsePath(settingName, text string) (path []string, _ *wit.Error) {
	remaining := text
	if text == "" {
		return []string{}, nil
	}
	for strings.HasPrefix(remaining, "`") || strings.Contains(remaining, ".") {
		if !strings.HasPrefix(remaining, "`") {
			var name string
			name, remaining, _ = strings.Cut(remaining, ".")
			path = append(path, name)
			continue
		}
		name, size := quotedName(remaining)
		if size < 0 {
			return nil, settingError(settingName, "Incomplete backtick pair in path: ["+text+
				"], consider adding a backslash before backtick at position "+strconv.Itoa(len(text)-len(remaining))+
				" to escape it")
		}
		path = append(path, name)
		if size == len(remaining) {
			return path, nil
		}
		remaining = remaining[size+1:]
	}
	return append(path, remaining), nil
}

// quotedName reads a name in backticks and returns its size in text, -1 if it is not closed.
func quotedName(text string) (name string, size int) {
	start := 1
	for position := 1; position < len(text); position++ {
		isLast := position+1 == len(text)
		if text[position] != '`' || (!isLast && text[position+1] != '.') {
			continue
		}
		switch {
		case text[position-1] != '\\':
			return name + text[start:position], position + 1
		case isLast:
			return "", -1
		}
		name = name + text[start:position-1] + "`"
		start = position + 1
	}
	return "", -1
}

func (e *ExtractField) Apply(obj *record.Object, step Step) *record.Failure {
	switch {
	case len(e.path) == 0: // an empty path of V2
		return record.NewFailure(step.Stage, record.IllegalArgumentException, "fromIndex(0) > toIndex(-1)")
	case len(e.path) > 1 && obj.Trace != nil:
		return record.NotTraceable
	}
	current := obj
	var field *record.Field
	for i, name := range e.path {
		if i > 0 {
			if failure := openField(&e.levels[i-1], current, field, step.Stage); failure != nil {
				return failure
			}
			current = &e.levels[i-1]
		}
		field = current.Find(name)
		if obj.IsMap {
			isNull := field == nil || field.Bytes[0] == connectdata.TagNull
			switch {
			case isNull && obj.Trace != nil:
				return record.NotTraceable
			case isNull:
				obj.IsNull = true
				return nil
			case obj.Trace != nil:
				obj.Allow(field, ^uint64(1)) // all but null
			}
			continue
		}
		if field == nil {
			return record.NewFailure(step.Stage, record.IllegalArgumentException, "Unknown field: "+e.name)
		}
		if !current.Load(step.Stage) {
			return current.Pending
		}
		if node := field.Schema(); (e.ReplaceNull || i+1 < len(e.path)) && node.Optional && node.DefaultValue != nil &&
			!field.NeverNull {
			current.Edit(field, record.DefaultEdit(node), step.Stage)
			field.NeverNull = true
		}
	}
	obj.IsNull = current.IsNull
	if !obj.IsMap {
		obj.Root = *field.Schema()
	}
	obj.Fields = []record.Field{*field}
	obj.Whole = true
	obj.KeepsSchema = false
	return nil
}

// openField opens a field of obj, which must be a struct or map, as inner.
func openField(inner, obj *record.Object, field *record.Field, stage int) *record.Failure {
	if obj.IsMap {
		return inner.OpenMap(obj.Scratch, field.Bytes, stage, "nested field access")
	}
	node := field.Schema()
	isNull := obj.IsNull
	size := 0
	ok := true
	if node.Kind != wit.Struct {
		return record.DataFailure(stage, "Cannot look up fields on non-struct type")
	}
	if !isNull {
		isNull, size, ok = connectdata.IsNull(node, field.Bytes)
	}
	inner.Open(obj.Scratch, obj.Reader.FieldReader(field.Index), field.Bytes, size)
	inner.IsNull = isNull
	if !ok {
		return record.BadValue(stage, 0)
	}
	return nil
}
