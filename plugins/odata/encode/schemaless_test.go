package encode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// pick returns a random value of a list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomText returns a text that is a date or a decimal, or almost.
func randomText(r *rand.Rand) string {
	literal := pick(r, "2024-01-02T03:04:05", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05.1234567", "2024-01-02",
		"2024-01-02T03:04:05+02:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999", "9999-12-31T23:59:60",
		"/Date(0)/", "/Date(-1+0000)/", "/Date(1+0060)/", "/Date(253402300800000)/", "12.25", "-12.25", "+1.5", ".5",
		"5.", "-0", "0012.500", "123456789.123", "1e3", "1.2.3", "", "-", "12,5", "1\x00", "\xff", "ä<&>\"\n", "true")
	switch i := r.IntN(len(literal) + 1); {
	case r.IntN(4) == 0:
		return literal[:i] + pick(r, "0", "9", ".", "-", "Z", " ") + literal[i:]
	case r.IntN(4) == 0 && i < len(literal):
		return literal[:i] + literal[i+1:]
	}
	return literal
}

// randomProperty returns a property with a random type and facets. -1 means that a facet is not declared.
func randomProperty(r *rand.Rand, name string) edm.Property {
	primitives := []edm.Primitive{edm.String, edm.DateTime, edm.DateTimeOffset, edm.Decimal, edm.Int32, edm.Int64,
		edm.Boolean, edm.Double}
	return edm.Property{Name: name, Type: edm.Type{Primitive: pick(r, primitives...)}, Nullable: r.IntN(3) > 0,
		Length: pick(r, -1, 3), Precision: pick(r, -1, 0, 3, 5, 15), Scale: pick(r, -1, 0, 2, 3),
		VariableScale: r.IntN(8) == 0, Creatable: r.IntN(8) > 0, Updatable: true}
}

// randomType returns a type with up to six random properties and a complex property C. Its type inner has properties
// with the same names.
func randomType(r *rand.Rand) (outer, inner *edm.StructuredType) {
	inner = &edm.StructuredType{Namespace: "N", Name: "C", Complex: true}
	outer = &edm.StructuredType{Namespace: "N", Name: "T", Key: []string{"P0"}}
	for i := range 1 + r.IntN(6) {
		outer.Properties = append(outer.Properties, randomProperty(r, fmt.Sprint("P", i)))
		inner.Properties = append(inner.Properties, randomProperty(r, fmt.Sprint("P", i)))
	}
	outer.Properties = append(outer.Properties, edm.Property{Name: "C", Type: edm.Type{Name: "N.C"}, Nullable: true,
		Creatable: true, Updatable: true})
	return outer, inner
}

// Maps without schema are read by position, with the names and writers of earlier maps, and frequent values are written
// without a conversion. The body equals the entries of the map, converted one by one.
func TestSchemalessMapsEqualConvertedEntries(t *testing.T) {
	written := 0
	failed := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(54, seed))
		outer, inner := randomType(r)
		typ := NewType(nil, []*edm.StructuredType{outer, inner})
		reader := rowvalue.NewReader(rowvalue.Schemas{7: {
			{Kind: wit.Struct, Fields: []wit.Field{{Name: "P0", Node: 1}}},
			{Kind: wit.String},
		}})
		config := &sinkconfig.Config{Atom: r.IntN(2) == 0}
		config.IgnoreUnknownFields = r.IntN(2) == 0
		config.Lossy = r.IntN(4) == 0
		writer := &Writer{Config: config}

		// Rows whose order of fields mostly stays, so that the writers by position are used.
		order := r.Perm(len(outer.Properties) + 1)
		for range 30 {
			if r.IntN(5) == 0 {
				order = r.Perm(len(order))
			}
			row := randomMap(r, outer, order)
			data, err := connectdata.AppendSchemaless(nil, row)
			require.NoError(t, err)
			var rowValue rowvalue.Value
			slice := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(data))}
			if _, err := reader.Read(&rowValue, slice, data); err != nil {
				t.Fatalf("%v: %v", row, err)
			}

			// The member P0 is found unless a key before it is not a text.
			var member rowvalue.Value
			index := slices.IndexFunc(row, func(e connectdata.Entry) bool { return e.Key == "P0" || !isText(e.Key) })
			isMember := index >= 0 && isText(row[index].Key)
			if rowValue.Field(&member, "P0") != isMember || member.Present != (isMember && row[index].Value != nil) {
				t.Fatalf("%v: expected the member P0 %v, found %v", row, isMember, member.Present)
			}

			// The key may replace the value of P0.
			writer.Keys = nil
			var key any
			if isMember && r.IntN(4) == 0 {
				converted, err := value.ConvertChecked(typ.Property("P0"), nil, row[index].Value)
				if _, ok := row[index].Value.(string); err == nil && !ok {
					writer.Keys = []KeyValue{{Property: typ.Property("P0"), Value: converted}}
					key = row[index].Value
				}
			}

			// The body equals the converted entries.
			var body []byte
			if config.Atom {
				body, err = writer.appendProperties(nil, nil, typ, &rowValue, "")
			} else {
				body, err = writer.appendJSON(nil, typ, &rowValue, "")
			}
			want, wantErr := convertedMap(config, typ, row, key)
			if err != nil {
				body = nil
			}
			require.True(t, (err != nil) == (wantErr != nil) && string(body) == want,
				"seed %d, %+v, %v: expected %s, %v, found %s, %v", seed, config, row, want, wantErr, body, err)
			if err == nil {
				written++
			} else {
				failed++
			}
		}
	}
	assert.True(t, written >= 1000 && failed >= 1000,
		"expected 1000 rows that are written and 1000 that fail, found %d and %d", written, failed)
}

// A map nests as deep as connectdata allows.
func TestDepthOfSchemalessMaps(t *testing.T) {
	for depth := connectdata.MaxDepth - 3; depth <= connectdata.MaxDepth+3; depth++ {
		var v any = "x"
		for range depth {
			v = connectdata.List{v}
		}
		data, err := connectdata.AppendSchemaless(nil, connectdata.Map{{Key: "A", Value: v}, {Key: "B", Value: "b"}})
		require.NoError(t, err)
		_, want := connectdata.SkipSchemaless(data)
		reader := rowvalue.NewReader(nil)
		var rowValue rowvalue.Value
		slice := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(data))}
		_, err = reader.Read(&rowValue, slice, data)
		assert.True(t, (err != nil) == (want != nil), "%d arrays in a map: expected %v, found %v", depth, want, err)
	}
}

// randomMap returns a map of a type's properties in an order, with values that mostly fit.
func randomMap(r *rand.Rand, typ *edm.StructuredType, order []int) (row connectdata.Map) {
	for _, i := range order {
		name := "P99"
		primitive := edm.NotPrimitive
		if i < len(typ.Properties) {
			name = typ.Properties[i].Name
			primitive = typ.Properties[i].Type.Primitive
		}
		var v any
		switch k := r.IntN(60); {
		case k < 5:
			v = nil
		case k == 5:
			v = pick[any](r, true, 1.5, int32(7), int64(1)<<40, connectdata.List{"x"}, []byte("x"),
				connectdata.Nested{Schema: 7, Bytes: []byte("\x02y")})
		case name == "C":
			inner := *typ
			inner.Properties = typ.Properties[:len(typ.Properties)-1]
			v = randomMap(r, &inner, r.Perm(len(inner.Properties)))
		case k < 12:
			v = randomText(r)
		case primitive == edm.String:
			v = pick(r, "a", "ä", "<\"", "abc")
		case primitive == edm.DateTime, primitive == edm.DateTimeOffset:
			v = pick[any](r, "2024-01-02T03:04:05", "2024-01-02T03:04:05.678Z", int64(r.IntN(1e9)))
		case primitive == edm.Boolean:
			v = r.IntN(2) == 0
		case primitive == edm.Decimal && r.IntN(2) == 0:
			v = pick(r, "1", "-2", "1.0", "0.00")
		default:
			v = int64(r.IntN(100) - 50)
		}
		entry := connectdata.Entry{Key: name, Value: v}
		if r.IntN(200) == 0 {
			entry.Key = pick[any](r, int64(1), "\xff", "", "Unknown")
		}
		if r.IntN(20) > 0 {
			row = append(row, entry)
		}
		if r.IntN(100) == 0 {
			row = append(row, entry)
		}
	}
	if r.IntN(50) == 0 { // around the bounds of rowvalue.nameCount and Type.recentWriters
		var others connectdata.Map
		for i := range pick(r, 60, 250) + r.IntN(12) {
			others = append(others, connectdata.Entry{Key: fmt.Sprint("X", i)})
		}
		row = append(others, row...)
	}
	return row
}

// isText reports whether a key can be the name of a property.
func isText(key any) bool {
	name, ok := key.(string)
	return ok && utf8.ValidString(name)
}

var errInvalid = errors.New("invalid")

// convertedMap returns the properties of a map, each one converted, after the key if it is not nil.
func convertedMap(config *sinkconfig.Config, typ *Type, row connectdata.Map, key any) (string, error) {
	var parts []string
	if key != nil {
		text, err := convertedEntry(config, nil, typ.Property("P0"), key)
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	for _, entry := range row {
		if !isText(entry.Key) {
			return "", errInvalid
		}
		name := entry.Key.(string)
		property := typ.Property(name)
		switch {
		case key != nil && typ.IsKey(name):
			continue
		case property == nil && (entry.Value == nil || config.IgnoreUnknownFields):
			continue
		case property == nil:
			return "", errInvalid
		case !property.Creatable && !typ.IsKey(name), entry.Value == nil && (!property.Nullable || typ.IsKey(name)):
			continue
		}
		text, err := convertedEntry(config, typ.types[name], property, entry.Value)
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	if config.Atom {
		return strings.Join(parts, ""), nil
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

// convertedEntry returns one property, converted by package value. nested is its type if it contains a struct.
func convertedEntry(config *sinkconfig.Config, nested *Type, property *edm.Property, v any) (text string, err error) {
	label := string(jsontext.AppendString(nil, property.Name)) + ":"
	typeName := property.Type.Primitive.String()
	converted := value.Converted{}
	switch {
	case v == nil && config.Atom:
		return "<d:" + property.Name + ` m:null="true"/>`, nil
	case v == nil:
		return label + "null", nil
	case nested != nil:
		inner, ok := v.(connectdata.Map)
		if _, isStruct := v.(connectdata.Nested); isStruct {
			inner = connectdata.Map{{Key: "P0", Value: "y"}}
			ok = true
		}
		if !ok {
			return "", errInvalid
		}
		if text, err = convertedMap(config, nested, inner, nil); err != nil {
			return "", err
		}
		typeName = nested.QualifiedName()
	case config.Lossy:
		converted, err = value.ConvertLossy(property, nil, v)
	default:
		converted, err = value.ConvertChecked(property, nil, v)
	}
	if s, ok := v.(string); err != nil || (ok && !utf8.ValidString(s)) {
		return "", errInvalid
	}
	switch {
	case !config.Atom && nested != nil:
		return label + text, nil
	case !config.Atom && converted.Ticks != 0:
		return "", errInvalid
	case !config.Atom:
		return label + string(converted.AppendJSON(nil, value.JSON)), nil
	case nested == nil:
		if strings.ContainsAny(converted.Text, "\x00") {
			return "", errInvalid
		}
		text = string(appendXML(nil, converted.Text))
	}
	tag := "<d:" + property.Name
	if typeName != "Edm.String" {
		tag += ` m:type="` + typeName + `"`
	}
	return tag + ">" + text + "</d:" + property.Name + ">", nil
}
