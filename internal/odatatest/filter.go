package odatatest

import (
	"fmt"
	"strings"
)

// expression is a compiled $filter: it returns the value for a row. A condition returns a Boolean; null counts as
// false.
type expression struct {
	eval func(r *row) value
	kind kind
	// Inclusive bounds of the first key property of all matching rows; nil means no bound.
	low  *value
	high *value
}

func (e *expression) matches(r *row) bool {
	if e == nil {
		return true
	}
	v := e.eval(r)
	return !v.null && v.num != 0
}

// filterParser parses $filter. From weak to strong binding: or, and, comparison, then paths, literals, parentheses.
type filterParser struct {
	*lexer
	typ *entityType
}

func (s *syntax) parseFilter(text string, typ *entityType) (*expression, error) {
	l, err := s.newLexer(text)
	if err != nil {
		return nil, err
	}
	p := &filterParser{lexer: l, typ: typ}
	e, err := p.parseOr()
	if err != nil {
		return nil, err
	}
	if !p.token.end {
		return nil, fmt.Errorf("expected the end of the expression at position %d, found %q", p.token.at,
			text[p.token.at:])
	}
	if e.kind != booleanKind {
		return nil, fmt.Errorf("expected a condition, found an expression of type %s", e.kind)
	}
	return e, nil
}

func (p *filterParser) parseOr() (*expression, error) {
	condition, err := p.parseAnd()
	for err == nil && p.token.name == "or" {
		var right *expression
		if right, err = p.parseOperand(p.parseAnd); err != nil {
			break
		}
		a := condition
		b := right
		either := func(r *row) value { return booleanValue(a.matches(r) || b.matches(r)) }
		condition = &expression{kind: booleanKind, eval: either}
		if a.low != nil && b.low != nil {
			condition.low = minValue(a.low, b.low)
		}
		if a.high != nil && b.high != nil {
			condition.high = maxValue(a.high, b.high)
		}
	}
	return condition, err
}

func (p *filterParser) parseAnd() (*expression, error) {
	condition, err := p.parseComparison()
	for err == nil && p.token.name == "and" {
		var right *expression
		if right, err = p.parseOperand(p.parseComparison); err != nil {
			break
		}
		a := condition
		b := right
		both := func(r *row) value { return booleanValue(a.matches(r) && b.matches(r)) }
		condition = &expression{kind: booleanKind, eval: both, low: maxValue(a.low, b.low), high: minValue(a.high,
			b.high)}
	}
	return condition, err
}

// parseOperand skips the operator and reads its right operand.
func (p *filterParser) parseOperand(parse func() (*expression, error)) (*expression, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	return parse()
}

func minValue(a, b *value) *value {
	if a == nil || (b != nil && mustCompare(b, a) < 0) {
		return b
	}
	return a
}

func maxValue(a, b *value) *value {
	if a == nil || (b != nil && mustCompare(b, a) > 0) {
		return b
	}
	return a
}

func mustCompare(a, b *value) int {
	c, _ := compare(a, b)
	return c
}

func booleanValue(b bool) value {
	if b {
		return value{kind: booleanKind, num: 1}
	}
	return value{kind: booleanKind}
}

var comparisons = map[string]func(order int) bool{
	"eq": func(c int) bool { return c == 0 }, "ne": func(c int) bool { return c != 0 },
	"gt": func(c int) bool { return c > 0 },
	"ge": func(c int) bool { return c >= 0 }, "lt": func(c int) bool { return c < 0 },
	"le": func(c int) bool { return c <= 0 },
}

func (p *filterParser) parseComparison() (*expression, error) {
	start := p.token
	left, err := p.parsePrimary()
	if err != nil {
		return nil, err
	}
	operator := p.token.name
	accept := comparisons[operator]
	if accept == nil {
		return left, nil
	}
	right, err := p.parseOperand(p.parsePrimary)
	if err != nil {
		return nil, err
	}
	leftValue := left.eval
	rightValue := right.eval
	// Any two values show whether the kinds can be compared.
	if _, ok := compare(&value{kind: left.kind, text: []byte("0")}, &value{kind: right.kind, text: []byte("0")}); !ok &&
		!right.isMissing() && !left.isMissing() {
		return nil, fmt.Errorf("operator '%s' incompatible with operand types '%s' and '%s' at position %d", operator,
			left.kind, right.kind, start.at)
	}
	e := &expression{kind: booleanKind, eval: func(r *row) value {
		x := leftValue(r)
		y := rightValue(r)
		if x.null || y.null {
			return booleanValue((operator == "eq" && x.null && y.null) || (operator == "ne" && x.null != y.null))
		}
		c, _ := compare(&x, &y)
		return booleanValue(accept(c))
	}}
	// A comparison of the first key property with a literal sets the bounds.
	if start.name == p.typ.properties[0].name && right.low != nil {
		if operator == "eq" || operator == "gt" || operator == "ge" {
			e.low = right.low
		}
		if operator == "eq" || operator == "lt" || operator == "le" {
			e.high = right.low
		}
	}
	return e, nil
}

// isMissing reports whether the expression is the literal null, which compares with every type.
func (e *expression) isMissing() bool { return e.kind == complexKind }

func (p *filterParser) parsePrimary() (*expression, error) {
	t := p.token
	switch {
	case t.sign == '(':
		e, err := p.parseOperand(p.parseOr)
		if err == nil && p.token.sign != ')' {
			err = fmt.Errorf("expected ')' at position %d", p.token.at)
		}
		if err != nil {
			return nil, err
		}
		return e, p.next()
	case t.literal != nil:
		v := *t.literal
		e := &expression{kind: v.kind, eval: func(*row) value { return v }}
		if v.null {
			e.kind = complexKind
		} else if v.kind != booleanKind {
			e.low = &v // a literal may become a bound
		}
		return e, p.next()
	case t.name != "":
		if err := p.next(); err != nil {
			return nil, err
		}
		if call := p.functions[t.name]; call != nil && p.token.sign == '(' {
			return p.parseCall(call)
		}
		if p.token.sign == '(' {
			return nil, fmt.Errorf("unknown function '%s' at position %d", t.name, p.token.at)
		}
		return p.parsePath(t.name)
	}
	return nil, fmt.Errorf("expected a property, a literal or '(' at position %d of the filter", t.at)
}

// parseCall returns a call of a function of two texts. The current token is the parenthesis before them.
func (p *filterParser) parseCall(call func(s, argument []byte) bool) (*expression, error) {
	var operands [2]*expression
	for i, separator := range []byte{',', ')'} {
		var err error
		if operands[i], err = p.parseOperand(p.parsePrimary); err != nil {
			return nil, err
		}
		if operands[i].kind != stringKind || p.token.sign != separator {
			return nil, fmt.Errorf("expected a text and '%c' at position %d", separator, p.token.at)
		}
	}
	return &expression{kind: booleanKind, eval: func(r *row) value {
		s := operands[0].eval(r)
		argument := operands[1].eval(r)
		return booleanValue(!s.null && !argument.null && call(s.text, argument.text))
	}}, p.next()
}

// parsePath returns a property of the entity or of a related one.
func (p *filterParser) parsePath(name string) (*expression, error) {
	propertyName, tail, isNested := strings.Cut(name, "/")
	i := p.typ.property(propertyName)
	if n := p.typ.navigation(propertyName); n != nil && isNested && !n.many {
		inner, err := (&filterParser{lexer: p.lexer, typ: n.target.typ}).parsePath(tail)
		if err != nil {
			return nil, err
		}
		return &expression{kind: inner.kind, eval: func(r *row) value {
			if related := n.principalRow(r); related != nil {
				return inner.eval(related)
			}
			return value{null: true}
		}}, nil
	}
	if i < 0 {
		return nil, fmt.Errorf("no property '%s' exists in type '%s'", propertyName, p.typ.name)
	}
	if !isNested {
		return &expression{kind: p.typ.properties[i].kind, eval: func(r *row) value { return r.values[i] }}, nil
	}
	return nil, fmt.Errorf("no property '%s' exists in '%s'", tail, propertyName)
}
