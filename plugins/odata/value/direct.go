package value

import (
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// maxSmallScale is the most digits after the point of a decimal whose unscaled number fits in eight bytes.
const maxSmallScale = 18

// SmallScale is the scale of a node's decimals, -1 where it is no node of decimals, or one for [ConvertChecked].
func SmallScale(n *wit.SchemaNode) int {
	if n.Kind != wit.Bytes || logical(n) != wit.NameDecimal {
		return -1
	}
	if s := scale(n); s <= maxSmallScale {
		return max(s, -1)
	}
	return -1
}

// AppendInstant writes a point in time, in milliseconds since 1970, as JSON or Atom do. ok is false for years outside
// of 1 to 9999.
func AppendInstant(dst []byte, t edm.Primitive, millis int64, json bool) (_ []byte, ok bool) {
	if millis < datetime.FirstMs || millis > datetime.LastMs {
		return dst, false
	}
	if json {
		c := Converted{Type: t, Millis: millis}
		return c.AppendJSON(dst), true
	}
	return appendISO(dst, millis, 0, t == edm.DateTimeOffset), true
}
