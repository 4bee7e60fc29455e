package feedreader

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// addAdvice adds to each column the settings that would accept a value that does not fit.
func (f *Feed) addAdvice(l *decode.RowLayout, v *edm.View) {
	s := v.Structure
	for i := range l.Columns {
		c := &l.Columns[i]
		if e := v.Expansion(c.Name); e != nil && c.Nested != nil {
			c.Advice.Inline = "the service accepts $expand but ignores it: remove " + c.Name + " from " +
				f.Setting(query.Expand)
			f.addAdvice(c.Nested, e.View)
			continue
		}
		p := s.Property(c.Name)
		if p == nil {
			continue
		}
		if inner := f.model.Structure(p.Type.Name); c.Nested != nil && inner != nil {
			f.addAdvice(c.Nested, edm.Whole(inner))
		}
		if !f.Options.Lenient && !slices.Contains(s.Key, c.Name) {
			c.Advice.Null = f.Setting(sourceconfig.NameNullable) + " = lenient accepts it"
		}
		if c.Type == edm.Time {
			c.Advice.Time = "Connect's Time is below 24:00:00; errors.tolerance = all makes dead letters of such rows"
			if !slices.Contains(s.Key, c.Name) {
				c.Advice.Time += ", " + f.Setting(query.Select) + " without " + c.Name + " leaves the property out"
			}
		}
		if c.Type != edm.Decimal || c.Shape != decode.Primitive {
			continue
		}
		exact := f.Setting(sourceconfig.NameDecimalMapping) + " = none keeps decimals exact"
		round := sourceconfig.DecimalOverflow + " = round rounds it, as " + sourceconfig.DecimalRounding + " says"
		inexact := f.Setting(sourceconfig.NameDecimalMapping) + " = primitive reads it as a double"
		open := p.Scale < 0 && (p.VariableScale || p.Precision < 0)
		switch {
		case c.As == decode.AsInt64:
			c.Advice.Scale, c.Advice.Range = round, exact
		case c.As == decode.AsFloat64:
			c.Advice.Range = exact
		case c.Scale > 0:
			c.Advice.Scale, c.Advice.Precision = round+"; "+inexact, inexact
		default:
			c.Advice.Scale = round
		}
		if open {
			c.Advice.Scale = "a higher " + sourceconfig.ScaleFallback +
				" accepts it, since the metadata do not specify the scale; " +
				c.Advice.Scale
		}
	}
}
