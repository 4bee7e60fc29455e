package records

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Filter is Filter: it drops every record that comes to it.
type Filter struct{}

func NewFilter(settings.Values) (operation.Operation, *wit.Error) { return Filter{}, nil }

func (Filter) Apply(_ *operation.Context, v *record.Record, _ int) (*rowerror.Failure, error) {
	v.Dropped = true
	return nil, nil
}

var ToTombstoneKeys = []wit.ConfigKey{
	{Name: "field", Kind: wit.KindString, DefaultValue: wit.Ptr("RECORDMODE,ODQ_CHANGEMODE"), Importance: wit.Medium,
		Documentation: "Fields of the value that say whether the entity was deleted, with commas: the first one that " +
			"is there counts. The defaults are those of the OData source."},
	{Name: "values", Kind: wit.KindList, DefaultValue: wit.Ptr("D"), Importance: wit.Medium,
		Documentation: "Texts of the field that mean a deletion."},
}

// toTombstone is ToTombstone, our own: a record that says that an entity was deleted becomes a key without a value.
type toTombstone struct {
	fields, values []string
}

func NewToTombstone(s settings.Values) (operation.Operation, *wit.Error) {
	o := &toTombstone{fields: []string{"RECORDMODE", "ODQ_CHANGEMODE"}, values: []string{"D"}}
	for name, list := range map[string]*[]string{"field": &o.fields, "values": &o.values} {
		if _, isSet := s.Find(name); !isSet {
			continue
		}
		if *list = s.List(name); len(*list) == 0 || slices.Contains(*list, "") {
			return nil, settings.Invalid(name, strings.Join(*list, ","), "expected at least one text, none of them empty")
		}
	}
	return o, nil
}

func (o *toTombstone) Apply(w *operation.Context, v *record.Record, stage int) (*rowerror.Failure, error) {
	c, x := &v.Parts[record.Value], &w.Object
	switch c.Encoding {
	case wit.Absent:
		return nil, nil
	case wit.Schemaless:
		if class, invalid := x.ReadMap(&w.Scratch, c.Bytes); invalid {
			return rowerror.BadValue(stage, 0), nil
		} else if class != "" {
			return nil, nil
		}
	default:
		l, err := w.Layout(c.Schema)
		if err != nil || !l.IsStruct() {
			return nil, err
		}
		null, start, ok := l.Null(c.Bytes)
		if !ok {
			return rowerror.BadValue(stage, 0), nil
		} else if null {
			return nil, nil
		}
		x.Open(&w.Scratch, l, c.Bytes, start)
	}
	if text, f := o.text(x, stage); f != nil || !slices.Contains(o.values, text) {
		return f, nil
	}
	null, err := v.Parts[record.Key].IsNull(&w.Schemas)
	if err != nil {
		return nil, err
	}
	if null {
		return rowerror.Data(stage, "A tombstone needs a key: nobody could tell which entity was deleted"),
			nil
	}
	c.Set(wit.Absent, 0, nil)
	return nil, nil
}

// text returns the text of the first field that is present, "" if there is none.
func (o *toTombstone) text(x *object.Object, stage int) (string, *rowerror.Failure) {
	for _, name := range o.fields {
		f := x.Find(name)
		switch {
		case f == nil:
			continue
		case x.IsMap:
			return object.TextOf(f.Bytes), nil
		case f.Schema().Kind != wit.String:
			return "", nil
		case !x.Load(stage):
			return "", x.Pending
		}
		null, size, ok := connectdata.IsNull(f.Schema(), f.Bytes)
		if null || !ok {
			return "", nil
		}
		text, _ := connectdata.LengthPrefixed(f.Bytes[size:])
		return string(text), nil
	}
	return "", nil
}
