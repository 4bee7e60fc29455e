package main

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// cursor makes the cursor of a feed whose layout is made; it has the layout watch the property.
func (f *Feed) makeCursor(s *edm.Structure) error {
	if f.cursor == "" {
		return nil
	}
	refuse := func(name, given, why string) error { return fault.Config(name, setting.Invalid(name, given, why)) }
	p := s.Property(f.cursor)
	var names []string
	for i := range s.Properties {
		if grows(&s.Properties[i]) {
			names = append(names, s.Properties[i].Name)
		}
	}
	name := f.setting(nameCursor)
	switch {
	case p == nil:
		return refuse(name, f.cursor, f.cursor+" is no property of "+s.QualifiedName()+fault.Among(f.cursor, names,
			"it has none that grows"))
	case !grows(p):
		return refuse(name, f.cursor, "it is of type "+p.Type.Name+", or the service doesn't filter by it"+
			fault.Among("", names, "no property of the set will do"))
	case f.lookback > 0 && p.Type.Primitive == edm.String:
		return refuse(f.setting(nameLookback), "", "expected 0 with "+f.cursor+", which is a text")
	}
	nodes, err := f.model.ReadSchema(f.asked.View, f.options)
	if err != nil {
		return err
	}
	column := slices.IndexFunc(f.layout.Columns, func(c decode.Column) bool { return c.Name == f.cursor })
	node := slices.IndexFunc(nodes[0].Members, func(m wit.Member) bool { return m.Name == f.cursor })
	if column < 0 || node < 0 {
		return &wit.Fault{Kind: wit.FaultInternal, Message: "the cursor " + f.cursor + " is not read"}
	}
	f.layout.Watch = append(slices.Clone(f.layout.Watch), column)
	if f.rows != nil {
		f.rows.Watched = len(f.layout.Watch)
	}
	watched, at, member := len(f.layout.Watch), len(f.layout.Watch)-1, nodes[0].Members[node].Node
	zoned := f.options.Zoned(p, s.IsKey(p.Name))
	f.pages.Cursor = &paging.Cursor{Property: p, Loose: zoned, Lookback: int64(f.lookback), Of: func(out *decode.Output,
		row int) (string, bool) {
		place := out.Watched[row*watched+at]
		text, _, err := value.Text(p.Type.Primitive, nodes, member, out.Data[place.Start:place.Start+place.Size])
		if err == nil && zoned {
			_, text = f.options.Zone.Clock(text) // what the service compares; rows that come again are recognised
		}
		return text, err == nil
	}}
	return nil
}

// grows tells whether a property can be a cursor: one that the service orders and filters by.
func grows(p *edm.Property) bool {
	switch p.Type.Primitive {
	case edm.DateTime, edm.DateTimeOffset, edm.Byte, edm.Int16, edm.Int32, edm.Int64, edm.Decimal, edm.String:
		return p.Filterable
	}
	return false
}
