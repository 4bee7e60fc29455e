package canon

import (
	"strconv"
	"strings"
)

// String returns the export's name with its core signature.
func (f *Func) String() string {
	var b strings.Builder
	b.WriteString(f.Export())
	write := func(name string, types []ValueType) {
		if len(types) == 0 {
			return
		}
		b.WriteString(" (" + name)
		for _, t := range types {
			b.WriteString(" " + map[ValueType]string{I32: "i32", I64: "i64", F32: "f32", F64: "f64"}[t])
		}
		b.WriteString(")")
	}
	write("param", f.Params())
	write("result", f.Results())
	return b.String()
}

// structure returns a type as in culvert.wit, with every name of a type replaced by its definition. The drift test
// compares it with the contract's text. For an enum only the number of cases is known here.
func (t *typeLayout) structure() string {
	switch t.shape {
	case shapeBool:
		return "bool"
	case shapeUnsigned:
		return "u" + bits(t.size)
	case shapeSigned:
		return "s" + bits(t.size)
	case shapeFloat:
		return "f" + bits(t.size)
	case shapeString:
		return "string"
	case shapeList:
		return "list<" + t.parts[0].layout.structure() + ">"
	case shapeOption:
		return "option<" + t.parts[1].layout.structure() + ">"
	case shapeEnum:
		return "enum(" + strconv.Itoa(t.cases) + ")"
	}
	var parts []string
	for _, p := range t.parts {
		switch {
		case t.shape == shapeRecord:
			parts = append(parts, p.name+": "+p.layout.structure())
		case p.layout == nil:
			parts = append(parts, p.name)
		default:
			parts = append(parts, p.name+"("+p.layout.structure()+")")
		}
	}
	keyword := map[shape]string{shapeRecord: "record", shapeVariant: "variant"}[t.shape]
	return keyword + " {" + strings.Join(parts, ", ") + "}"
}

// Signature returns a function as in culvert.wit, without the names of parameters.
func (f *Func) Signature() string {
	var params []string
	for _, p := range f.params {
		params = append(params, p.structure())
	}
	result := "_"
	if f.ok != nil {
		result = f.ok.structure()
	}
	switch {
	case f.fallible:
		result = " -> result<" + result + ", " + layoutOf(errorRecordType).structure() + ">"
	case f.ok == nil:
		result = ""
	default:
		result = " -> " + result
	}
	return f.Interface + "#" + f.Name + ": func(" + strings.Join(params, ", ") + ")" + result
}

func bits(size uint32) string { return strconv.Itoa(int(8 * size)) }
