package feedreader

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/paging/rowkey"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// New compiles a feed from its configuration and the metadata.
func New(e sourceconfig.EntitySetConfig, m *edm.Model) (*Feed, error) {
	set, s, err := sourceconfig.FindSet(&e, m)
	if err != nil {
		return nil, err
	}
	f := &Feed{EntitySetConfig: e, Address: service.Address(set), countable: set.Countable, pageable: set.Pageable}
	if e.DerivedTypes {
		if s, err = f.withDerivedProperties(m, s); err != nil {
			return nil, err
		}
	} else if f.Derived = derivedProperties(m, s); len(f.Derived) > 0 {
		sdk.Log(wit.LevelWarn, "entity set "+e.Set+" of "+e.Service+": rows of types that are derived from "+
			s.QualifiedName()+" are read without the properties that these add: "+strings.Join(f.Derived, ", ")+"; "+
			f.Setting(sourceconfig.NameDerived)+" = include reads them")
	}
	asked, err := query.Compile(e.QueryOptions, m, s)
	if err != nil {
		return nil, err
	}
	f.model = &edm.Model{Structures: asked.Structures()}
	if !set.Addressable || set.RequiresFilter && asked.Filter("") == "" {
		sdk.Log(wit.LevelWarn, "entity set "+e.Set+" of "+e.Service+": its metadata say that the set requires a "+
			"filter or is not addressable; trying anyway")
	}
	f.ordered = len(s.Key) > 0
	for _, k := range s.Key {
		p := s.Property(k)
		f.ordered = f.ordered && p != nil && p.Sortable
	}
	f.DeclaresTracking = set.ChangeTracking
	if err := f.DetectTracking(m, set); err != nil {
		return nil, err
	}
	if err := f.findSubscriptions(m); err != nil {
		return nil, err
	}
	return f, f.compile()
}

// withDerivedProperties adds the properties of derived types as nullable ones.
func (f *Feed) withDerivedProperties(m *edm.Model, s *edm.StructuredType) (*edm.StructuredType, error) {
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
				return nil, odataerror.ForSetting(f.Setting(sourceconfig.NameDerived),
					"property "+p.Name+" of "+t.QualifiedName()+
						" is "+p.Type.Name+", and "+known.Type.Name+" in another type of entity set "+f.Set+
						"; expected ignore, which leaves out what types add")
			case !f.sameEncoding(known, &p):
				return nil, odataerror.ForSetting(f.Setting(sourceconfig.NameDerived),
					"property "+p.Name+" of "+t.QualifiedName()+
						" is "+p.Type.Name+" with another Precision, Scale, sap:display-format or m:FC_TargetPath "+
						"than in "+
						"another type of entity set "+f.Set+"; expected ignore, which leaves out what types add")
			}
		}
	}
	return &wide, nil
}

func (f *Feed) sameEncoding(a, b *edm.Property) bool {
	o := f.Options
	return o.IsDate(a) == o.IsDate(b) && o.IsZoned(a, false) == o.IsZoned(b, false) &&
		(a.Type.Primitive != edm.Decimal || a.Scale == b.Scale && a.VariableScale == b.VariableScale &&
			a.Precision == b.Precision) &&
		(a.FeedMapping == b.FeedMapping || a.FeedMapping != nil && b.FeedMapping != nil && *a.FeedMapping == *b.FeedMapping)
}

// derivedProperties returns the properties that derived types add, each as "property type".
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

const maxDerived = 1000

// derives reports whether t is from or derived from it.
func derives(m *edm.Model, t, from *edm.StructuredType) bool {
	for range edm.MaxDepth {
		if t == nil || t == from {
			return t == from
		}
		t = m.Structure(t.Base)
	}
	return true
}

func (f *Feed) compile() error {
	s := f.EntityType()
	fail := func(err error) error {
		return &wit.Error{Kind: wit.ErrorUnsupported, Message: "entity set " + f.Set + " of " + f.Service + ": " +
			err.Error()}
	}
	var err error
	if f.RowQuery, err = query.Compile(f.QueryOptions, f.model, s); err != nil {
		return err
	}
	view := f.RowQuery.View
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
	own := key // without extra fields
	if key, err = f.addExtraKeyFields(key); err != nil {
		return err
	}
	for _, nodes := range [][]wit.SchemaNode{value, key} {
		if _, err := connectdata.CheckSchema(nodes); nodes != nil && err != nil {
			return fail(err)
		}
	}
	f.RowSchema, err = decode.NewRowSchema(f.model, view, f.Options)
	if err != nil {
		return unreadable(err)
	}
	if f.Rows, err = f.RowQuery.RowChecker(f.model, f.Options); err != nil {
		return fail(err)
	}
	if f.Rows != nil {
		f.RowSchema.Tracked = f.Rows.Tracked
	}
	f.buildHeaders()
	for _, field := range f.Extra {
		f.RowSchema.KeyTail = connectdata.AppendString(f.RowSchema.KeyTail, field.Value)
	}
	f.addErrorHints(f.RowSchema, view)
	f.findChangeColumns()
	f.findGuids()
	f.Value = wit.Schema{ID: schemaID(), Nodes: value}
	f.RowSchema.ValueSchema = f.Value.ID
	if key != nil {
		f.Key = wit.Schema{ID: schemaID(), Nodes: key}
		f.RowSchema.KeySchema = f.Key.ID
	}
	f.compilePaging(s, own)
	f.SetFormatRefused(false)
	return f.compileCursor(s)
}

// compilePaging sets how the set is paged through. key is the schema of the key without extra fields.
func (f *Feed) compilePaging(s *edm.StructuredType, key []wit.SchemaNode) {
	ordered := f.ordered && f.ODP == nil // ODP's rows have a key of the queue
	f.Paging = paging.Set{Name: f.Set, Setting: f.Setting, Service: f.Service, Address: f.Address, Ordered: ordered,
		Countable: f.countable, Pageable: f.pageable, Count: f.Count, CountOption: "$inlinecount=allpages",
		TokenOption: "$skiptoken", Paging: f.PagingMode, Query: f.Query, AfterLoad: f.afterLoadText(),
		ExactlyOnce: f.ExactlyOnce && !f.Tracking.On}
	if key != nil {
		f.Keys = rowkey.New(s, f.RowSchema, key)
		f.Paging.Keys = f.Keys
	}
	if f.PagingMode == sourceconfig.PagingTop {
		f.Paging.Top = f.PageSize
	}
	if !f.QueryOptions.Empty() {
		f.Paging.Filter, f.Paging.Options = f.RowQuery.Filter, f.RowQuery.Options()
	}
	if slices.Contains(f.Paging.Options, "paging=snapshot") {
		f.Paging.Paging = "links" // SAP SuccessFactors blocks clients that leave snapshots unread (SAP KBA 2749091)
	}
}

func (f *Feed) afterLoadText() string {
	switch {
	case f.Tracking.On:
		return "changes follow"
	case f.Period > 0:
		return "the next load starts in " + (time.Duration(f.Period) * time.Second).String()
	case f.Cron != "":
		return "the next load starts as scheduled"
	}
	return "nothing more: exec-period=-1"
}

func (f *Feed) addExtraKeyFields(key []wit.SchemaNode) ([]wit.SchemaNode, error) {
	if len(f.Extra) == 0 {
		return key, nil
	}
	refuse := func(why string) error {
		return odataerror.ForSetting(f.ExtraSource, setting.Invalid(f.ExtraSource, f.ExtraText, why))
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

func (f *Feed) findChangeColumns() {
	f.ModeColumn, f.DeletedAtColumn, f.CounterColumn, f.FirstTracked = -1, -1, -1, -1
	if !f.Options.Delta {
		return
	}
	s := f.EntityType()
	mode, counter := edm.RecordMode, ""
	if p := s.ChangeMode(); p != nil {
		mode = p.Name
	}
	if p := s.EntityCounter(); p != nil {
		counter = p.Name
	}
	for i := range f.RowSchema.Columns {
		switch c := &f.RowSchema.Columns[i]; {
		case c.Name == mode && (c.Kind == decode.Synthetic || c.Type == edm.String):
			f.ModeColumn = i
		case c.Name == edm.DeletedAt && (c.Kind == decode.Synthetic || c.Mapping == decode.DefaultMapping &&
			(c.Type == edm.DateTime ||
				c.Type == edm.DateTimeOffset)):
			f.DeletedAtColumn = i
		case c.Name == counter && counter != "":
			f.CounterColumn = i
		}
	}
	if f.Tracking.On && f.ModeColumn >= 0 && f.RowSchema.Columns[f.ModeColumn].Kind != decode.Synthetic && f.rowsHaveChangeMode() {
		f.FirstTracked = len(f.RowSchema.Tracked)
		f.RowSchema.Tracked = append(append(slices.Clone(f.RowSchema.Tracked), f.ModeColumn), f.RowSchema.Keys...)
		if f.CounterColumn >= 0 {
			f.RowSchema.Tracked = append(f.RowSchema.Tracked, f.CounterColumn)
		}
		if f.Rows != nil {
			f.Rows.TrackedCount = len(f.RowSchema.Tracked)
		}
	}
}

func (f *Feed) rowsHaveChangeMode() bool {
	p := f.EntityType().ChangeMode()
	return p != nil && p.IsControl()
}

func (f *Feed) findGuids() {
	f.guids = nil
	if !f.Options.Delta {
		return
	}
	for k, column := range f.RowSchema.Keys {
		if f.RowSchema.Columns[column].Type == edm.Guid {
			f.guids = append(f.guids, k)
		}
	}
}
