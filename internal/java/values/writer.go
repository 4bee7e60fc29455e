// Package values implements Kafka Connect's class Values: it formats values as text, and parses text into values.
// Guests may import it.
package values

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/dateformat"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

const msPerDay = 86_400_000

var (
	timeFormat    = dateformat.MustParse("HH:mm:ss.SSS'Z'")
	dayFormat     = dateformat.MustParse("yyyy-MM-dd")
	instantFormat = dateformat.MustParse("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
	// javaDate is java.util.Date.toString in UTC.
	javaDate = dateformat.MustParse("EEE MMM dd HH:mm:ss 'UTC' y")
)

// Writer formats values like Values.convertToString. Dates are in UTC, independent of the time zone of the process.
type Writer struct {
	// ToString formats values like Java's toString instead. Bytes then return an error, since their text is a hash.
	ToString bool
	// Nodes is the schema. Nil means schemaless.
	Nodes []wit.SchemaNode
	// Limit, if not nil, is called before each item and before more bytes are appended. Its error ends the writing.
	Limit func(dst []byte, more int) error
}

// UnwritableError reports a value without a text.
type UnwritableError struct{ Text string }

func (e *UnwritableError) Error() string { return e.Text }

// Append appends the text of a value as package connectdata reads it.
func (w *Writer) Append(dst []byte, v any) ([]byte, error) { return w.append(dst, 0, v, "") }

func (w *Writer) checkLimit(dst []byte, more int) error {
	if w.Limit == nil {
		return nil
	}
	return w.Limit(dst, more)
}

// append appends a value. quote is the quotation mark around strings and bytes: "" unless they are nested.
func (w *Writer) append(dst []byte, node uint32, v any, quote string) ([]byte, error) {
	if out, ok := AppendScalar(dst, v); ok {
		return out, nil
	}
	switch x := v.(type) {
	case string:
		return w.appendText(dst, x, quote)
	case int32:
		return w.appendInteger(dst, node, int64(x)), nil
	case int64:
		return w.appendInteger(dst, node, x), nil
	case connectdata.Instant:
		return w.appendDate(dst, int64(x)), nil
	case []byte:
		if w.name(node) == wit.NameDecimal && len(x) > 0 {
			scale, problem := ScaleOf(&w.Nodes[node])
			if problem != "" {
				return dst, &UnwritableError{problem}
			}
			return AppendDecimal(dst, x, scale), nil
		}
		if w.ToString {
			return dst, &UnwritableError{"bytes and nested structs have no text of their own"}
		}
		if err := w.checkLimit(dst, base64.StdEncoding.EncodedLen(len(x))); err != nil {
			return dst, err
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, quote...), x), quote...), nil
	case connectdata.List, connectdata.Map, connectdata.Struct:
		return w.appendItems(dst, node, v)
	}
	return dst, &UnwritableError{"structs inside values without schema have no text here"}
}

// AppendScalar appends a value whose text is Java's toString, whatever its schema. ok is false for other values.
func AppendScalar(dst []byte, v any) (out []byte, ok bool) {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...), true
	case bool:
		return strconv.AppendBool(dst, x), true
	case int8:
		return strconv.AppendInt(dst, int64(x), 10), true
	case int16:
		return strconv.AppendInt(dst, int64(x), 10), true
	case float32:
		return java.AppendFloat(dst, float64(x), 32), true
	case float64:
		return java.AppendFloat(dst, x, 64), true
	case connectdata.Decimal:
		content, _ := connectdata.LengthPrefixed(connectdata.AppendDecimal(nil, x.Unscaled))
		return AppendDecimal(dst, content, int(x.Scale)), true
	}
	return dst, false
}

// AppendDate appends a time of day, a date, or both, without the part that is zero. Times before 1970-01-02 have no
// date, like in Kafka.
func AppendDate(dst []byte, ms int64) []byte {
	format := instantFormat
	switch {
	case ms < msPerDay:
		format = timeFormat
	case ms%msPerDay == 0:
		format = dayFormat
	}
	return format.Append(dst, ms)
}

func (w *Writer) appendDate(dst []byte, ms int64) []byte {
	if w.ToString {
		return javaDate.Append(dst, ms)
	}
	return AppendDate(dst, ms)
}

// appendText appends a string. With quotation marks, the marks and backslashes in it are escaped.
func (w *Writer) appendText(dst []byte, s, quote string) ([]byte, error) {
	if err := w.checkLimit(dst, len(s)); err != nil {
		return dst, err
	}
	if quote == "" || w.ToString {
		return append(dst, s...), nil
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '\\' || s[i] == '"' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"'), nil
}

// name returns the logical type of a node, or "".
func (w *Writer) name(node uint32) string {
	if w.Nodes == nil || w.Nodes[node].Name == nil {
		return ""
	}
	return *w.Nodes[node].Name
}

// appendInteger appends an integer, or the date that it means.
func (w *Writer) appendInteger(dst []byte, node uint32, n int64) []byte {
	switch w.name(node) {
	case wit.NameDate:
		return w.appendDate(dst, n*msPerDay)
	case wit.NameTime, wit.NameTimestamp:
		return w.appendDate(dst, n)
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendItems appends an array, a map or a struct.
func (w *Writer) appendItems(dst []byte, node uint32, v any) ([]byte, error) {
	l := list{w: w, dst: dst, separator: ",", afterKey: ":"}
	if w.ToString {
		l.separator = ", "
		l.afterKey = "="
	}
	n := &wit.SchemaNode{}
	if w.Nodes != nil {
		n = &w.Nodes[node]
	}
	switch x := v.(type) {
	case connectdata.List:
		l.raw("[")
		for _, item := range x {
			if !l.next() {
				break
			}
			l.value(n.Element, item)
		}
		l.raw("]")
	case connectdata.Map:
		l.raw("{")
		for _, e := range x {
			if !l.next() {
				break
			}
			l.value(n.Key, e.Key)
			l.raw(l.afterKey)
			l.value(n.Element, e.Value)
		}
		l.raw("}")
	case connectdata.Struct:
		l.record(n, x)
	}
	return l.dst, l.err
}

// list appends the items of a value until the first error.
type list struct {
	w         *Writer
	dst       []byte
	err       error
	separator string // between the items
	afterKey  string // follows a key or a name
	hasItems  bool   // the first item was begun
}

// record appends a struct. Null fields with a default have the default; toString omits nulls.
func (l *list) record(n *wit.SchemaNode, r connectdata.Struct) {
	if l.w.ToString {
		l.separator = ","
		l.raw("Struct")
	}
	l.raw("{")
	for i, m := range n.Fields {
		member := r[i]
		if l.w.ToString && member == nil {
			continue
		}
		if !l.next() {
			break
		}
		if l.w.ToString {
			l.raw(m.Name)
		} else {
			l.value(0, m.Name) // a string needs no node
		}
		l.raw(l.afterKey)
		if member == nil && l.w.Nodes[m.Node].DefaultValue != nil {
			required := slices.Clone(l.w.Nodes)
			encoded := *required[m.Node].DefaultValue
			required[m.Node].Optional = false
			required[m.Node].DefaultValue = nil
			member, _, _ = connectdata.Read(required, m.Node, bytes.Clone(encoded))
		}
		l.value(m.Node, member)
	}
	l.raw("}")
}

func (l *list) raw(text string) { l.dst = append(l.dst, text...) }

// next begins an item. It returns false after an error.
func (l *list) next() bool {
	if l.err == nil {
		l.err = l.w.checkLimit(l.dst, 0)
	}
	if l.hasItems {
		l.raw(l.separator)
	}
	l.hasItems = true
	return l.err == nil
}

func (l *list) value(node uint32, v any) {
	if l.err == nil {
		l.dst, l.err = l.w.append(l.dst, node, v, `"`)
	}
}
