package feedreader

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// addErrorHints adds to each column the settings that would accept a value that does not fit.
func (f *Feed) addErrorHints(l *decode.RowSchema, v *edm.View) {
	s := v.Structure
	for i := range l.Columns {
		c := &l.Columns[i]
		if e := v.Expansion(c.Name); e != nil && c.Nested != nil {
			c.Hints.Inline = "the service accepts $expand but ignores it: remove " + c.Name + " from " +
				f.Setting(query.Expand)
			f.addErrorHints(c.Nested, e.View)
			continue
		}
		p := s.Property(c.Name)
		if p == nil {
			continue
		}
		if inner := f.model.Structure(p.Type.Name); c.Nested != nil && inner != nil {
			f.addErrorHints(c.Nested, edm.WholeView(inner))
		}
		if !f.Options.Lenient && !slices.Contains(s.Key, c.Name) {
			c.Hints.Null = f.Setting(sourceconfig.NameNullable) + " = lenient accepts it"
		}
		if c.Type == edm.Time {
			c.Hints.Time = "Connect's Time is below 24:00:00; errors.tolerance = all makes dead letters of such rows"
			if !slices.Contains(s.Key, c.Name) {
				c.Hints.Time += ", " + f.Setting(query.Select) + " without " + c.Name + " leaves the property out"
			}
		}
		if c.Type != edm.Decimal || c.Kind != decode.Primitive {
			continue
		}
		exact := f.Setting(sourceconfig.NameDecimalMapping) + " = none keeps decimals exact"
		round := sourceconfig.DecimalOverflow + " = round rounds it, as " + sourceconfig.DecimalRounding + " says"
		inexact := f.Setting(sourceconfig.NameDecimalMapping) + " = primitive reads it as a double"
		open := p.Scale < 0 && (p.VariableScale || p.Precision < 0)
		switch {
		case c.Mapping == decode.Int64Mapping:
			c.Hints.Scale, c.Hints.Range = round, exact
		case c.Mapping == decode.Float64Mapping:
			c.Hints.Range = exact
		case c.Scale > 0:
			c.Hints.Scale, c.Hints.Precision = round+"; "+inexact, inexact
		default:
			c.Hints.Scale = round
		}
		if open {
			c.Hints.Scale = "a higher " + sourceconfig.ScaleFallback +
				" accepts it, since the metadata do not specify the scale; " +
				c.Hints.Scale
		}
	}
}
