// Package uri reads and writes literals and key predicates of OData, and links.
package uri

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// Literal is a value of a primitive type. Text is in Atom's form: digits, true, ISO dates, base64, plain text.
type Literal struct {
	Type     edm.Primitive
	TypeName string // of an enumeration type; not used for other types
	Text     string
}

// AppendLiteral appends a literal for keys, filters and parameters, before percent-encoding. A nil dialect means
// [edm.V2].
func AppendLiteral(dst []byte, dialect *edm.Dialect, literal Literal) []byte {
	form := dialect.Form(literal.Type)
	if !form.Quoted && isBare(literal.Text) {
		dst = append(dst, literal.Text...)
		switch literal.Text {
		case "NaN", "INF", "-INF":
			return dst
		}
		return append(dst, form.Suffix...)
	}
	if literal.Type == edm.Enum {
		dst = append(dst, literal.TypeName...)
	}
	dst = append(append(dst, form.Prefix...), '\'')
	if !form.Hex && !form.Base64URL {
		for i := range len(literal.Text) {
			if literal.Text[i] == '\'' {
				dst = append(dst, '\'')
			}
			dst = append(dst, literal.Text[i])
		}
		return append(dst, '\'')
	}
	raw, _ := base64.StdEncoding.DecodeString(literal.Text) // a Literal has valid base64
	if form.Base64URL {
		return append(base64.URLEncoding.AppendEncode(dst, raw), '\'')
	}
	for _, c := range raw {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return append(dst, '\'')
}

// isBare reports whether a text can stand in a URL without quotes. A record's text that is no number, GUID or date may
// be more than a literal, and must not change the condition around it: in quotes a service rejects it.
func isBare(text string) bool {
	for i := range len(text) {
		c := text[i]
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !isLetter && (c < '0' || c > '9') && strings.IndexByte("+-.:", c) < 0 {
			return false
		}
	}
	return text != ""
}

// ParseLiteral reads a percent-decoded literal. Integers are Int32 or, if they do not fit, Int64; numbers with a
// fraction and without suffix are Double, or Decimal if the dialect has no suffixes. A nil dialect means [edm.V2].
func ParseLiteral(dialect *edm.Dialect, text string) (Literal, error) {
	if i := strings.IndexByte(text, '\''); i >= 0 {
		content, remaining, ok := unquote(text[i:])
		if !ok || remaining != "" {
			return Literal{}, invalidError("literal", text, "expected a closing quote at its end")
		}
		return parseQuoted(dialect, text, text[:i], content)
	}
	switch text {
	case "true", "false":
		return Literal{Type: edm.Boolean, Text: text}, nil
	case "NaN", "INF", "-INF":
		return Literal{Type: edm.Double, Text: text}, nil
	case "":
		return Literal{}, invalidError("literal", text, "it is empty")
	}
	if typ := bareType(dialect, text); typ != edm.NotPrimitive {
		return Literal{Type: typ, Text: text}, nil
	}
	return parseNumber(dialect, text)
}

// parseQuoted reads the content of the quotes in a literal.
func parseQuoted(dialect *edm.Dialect, text, prefix, content string) (Literal, error) {
	typ := edm.NotPrimitive
	for i := edm.Binary; i <= edm.Geo; i++ {
		if form := dialect.Form(i); form.Quoted && i != edm.Enum && strings.EqualFold(form.Prefix, prefix) {
			typ = i
		}
	}
	switch {
	case strings.EqualFold(prefix, "binary"):
		typ = edm.Binary
	case typ == edm.NotPrimitive && dialect.Declares(edm.Enum) && strings.Contains(prefix, ".") &&
		!strings.ContainsAny(prefix, "=(),/ "):
		return Literal{Type: edm.Enum, TypeName: prefix, Text: content}, nil
	case typ == edm.NotPrimitive:
		return Literal{}, invalidError("literal", text, "unknown prefix "+prefix)
	}
	form := dialect.Form(typ)
	if form.Hex {
		raw, ok := unhex(content)
		if !ok {
			return Literal{}, invalidError("literal", text, "expected pairs of hexadecimal digits")
		}
		content = base64.StdEncoding.EncodeToString(raw)
	}
	if form.Base64URL {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(content, "="))
		if err != nil {
			return Literal{}, invalidError("literal", text, "expected base64url")
		}
		content = base64.StdEncoding.EncodeToString(raw)
	}
	return Literal{Type: typ, Text: content}, nil
}

// bareType returns the type of a GUID, a date or a time that the dialect writes without quotes, or NotPrimitive.
func bareType(dialect *edm.Dialect, text string) edm.Primitive {
	typ := edm.NotPrimitive
	var parsed datetime.DateTime
	switch {
	case edm.IsGUID(text):
		typ = edm.Guid
	case parsed.Parse([]byte(text)):
		typ = edm.DateTimeOffset
		if len(text) == len("2006-01-02") {
			typ = edm.Date
		}
	case parsed.Parse([]byte("1970-01-01T"+text)) && !parsed.Zoned:
		typ = edm.TimeOfDay
	}
	if !dialect.Declares(typ) || dialect.Form(typ).Quoted {
		return edm.NotPrimitive
	}
	return typ
}

// parseNumber reads a number, with the suffix of its type if it has one.
func parseNumber(dialect *edm.Dialect, text string) (Literal, error) {
	body := text
	typ := edm.NotPrimitive
	for _, number := range []edm.Primitive{edm.Int64, edm.Decimal, edm.Double, edm.Single} {
		suffix := dialect.Form(number).Suffix
		if end := len(text) - len(suffix); suffix != "" && strings.EqualFold(text[end:], suffix) {
			body = text[:end]
			typ = number
		}
	}
	if typ == edm.NotPrimitive {
		typ = edm.Double
		isDecimal := dialect.Form(edm.Decimal).Suffix == "" && strings.Trim(text, "+-.0123456789") == ""
		if strings.Trim(text, "-0123456789") == "" {
			typ = edm.Int32
			if _, err := strconv.ParseInt(text, 10, 32); err != nil {
				typ = edm.Int64
			}
			_, err := strconv.ParseInt(text, 10, 64)
			isDecimal = isDecimal && errors.Is(err, strconv.ErrRange)
		}
		if isDecimal {
			typ = edm.Decimal
		}
	}
	var err error
	switch typ {
	case edm.Int32, edm.Int64:
		_, err = strconv.ParseInt(body, 10, 64)
	default:
		if strings.Trim(body, "+-.eE0123456789") != "" {
			err = strconv.ErrSyntax
			break
		}
		_, err = strconv.ParseFloat(body, 64)
		if typ == edm.Decimal && errors.Is(err, strconv.ErrRange) {
			err = nil // a Decimal may exceed a float64
		}
	}
	if err != nil {
		return Literal{}, invalidError("literal", text, "expected a literal of OData "+dialect.Name())
	}
	return Literal{Type: typ, Text: body}, nil
}

// unquote reads the quoted text at the start of quoted, in which two quotes stand for one. ok is false without a
// closing quote.
func unquote(quoted string) (text, remaining string, ok bool) {
	var out []byte
	for i := 1; i < len(quoted); i++ {
		if quoted[i] != '\'' {
			out = append(out, quoted[i])
			continue
		}
		if i+1 < len(quoted) && quoted[i+1] == '\'' {
			out = append(out, '\'')
			i++
			continue
		}
		return string(out), quoted[i+1:], true
	}
	return "", "", false
}

func unhex(text string) ([]byte, bool) {
	if len(text)%2 != 0 {
		return nil, false
	}
	out := make([]byte, len(text)/2)
	for i := range out {
		n, err := strconv.ParseUint(text[2*i:2*i+2], 16, 8)
		if err != nil {
			return nil, false
		}
		out[i] = byte(n)
	}
	return out, true
}
