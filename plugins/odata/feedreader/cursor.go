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
	nodes, err := f.model.ReadSchema(f.RowQuery.View, f.Options)
	if err != nil {
		return err
	}
	column := slices.IndexFunc(f.RowSchema.Columns, func(c decode.Column) bool { return c.Name == f.Cursor })
	node := slices.IndexFunc(nodes[0].Fields, func(m wit.Field) bool { return m.Name == f.Cursor })
	if column < 0 || node < 0 {
		return &wit.Error{Kind: wit.ErrorInternal, Message: "the cursor " + f.Cursor + " is not read"}
	}
	f.RowSchema.Tracked = append(slices.Clone(f.RowSchema.Tracked), column)
	if f.Rows != nil {
		f.Rows.TrackedCount = len(f.RowSchema.Tracked)
	}
	watched := len(f.RowSchema.Tracked)
	cursorIndex := len(f.RowSchema.Tracked) - 1
	member := nodes[0].Fields[node].Node
	zoned := f.Options.IsZoned(property, entityType.IsKey(property.Name))
	typ := property.Type.Primitive
	f.cursor = func(out *decode.Output, row int) (string, bool) {
		span := out.Tracked[row*watched+cursorIndex]
		cursorText, _, err := value.Text(typ, nodes, member, out.Data[span.Start:span.Start+span.Size])
		if err == nil && zoned {
			_, cursorText = f.Options.Zone.Clock(cursorText) // as the service compares
		}
		return cursorText, err == nil
	}
	f.Paging.Cursor = &paging.Cursor{Name: property.Name, Sortable: property.Sortable,
		InexactOrder:     zoned || typ == edm.String, // collations differ
		Compare:          func(a, b string) (int, bool) { return value.Compare(typ, a, b) },
		SubtractLookback: func(text string) string { return subtractLookback(typ, int64(f.Lookback), text) },
		Condition: func(from string) string {
			return property.Name + " ge " + string(uri.AppendLiteral(nil, uri.Literal{Type: typ, Text: from}))
		}}
	return nil
}

func subtractLookback(t edm.Primitive, lookback int64, text string) string {
	if lookback == 0 {
		return text
	}
	switch t {
	case edm.DateTime, edm.DateTimeOffset:
		instant, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(text, "Z"))
		if err != nil {
			return text
		}
		instant = instant.Add(-time.Duration(min(lookback, math.MaxInt64/int64(time.Second))) * time.Second)
		if instant.Year() < 1 {
			return "0001-01-01T00:00:00" + zoneOf(t)
		}
		return instant.Format("2006-01-02T15:04:05.999") + zoneOf(t)
	case edm.Decimal:
		n, ok := new(big.Rat).SetString(text)
		if !ok {
			return text
		}
		_, fraction, _ := strings.Cut(text, ".")
		return n.Sub(n, new(big.Rat).SetInt64(lookback)).FloatString(len(fraction))
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n-lookback > n {
			return text
		}
		return strconv.FormatInt(n-lookback, 10)
	}
}

func zoneOf(t edm.Primitive) string {
	if t == edm.DateTimeOffset {
		return "Z"
	}
	return ""
}

// CursorProperties returns the names of the properties that can be cursors.
func CursorProperties(s *edm.StructuredType) (names []string) {
	for i := range s.Properties {
		if canBeCursor(&s.Properties[i]) {
			names = append(names, s.Properties[i].Name)
		}
	}
	return names
}

func canBeCursor(p *edm.Property) bool {
	switch p.Type.Primitive {
	case edm.DateTime, edm.DateTimeOffset, edm.Byte, edm.Int16, edm.Int32, edm.Int64, edm.Decimal, edm.String:
		return p.Filterable
	}
	return false
}
