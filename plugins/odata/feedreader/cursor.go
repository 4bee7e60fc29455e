package feedreader

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// compileCursor sets how the set is read by its cursor, if one is configured.
func (f *Feed) compileCursor(entityType *edm.StructuredType) error {
	if f.Cursor == "" {
		return nil
	}
	reject := func(name, text, reason string) error {
		return odataerror.ForSetting(name, setting.Invalid(name, text, reason))
	}
	property := entityType.Property(f.Cursor)
	names := CursorProperties(entityType)
	name := f.Setting(sourceconfig.NameCursor)
	switch {
	case property == nil:
		return reject(name, f.Cursor, f.Cursor+" is no property of "+entityType.QualifiedName()+
			odataerror.Suggest(f.Cursor, names, "it has no property that can be a cursor"))
	case !canBeCursor(property):
		return reject(name, f.Cursor, "it is of type "+property.Type.Name+", or the service doesn't filter by it"+
			odataerror.Suggest("", names, "no property of the set can be a cursor"))
	case f.Lookback > 0 && property.Type.Primitive == edm.String:
		return reject(f.Setting(sourceconfig.NameLookback), "", "expected 0 with "+f.Cursor+", which is a text")
	}
	// Track the property in rows.
	nodes, err := f.model.ReadSchema(f.RowQuery.View, f.Options)
	if err != nil {
		return err
	}
	column := slices.IndexFunc(f.RowSchema.Columns, func(t decode.Column) bool { return t.Name == f.Cursor })
	node := slices.IndexFunc(nodes[0].Fields, func(field wit.Field) bool { return field.Name == f.Cursor })
	if column < 0 || node < 0 {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "the cursor " + f.Cursor + " is not read"}
	}
	f.RowSchema.Tracked = append(slices.Clone(f.RowSchema.Tracked), column)
	if f.Rows != nil {
		f.Rows.TrackedCount = len(f.RowSchema.Tracked)
	}
	// Read it from rows as the service compares it.
	trackedCount := len(f.RowSchema.Tracked)
	cursorIndex := len(f.RowSchema.Tracked) - 1
	member := nodes[0].Fields[node].Node
	isZoned := f.Options.IsZoned(property, entityType.IsKey(property.Name))
	primitive := property.Type.Primitive
	f.cursor = func(out *decode.Output, row int) (string, bool) {
		span := out.Tracked[row*trackedCount+cursorIndex]
		cursorText, _, err := value.Text(primitive, nodes, member, out.Data[span.Start:span.Start+span.Size])
		if err == nil && isZoned {
			_, cursorText = f.Options.Zone.Clock(cursorText) // as the service compares
		}
		return cursorText, err == nil
	}
	f.Paging.Cursor = &paging.Cursor{Name: property.Name, Sortable: property.Sortable,
		InexactOrder:     isZoned || primitive == edm.String, // collations differ
		Compare:          func(a, b string) (int, bool) { return value.Compare(primitive, a, b) },
		SubtractLookback: func(text string) string { return subtractLookback(primitive, int64(f.Lookback), text) },
		Condition: func(from string) string {
			return property.Name + " ge " +
				string(uri.AppendLiteral(nil, f.Dialect, uri.Literal{Type: primitive, Text: from}))
		}}
	return nil
}

const daysOfCalendar = 4_000_000 // more than in the years 1 to 9999

// subtractLookback subtracts seconds from a point in time, as many days from a date as contain them, or units from a
// number. It returns other texts unchanged.
func subtractLookback(primitive edm.Primitive, lookback int64, text string) string {
	if lookback == 0 {
		return text
	}
	switch primitive {
	case edm.Date:
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return text
		}
		const secondsOfDay = 86_400
		days := min((lookback-1)/secondsOfDay+1, daysOfCalendar)
		day = day.AddDate(0, 0, -int(days))
		if day.Year() < 1 {
			return "0001-01-01"
		}
		return day.Format(time.DateOnly)
	case edm.DateTime, edm.DateTimeOffset:
		instant, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(text, "Z"))
		if err != nil {
			return text
		}
		instant = instant.Add(-time.Duration(min(lookback, math.MaxInt64/int64(time.Second))) * time.Second)
		if instant.Year() < 1 {
			return "0001-01-01T00:00:00" + zoneOf(primitive)
		}
		return instant.Format("2006-01-02T15:04:05.999") + zoneOf(primitive)
	case edm.Decimal:
		number, ok := new(big.Rat).SetString(text)
		if !ok {
			return text
		}
		_, fraction, _ := strings.Cut(text, ".")
		return number.Sub(number, new(big.Rat).SetInt64(lookback)).FloatString(len(fraction))
	default:
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil || number-lookback > number { // overflow
			return text
		}
		return strconv.FormatInt(number-lookback, 10)
	}
}

func zoneOf(primitive edm.Primitive) string {
	if primitive == edm.DateTimeOffset {
		return "Z"
	}
	return ""
}

// CursorProperties returns the names of the properties that can be cursors.
func CursorProperties(entityType *edm.StructuredType) (names []string) {
	for i := range entityType.Properties {
		if canBeCursor(&entityType.Properties[i]) {
			names = append(names, entityType.Properties[i].Name)
		}
	}
	return names
}

func canBeCursor(property *edm.Property) bool {
	switch property.Type.Primitive {
	case edm.DateTime, edm.DateTimeOffset, edm.Date, edm.Byte, edm.Int16, edm.Int32, edm.Int64, edm.Decimal, edm.String:
		return property.Filterable && !property.Type.Collection
	}
	return false
}
