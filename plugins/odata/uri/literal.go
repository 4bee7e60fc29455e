// Package uri reads and writes OData v2 literals, key predicates and links.
package uri

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// Literal is a value of a primitive type. Text is in Atom's form: digits, true, ISO dates, base64, plain text.
type Literal struct {
	Type edm.Primitive
	Text string
}

// AppendLiteral appends a literal for keys, filters and parameters, before percent-encoding.
func AppendLiteral(dst []byte, literal Literal) []byte {
	switch literal.Type {
	case edm.String:
		return appendQuoted(dst, "", literal.Text)
	case edm.Guid:
		return appendQuoted(dst, "guid", literal.Text)
	case edm.DateTime:
		return appendQuoted(dst, "datetime", literal.Text)
	case edm.DateTimeOffset:
		return appendQuoted(dst, "datetimeoffset", literal.Text)
	case edm.Time:
		return appendQuoted(dst, "time", literal.Text)
	case edm.Binary:
		dst = append(dst, 'X', '\'')
		raw, _ := base64.StdEncoding.DecodeString(literal.Text) // a Literal has valid base64
		for _, c := range raw {
			dst = append(dst, upperHex[c>>4], upperHex[c&15])
		}
		return append(dst, '\'')
	case edm.Int64:
		return append(append(dst, literal.Text...), 'L')
	case edm.Decimal:
		return append(append(dst, literal.Text...), 'M')
	case edm.Double:
		return appendSuffixed(dst, literal.Text, 'D')
	case edm.Single:
		return appendSuffixed(dst, literal.Text, 'F')
	}
	return append(dst, literal.Text...)
}

func appendQuoted(dst []byte, prefix, text string) []byte {
	dst = append(append(dst, prefix...), '\'')
	for i := 0; i < len(text); i++ {
		if text[i] == '\'' {
			dst = append(dst, '\'')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '\'')
}

// appendSuffixed adds the suffix, which NaN and the infinities do not have.
func appendSuffixed(dst []byte, text string, suffix byte) []byte {
	dst = append(dst, text...)
	switch text {
	case "NaN", "INF", "-INF":
		return dst
	}
	return append(dst, suffix)
}

// ParseLiteral reads a percent-decoded literal. Integers are Int32 or, if they do not fit, Int64; numbers with a
// fraction and without suffix are Double.
func ParseLiteral(text string) (Literal, error) {
	if i := strings.IndexByte(text, '\''); i >= 0 {
		content, remaining, ok := unquote(text[i:])
		if !ok || remaining != "" {
			return Literal{}, invalidError("literal", text, "expected a closing quote at its end")
		}
		switch prefix := strings.ToLower(text[:i]); prefix {
		case "":
			return Literal{edm.String, content}, nil
		case "guid":
			return Literal{edm.Guid, content}, nil
		case "datetime":
			return Literal{edm.DateTime, content}, nil
		case "datetimeoffset":
			return Literal{edm.DateTimeOffset, content}, nil
		case "time":
			return Literal{edm.Time, content}, nil
		case "x", "binary":
			raw, ok := unhex(content)
			if !ok {
				return Literal{}, invalidError("literal", text, "expected pairs of hexadecimal digits")
			}
			return Literal{edm.Binary, base64.StdEncoding.EncodeToString(raw)}, nil
		}
		return Literal{}, invalidError("literal", text, "unknown prefix "+text[:i])
	}
	switch text {
	case "true", "false":
		return Literal{edm.Boolean, text}, nil
	case "NaN", "INF", "-INF":
		return Literal{edm.Double, text}, nil
	case "":
		return Literal{}, invalidError("literal", text, "it is empty")
	}
	return parseNumber(text)
}

// parseNumber reads a number, with the suffix of its type if it has one.
func parseNumber(text string) (Literal, error) {
	body := text[:len(text)-1]
	suffix := text[len(text)-1] | 0x20
	typ := edm.Double
	switch suffix {
	case 'l':
		typ = edm.Int64
	case 'm':
		typ = edm.Decimal
	case 'd':
		// typ is Double already
	case 'f':
		typ = edm.Single
	default:
		body = text
		if strings.Trim(text, "-0123456789") == "" {
			typ = edm.Int32
			if _, err := strconv.ParseInt(text, 10, 32); err != nil {
				typ = edm.Int64
			}
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
		return Literal{}, invalidError("literal", text, "expected a literal of OData v2")
	}
	return Literal{typ, body}, nil
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
