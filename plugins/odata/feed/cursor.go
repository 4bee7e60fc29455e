package feed

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// cursor makes the cursor of a feed whose layout is made; it has the layout watch the property.
func (f *Feed) makeCursor(s *edm.Structure) error {
	if f.Cursor == "" {
		return nil
	}
	refuse := func(name, given, why string) error { return fault.Config(name, setting.Invalid(name, given, why)) }
	p := s.Property(f.Cursor)
	var names []string
	for i := range s.Properties {
		if Grows(&s.Properties[i]) {
			names = append(names, s.Properties[i].Name)
		}
	}
	name := f.Setting(entry.NameCursor)
	switch {
	case p == nil:
		return refuse(name, f.Cursor, f.Cursor+" is no property of "+s.QualifiedName()+fault.Among(f.Cursor, names,
			"it has none that grows"))
	case !Grows(p):
		return refuse(name, f.Cursor, "it is of type "+p.Type.Name+", or the service doesn't filter by it"+
			fault.Among("", names, "no property of the set will do"))
	case f.Lookback > 0 && p.Type.Primitive == edm.String:
		return refuse(f.Setting(entry.NameLookback), "", "expected 0 with "+f.Cursor+", which is a text")
	}
	nodes, err := f.model.ReadSchema(f.Asked.View, f.Options)
	if err != nil {
		return err
	}
	column := slices.IndexFunc(f.Layout.Columns, func(c decode.Column) bool { return c.Name == f.Cursor })
	node := slices.IndexFunc(nodes[0].Members, func(m wit.Member) bool { return m.Name == f.Cursor })
	if column < 0 || node < 0 {
		return &wit.Fault{Kind: wit.FaultInternal, Message: "the cursor " + f.Cursor + " is not read"}
	}
	f.Layout.Watch = append(slices.Clone(f.Layout.Watch), column)
	if f.Rows != nil {
		f.Rows.Watched = len(f.Layout.Watch)
	}
	watched, at, member := len(f.Layout.Watch), len(f.Layout.Watch)-1, nodes[0].Members[node].Node
	zoned := f.Options.Zoned(p, s.IsKey(p.Name))
	f.Pages.Cursor = &paging.Cursor{Property: p, Loose: zoned, Lookback: int64(f.Lookback), Of: func(out *decode.Output,
		row int) (string, bool) {
		place := out.Watched[row*watched+at]
		text, _, err := value.Text(p.Type.Primitive, nodes, member, out.Data[place.Start:place.Start+place.Size])
		if err == nil && zoned {
			_, text = f.Options.Zone.Clock(text) // what the service compares; rows that come again are recognised
		}
		return text, err == nil
	}}
	return nil
}

// Grows tells whether a property can be a cursor: one that the service orders and filters by.
func Grows(p *edm.Property) bool {
	switch p.Type.Primitive {
	case edm.DateTime, edm.DateTimeOffset, edm.Byte, edm.Int16, edm.Int32, edm.Int64, edm.Decimal, edm.String:
		return p.Filterable
	}
	return false
}
