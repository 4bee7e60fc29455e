package feed

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/plugins/odata/load/rowkey"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// New finds the set in the metadata.
func New(e entry.Entry, m *edm.Model) (*Feed, error) {
	set, s, err := entry.FindSet(&e, m)
	if err != nil {
		return nil, err
	}
	f := &Feed{Entry: e, Address: service.Address(set), countable: set.Countable, pageable: set.Pageable}
	if e.DerivedTypes {
		if s, err = f.widened(m, s); err != nil {
			return nil, err
		}
	} else if f.Derived = derivedProperties(m, s); len(f.Derived) > 0 {
		sdk.Log(wit.LevelWarn, "entity set "+e.Set+" of "+e.Service+": rows of types that are derived from "+
			s.QualifiedName()+" are read without the properties that these add: "+strings.Join(f.Derived, ", ")+"; "+
			f.Setting(entry.NameDerived)+" = include reads them")
	}
	asked, err := query.Compile(e.Reads, m, s)
	if err != nil {
		return nil, err
	}
	f.model = &edm.Model{Structures: asked.Structures()}
	if !set.Addressable || set.RequiresFilter && asked.Filter("") == "" {
		sdk.Log(wit.LevelWarn, "entity set "+e.Set+" of "+e.Service+": its metadata say that it can't be read "+
			"without a filter or not by itself; trying all the same")
	}
	f.ordered = len(s.Key) > 0
	for _, k := range s.Key {
		p := s.Property(k)
		f.ordered = f.ordered && p != nil && p.Sortable
	}
	f.Announced = set.ChangeTracking
	if err := f.Track(m, set); err != nil {
		return nil, err
	}
	if err := f.subscribable(m); err != nil {
		return nil, err
	}
	return f, f.compile()
}

// widened returns a type with the properties that its derived types add. A row may lack any of these.
func (f *Feed) widened(m *edm.Model, s *edm.StructuredType) (*edm.StructuredType, error) {
	wide := *s
	wide.Properties = slices.Clip(s.Properties)
	for _, t := range m.Structures {
		if t == s || t.Complex || t.Base == "" || !derives(m, t, s) {
			continue
		}
		for _, p := range m.Structure(t.QualifiedName()).Properties {
			switch known := wide.Property(p.Name); {
			case known == nil:
				p.Nullable = true
				wide.Properties = append(wide.Properties, p)
			case known.Type != p.Type:
				return nil, fault.Config(f.Setting(entry.NameDerived), "property "+p.Name+" of "+t.QualifiedName()+
					" is "+p.Type.Name+", and "+known.Type.Name+" in another type of entity set "+f.Set+
					"; expected ignore, which leaves out what types add")
			case !f.readAlike(known, &p):
				return nil, fault.Config(f.Setting(entry.NameDerived), "property "+p.Name+" of "+t.QualifiedName()+
					" is "+p.Type.Name+" with another Precision, Scale, sap:display-format or m:FC_TargetPath than in "+
					"another type of entity set "+f.Set+"; expected ignore, which leaves out what types add")
			}
		}
	}
	return &wide, nil
}

// readAlike reports whether the values of two properties of one type are read in the same way.
func (f *Feed) readAlike(a, b *edm.Property) bool {
	o := f.Options
	return o.IsDate(a) == o.IsDate(b) && o.IsZoned(a, false) == o.IsZoned(b, false) &&
		(a.Type.Primitive != edm.Decimal || a.Scale == b.Scale && a.VariableScale == b.VariableScale &&
			a.Precision == b.Precision) &&
		(a.Feed == b.Feed || a.Feed != nil && b.Feed != nil && *a.Feed == *b.Feed)
}

// derivedProperties are the properties that types add to the one they are derived from, each followed by
// a blank.
func derivedProperties(m *edm.Model, s *edm.StructuredType) (properties []string) {
	for _, t := range m.Structures {
		if t == s || t.Complex || t.Base == "" || !derives(m, t, s) {
			continue
		}
		t = m.Structure(t.QualifiedName())
		for i := range t.Properties {
			if name := t.Properties[i].Name; s.Property(name) == nil && len(properties) < maxDerived {
				properties = append(properties, name+" "+t.QualifiedName())
			}
		}
	}
	return properties
}

// maxDerived is how many properties of derived types are known by name.
const maxDerived = 1000

// derives reports whether a type is another one or derived from it.
func derives(m *edm.Model, t, from *edm.StructuredType) bool {
	for range edm.MaxDepth {
		if t == nil || t == from {
			return t == from
		}
		t = m.Structure(t.Base)
	}
	return true
}

// compile makes schemas and layout of a feed's type.
func (f *Feed) compile() error {
	s := f.Structure()
	fail := func(err error) error {
		return &wit.Error{Kind: wit.ErrorUnsupported, Message: "entity set " + f.Set + " of " + f.Service + ": " +
			err.Error()}
	}
	var err error
	if f.Asked, err = query.Compile(f.Reads, f.model, s); err != nil {
		return err
	}
	view := f.Asked.View
	unreadable := func(err error) error {
		return fail(errors.New(err.Error() + "; " + f.Setting(query.Select) + " with the properties that are wanted " +
			"reads the set without others"))
	}
	value, err := f.model.ViewSchema(view, f.Options)
	if err != nil {
		return unreadable(err)
	}
	key, err := f.model.KeySchema(s, f.Options)
	if err != nil {
		return fail(err)
	}
	own := key // what the service compares and sorts by
	if key, err = f.extended(key); err != nil {
		return err
	}
	for _, nodes := range [][]wit.SchemaNode{value, key} {
		if nodes == nil {
			continue
		}
		if _, err := connectdata.CheckSchema(nodes); err != nil {
			return fail(err)
		}
	}
	f.Layout, err = decode.NewRowSchema(f.model, view, f.Options)
	if err != nil {
		return unreadable(err)
	}
	if f.Rows, err = f.Asked.RowChecker(f.model, f.Options); err != nil {
		return fail(err)
	}
	if f.Rows != nil {
		f.Layout.Tracked = f.Rows.Tracked
	}
	f.makeHeaders()
	for _, field := range f.Extra {
		f.Layout.KeyTail = connectdata.AppendString(f.Layout.KeyTail, field.Value)
	}
	f.advise(f.Layout, view)
	f.watchModes()
	f.findGuids()
	f.Value = wit.Schema{ID: schemaID(), Nodes: value}
	f.Layout.ValueSchema = f.Value.ID
	if key != nil {
		f.Key = wit.Schema{ID: schemaID(), Nodes: key}
		f.Layout.KeySchema = f.Key.ID
	}
	ordered := f.ordered && f.ODP == nil // whose rows have a key of the queue
	f.Pages = load.Set{Name: f.Set, Setting: f.Setting, Service: f.Service, Address: f.Address, Ordered: ordered,
		Countable: f.countable, Pageable: f.pageable, Count: f.Count, CountOption: "$inlinecount=allpages",
		TokenOption: "$skiptoken", Paging: f.Paging, Query: f.Query, Next: f.follows(), Once: f.Once && !f.Tracking.On}
	if own != nil {
		f.Keys = rowkey.New(s, f.Layout, own)
		f.Pages.Keys = f.Keys
	}
	if f.Paging == entry.PagingTop {
		f.Pages.Top = f.PageSize
	}
	if !f.Reads.Empty() {
		f.Pages.Filter, f.Pages.Options = f.Asked.Filter, f.Asked.Options()
	}
	if slices.Contains(f.Pages.Options, "paging=snapshot") {
		f.Pages.Paging = "links" // SAP SuccessFactors blocks clients that leave snapshots unread (SAP KBA 2749091)
	}
	f.UseFormat(false)
	return f.makeCursor(s)
}

// follows says what does after a complete load.
func (f *Feed) follows() string {
	switch {
	case f.Tracking.On:
		return "changes follow"
	case f.Period > 0:
		return "the next one begins in " + (time.Duration(f.Period) * time.Second).String()
	case f.Cron != "":
		return "the next one begins at its time"
	}
	return "nothing more: exec-period=-1"
}

// extended is the schema of keys with the further fields after their own.
func (f *Feed) extended(key []wit.SchemaNode) ([]wit.SchemaNode, error) {
	if len(f.Extra) == 0 {
		return key, nil
	}
	refuse := func(why string) error {
		return fault.Config(f.ExtraSource, setting.Invalid(f.ExtraSource, f.ExtraText, why))
	}
	if key == nil {
		return nil, refuse("entity set " + f.Set + " of " + f.Service + " has no key that they could join")
	}
	key = slices.Clone(key)
	key[0].Fields = slices.Clone(key[0].Fields)
	for _, field := range f.Extra {
		if slices.ContainsFunc(key[0].Fields, func(m wit.Field) bool { return m.Name == field.Name }) {
			return nil, refuse("expected other names than those of the key of entity set " + f.Set + ", found " +
				field.Name)
		}
		key[0].Fields = append(key[0].Fields, wit.Field{Name: field.Name, Node: uint32(len(key))})
		key = append(key, wit.SchemaNode{Kind: wit.String})
	}
	return key, nil
}

// watchModes finds the columns that say what happened to a row. Those of ODP are watched, with the keys, which are all
// that stays of a deleted row.
func (f *Feed) watchModes() {
	f.Mode, f.Deleted, f.Counter, f.Watch = -1, -1, -1, -1
	if !f.Options.Delta {
		return
	}
	s := f.Structure()
	mode, counter := edm.RecordMode, ""
	if p := s.ChangeMode(); p != nil {
		mode = p.Name
	}
	if p := s.EntityCounter(); p != nil {
		counter = p.Name
	}
	for i := range f.Layout.Columns {
		switch c := &f.Layout.Columns[i]; {
		case c.Name == mode && (c.Kind == decode.Synthetic || c.Type == edm.String):
			f.Mode = i
		case c.Name == edm.DeletedAt && (c.Kind == decode.Synthetic || c.Mapping == decode.DefaultMapping &&
			(c.Type == edm.DateTime ||
				c.Type == edm.DateTimeOffset)):
			f.Deleted = i
		case c.Name == counter && counter != "":
			f.Counter = i
		}
	}
	if f.Tracking.On && f.Mode >= 0 && f.Layout.Columns[f.Mode].Kind != decode.Synthetic && f.controlled() {
		f.Watch = len(f.Layout.Tracked)
		f.Layout.Tracked = append(append(slices.Clone(f.Layout.Tracked), f.Mode), f.Layout.Keys...)
		if f.Counter >= 0 {
			f.Layout.Tracked = append(f.Layout.Tracked, f.Counter)
		}
		if f.Rows != nil {
			f.Rows.TrackedCount = len(f.Layout.Tracked)
		}
	}
}

// controlled reports whether the service says of each row what happened to it.
func (f *Feed) controlled() bool {
	p := f.Structure().ChangeMode()
	return p != nil && p.IsControl()
}

// findGuids finds out which members of the key are GUIDs whose case matters.
func (f *Feed) findGuids() {
	f.guids = nil
	if !f.Options.Delta {
		return
	}
	for k, column := range f.Layout.Keys {
		if f.Layout.Columns[column].Type == edm.Guid {
			f.guids = append(f.guids, k)
		}
	}
}
