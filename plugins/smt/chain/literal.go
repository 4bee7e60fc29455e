package chain

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/dateformat"
)

// This file reads texts as Kafka Connect's Values.parseString does: it infers a type, and what is of none stays text.

// literal is a value with the schema that was inferred for it.
type literal struct {
	// kind is nil for a null.
	kind *literalKind
	// value is as package datum holds it, but for times and decimals: [datum.Instant] and [datum.Decimal] under a
	// schema, too.
	value any
}

// literalKind is an inferred schema.
type literalKind struct {
	kind wit.Kind
	name string
	// scale of a decimal.
	scale int64
	// key and element of arrays and maps; nil: no type goes with all of them.
	key, element *literalKind
}

var (
	literalText    = &literalKind{kind: wit.Text}
	literalBoolean = &literalKind{kind: wit.Boolean}
	literalFloat32 = &literalKind{kind: wit.Float32}
	literalDate    = &literalKind{kind: wit.Int32, name: wit.NameDate}
	literalTime    = &literalKind{kind: wit.Int32, name: wit.NameTime}
	literalInstant = &literalKind{kind: wit.Int64, name: wit.NameTimestamp}
)

// errNoLiteral ends the reading of an array or map that is none: the text is then a text.
var errNoLiteral = errors.New("no literal")

// maxLiteralDepth is how deep arrays and maps may lie in each other.
const maxLiteralDepth = 32

// parseLiteral reads a text. The error says what the format of values has no room for.
func parseLiteral(text string) (literal, error) {
	if text == "" {
		return literal{literalText, ""}, nil
	}
	p := &literalParser{text: text}
	l, err := p.parse(0)
	switch {
	case p.wrong != nil:
		return literal{}, p.wrong
	case err == nil && !fit(l.value):
		return literal{}, errors.New("a number that is too long, or whose exponent is too large")
	}
	return l, err
}

// fit tells whether the format of values has room for the decimals of a value.
func fit(v any) bool {
	switch x := v.(type) {
	case datum.Decimal:
		return decimal{unscaled: x.Unscaled, scale: int64(x.Scale)}.fits()
	case datum.List:
		return !slices.ContainsFunc(x, func(v any) bool { return !fit(v) })
	case datum.Map:
		return !slices.ContainsFunc(x, func(e datum.Entry) bool { return !fit(e.Key) || !fit(e.Value) })
	}
	return true
}

// literalParser walks over the tokens of a text: delimiters, and what is between them.
type literalParser struct {
	text string
	at   int
	// ahead is the token that was looked at, when held is set; before is the one taken last.
	ahead  string
	held   bool
	before string
	// wrong ends all reading.
	wrong error
}

func (p *literalParser) mark() int {
	if p.held {
		return p.at - len(p.ahead)
	}
	return p.at
}

func (p *literalParser) rewind(to int) { p.at, p.ahead, p.held, p.before = to, "", false, "" }

func (p *literalParser) more() bool { return p.held || p.at < len(p.text) }

func (p *literalParser) next() string {
	if p.held {
		p.before, p.held, p.ahead = p.ahead, false, ""
	} else {
		p.before = p.token()
	}
	return p.before
}

// nextTokens takes n tokens as one text; without so many it takes none.
func (p *literalParser) nextTokens(n int) (string, bool) {
	start := p.mark()
	for range n {
		if !p.more() {
			p.rewind(start)
			return "", false
		}
		p.next()
	}
	return p.text[start:p.at], true
}

func (p *literalParser) token() string {
	escaped, start := false, p.at
	for ; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			escaped = !escaped
		case ':', ',', '{', '}', '[', ']', '"':
			if !escaped {
				if start == p.at {
					p.at++
				}
				return p.text[start:p.at]
			}
			escaped = false
		default:
			escaped = false
		}
	}
	return p.text[start:]
}

// take takes the token if it is the expected one, over blank ones.
func (p *literalParser) take(expected string) bool {
	if !p.held {
		if !p.more() {
			return false
		}
		p.ahead, p.held = p.token(), true
	}
	for setting.Trim(p.ahead) == "" && p.at < len(p.text) {
		p.ahead = p.token()
	}
	if setting.Trim(p.ahead) != expected {
		return false
	}
	p.ahead, p.held = "", false
	return true
}

// word takes a token that is all of the value.
func (p *literalParser) word(depth int, expected string) bool {
	start := p.mark()
	if p.take(expected) && (depth > 0 || !p.more()) {
		return true
	}
	p.rewind(start)
	return false
}

func (p *literalParser) parse(depth int) (literal, error) {
	switch {
	case depth > maxLiteralDepth:
		p.wrong = errors.New("arrays and maps that lie deeper than " + strconv.Itoa(maxLiteralDepth) + " in each other")
		return literal{}, p.wrong
	case !p.more():
		return literal{}, nil
	case depth > 0 && p.take(`"`):
		return p.quoted(), nil
	case p.word(depth, "null"):
		return literal{}, nil
	case p.word(depth, "true"):
		return literal{literalBoolean, true}, nil
	case p.word(depth, "false"):
		return literal{literalBoolean, false}, nil
	}
	start := p.mark()
	var l literal
	var err error
	switch {
	case p.take("["):
		l, err = p.array(depth)
	case p.take("{"):
		l, err = p.mapping(depth)
	default:
		return p.scalar(depth) // of the token that was looked at
	}
	if err == nil || p.wrong != nil {
		return l, err
	}
	p.rewind(start)
	return p.scalar(depth)
}

// scalar reads a token that is neither array nor map.
func (p *literalParser) scalar(depth int) (literal, error) {
	token := p.next()
	trimmed := setting.Trim(token)
	if trimmed == "" {
		return literal{literalText, token}, nil
	}
	trimmed = setting.ASCIIDigits(trimmed)
	first := trimmed[0]
	digit := first >= '0' && first <= '9'
	if digit {
		// a colon divides tokens: a time is of five
		start := p.mark()
		if rest, ok := p.nextTokens(4); ok {
			if l, ok := temporal(trimmed + setting.ASCIIDigits(rest)); ok {
				return l, nil
			}
		}
		p.rewind(start)
		if l, ok := temporal(trimmed); ok {
			return l, nil
		}
	}
	if digit || first == '+' || first == '-' {
		if d, ok := parseDecimal(trimmed); ok {
			return d.literal(), nil
		}
	}
	if depth > 0 {
		return literal{}, errNoLiteral
	}
	return literal{literalText, p.text}, nil
}

// quoted reads a text up to its second quotation mark.
func (p *literalParser) quoted() literal {
	var content strings.Builder
	for p.more() && !p.take(`"`) {
		content.WriteString(p.next())
	}
	if l, ok := temporal(setting.ASCIIDigits(content.String())); ok {
		return l
	}
	return literal{literalText, content.String()}
}

func (p *literalParser) array(depth int) (literal, error) {
	list := datum.List{}
	var common common
	for p.more() {
		if p.take("]") {
			if common.kind != nil {
				for i, v := range list {
					var ok bool
					if list[i], ok = common.kind.convert(v); !ok {
						return literal{}, errNoLiteral
					}
				}
			}
			return literal{&literalKind{kind: wit.Array, element: common.kind}, list}, nil
		}
		if p.take(",") {
			return literal{}, errNoLiteral
		}
		element, err := p.parse(depth + 1)
		if err != nil {
			return literal{}, err
		}
		common.merge(element.kind)
		list = append(list, element.value)
		start := p.mark()
		if p.take("]") {
			p.rewind(start)
		} else if !p.take(",") {
			return literal{}, errNoLiteral
		}
	}
	return literal{}, errNoLiteral
}

func (p *literalParser) mapping(depth int) (literal, error) {
	var list datum.Map
	var keys, values common
	put := func(m datum.Map, key, value any) datum.Map {
		for i := range m {
			if reflect.DeepEqual(m[i].Key, key) {
				m[i].Value = value
				return m
			}
		}
		return append(m, datum.Entry{Key: key, Value: value})
	}
	for p.more() {
		if p.take("}") {
			made := datum.Map{}
			for _, e := range list {
				var ok bool
				if keys.kind != nil {
					if e.Key, ok = keys.kind.convert(e.Key); !ok {
						return literal{}, errNoLiteral
					}
				}
				if keys.kind != nil && values.kind != nil {
					if e.Value, ok = values.kind.convert(e.Value); !ok {
						return literal{}, errNoLiteral
					}
				}
				made = put(made, e.Key, e.Value)
			}
			return literal{&literalKind{kind: wit.Mapping, key: keys.kind, element: values.kind}, made}, nil
		}
		if p.take(",") {
			return literal{}, errNoLiteral
		}
		key, err := p.parse(depth + 1)
		if err != nil {
			return literal{}, err
		}
		if key.kind == nil || !p.take(":") {
			return literal{}, errNoLiteral
		}
		value, err := p.parse(depth + 1)
		if err != nil {
			return literal{}, err
		}
		list = put(list, key.value, value.value)
		p.take(",")
		keys.merge(key.kind)
		values.merge(value.kind)
	}
	return literal{}, errNoLiteral
}

// literal is the smallest type that holds a number: whole ones without a point are integers, others floats.
func (d decimal) literal() literal {
	if whole, ok := d.whole(); ok && whole.IsInt64() {
		switch n := whole.Int64(); {
		case int64(int8(n)) == n:
			return literal{&literalKind{kind: wit.Int8}, int8(n)}
		case int64(int16(n)) == n:
			return literal{&literalKind{kind: wit.Int16}, int16(n)}
		case int64(int32(n)) == n:
			return literal{&literalKind{kind: wit.Int32}, int32(n)}
		default:
			return literal{&literalKind{kind: wit.Int64}, n}
		}
	}
	if d.scale != 0 {
		single, _ := strconv.ParseFloat(d.text, 32)
		if !math.IsInf(single, 0) {
			return literal{literalFloat32, float32(single)}
		}
		if double := d.float(); !math.IsInf(double, 0) {
			return literal{&literalKind{kind: wit.Float64}, double}
		}
	}
	return literal{&literalKind{kind: wit.Bytes, name: wit.NameDecimal, scale: d.scale},
		datum.Decimal{Scale: int32(d.scale), Unscaled: d.unscaled}}
}

// whole is the number where it has no fraction; ok is false, too, for one that is far beyond 64 bits.
func (d decimal) whole() (_ *big.Int, ok bool) {
	switch {
	case d.unscaled.Sign() == 0:
		return new(big.Int), true
	case d.scale < -20 || d.scale > int64(len(d.text)):
		return nil, false
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(d.scale, -d.scale)), nil)
	if d.scale <= 0 {
		return power.Mul(power, d.unscaled), true
	}
	whole, rest := new(big.Int).QuoRem(d.unscaled, power, new(big.Int))
	return whole, rest.Sign() == 0
}

// common is the type that goes with all elements of an array or map.
type common struct {
	kind *literalKind
	none bool
}

func (c *common) merge(k *literalKind) {
	switch {
	case k == nil || c.none:
	case c.kind == nil, c.kind.kind == k.kind:
		c.kind = k
	case c.kind.kind <= wit.Float64 && k.kind <= wit.Float64:
		if k.kind > c.kind.kind {
			c.kind = k
		}
	default:
		c.kind, c.none = nil, true
	}
}

// convert makes a value one of a type that was found for it and others; ok is false where there is none.
func (k *literalKind) convert(v any) (_ any, ok bool) {
	if v == nil {
		return nil, false
	}
	number, real, isReal := int64(0), 0.0, true
	switch x := v.(type) {
	case int8:
		number, isReal = int64(x), false
	case int16:
		number, isReal = int64(x), false
	case int32:
		number, isReal = int64(x), false
	case int64:
		number, isReal = x, false
	case float32:
		real = float64(x)
	case float64:
		real = x
	case datum.Instant:
		return v, k.name == wit.NameDate || k.name == wit.NameTime || k.name == wit.NameTimestamp
	default:
		return v, true
	}
	if !isReal {
		real = float64(number)
	}
	switch k.kind {
	case wit.Int8:
		return int8(number), true
	case wit.Int16:
		return int16(number), true
	case wit.Int32:
		switch k.name {
		case wit.NameDate:
			return datum.Instant(int64(int32(number)) * msPerDay), true
		case wit.NameTime:
			return datum.Instant(int32(number)), int32(number) >= 0 && int32(number) <= msPerDay
		}
		return int32(number), true
	case wit.Int64:
		if k.name == wit.NameTimestamp {
			return datum.Instant(number), true
		}
		return number, true
	case wit.Float32:
		return float32(real), true
	}
	return real, true
}

const msPerDay = 86_400_000

// temporal reads a date, a time or both in ISO 8601. As in Kafka the length of the text in UTF-16 chooses the pattern,
// and the pattern reads leniently: of the text it needs the beginning, and numbers may be out of their range.
func temporal(text string) (literal, bool) {
	text = strings.ReplaceAll(text, `\:`, ":")
	length := 0
	for _, r := range text {
		length += utf16.RuneLen(r)
	}
	var kind *literalKind
	var p dateformat.Parser
	switch length {
	case len("2006-01-02"):
		kind, p.Format = literalDate, dayFormat
	case len("15:04:05.000Z"):
		kind, p.Format = literalTime, timeFormat
	case len("2006-01-02T15:04:05.000Z"):
		kind, p.Format = literalInstant, instantFormat
	default:
		return literal{}, false
	}
	at, _, ok := p.Parse(text)
	return literal{kind, datum.Instant(at)}, ok
}

// nodes appends the schema; ok is false when it has a part that is of no type.
func (k *literalKind) nodes(dst []wit.Node) (_ []wit.Node, ok bool) {
	if k == nil {
		return dst, false
	}
	at := len(dst)
	n := wit.Node{Kind: k.kind}
	if k.name != "" {
		n.Name, n.Version = wit.Ptr(k.name), wit.Ptr(int32(1))
	}
	if k.name == wit.NameDecimal {
		n.Parameters = []wit.Setting{{Name: "scale", Value: strconv.FormatInt(k.scale, 10)}}
	}
	dst = append(dst, n)
	ok = true
	if k.kind == wit.Mapping {
		dst[at].Key = uint32(len(dst))
		dst, ok = k.key.nodes(dst)
	}
	if ok && (k.kind == wit.Mapping || k.kind == wit.Array) {
		dst[at].Element = uint32(len(dst))
		dst, ok = k.element.nodes(dst)
	}
	return dst, ok
}

// tree makes of a value one that [datum.Append] takes with the schema; ok is false when it is of another.
func (k *literalKind) tree(v any) (_ any, ok bool) {
	switch x := v.(type) {
	case datum.Instant:
		ms := int64(x)
		switch k.name {
		case wit.NameDate:
			days := ms / msPerDay
			return int32(days), ms%msPerDay == 0 && int64(int32(days)) == days
		case wit.NameTime:
			return int32(ms), ms >= 0 && ms <= msPerDay // Kafka's Time takes 24:00, too
		}
		return ms, k.name == wit.NameTimestamp
	case datum.Decimal:
		b := datum.AppendDecimal(nil, x.Unscaled)
		content, _ := datum.Block(b)
		return content, k.name == wit.NameDecimal && k.scale == int64(x.Scale)
	case datum.List:
		list := make(datum.List, len(x))
		for i := range x {
			if list[i], ok = k.element.tree(x[i]); !ok {
				return nil, false
			}
		}
		return list, true
	case datum.Map:
		list := make(datum.Map, len(x))
		for i, e := range x {
			key, ok := k.key.tree(e.Key)
			if !ok {
				return nil, false
			}
			value, ok := k.element.tree(e.Value)
			if !ok {
				return nil, false
			}
			list[i] = datum.Entry{Key: key, Value: value}
		}
		return list, true
	}
	return v, k.name == ""
}

// encode writes a literal with its schema, or as a value without one where no schema of ours goes with it, as with an
// empty array: then nodes is nil.
func (l literal) encode() (nodes []wit.Node, value []byte, err error) {
	if l.kind == nil {
		return nil, []byte{datum.TagNull}, nil
	}
	if nodes, ok := l.kind.nodes(nil); ok {
		if tree, ok := l.kind.tree(l.value); ok {
			if value, err = datum.Append(nil, nodes, 0, tree); err == nil {
				return nodes, value, nil
			}
		}
	}
	value, err = datum.AppendDynamic(nil, l.value)
	return nil, value, err
}
