package odatatest

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Literals and values of OData v4 (ABNF 4.0).

// timeOfDayForm has seconds in v4 unless both seconds and fraction are left out.
var timeOfDayForm = regexp.MustCompile(`^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?$`)

// wordKinds are the types of literals without a prefix, by their form. The first form that matches decides.
var wordKinds = []struct {
	form *regexp.Regexp
	kind kind
}{
	{form: regexp.MustCompile(`^[-+]?\d{1,9}$`), kind: int32Kind},
	{form: regexp.MustCompile(`^[-+]?\d{1,18}$`), kind: int64Kind},
	{form: decimalForm, kind: decimalKind},
	{form: regexp.MustCompile(`^[-+]?\d+(\.\d+)?[eE][-+]?\d+$`), kind: doubleKind},
	{form: guidForm, kind: guidKind},
	{form: timeOfDayForm, kind: timeKind},
	{form: dayForm, kind: dateTimeKind},
	{form: momentForm, kind: dateTimeOffsetKind},
}

var dayForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// readWord4 reads a name or a literal that does not start with a quote.
func readWord4(l *lexer) error {
	word, isQuoted := l.scanWord()
	if isQuoted {
		content, err := l.readQuoted()
		if err == nil && word != "binary" {
			err = fmt.Errorf("expected binary before a quote, found %q", word)
		}
		if err == nil {
			l.token.literal, err = parsePlain4(binaryKind, string(content))
		}
		return err
	}
	for i := range wordKinds {
		if wordKinds[i].form.MatchString(word) {
			var err error
			l.token.literal, err = parsePlain4(wordKinds[i].kind, word)
			return err
		}
	}
	return l.setName(word)
}

// parsePlain4 reads a value in the form of JSON strings and unquoted literals.
func parsePlain4(k kind, s string) (*value, error) {
	switch k {
	case timeKind:
		m := timeOfDayForm.FindStringSubmatch(s)
		if m == nil {
			return nil, fmt.Errorf("expected a value of type Edm.TimeOfDay, found %q", s)
		}
		seconds := digits(m[1])*3600 + digits(m[2])*60 + digits(m[3])
		return &value{kind: k, num: seconds*ticksPerSecond + fractionTicks(m[4])}, nil
	case dateTimeKind:
		if dayForm.MatchString(s) {
			s += "T00:00:00"
		}
	case binaryKind:
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("expected a value of type Edm.Binary, found %q", s)
		}
		return &value{kind: k, text: raw}, nil
	}
	return parsePlain(k, s)
}

// appendPlain4 writes a value in the form of JSON strings and unquoted literals. DateTime is a point in time of UTC.
func appendPlain4(b []byte, v *value) []byte {
	switch v.kind {
	case timeKind:
		seconds, fraction := floorDiv(v.num, ticksPerSecond)
		return appendFraction(time.Unix(seconds, 0).UTC().AppendFormat(b, "15:04:05"), fraction)
	case dateTimeKind:
		return append(appendISO(b, v.num), 'Z')
	case binaryKind:
		return base64.RawURLEncoding.AppendEncode(b, v.text)
	}
	return appendPlain(b, v)
}

// appendLiteral4 writes a value in the form of URLs, percent-encoded where RFC 3986 requires it in a path.
func appendLiteral4(b []byte, v *value) []byte {
	switch v.kind {
	case stringKind:
		return appendLiteral(b, v)
	case binaryKind:
		return append(appendPlain4(append(b, "binary'"...), v), '\'')
	}
	return appendPercent(b, appendPlain4(nil, v))
}

// setNestedExpand reads $expand, whose items may have options in parentheses.
func setNestedExpand(q *query, argument string) *fault {
	for _, item := range splitOutside(argument, ',') {
		q.nested = append(q.nested, nestedQuery{name: item, query: newQuery(q.syntax)})
		n := &q.nested[len(q.nested)-1]
		var options string
		if n.name, options = splitKey(item); options == "" {
			continue
		}
		for _, o := range splitOutside(options, ';') {
			name, content, _ := strings.Cut(strings.TrimSpace(o), "=")
			raw := name + "=" + string(appendPercent(nil, []byte(content)))
			if f := n.query.add(option{name: name, value: content, raw: raw}); f != nil {
				return f
			}
		}
	}
	return nil
}

// splitOutside splits a text at a separator outside quotes and parentheses. It leaves out empty parts.
func splitOutside(s string, separator byte) []string {
	var parts []string
	start := 0
	depth := 0
	isQuoted := false
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || (s[i] == separator && depth == 0 && !isQuoted):
			if i > start {
				parts = append(parts, s[start:i])
			}
			start = i + 1
		case s[i] == '\'':
			isQuoted = !isQuoted
		case s[i] == '(' && !isQuoted:
			depth++
		case s[i] == ')' && !isQuoted:
			depth--
		}
	}
	return parts
}

// newNestedShape returns the effect of $select and $expand of a query and of the queries nested in it.
func newNestedShape(ex *exchange, t *table, q *query) (*shape, *fault) {
	s, f := newShape(t, q.selected, nil)
	if f != nil {
		return nil, f
	}
	for i := range q.nested {
		n := t.typ.navigation(q.nested[i].name)
		if n == nil {
			return nil, badRequest("Invalid $expand: no navigation property '%s' in type '%s'.", q.nested[i].name,
				t.typ.name)
		}
		inner, f := newNestedShape(ex, n.target, q.nested[i].query)
		if f != nil {
			return nil, f
		}
		rows, f := ex.newSelection(source{table: n.target}, q.nested[i].query)
		if f != nil {
			return nil, f
		}
		s.expand = append(s.expand, expansion{navigation: n, shape: inner, rows: rows})
	}
	return s, nil
}
