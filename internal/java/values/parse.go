package values

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/dateformat"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Literal is a parsed value with its inferred schema.
type Literal struct {
	kind *inferred // nil for null
	// value is as in package connectdata, but times and decimals are [connectdata.Instant] and [connectdata.Decimal]
	// with a schema too.
	value any
}

// inferred is an inferred schema.
type inferred struct {
	kind  wit.Kind
	name  string
	scale int64 // the scale of a decimal
	// key is the type of a map's keys. Nil means that no type fits all of them.
	key *inferred
	// element is the type of an array's elements or a map's values. Nil means that no type fits all of them.
	element *inferred
}

var (
	literalText    = &inferred{kind: wit.String}
	literalBoolean = &inferred{kind: wit.Boolean}
	literalFloat32 = &inferred{kind: wit.Float32}
	literalDate    = &inferred{kind: wit.Int32, name: wit.NameDate}
	literalTime    = &inferred{kind: wit.Int32, name: wit.NameTime}
	literalInstant = &inferred{kind: wit.Int64, name: wit.NameTimestamp}
)

// errNotLiteral reports an invalid array or map. The text is then a string.
var errNotLiteral = errors.New("no literal")

// maxLiteralDepth is the maximum nesting of arrays and maps.
const maxLiteralDepth = 32

// Parse parses a text like Values.parseString: it infers the type, and text of no other type is a string. It returns an
// error for values above the limits of package connectdata.
func Parse(text string) (Literal, error) {
	if text == "" {
		return Literal{literalText, ""}, nil
	}
	p := &parser{text: text}
	l, err := p.parse(0)
	switch {
	case p.fatal != nil:
		return Literal{}, p.fatal
	case err == nil && !fitsLimits(l.value):
		return Literal{}, errors.New("a number that is too long, or whose exponent is too large")
	}
	return l, err
}

// fitsLimits reports whether all decimals of a value are within the limits.
func fitsLimits(v any) bool {
	switch x := v.(type) {
	case connectdata.Decimal:
		return Decimal{Unscaled: x.Unscaled, Scale: int64(x.Scale)}.Fits()
	case connectdata.List:
		return !slices.ContainsFunc(x, func(v any) bool { return !fitsLimits(v) })
	case connectdata.Map:
		return !slices.ContainsFunc(x, func(e connectdata.Entry) bool {
			return !fitsLimits(e.Key) || !fitsLimits(e.Value)
		})
	}
	return true
}

// parser iterates over the tokens of a text: delimiters, and the text between them.
type parser struct {
	text     string
	pos      int    // the index in text after the tokens that were scanned, including ahead
	ahead    string // the next token if hasAhead is set
	hasAhead bool
	fatal    error // an error for which the text is not taken as a string
}

// position returns the index in text of the next token.
func (p *parser) position() int {
	if p.hasAhead {
		return p.pos - len(p.ahead)
	}
	return p.pos
}

// rewind continues at an earlier position.
func (p *parser) rewind(pos int) {
	p.pos = pos
	p.ahead = ""
	p.hasAhead = false
}

// more reports whether a token is left.
func (p *parser) more() bool { return p.hasAhead || p.pos < len(p.text) }

// next reads a token, whatever it is.
func (p *parser) next() string {
	if !p.hasAhead {
		return p.scanToken()
	}
	token := p.ahead
	p.ahead = ""
	p.hasAhead = false
	return token
}

// nextTokens returns the next n tokens as one string. It reads nothing if there are fewer.
func (p *parser) nextTokens(n int) (string, bool) {
	start := p.position()
	for range n {
		if !p.more() {
			p.rewind(start)
			return "", false
		}
		p.next()
	}
	return p.text[start:p.pos], true
}

// scanToken scans the token at pos: a delimiter, or the text before the next one that is not escaped.
func (p *parser) scanToken() string {
	isEscaped := false
	start := p.pos
	for ; p.pos < len(p.text); p.pos++ {
		switch p.text[p.pos] {
		case '\\':
			isEscaped = !isEscaped
		case ':', ',', '{', '}', '[', ']', '"':
			if !isEscaped {
				if start == p.pos {
					p.pos++
				}
				return p.text[start:p.pos]
			}
			isEscaped = false
		default:
			isEscaped = false
		}
	}
	return p.text[start:]
}

// accept reads the next token and reports true if it is the expected one. It skips blank tokens.
func (p *parser) accept(expected string) bool {
	if !p.hasAhead {
		if !p.more() {
			return false
		}
		p.ahead = p.scanToken()
		p.hasAhead = true
	}
	for java.Trim(p.ahead) == "" && p.pos < len(p.text) {
		p.ahead = p.scanToken()
	}
	if java.Trim(p.ahead) != expected {
		return false
	}
	p.ahead = ""
	p.hasAhead = false
	return true
}

// acceptWord reads the next token and reports true if it is the expected one and, at depth 0, the last.
func (p *parser) acceptWord(depth int, expected string) bool {
	start := p.position()
	if p.accept(expected) && (depth > 0 || !p.more()) {
		return true
	}
	p.rewind(start)
	return false
}

// parse parses a value. errNotLiteral means that it is not one, so that the text is a string.
func (p *parser) parse(depth int) (Literal, error) {
	switch {
	case depth > maxLiteralDepth:
		p.fatal = errors.New("arrays and maps that lie deeper than " + strconv.Itoa(maxLiteralDepth) + " in each other")
		return Literal{}, p.fatal
	case !p.more():
		return Literal{}, nil
	case depth > 0 && p.accept(`"`):
		var content strings.Builder
		for p.more() && !p.accept(`"`) {
			content.WriteString(p.next())
		}
		if l, ok := temporal(java.ASCIIDigits(content.String())); ok {
			return l, nil
		}
		return Literal{literalText, content.String()}, nil
	case p.acceptWord(depth, "null"):
		return Literal{}, nil
	case p.acceptWord(depth, "true"):
		return Literal{literalBoolean, true}, nil
	case p.acceptWord(depth, "false"):
		return Literal{literalBoolean, false}, nil
	}
	start := p.position()
	var l Literal
	var err error
	switch {
	case p.accept("["):
		l, err = p.parseArray(depth)
	case p.accept("{"):
		l, err = p.parseMap(depth)
	default:
		return p.parseScalar(depth)
	}
	if err == nil || p.fatal != nil {
		return l, err
	}
	p.rewind(start)
	return p.parseScalar(depth)
}

// parseScalar parses a token that is neither an array nor a map.
func (p *parser) parseScalar(depth int) (Literal, error) {
	token := p.next()
	trimmed := java.Trim(token)
	if trimmed == "" {
		return Literal{literalText, token}, nil
	}
	trimmed = java.ASCIIDigits(trimmed)
	first := trimmed[0]
	isDigit := first >= '0' && first <= '9'
	if isDigit {
		// A time consists of five tokens, since colons separate tokens.
		start := p.position()
		if timeTokens, ok := p.nextTokens(4); ok {
			if l, ok := temporal(trimmed + java.ASCIIDigits(timeTokens)); ok {
				return l, nil
			}
		}
		p.rewind(start)
		if l, ok := temporal(trimmed); ok {
			return l, nil
		}
	}
	if isDigit || first == '+' || first == '-' {
		if d, ok := ParseDecimal(trimmed); ok {
			return d.literal(), nil
		}
	}
	if depth > 0 {
		return Literal{}, errNotLiteral
	}
	return Literal{literalText, p.text}, nil
}

// parseArray parses an array after its opening bracket.
func (p *parser) parseArray(depth int) (Literal, error) {
	list := connectdata.List{}
	var element common
	for p.more() {
		if p.accept("]") {
			if element.kind != nil {
				for i, v := range list {
					var ok bool
					if list[i], ok = element.kind.convert(v); !ok {
						return Literal{}, errNotLiteral
					}
				}
			}
			return Literal{&inferred{kind: wit.Array, element: element.kind}, list}, nil
		}
		if p.accept(",") {
			return Literal{}, errNotLiteral
		}
		item, err := p.parse(depth + 1)
		if err != nil {
			return Literal{}, err
		}
		element.merge(item.kind)
		list = append(list, item.value)
		start := p.position()
		if p.accept("]") {
			p.rewind(start)
		} else if !p.accept(",") {
			return Literal{}, errNotLiteral
		}
	}
	return Literal{}, errNotLiteral
}

// parseMap parses a map after its opening bracket.
func (p *parser) parseMap(depth int) (Literal, error) {
	var list connectdata.Map
	var keys, values common
	put := func(m connectdata.Map, key, value any) connectdata.Map {
		for i := range m {
			if reflect.DeepEqual(m[i].Key, key) {
				m[i].Value = value
				return m
			}
		}
		return append(m, connectdata.Entry{Key: key, Value: value})
	}
	for p.more() {
		if p.accept("}") { // the end: convert keys and values to their common types
			converted := connectdata.Map{}
			for _, e := range list {
				var ok bool
				if keys.kind != nil {
					if e.Key, ok = keys.kind.convert(e.Key); !ok {
						return Literal{}, errNotLiteral
					}
				}
				if keys.kind != nil && values.kind != nil {
					if e.Value, ok = values.kind.convert(e.Value); !ok {
						return Literal{}, errNotLiteral
					}
				}
				converted = put(converted, e.Key, e.Value)
			}
			return Literal{&inferred{kind: wit.Map, key: keys.kind, element: values.kind}, converted}, nil
		}
		if p.accept(",") {
			return Literal{}, errNotLiteral
		}
		key, err := p.parse(depth + 1)
		if err != nil {
			return Literal{}, err
		}
		if key.kind == nil || !p.accept(":") {
			return Literal{}, errNotLiteral
		}
		value, err := p.parse(depth + 1)
		if err != nil {
			return Literal{}, err
		}
		list = put(list, key.value, value.value)
		p.accept(",") // optional, as in Kafka
		keys.merge(key.kind)
		values.merge(value.kind)
	}
	return Literal{}, errNotLiteral
}

// literal returns the number with the smallest type that fits it: integers without a point, else floats.
func (d Decimal) literal() Literal {
	if integer, ok := d.integer(); ok && integer.IsInt64() {
		switch n := integer.Int64(); {
		case int64(int8(n)) == n:
			return Literal{&inferred{kind: wit.Int8}, int8(n)}
		case int64(int16(n)) == n:
			return Literal{&inferred{kind: wit.Int16}, int16(n)}
		case int64(int32(n)) == n:
			return Literal{&inferred{kind: wit.Int32}, int32(n)}
		default:
			return Literal{&inferred{kind: wit.Int64}, n}
		}
	}
	if d.Scale != 0 {
		if single, _ := strconv.ParseFloat(d.text, 32); !math.IsInf(single, 0) {
			return Literal{literalFloat32, float32(single)}
		}
		if double := d.Float(64); !math.IsInf(double, 0) {
			return Literal{&inferred{kind: wit.Float64}, double}
		}
	}
	return Literal{&inferred{kind: wit.Bytes, name: wit.NameDecimal, scale: d.Scale},
		connectdata.Decimal{Scale: int32(d.Scale), Unscaled: d.Unscaled}}
}

// integer returns the number if it is an integer. ok is also false if it is far larger than 64 bits.
func (d Decimal) integer() (_ *big.Int, ok bool) {
	switch {
	case d.Unscaled.Sign() == 0:
		return new(big.Int), true
	case d.Scale < -20 || d.Scale > int64(len(d.text)):
		return nil, false
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(d.Scale, -d.Scale)), nil)
	if d.Scale <= 0 {
		return power.Mul(power, d.Unscaled), true
	}
	quotient, remainder := new(big.Int).QuoRem(d.Unscaled, power, new(big.Int))
	return quotient, remainder.Sign() == 0
}

// common is the common type of all elements of an array or map.
type common struct {
	kind    *inferred
	isMixed bool // the elements have no common type
}

// merge adds the type of an element, nil for a null.
func (c *common) merge(k *inferred) {
	switch {
	case k == nil || c.isMixed: // nothing to do: a null has no type, and mixed types stay mixed
	case c.kind == nil, c.kind.kind == k.kind:
		c.kind = k
	case c.kind.kind <= wit.Float64 && k.kind <= wit.Float64: // numbers: the larger kind is the common one
		if k.kind > c.kind.kind {
			c.kind = k
		}
	default:
		c.kind = nil
		c.isMixed = true
	}
}

// convert converts a value to a common type. ok is false if that is not possible.
func (in *inferred) convert(v any) (_ any, ok bool) {
	if v == nil {
		return nil, false
	}
	// A type that is common to all elements is a float if one of them is.
	number := int64(0)
	real := 0.0
	isReal := false
	switch x := v.(type) {
	case int8:
		number = int64(x)
	case int16:
		number = int64(x)
	case int32:
		number = int64(x)
	case int64:
		number = x
	case float32:
		real = float64(x)
		isReal = true
	case float64:
		real = x
		isReal = true
	case connectdata.Instant:
		return v, in.name == wit.NameDate || in.name == wit.NameTime || in.name == wit.NameTimestamp
	default:
		return v, true
	}
	if !isReal {
		real = float64(number)
	}
	switch in.kind {
	case wit.Int8:
		return int8(number), true
	case wit.Int16:
		return int16(number), true
	case wit.Int32:
		switch in.name {
		case wit.NameDate:
			return connectdata.Instant(int64(int32(number)) * msPerDay), true
		case wit.NameTime:
			return connectdata.Instant(int32(number)), int32(number) >= 0 && int32(number) <= msPerDay
		}
		return int32(number), true
	case wit.Int64:
		if in.name == wit.NameTimestamp {
			return connectdata.Instant(number), true
		}
		return number, true
	case wit.Float32:
		return float32(real), true
	}
	return real, true
}

// temporal parses a date, a time or both in ISO 8601. Like in Kafka, the length of the text in UTF-16 selects the
// pattern, which is lenient: it parses the beginning of the text, and numbers may be out of range.
func temporal(text string) (Literal, bool) {
	text = strings.ReplaceAll(text, `\:`, ":")
	length := 0
	for _, r := range text {
		length += utf16.RuneLen(r)
	}
	var kind *inferred
	var p dateformat.Parser
	switch length {
	case len("2006-01-02"):
		kind = literalDate
		p.Format = dayFormat
	case len("15:04:05.000Z"):
		kind = literalTime
		p.Format = timeFormat
	case len("2006-01-02T15:04:05.000Z"):
		kind = literalInstant
		p.Format = instantFormat
	default:
		return Literal{}, false
	}
	ms, _, ok := p.Parse(text)
	return Literal{kind, connectdata.Instant(ms)}, ok
}

// nodes appends the schema. ok is false if a part has no type.
func (in *inferred) nodes(dst []wit.SchemaNode) (_ []wit.SchemaNode, ok bool) {
	if in == nil {
		return dst, false
	}
	id := len(dst)
	n := wit.SchemaNode{Kind: in.kind}
	if in.name != "" {
		n.Name = wit.Ptr(in.name)
		n.Version = wit.Ptr(int32(1))
	}
	if in.name == wit.NameDecimal {
		n.Parameters = []wit.Setting{{Name: "scale", Value: strconv.FormatInt(in.scale, 10)}}
	}
	dst = append(dst, n)
	ok = true
	if in.kind == wit.Map {
		dst[id].Key = uint32(len(dst))
		dst, ok = in.key.nodes(dst)
	}
	if ok && (in.kind == wit.Map || in.kind == wit.Array) {
		dst[id].Element = uint32(len(dst))
		dst, ok = in.element.nodes(dst)
	}
	return dst, ok
}

// tree returns a value in the form that [connectdata.Append] accepts. ok is false if the types do not match.
func (in *inferred) tree(v any) (_ any, ok bool) {
	switch x := v.(type) {
	case connectdata.Instant:
		ms := int64(x)
		switch in.name {
		case wit.NameDate:
			days := ms / msPerDay
			return int32(days), ms%msPerDay == 0 && int64(int32(days)) == days
		case wit.NameTime:
			return int32(ms), ms >= 0 && ms <= msPerDay // Kafka's Time takes 24:00, too
		}
		return ms, in.name == wit.NameTimestamp
	case connectdata.Decimal:
		b := connectdata.AppendDecimal(nil, x.Unscaled)
		content, _ := connectdata.LengthPrefixed(b)
		return content, in.name == wit.NameDecimal && in.scale == int64(x.Scale)
	case connectdata.List:
		list := make(connectdata.List, len(x))
		for i := range x {
			if list[i], ok = in.element.tree(x[i]); !ok {
				return nil, false
			}
		}
		return list, true
	case connectdata.Map:
		list := make(connectdata.Map, len(x))
		for i, e := range x {
			key, ok := in.key.tree(e.Key)
			if !ok {
				return nil, false
			}
			value, ok := in.element.tree(e.Value)
			if !ok {
				return nil, false
			}
			list[i] = connectdata.Entry{Key: key, Value: value}
		}
		return list, true
	}
	return v, in.name == ""
}

// Encode encodes the value with its schema. nodes is nil if it has no schema, as for an empty array.
func (l Literal) Encode() (nodes []wit.SchemaNode, value []byte, err error) {
	if l.kind == nil {
		return nil, []byte{connectdata.TagNull}, nil
	}
	if nodes, ok := l.kind.nodes(nil); ok {
		if tree, ok := l.kind.tree(l.value); ok {
			if value, err = connectdata.Append(nil, nodes, 0, tree); err == nil {
				return nodes, value, nil
			}
		}
	}
	value, err = connectdata.AppendSchemaless(nil, l.value)
	return nil, value, err
}
