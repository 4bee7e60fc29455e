package odatatest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// lexer splits keys and $filter expressions into literals, names and signs (OData v2 literals, [MS-ODATA] 2.2.2).
type lexer struct {
	*syntax
	text  string
	at    int
	token token
}

type token struct {
	sign    byte   // '(' ')' ',' '=' or 0
	name    string // a word or a path with '/'
	literal *value // a literal; null is a value with null set
	end     bool
	at      int
}

func (s *syntax) newLexer(text string) (*lexer, error) {
	l := &lexer{syntax: s, text: text}
	return l, l.next()
}

// next reads one token into l.token.
func (l *lexer) next() error {
	for l.at < len(l.text) && (l.text[l.at] == ' ' || l.text[l.at] == '\t') {
		l.at++
	}
	l.token = token{at: l.at}
	if l.at == len(l.text) {
		l.token.end = true
		return nil
	}
	c := l.text[l.at]
	switch {
	case strings.IndexByte("(),=", c) >= 0:
		l.token.sign = c
		l.at++
		return nil
	case c == '\'':
		s, err := l.readQuoted()
		l.token.literal = &value{kind: stringKind, text: s}
		return err
	}
	return l.readWord(l)
}

// readWord reads a name or a literal that does not start with a quote.
func readWord(l *lexer) error {
	if c := l.text[l.at]; c == '-' || (c >= '0' && c <= '9') {
		return l.readNumber()
	}
	name, isQuoted := l.scanWord()
	if isQuoted {
		s, err := l.readQuoted()
		if err != nil {
			return err
		}
		l.token.literal, err = typedLiteral(name, string(s))
		return err
	}
	return l.setName(name)
}

// scanWord returns the text before the next separator, and whether that is a quote.
func (l *lexer) scanWord() (word string, isQuoted bool) {
	start := l.at
	for l.at < len(l.text) && strings.IndexByte(" \t(),='", l.text[l.at]) < 0 {
		l.at++
	}
	return l.text[start:l.at], l.at < len(l.text) && l.text[l.at] == '\''
}

// setName sets a token that is a name or a named literal.
func (l *lexer) setName(name string) error {
	switch name {
	case "null":
		l.token.literal = &value{null: true}
	case "true", "false":
		v := booleanValue(name == "true")
		l.token.literal = &v
	case "":
		return fmt.Errorf("expected a name or a literal, found %q at position %d", l.text[l.at:], l.at)
	default:
		l.token.name = name
	}
	return nil
}

// readQuoted reads 'text', a quote inside is doubled.
func (l *lexer) readQuoted() ([]byte, error) {
	start := l.at
	var s []byte
	for l.at++; l.at < len(l.text); l.at++ {
		if l.text[l.at] != '\'' {
			s = append(s, l.text[l.at])
			continue
		}
		if l.at+1 < len(l.text) && l.text[l.at+1] == '\'' {
			s = append(s, '\'')
			l.at++
			continue
		}
		l.at++
		return s, nil
	}
	return nil, fmt.Errorf("expected the closing quote of the literal at position %d, found the end", start)
}

func (l *lexer) readNumber() error {
	start := l.at
	for l.at++; l.at < len(l.text) && strings.IndexByte("0123456789.eE+-", l.text[l.at]) >= 0; l.at++ {
		previous := l.text[l.at-1]
		if c := l.text[l.at]; (c == '+' || c == '-') && previous != 'e' && previous != 'E' {
			break // a sign is only after the e of an exponent
		}
	}
	digits := l.text[start:l.at]
	suffix := byte(0)
	if l.at < len(l.text) && strings.IndexByte("LlMmDdFf", l.text[l.at]) >= 0 {
		suffix = l.text[l.at] | 0x20 // in lower case
		l.at++
	}
	k := doubleKind
	switch {
	case suffix == 'l':
		k = int64Kind
	case suffix == 'm':
		k = decimalKind
	case suffix == 'f':
		k = singleKind
	case suffix == 0 && !strings.ContainsAny(digits, ".eE"):
		k = int64Kind
		if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
			l.token.literal = &value{kind: int32Kind, num: n}
			return nil
		}
	}
	v, err := parsePlain(k, digits)
	l.token.literal = v
	return err
}

// typedLiteral reads the text between the quotes of datetime'…' and other typed literals.
func typedLiteral(prefix, s string) (*value, error) {
	switch prefix {
	case "datetime":
		return parsePlain(dateTimeKind, s)
	case "datetimeoffset":
		return parsePlain(dateTimeOffsetKind, s)
	case "time":
		return parsePlain(timeKind, s)
	case "guid":
		return parsePlain(guidKind, s)
	case "X", "binary":
		raw, err := hex.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("expected hexadecimal digits in %s'%s'", prefix, s)
		}
		return &value{kind: binaryKind, text: raw}, nil
	}
	return nil, fmt.Errorf("expected datetime, datetimeoffset, time, guid, binary or X before a quote, found %q",
		prefix)
}

func floatValue(k kind, f float64) *value {
	return &value{kind: k, num: int64(math.Float64bits(f))}
}

var (
	guidForm     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	decimalForm  = regexp.MustCompile(`^[-+]?(\d+(\.\d*)?|\.\d+)$`)
	durationForm = regexp.MustCompile(`^P(?:0+D)?T(?:(\d{1,2})H)?(?:(\d{1,2})M)?(?:(\d{1,2})(?:\.(\d{1,7}))?S)?$`)
	momentForm   = regexp.MustCompile(
		`^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?(Z|[+-]\d\d:\d\d)?$`)
	jsonDateForm = regexp.MustCompile(`^/Date\((-?\d+)(?:([+-])(\d{1,4}))?\)/$`)
)

// integerBits has the sizes of signed integers; Byte, which has no sign, needs one bit more.
var integerBits = map[kind]int{byteKind: 9, sbyteKind: 8, int16Kind: 16, int32Kind: 32, int64Kind: 64}

// parsePlain reads a value in the form of Atom text and unquoted literals.
func parsePlain(k kind, s string) (*value, error) {
	invalid := func() error { return fmt.Errorf("expected a value of type %s, found %q", k, s) }
	v := &value{kind: k, text: []byte(s)}
	switch k {
	case stringKind:
		// the text is the value
	case booleanKind:
		switch s {
		case "true", "1":
			v.num = 1
		case "false", "0":
			// num is 0
		default:
			return nil, invalid()
		}
	case byteKind, sbyteKind, int16Kind, int32Kind, int64Kind:
		n, err := strconv.ParseInt(s, 10, integerBits[k])
		if err != nil || (k == byteKind && n < 0) {
			return nil, invalid()
		}
		v.num = n
	case decimalKind:
		if !decimalForm.MatchString(s) {
			return nil, invalid()
		}
	case singleKind, doubleKind:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, invalid()
		}
		if k == singleKind {
			f = float64(float32(f))
		}
		return floatValue(k, f), nil
	case guidKind:
		if !guidForm.MatchString(s) {
			return nil, invalid()
		}
	case timeKind:
		m := durationForm.FindStringSubmatch(s)
		if m == nil || len(s) < len("PT0S") {
			return nil, invalid()
		}
		v.num = (digits(m[1])*3600+digits(m[2])*60+digits(m[3]))*ticksPerSecond + fractionTicks(m[4])
	case dateTimeKind, dateTimeOffsetKind:
		m := momentForm.FindStringSubmatch(s)
		// m[8] is the zone, Z or an offset. A DateTime accepts Z only.
		if m == nil || (k == dateTimeKind && len(m[8]) > 1) || (k == dateTimeOffsetKind && m[8] == "") {
			return nil, fmt.Errorf("expected a value of type %s, found %q", k, s)
		}
		t := time.Date(int(digits(m[1])), time.Month(digits(m[2])), int(digits(m[3])), int(digits(m[4])),
			int(digits(m[5])), int(digits(m[6])), 0, time.UTC)
		if t.Day() != int(digits(m[3])) || t.Hour() != int(digits(m[4])) { // time.Date normalizes 30 February
			return nil, fmt.Errorf("expected a value of type %s, found %q, which is no date", k, s)
		}
		v := &value{kind: k, num: t.Unix()*ticksPerSecond + fractionTicks(m[7])}
		if zone := m[8]; len(zone) > 1 {
			v.zone = int16(digits(zone[1:3])*60 + digits(zone[4:6]))
			if zone[0] == '-' {
				v.zone = -v.zone
			}
			v.num -= int64(v.zone) * 60 * ticksPerSecond
		}
		return v, nil
	case binaryKind:
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err != nil {
			return nil, invalid()
		}
		v.text = raw
	}
	return v, nil
}

func digits(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func fractionTicks(s string) int64 { return digits((s + "0000000")[:7]) }

// coerce converts a literal to the type of its property; ok is false if that changes the value.
func coerce(v *value, k kind) (*value, bool) {
	if v.null || v.kind == k {
		return v, true
	}
	switch {
	case k.isInteger() && v.kind.isInteger():
		c, err := parsePlain(k, strconv.FormatInt(v.num, 10))
		return c, err == nil
	case k == decimalKind && v.kind.isInteger():
		return &value{kind: k, text: strconv.AppendInt(nil, v.num, 10)}, true
	case (k == singleKind || k == doubleKind) && v.kind.isNumeric():
		return floatValue(k, v.asFloat()), true
	case k == decimalKind && v.kind == doubleKind:
		return &value{kind: k, text: strconv.AppendFloat(nil, v.float(), 'f', -1, 64)}, true
	}
	return nil, false
}

// appendLiteral writes a value in the form of URLs, percent-encoded where RFC 3986 requires it in a path.
func appendLiteral(b []byte, v *value) []byte {
	switch v.kind {
	case stringKind:
		b = append(b, '\'')
		b = appendPercent(b, bytes.ReplaceAll(v.text, []byte("'"), []byte("''")))
		return append(b, '\'')
	case int64Kind:
		return append(appendPlain(b, v), 'L')
	case decimalKind:
		return append(appendPlain(b, v), 'M')
	case singleKind:
		return append(appendPlain(b, v), 'F')
	case doubleKind:
		return append(appendPlain(b, v), 'D')
	case guidKind:
		return append(appendPlain(append(b, "guid'"...), v), '\'')
	case timeKind:
		return append(appendPlain(append(b, "time'"...), v), '\'')
	case dateTimeKind:
		return append(appendPercent(append(b, "datetime'"...), appendPlain(nil, v)), '\'')
	case dateTimeOffsetKind:
		return append(appendPercent(append(b, "datetimeoffset'"...), appendPlain(nil, v)), '\'')
	case binaryKind:
		return append(hex.AppendEncode(append(b, "X'"...), v.text), '\'')
	}
	return appendPlain(b, v)
}

func appendPercent(b, text []byte) []byte {
	const hexadecimal = "0123456789ABCDEF"
	for _, c := range text {
		if (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			bytes.IndexByte([]byte("-_.~'*"), c) >= 0 {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hexadecimal[c>>4], hexadecimal[c&15])
	}
	return b
}

// fitsDecimal reports whether a decimal has at most so many digits before and after the point.
func fitsDecimal(text []byte, precision, scale int) bool {
	r, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return false
	}
	unscaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)),
		nil)))
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return unscaled.IsInt() && new(big.Int).Abs(unscaled.Num()).Cmp(limit) < 0
}
