package query

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// condition is a compiled [Condition].
type condition struct {
	// setting is the name of the operator's setting, for messages. text is the condition in $filter syntax.
	setting  string
	text     string
	operator string // one of [Operators]
	dialect  *edm.Dialect
	property *edm.Property
	dayOnly  bool // rows contain only the date
	isKey    bool // the property belongs to the key
	// zone is the service's zone if rows contain UTC and the service compares local times. Nil means that both are the
	// same.
	zone     *datetime.Zone
	operands []uri.Literal // one, two for bt and nb, any number for in; type 0 is null
	// itemPath is the path to expanded rows. path continues from there, or from the row, to the value.
	itemPath []string
	path     []string
}

// parseOperands parses the operands. Points in time with a zone are converted to the clock of the service.
func (c *condition) parseOperands(spec *Condition) error {
	texts := []string{spec.Low}
	isOrdered := c.operator != "eq" && c.operator != "ne" && c.operator != "in"
	if isOrdered && c.property.Type.Primitive == edm.Enum {
		return invalid(spec.Prefix+Option, spec.Option, spec.Property+" is an enumeration; expected eq, ne or in")
	}
	switch c.operator {
	case "in":
		texts = splitList(spec.Low)
		if len(texts) == 0 {
			return invalid(spec.Prefix+Low, spec.Low, "expected values with commas between them")
		}
	case "bt", "nb":
		texts = append(texts, spec.High)
	}
	for i, operand := range texts {
		name := spec.Prefix + Low
		if i == 1 && c.operator != "in" {
			name = spec.Prefix + High
		}
		if operand == "null" && c.property.Type.Primitive != edm.String && (c.operator == "eq" || c.operator == "ne" ||
			c.operator == "in") {
			c.operands = append(c.operands, uri.Literal{})
			continue
		}
		literal, err := value.Literal(c.dialect, c.property, operand)
		if err != nil {
			return invalid(name, operand, spec.Property+": "+err.Error())
		}
		if c.zone != nil && hasZone(operand) {
			literal.Text, _ = c.zone.Clock(literal.Text)
		}
		c.operands = append(c.operands, literal)
	}
	if c.operator == "bt" || c.operator == "nb" {
		if order, ok := value.Compare(c.property.Type.Primitive, c.operands[0].Text, c.operands[1].Text); ok &&
			order > 0 {
			return invalid(spec.Prefix+High, spec.High, "expected at least "+spec.Prefix+Low+", "+spec.Low)
		}
	}
	return nil
}

// hasZone reports whether a point in time has a zone, so that [value.Literal] has converted it to UTC.
func hasZone(text string) bool {
	_, clock, _ := strings.Cut(strings.TrimSuffix(text, "'"), "T")
	return strings.ContainsAny(clock, "Zz+-")
}

// splitList splits the values of the operator in at commas outside of literals.
func splitList(list string) []string {
	if strings.TrimSpace(list) == "" {
		return nil
	}
	var values []string
	start := 0
	isQuoted := false
	for i := 0; i <= len(list); i++ {
		switch {
		case i < len(list) && list[i] == '\'' && (isQuoted || opensLiteral(list[start:i])):
			isQuoted = !isQuoted
		case i == len(list) || (list[i] == ',' && !isQuoted):
			values = append(values, strings.TrimSpace(list[start:i]))
			start = i + 1
		}
	}
	return values
}

// opensLiteral reports whether a quote after this text begins a literal: not in O'Neil.
func opensLiteral(prefix string) bool {
	switch prefix = strings.ToLower(strings.TrimSpace(prefix)); prefix {
	case "", "guid", "datetime", "datetimeoffset", "time", "binary", "x":
		return true
	}
	return strings.HasSuffix(prefix, "'")
}

// expression returns the condition in $filter syntax.
func (c *condition) expression(path string) string {
	literal := func(i int) string {
		if c.operands[i].Type == edm.NotPrimitive {
			return "null"
		}
		return string(uri.AppendLiteral(nil, c.dialect, c.operands[i]))
	}
	switch c.operator {
	case "bt":
		return "(" + path + " ge " + literal(0) + " and " + path + " le " + literal(1) + ")"
	case "nb":
		return "(" + path + " lt " + literal(0) + " or " + path + " gt " + literal(1) + ")"
	case "in":
		var parts []string
		for i := range c.operands {
			parts = append(parts, path+" eq "+literal(i))
		}
		return "(" + strings.Join(parts, " or ") + ")"
	}
	return path + " " + c.operator + " " + literal(0)
}

func (c *condition) describe() string {
	var texts []string
	for _, operand := range c.operands {
		if operand.Type == edm.NotPrimitive {
			texts = append(texts, "null")
			continue
		}
		texts = append(texts, strconv.Quote(operand.Text))
	}
	return c.operator + " " + strings.Join(texts, ", ")
}

// setRowFormat sets how values appear in rows decoded under these options.
func (c *condition) setRowFormat(options edm.Options) {
	c.dayOnly = options.IsDate(c.property)
	c.zone = nil
	if options.IsZoned(c.property, c.isKey) {
		c.zone = options.Zone
	}
}
