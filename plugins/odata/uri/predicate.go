package uri

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// Key is a part of a key predicate. Name may be empty in a key of one property.
type Key struct {
	Name    string
	Literal Literal
}

// AppendPredicate appends a percent-encoded key predicate, `(1)` or `(A='x',B=2)`. A single key has no name. A nil
// dialect means [edm.V2].
func AppendPredicate(dst []byte, dialect *edm.Dialect, keys []Key) []byte {
	if len(keys) == 0 {
		return append(dst, "()"...)
	}
	for i := range keys {
		dst = AppendKey(dst, dialect, i, len(keys), keys[i].Name, keys[i].Literal)
	}
	return dst
}

// AppendKey appends one of several keys to a predicate, with the parentheses around the first and the last one.
func AppendKey(dst []byte, dialect *edm.Dialect, index, count int, name string, key Literal) []byte {
	if index == 0 {
		dst = append(dst, '(')
	} else {
		dst = append(dst, ',')
	}
	if count > 1 {
		dst = append(AppendEscaped(dst, name), '=')
	}
	var memory [64]byte
	dst = appendEscaped(dst, AppendLiteral(memory[:0], dialect, key))
	if index == count-1 {
		dst = append(dst, ')')
	}
	return dst
}

// AppendEscaped appends text percent-encoded for a path segment or a query value, except quotes.
func AppendEscaped(dst []byte, text string) []byte { return appendEscaped(dst, text) }

func appendEscaped[T string | []byte](dst []byte, text T) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~'!*", c) >= 0:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// Unescape resolves percent-encoding and keeps invalid escapes.
func Unescape(text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if raw, ok := unhex(text[i+1 : i+3]); ok {
				out = append(out, raw[0])
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// ParsePredicate returns the entity set and the key of an entity's URL, `…/Set(A='x',B=2)`. A nil dialect means
// [edm.V2].
func ParsePredicate(dialect *edm.Dialect, address string) (set string, keys []Key, err error) {
	path := address
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	path = Unescape(path)
	start := predicateStart(path)
	if start < 0 {
		return "", nil, invalidError("address", address, "expected a key in parentheses at its end")
	}
	set = path[strings.LastIndexByte(path[:start], '/')+1 : start]
	for remaining := path[start+1 : len(path)-1]; remaining != ""; {
		var item string
		item, remaining = cutOutside(remaining, ',')
		key := Key{}
		if i := strings.IndexAny(item, "='"); i > 0 && item[i] == '=' {
			key.Name = strings.TrimSpace(item[:i])
			item = item[i+1:]
		}
		key.Literal, err = ParseLiteral(dialect, strings.TrimSpace(item))
		if err != nil {
			return "", nil, invalidError("address", address, err.Error())
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return "", nil, invalidError("address", address, "expected a key in parentheses at its end")
	}
	return set, keys, nil
}

// predicateStart returns the index of the last predicate's parenthesis, or -1. Quoted texts may contain parentheses and
// slashes.
func predicateStart(path string) int {
	if !strings.HasSuffix(path, ")") {
		return -1
	}
	start := -1
	isQuoted := false
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\'' && start >= 0:
			isQuoted = !isQuoted
		case isQuoted:
			// A parenthesis in a text is no parenthesis.
		case path[i] == '(':
			start = i
		case path[i] == ')' && i < len(path)-1:
			start = -1
		}
	}
	return start
}

// SplitPath splits a path at slashes outside quotes.
func SplitPath(path string) (segments []string) {
	for path != "" {
		var segment string
		segment, path = cutOutside(path, '/')
		segments = append(segments, segment)
	}
	return segments
}

// cutOutside cuts text at the first separator outside quotes.
func cutOutside(text string, separator byte) (item, remaining string) {
	isQuoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\'':
			isQuoted = !isQuoted
		case text[i] == separator && !isQuoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}
