package query

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// rowText is a value of a row in Atom's form.
type rowText struct {
	text   string
	isNull bool
}

const maxShown = 60 // bytes of a value or path in a message

func (t rowText) String() string {
	if t.isNull {
		return "null"
	}
	if len(t.text) > maxShown {
		return strconv.Quote(strings.ToValidUTF8(t.text[:maxShown], "")) + "..."
	}
	return strconv.Quote(t.text)
}

// serviceValues returns the values that the service may have compared. They differ only when its clock is set back.
func (c *condition) serviceValues(actual rowText) (first, second rowText) {
	first = actual
	second = actual
	if c.zone != nil && !actual.isNull {
		first.text, second.text = c.zone.Clock(actual.text)
	}
	return first, second
}

// contradicts reports whether no interpretation of the condition accepts the value. approximate means that decimals
// of rows are rounded.
func (c *condition) contradicts(actual rowText, approximate bool) bool {
	return !c.evaluate(func(operator string, operand uri.Literal) bool {
		return !c.contradictsOperand(operator, actual, operand, approximate)
	})
}

// matches applies the condition as OData defines it: null equals only null, and is neither below nor above anything.
func (c *condition) matches(actual rowText) bool {
	return c.evaluate(func(operator string, operand uri.Literal) bool {
		if isNull := operand.Type == edm.NotPrimitive; isNull || actual.isNull {
			return (operator == "eq") == (isNull == actual.isNull) && (operator == "eq" || operator == "ne")
		}
		order, ok := value.Compare(c.property.Type.Primitive, actual.text, operand.Text)
		return ok && orderMatches(operator, order)
	})
}

// evaluate combines the results of isMet, which compares with a single operand.
func (c *condition) evaluate(isMet func(operator string, operand uri.Literal) bool) bool {
	switch c.operator {
	case "bt":
		return isMet("ge", c.operands[0]) && isMet("le", c.operands[1])
	case "nb":
		return isMet("lt", c.operands[0]) || isMet("gt", c.operands[1])
	case "in":
		return slices.ContainsFunc(c.operands, func(o uri.Literal) bool { return isMet("eq", o) })
	}
	return isMet(c.operator, c.operands[0])
}

// contradictsOperand reports whether a value contradicts a comparison with one operand. Assumption: null may be the
// initial value of ABAP, which is below all others and may equal an initial literal.
func (c *condition) contradictsOperand(operator string, actual rowText, operand uri.Literal, approximate bool) bool {
	primitive := c.property.Type.Primitive
	isNull := operand.Type == edm.NotPrimitive
	switch {
	case isNull && operator == "eq":
		return !actual.isNull && !mayBeInitial(primitive, actual.text)
	case isNull:
		return actual.isNull
	case actual.isNull && (operator == "eq" || operator == "gt" || operator == "ge"):
		return !mayBeInitial(primitive, operand.Text)
	case actual.isNull:
		return false
	}
	var orders []int // as services may compare: one of them must meet the condition
	switch primitive {
	case edm.String:
		if operator == "ne" {
			return actual.text == operand.Text
		}
		normalizedActual := normalize(actual.text)
		normalizedOperand := normalize(operand.Text)
		if normalizedActual == normalizedOperand {
			return false
		}
		if operator == "eq" {
			return true
		}
		if !isASCII(normalizedActual) || !isASCII(normalizedOperand) {
			return false // each database has a collation of its own
		}
		orders = []int{strings.Compare(actual.text, operand.Text), strings.Compare(normalizedActual, normalizedOperand)}
	case edm.Decimal:
		if approximate {
			return false
		}
		fallthrough
	default:
		order, ok := value.Compare(primitive, actual.text, operand.Text)
		if !ok || (order == 0 && mayHaveMoreDigits(c.property)) || isNearly(primitive, actual.text, operand.Text) {
			return false
		}
		if c.dayOnly && dateOf(actual.text) == dateOf(operand.Text) {
			return false
		}
		orders = []int{order}
	}
	for _, order := range orders {
		if orderMatches(operator, order) {
			return false
		}
	}
	return true
}

// mayBeInitial reports whether a value may be the initial value of its type in ABAP.
func mayBeInitial(primitive edm.Primitive, text string) bool {
	switch primitive {
	case edm.String:
		return strings.Trim(text, " 0") == ""
	case edm.Boolean:
		return text == "false"
	case edm.Time:
		return strings.Trim(text, "PTHMS0.") == ""
	}
	return strings.Trim(text, "0.-:") == ""
}

// normalize removes what the least strict service ignores: case, trailing blanks, leading zeros of a number.
func normalize(s string) string {
	s = strings.ToLower(strings.TrimRight(s, " "))
	if s != "" && strings.Trim(s, "0123456789") == "" {
		s = strings.TrimLeft(s, "0")
	}
	return s
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// mayHaveMoreDigits reports whether the service may store more digits than responses contain.
func mayHaveMoreDigits(property *edm.Property) bool {
	switch property.Type.Primitive {
	case edm.DateTime, edm.DateTimeOffset, edm.Time, edm.TimeOfDay:
		return property.Precision < 0 || property.Precision > 3
	case edm.Double, edm.Single:
		return true
	}
	return false
}

// isNearly reports whether two values are equal, or may differ by rounding only.
func isNearly(primitive edm.Primitive, a, b string) bool {
	switch primitive {
	case edm.Double, edm.Single:
		x, _ := strconv.ParseFloat(a, 64)
		y, _ := strconv.ParseFloat(b, 64)
		difference := max(x-y, y-x)
		return difference <= max(x, -x, y, -y)*1e-6 // single precision has seven digits
	case edm.DateTime, edm.DateTimeOffset, edm.TimeOfDay:
		return truncateMillis(a) == truncateMillis(b)
	case edm.Time:
		return strings.TrimSuffix(a, "S") == strings.TrimSuffix(b, "S")
	}
	return false
}

func dateOf(s string) string { return s[:min(len(s), len("2006-01-02"))] }

// truncateMillis drops digits after milliseconds, the zone, and trailing zeros.
func truncateMillis(s string) string {
	s = strings.TrimSuffix(s, "Z")
	if dot := strings.IndexByte(s, '.'); dot >= 0 {
		s = strings.TrimRight(s[:min(len(s), dot+len(".999"))], "0")
	}
	return strings.TrimSuffix(s, ".")
}

// orderMatches reports whether a comparison is true for an order (-1, 0, 1).
func orderMatches(operator string, order int) bool {
	switch operator {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "lt":
		return order < 0
	case "le":
		return order <= 0
	case "gt":
		return order > 0
	}
	return order >= 0
}
