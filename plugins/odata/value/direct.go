package value

import (
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// Form is the format in which a value is written.
type Form int

const (
	Atom    Form = iota
	JSON         // verbose JSON of OData v2
	ISOJSON      // JSON of OData v4
)

// JSONForm returns the form of values in JSON of a dialect. Nil means [edm.V2].
func JSONForm(dialect *edm.Dialect) Form {
	if dialect != nil && dialect.ISO {
		return ISOJSON
	}
	return JSON
}

// maxSmallScale is the largest scale of decimals whose unscaled number fits into eight bytes.
const maxSmallScale = 18

// SmallScale returns the scale of a node's decimals, or -1 for other nodes and for scales that need [ConvertChecked].
func SmallScale(node *wit.SchemaNode) int {
	if node.Kind != wit.Bytes || logicalName(node) != wit.NameDecimal {
		return -1
	}
	if s := scaleOf(node); s <= maxSmallScale {
		return max(s, -1)
	}
	return -1
}

// AppendInstant writes milliseconds since 1970. ok is false outside of the years 1 to 9999.
func AppendInstant(dst []byte, primitive edm.Primitive, millis int64, form Form) (_ []byte, ok bool) {
	if millis < datetime.FirstMs || millis > datetime.LastMs {
		return dst, false
	}
	switch form {
	case JSON:
		return appendDate(dst, primitive, millis), true
	case ISOJSON:
		return append(appendISO(append(dst, '"'), millis, 0, primitive == edm.DateTimeOffset), '"'), true
	}
	return appendISO(dst, millis, 0, primitive == edm.DateTimeOffset), true
}

// AppendInstantText writes the instant in a text that [Convert] accepts. ok is false for other texts, and for an
// instant with digits after milliseconds.
func AppendInstantText(dst []byte, primitive edm.Primitive, text []byte, form Form) (_ []byte, ok bool) {
	millis, ticks, ok := parseInstant(text)
	if !ok || ticks != 0 {
		return dst, false
	}
	return AppendInstant(dst, primitive, millis, form)
}
