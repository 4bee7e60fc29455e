package encode

import (
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// structure is a type made ready for look-ups by name.
type Type struct {
	*edm.Structure
	properties  map[string]*edm.Property
	navigations map[string]*edm.Navigation
	// inner are the types of complex properties and navigation properties.
	types map[string]*Type
	// columns are the properties and navigation properties. bySchema are those of the members of structs, by the first
	// node of their schema.
	writers         map[string]*propertyWriter
	writersBySchema map[*wit.Node][]*propertyWriter
}

// memberType is a property or a navigation property, as it is written.
type propertyWriter struct {
	property   *edm.Property
	navigation *edm.Navigation
	// inner is the type of a complex property or of an entity, nil if the metadata have none.
	typ   *Type
	isKey bool
	// label is the name in JSON, with quotes and colon.
	label []byte
	// least and most are the bounds of an integer type, 0 of others.
	min, max int64
	// way is how values are written: all values of a column in [structure.bySchema], else the last value. scale is the
	// scale of their decimals.
	encoding valueEncoding
	scale    int
}

// newType indexes entity and complex types, and returns the first one.
func NewType(structures []*edm.Structure) *Type {
	all := map[string]*Type{}
	for _, s := range structures {
		all[s.QualifiedName()] = &Type{Structure: s, properties: map[string]*edm.Property{},
			navigations: map[string]*edm.Navigation{}, types: map[string]*Type{}}
	}
	for _, s := range all {
		for i := range s.Properties {
			p := &s.Properties[i]
			s.properties[p.Name] = p
			if p.Type.Primitive == edm.NotPrimitive {
				s.types[p.Name] = all[p.Type.Name]
			}
		}
		for i := range s.Navigations {
			n := &s.Navigations[i]
			s.navigations[n.Name] = n
			s.types[n.Name] = all[n.Target]
		}
		s.makeWriters()
	}
	return all[structures[0].QualifiedName()]
}

// Property returns a property by its name, nil if the type has none.
func (s *Type) Property(name string) *edm.Property { return s.properties[name] }

func (s *Type) makeWriters() {
	s.writers, s.writersBySchema = map[string]*propertyWriter{}, map[*wit.Node][]*propertyWriter{}
	label := func(name string) []byte { return append(jsontext.AppendString(nil, name), ':') }
	for name, n := range s.navigations {
		s.writers[name] = &propertyWriter{navigation: n, typ: s.types[name], label: label(name)}
	}
	for name, p := range s.properties {
		c := &propertyWriter{property: p, typ: s.types[name], isKey: s.IsKey(name), label: label(name)}
		c.min, c.max, _ = p.Type.Primitive.Bounds()
		s.writers[name] = c
	}
}

// maxSchemas is how many schemas have their columns in [structure.bySchema].
const maxSchemas = 64

// columnsOf returns the columns of a struct's members, nil for a value of another kind.
func (s *Type) writersFor(f *rowvalue.Value) []*propertyWriter {
	n := f.Schema()
	if n == nil || n.Kind != wit.Structure {
		return nil
	}
	columns, ok := s.writersBySchema[n]
	if !ok {
		if len(s.writersBySchema) == maxSchemas {
			clear(s.writersBySchema)
		}
		columns = make([]*propertyWriter, len(n.Members))
		for i, m := range n.Members {
			if c := s.writers[m.Name]; c != nil {
				own, of := *c, f.Node(m.Node)
				own.setEncoding(of.Kind, of)
				columns[i] = &own
			}
		}
		s.writersBySchema[n] = columns
	}
	return columns
}

// convert makes a property's value, as the settings want it where it has no room.
func Convert(m *sinkconfig.Config, property *edm.Property, f *rowvalue.Value) (value.Converted, error) {
	if f.Present && (f.Schema() == nil || f.Schema().Name == nil) {
		least, most, whole := property.Type.Primitive.Bounds()
		switch kind := f.Kind(); {
		case kind <= wit.Int64 && whole:
			if n := f.Int64(); n >= least && n <= most {
				return value.Converted{Type: property.Type.Primitive, Text: strconv.FormatInt(n, 10)}, nil
			}
		case kind == wit.Text && property.Type.Primitive == edm.String:
			if text := f.Bytes(); utf8.Valid(text) && (property.Length <= 0 || len(text) <= property.Length) {
				return value.Converted{Type: edm.String, Text: string(text)}, nil
			}
		}
	}
	v, err := f.Decode()
	if err != nil {
		return value.Converted{}, err
	}
	n := f.Schema()
	if m.Lossy {
		return value.ConvertLossy(property, n, v)
	}
	c, err := value.ConvertWithin(property, n, v)
	if err != nil && v == nil {
		if misfit := (*value.MisfitError)(nil); errors.As(err, &misfit) {
			err = &value.MisfitError{Expected: misfit.Expected, Found: "null"}
		}
	}
	if err != nil && n == nil && property.Type.Primitive == edm.Decimal {
		err = withDecimalHint(err, v)
	}
	return c, err
}

// hinted adds to a refusal what may have made the value: converters to JSON write the bytes of decimals unless they are
// set up in another way, and without schema their scale is lost.
func withDecimalHint(err error, v any) error {
	text, ok := v.(string)
	if !ok {
		return err
	}
	if b, bad := base64.StdEncoding.DecodeString(text); bad != nil || len(b) == 0 {
		return err
	}
	return errors.New(err.Error() + ", which may be the bytes of a decimal in Base64, whose scale is lost without a " +
		"schema: let what writes the topic write numbers (value.converter.decimal.format = NUMERIC)")
}
