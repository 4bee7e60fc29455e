package jsonschema

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/connectjson"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaWriter converts a Connect schema to a JSON Schema like JsonSchemaData: with keywords in the order of the
// library everit, and properties and parameters in that of Java's hash tables.
type schemaWriter struct {
	conversion.SchemaText
	nodes []wit.SchemaNode
	o     options
}

// write returns the JSON Schema of nodes; w is the writer of their values.
func write(k *conversion.Budget, nodes []wit.SchemaNode, w *connectjson.Writer, o options) ([]byte, error) {
	s := schemaWriter{conversion.SchemaText{Budget: k}, nodes, o}
	s.node(0, w, -1, false)
	return s.Out, s.Err
}

// Attributes of Connect schemas that JSON Schema lacks.
const (
	connectType       = "connect.type"
	connectIndex      = "connect.index"
	connectVersion    = "connect.version"
	connectParameters = "connect.parameters"
)

// node writes a node's schema. index is its place among the properties around it, negative for none. With bare, the
// caller writes its optionality.
func (s *schemaWriter) node(id uint32, w *connectjson.Writer, index int, bare bool) {
	n := &s.nodes[id]
	switch {
	case s.Done():
	case w.Shape == connectjson.UnionShape:
		s.union(n, w, index)
	case !n.Optional || bare:
		s.value(id, w, index)
	default:
		s.choice(index)
		s.Raw(`{"type":"null"},`)
		s.value(id, w, -1)
		s.Raw("]}")
	}
}

func (s *schemaWriter) choice(index int) {
	s.Raw("{")
	if index >= 0 {
		s.Raw(`"connect.index":`)
		s.Number(int64(index))
		s.Raw(",")
	}
	s.Raw(`"oneOf":[`)
}

// union writes a struct that represents several types.
func (s *schemaWriter) union(n *wit.SchemaNode, w *connectjson.Writer, index int) {
	s.choice(index)
	before := 0
	if n.Optional {
		s.Raw(`{"type":"null"}`)
		before = 1
	}
	for i, m := range n.Fields {
		s.Comma(before + i)
		s.node(m.Node, &w.Members[i], i, true)
	}
	s.Raw("]}")
}

// value writes the schema of values other than null.
func (s *schemaWriter) value(id uint32, w *connectjson.Writer, index int) {
	n := &s.nodes[id]
	own := map[string]string{}
	if index >= 0 {
		own[connectIndex] = strconv.Itoa(index)
	}
	if n.Version != nil {
		own[connectVersion] = strconv.Itoa(int(*n.Version))
	}
	parameters := conversion.SchemaText{}
	if parameters.Parameters("", ownParameters(n)); len(parameters.Out) > 0 {
		own[connectParameters] = string(parameters.Out)
	}
	typ := func(name, connect string) {
		s.Raw(`{"type":"`, name, `",`)
		if connect != "" {
			own[connectType] = `"` + connect + `"`
		}
	}
	last := func() {}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		typ("integer", connectjson.TypeNames[n.Kind])
	case wit.Float32, wit.Float64:
		typ("number", "float"+strconv.Itoa(32<<(n.Kind-wit.Float32)))
	case wit.Boolean:
		s.Raw("{")
		last = func() { s.Raw(`"type":"boolean"`) }
	case wit.String:
		if isEnum(n) {
			s.enum(n)
			break
		}
		typ("string", "")
	case wit.Bytes:
		name := "string"
		if w.Shape == connectjson.DecimalNumber {
			name = "number"
		}
		typ(name, "bytes")
	case wit.Array:
		typ("array", "")
		last = func() {
			s.Raw(`"items":`)
			s.node(n.Element, w.Element, -1, false)
		}
	case wit.Map:
		if w.Shape == connectjson.ObjectShape {
			typ("object", "map")
			last = func() {
				s.Raw(`"additionalProperties":`)
				s.node(n.Element, w.Element, -1, false)
			}
			break
		}
		typ("array", "map")
		last = func() { // value and key: the order of a hash table
			s.Raw(`"items":{"type":"object","properties":{"value":`)
			s.node(n.Element, w.Element, 1, false)
			s.Raw(`,"key":`)
			s.node(n.Key, w.Key, 0, false)
			s.Raw("}}")
		}
	case wit.Struct:
		if typ("object", ""); !s.o.open {
			s.Raw(`"additionalProperties":false,`)
		}
		last = func() { s.properties(n, w) }
	}
	s.attributes(n, w, own)
	last()
	s.Out = append(bytes.TrimSuffix(s.Out, []byte(",")), '}')
}

func (s *schemaWriter) properties(n *wit.SchemaNode, w *connectjson.Writer) {
	names, at := make([]string, len(n.Fields)), make(map[string]int, len(n.Fields))
	for i, m := range n.Fields {
		names[i], at[m.Name] = m.Name, i
	}
	if len(names) == 0 {
		return
	}
	lead := `"properties":{`
	for _, name := range java.HashMapOrder(names, java.Identity) {
		i := at[name]
		s.Text(lead, name)
		s.Raw(":")
		s.node(n.Fields[i].Node, &w.Members[i], i, false)
		lead = ","
	}
	s.Raw("}")
}

// attributes writes the common attributes, each with a comma after it; own are Kafka Connect's.
func (s *schemaWriter) attributes(n *wit.SchemaNode, w *connectjson.Writer, own map[string]string) {
	if n.Name != nil {
		s.Text(`"title":`, *n.Name)
		s.Raw(",")
	}
	if n.Doc != nil {
		s.Text(`"description":`, *n.Doc)
		s.Raw(",")
	}
	if n.DefaultValue != nil {
		s.Raw(`"default":`)
		text, err := w.DefaultText(s.Budget, *n.DefaultValue)
		s.Fail(err)
		s.orgJSON(text)
		s.Raw(",")
	}
	var names []string
	for _, name := range []string{connectVersion, connectIndex, connectType, connectParameters} {
		if _, given := own[name]; given {
			names = append(names, name)
		}
	}
	for _, name := range inCopy(names) {
		s.Raw(`"`, name, `":`, own[name], ",")
	}
}

// ownParameters returns a node's parameters in their order.
func ownParameters(n *wit.SchemaNode) (list []wit.Setting) {
	var names []string
	for _, p := range n.Parameters {
		if !strings.HasPrefix(p.Name, connectjson.SchemaNamespace) && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	for _, name := range inJSONObject(names) {
		value, _ := conversion.Parameter(n, name)
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return list
}

func isEnum(n *wit.SchemaNode) bool {
	_, sum := conversion.Parameter(n, sumEnumName)
	_, own := conversion.Parameter(n, enumName)
	return sum || own
}

// nullSymbol is null among the symbols of an enumeration; noSymbol replaces it in a hash table, where both come first.
const nullSymbol, noSymbol = "<NULL>", "\x00"

// enum writes an enumeration, which is a string with a parameter for each symbol.
func (s *schemaWriter) enum(n *wit.SchemaNode) {
	lead := enumName + "."
	if s.o.sums {
		lead = sumEnumName + "."
	}
	var symbols []string
	for _, p := range n.Parameters {
		if symbol, is := strings.CutPrefix(p.Name, lead); symbol == nullSymbol {
			symbols = append(symbols, noSymbol)
		} else if is {
			symbols = append(symbols, symbol)
		}
	}
	s.Raw(`{"enum":[`)
	for i, symbol := range java.HashMapOrder(symbols, java.Identity) {
		s.Comma(i)
		if symbol == noSymbol {
			s.Raw("null")
		} else {
			s.Quote(symbol)
		}
	}
	s.Raw("],")
}

// orgJSON writes a default as org.json and then Jackson do: decimals without trailing zeros, objects in the order of a
// hash table.
func (s *schemaWriter) orgJSON(text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		s.Fail(fault.Data("the default of a schema: %v", err))
	}
	s.orgValue(v)
}

func (s *schemaWriter) orgValue(v any) {
	switch x := v.(type) {
	case nil:
		s.Raw("null")
	case bool:
		s.Raw(strconv.FormatBool(x))
	case string:
		s.Quote(x)
	case json.Number:
		s.Out = appendOrgNumber(s.Out, string(x))
	case []any:
		s.Raw("[")
		for i, item := range x {
			s.Comma(i)
			s.orgValue(item)
		}
		s.Raw("]")
	case map[string]any:
		s.Raw("{")
		for i, name := range java.HashMapOrder(slices.Sorted(maps.Keys(x)), java.Identity) {
			s.Comma(i)
			s.Quote(name)
			s.Raw(":")
			s.orgValue(x[name])
		}
		s.Raw("}")
	}
}

// appendOrgNumber writes a number that org.json wrote and Jackson read as a decimal.
func appendOrgNumber(dst []byte, text string) []byte {
	mantissa, exponent, scientific := strings.Cut(text, "E")
	if strings.Contains(mantissa, ".") && !scientific {
		text = strings.TrimSuffix(strings.TrimRight(mantissa, "0"), ".")
		mantissa = text
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	power, err := strconv.Atoi(exponent)
	unscaled, ok := new(big.Int).SetString(whole+fraction, 10)
	if scientific && err != nil || !ok || !scientific && fraction == "" {
		return append(dst, text...)
	}
	content, _ := connectdata.LengthPrefixed(connectdata.AppendDecimal(nil, unscaled))
	return values.AppendDecimal(dst, content, len(fraction)-power)
}

// inCopy returns names in the order of a copy of a HashMap that received them one by one.
func inCopy(names []string) []string {
	return java.SortByBucket(java.HashMapOrder(names, java.Identity), java.Identity, java.CopiedTableSize(len(names)))
}

// inJSONObject returns names in the order of org.json's JSONObject of that HashMap.
func inJSONObject(names []string) []string {
	from := 1
	for from < len(names) {
		from *= 2
	}
	return java.SortByBucket(java.HashMapOrder(names, java.Identity), java.Identity,
		java.GrownTableSize(from, len(names)))
}
