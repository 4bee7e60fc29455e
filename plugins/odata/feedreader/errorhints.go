package feedreader

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// addErrorHints adds to each column the settings that would accept a value that does not fit.
func (f *Feed) addErrorHints(schema *decode.RowSchema, view *edm.View) {
	entityType := view.Structure
	for i := range schema.Columns {
		column := &schema.Columns[i]
		if expansion := view.Expansion(column.Name); expansion != nil && column.Nested != nil {
			column.Hints.Inline = "the service accepts $expand but ignores it: remove " + column.Name + " from " +
				f.Setting(query.Expand)
			f.addErrorHints(column.Nested, expansion.View)
			continue
		}
		property := entityType.Property(column.Name)
		if property == nil {
			continue
		}
		if inner := f.model.Structure(property.Type.Name); column.Nested != nil && inner != nil {
			f.addErrorHints(column.Nested, edm.WholeView(inner))
		}
		if !f.Options.Lenient && !slices.Contains(entityType.Key, column.Name) {
			column.Hints.Null = f.Setting(sourceconfig.NameNullable) + " = lenient accepts it"
		}
		if column.Type == edm.Time {
			column.Hints.Time = "Connect's Time is below 24:00:00; errors.tolerance = all makes dead letters of " +
				"such rows"
			if !slices.Contains(entityType.Key, column.Name) {
				column.Hints.Time += ", " + f.Setting(query.Select) + " without " + column.Name +
					" leaves the property out"
			}
		}
		if column.Type != edm.Decimal || column.Kind != decode.Primitive {
			continue
		}
		exact := f.Setting(sourceconfig.NameDecimalMapping) + " = none keeps decimals exact"
		round := sourceconfig.DecimalOverflow + " = round rounds it by " + sourceconfig.DecimalRounding
		inexact := f.Setting(sourceconfig.NameDecimalMapping) + " = primitive reads it as a double"
		isScaleUnknown := property.Scale < 0 && (property.VariableScale || property.Precision < 0)
		switch {
		case column.Mapping == decode.Int64Mapping:
			column.Hints.Scale = round
			column.Hints.Range = exact
		case column.Mapping == decode.Float64Mapping:
			column.Hints.Range = exact
		case column.Scale > 0:
			column.Hints.Scale = round + "; " + inexact
			column.Hints.Precision = inexact
		default:
			column.Hints.Scale = round
		}
		if isScaleUnknown {
			column.Hints.Scale = "a higher " + sourceconfig.ScaleFallback +
				" accepts it, since the metadata do not specify the scale; " + column.Hints.Scale
		}
	}
}
