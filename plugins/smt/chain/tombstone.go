package chain

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var tombstoneSpecs = []wit.ConfigKey{
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

func newToTombstone(s settings) (operation, *wit.Error) {
	o := &toTombstone{fields: []string{"RECORDMODE", "ODQ_CHANGEMODE"}, values: []string{"D"}}
	for name, list := range map[string]*[]string{"field": &o.fields, "values": &o.values} {
		if _, given := s.find(name); !given {
			continue
		}
		if *list = s.list(name); len(*list) == 0 || slices.Contains(*list, "") {
			return nil, invalid(name, strings.Join(*list, ","), "expected at least one text, none of them empty")
		}
	}
	return o, nil
}

func (o *toTombstone) apply(w *work, v *view, stage int) (*failure, error) {
	c, x := &v.columns[valueSide], &w.object
	switch c.form {
	case wit.Absent:
		return nil, nil
	case wit.Schemaless:
		if class, bad := x.readMap(w, c.bytes); bad {
			return broken(stage, 0), nil
		} else if class != "" {
			return nil, nil
		}
	default:
		l, err := w.layout(c.schema)
		if err != nil || !l.isStruct() {
			return nil, err
		}
		null, start, ok := l.null(c.bytes)
		if !ok {
			return broken(stage, 0), nil
		} else if null {
			return nil, nil
		}
		x.open(w, l, c.bytes, start)
	}
	if text, f := o.text(x, stage); f != nil || !slices.Contains(o.values, text) {
		return f, nil
	}
	null, err := v.columns[keySide].null(&w.schemas)
	if err != nil {
		return nil, err
	}
	if null {
		return &failure{stage, dataException, "A tombstone needs a key: nobody could tell which entity was deleted"},
			nil
	}
	c.set(wit.Absent, 0, nil)
	return nil, nil
}

// text returns the text of the first field that is present, "" if there is none.
func (o *toTombstone) text(x *object, stage int) (string, *failure) {
	for _, name := range o.fields {
		f := x.find(name)
		switch {
		case f == nil:
			continue
		case x.isMap:
			return textOf(f.bytes), nil
		case f.schema().Kind != wit.String:
			return "", nil
		case !x.load(stage):
			return "", x.pending
		}
		null, size, ok := connectdata.IsNull(f.schema(), f.bytes)
		if null || !ok {
			return "", nil
		}
		text, _ := connectdata.LengthPrefixed(f.bytes[size:])
		return string(text), nil
	}
	return "", nil
}
