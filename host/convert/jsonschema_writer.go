package convert

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

// jsonSchemaWriter writes the JSON Schema of a schema of ours as JsonSchemaData has it: the names of a schema in the
// order in which the library everit writes them, properties and parameters in that of Java's hash tables.
type jsonSchemaWriter struct {
	schemaText
	nodes []wit.Node
	o     jsonSchemaOptions
}

// jsonSchemaOf returns the text of the JSON Schema of nodes; w is the writer of their values.
func jsonSchemaOf(k *budget, nodes []wit.Node, w *writer, o jsonSchemaOptions) ([]byte, error) {
	s := jsonSchemaWriter{schemaText{k: k}, nodes, o}
	s.node(0, w, -1, false)
	return s.out, s.err
}

// Attributes of schemas that JSON Schema does not have.
const (
	connectType       = "connect.type"
	connectIndex      = "connect.index"
	connectVersion    = "connect.version"
	connectParameters = "connect.parameters"
)

// node writes the schema of a node. index is its place among the properties around it, below 0: it has none. bare: its
// optionality is seen to by the caller.
func (s *jsonSchemaWriter) node(id uint32, w *writer, index int, bare bool) {
	n := &s.nodes[id]
	switch {
	case s.ended():
	case w.shape == unionShape:
		s.union(n, w, index)
	case !n.Optional || bare:
		s.value(id, w, index)
	default:
		s.choice(index)
		s.raw(`{"type":"null"},`)
		s.value(id, w, -1)
		s.raw("]}")
	}
}

// choice begins the schema of a choice.
func (s *jsonSchemaWriter) choice(index int) {
	s.raw("{")
	if index >= 0 {
		s.raw(`"connect.index":`)
		s.number(int64(index))
		s.raw(",")
	}
	s.raw(`"oneOf":[`)
}

// union writes a structure that stands for several types.
func (s *jsonSchemaWriter) union(n *wit.Node, w *writer, index int) {
	s.choice(index)
	before := 0
	if n.Optional {
		s.raw(`{"type":"null"}`)
		before = 1
	}
	for i, m := range n.Members {
		s.comma(before + i)
		s.node(m.Node, &w.members[i], i, true)
	}
	s.raw("]}")
}

// value writes the schema of a node's values other than null.
func (s *jsonSchemaWriter) value(id uint32, w *writer, index int) {
	n := &s.nodes[id]
	own := map[string]string{}
	if index >= 0 {
		own[connectIndex] = strconv.Itoa(index)
	}
	if n.Version != nil {
		own[connectVersion] = strconv.Itoa(int(*n.Version))
	}
	parameters := schemaText{}
	if parameters.parameters("", jsonSchemaParameters(n)); len(parameters.out) > 0 {
		own[connectParameters] = string(parameters.out)
	}
	typ := func(name, connect string) {
		s.raw(`{"type":"`, name, `",`)
		if connect != "" {
			own[connectType] = `"` + connect + `"`
		}
	}
	// last writes what stands after the attributes.
	last := func() {}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		typ("integer", jsonNames[n.Kind])
	case wit.Float32, wit.Float64:
		typ("number", "float"+strconv.Itoa(32<<(n.Kind-wit.Float32)))
	case wit.Boolean:
		s.raw("{")
		last = func() { s.raw(`"type":"boolean"`) }
	case wit.Text:
		if isEnum(n) {
			s.enum(n)
			break
		}
		typ("string", "")
	case wit.Bytes:
		name := "string"
		if w.shape == decimalNumber {
			name = "number"
		}
		typ(name, "bytes")
	case wit.Array:
		typ("array", "")
		last = func() {
			s.raw(`"items":`)
			s.node(n.Element, w.element, -1, false)
		}
	case wit.Mapping:
		if w.shape == objectShape {
			typ("object", "map")
			last = func() {
				s.raw(`"additionalProperties":`)
				s.node(n.Element, w.element, -1, false)
			}
			break
		}
		typ("array", "map")
		last = func() { // value and key: the order of a hash table
			s.raw(`"items":{"type":"object","properties":{"value":`)
			s.node(n.Element, w.element, 1, false)
			s.raw(`,"key":`)
			s.node(n.Key, w.key, 0, false)
			s.raw("}}")
		}
	case wit.Structure:
		if typ("object", ""); !s.o.open {
			s.raw(`"additionalProperties":false,`)
		}
		last = func() { s.properties(n, w) }
	}
	s.attributes(n, w, own)
	last()
	s.out = append(bytes.TrimSuffix(s.out, []byte(",")), '}')
}

// properties writes those of a structure.
func (s *jsonSchemaWriter) properties(n *wit.Node, w *writer) {
	names, at := make([]string, len(n.Members)), make(map[string]int, len(n.Members))
	for i, m := range n.Members {
		names[i], at[m.Name] = m.Name, i
	}
	if len(names) == 0 {
		return
	}
	lead := `"properties":{`
	for _, name := range java.InHashMap(names, java.Itself) {
		i := at[name]
		s.text(lead, name)
		s.raw(":")
		s.node(n.Members[i].Node, &w.members[i], i, false)
		lead = ","
	}
	s.raw("}")
}

// attributes writes what all schemas may have, each with a comma after it; own are Kafka Connect's.
func (s *jsonSchemaWriter) attributes(n *wit.Node, w *writer, own map[string]string) {
	if n.Name != nil {
		s.text(`"title":`, *n.Name)
		s.raw(",")
	}
	if n.Doc != nil {
		s.text(`"description":`, *n.Doc)
		s.raw(",")
	}
	if n.DefaultValue != nil {
		s.raw(`"default":`)
		text, err := w.defaultText(s.k, *n.DefaultValue)
		s.fail(err)
		s.orgJSON(text)
		s.raw(",")
	}
	var names []string
	for _, name := range []string{connectVersion, connectIndex, connectType, connectParameters} {
		if _, given := own[name]; given {
			names = append(names, name)
		}
	}
	for _, name := range inCopy(names) {
		s.raw(`"`, name, `":`, own[name], ",")
	}
}

// jsonSchemaParameters are a node's parameters in their order.
func jsonSchemaParameters(n *wit.Node) (list []wit.Setting) {
	var names []string
	for _, p := range n.Parameters {
		if !strings.HasPrefix(p.Name, jsonSchemaNamespace) && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	for _, name := range inJSONObject(names) {
		value, _ := parameter(n, name)
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return list
}

func isEnum(n *wit.Node) bool {
	_, sum := parameter(n, sumEnum)
	_, own := parameter(n, jsonSchemaEnum)
	return sum || own
}

// nullSymbol stands for null among the symbols of an enumeration; noSymbol stands for it in a hash table, where both
// have the first place.
const nullSymbol, noSymbol = "<NULL>", "\x00"

// enum begins the schema of an enumeration, which is a text with parameters here, with its symbols.
func (s *jsonSchemaWriter) enum(n *wit.Node) {
	lead := jsonSchemaEnum + "."
	if s.o.sums {
		lead = sumEnum + "."
	}
	var symbols []string
	for _, p := range n.Parameters {
		if symbol, is := strings.CutPrefix(p.Name, lead); symbol == nullSymbol {
			symbols = append(symbols, noSymbol)
		} else if is {
			symbols = append(symbols, symbol)
		}
	}
	s.raw(`{"enum":[`)
	for i, symbol := range java.InHashMap(symbols, java.Itself) {
		s.comma(i)
		if symbol == noSymbol {
			s.raw("null")
		} else {
			s.quote(symbol)
		}
	}
	s.raw("],")
}

// orgJSON writes a default again as org.json and Jackson do one after the other: numbers with a point as decimals
// without zeros at their end, objects in the order of a hash table.
func (s *jsonSchemaWriter) orgJSON(text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		s.fail(dataError("the default of a schema: %v", err))
	}
	s.orgValue(v)
}

func (s *jsonSchemaWriter) orgValue(v any) {
	switch x := v.(type) {
	case nil:
		s.raw("null")
	case bool:
		s.raw(strconv.FormatBool(x))
	case string:
		s.quote(x)
	case json.Number:
		s.out = appendOrgNumber(s.out, string(x))
	case []any:
		s.raw("[")
		for i, item := range x {
			s.comma(i)
			s.orgValue(item)
		}
		s.raw("]")
	case map[string]any:
		s.raw("{")
		for i, name := range java.InHashMap(slices.Sorted(maps.Keys(x)), java.Itself) {
			s.comma(i)
			s.quote(name)
			s.raw(":")
			s.orgValue(x[name])
		}
		s.raw("}")
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
	content, _ := datum.Block(datum.AppendDecimal(nil, unscaled))
	return values.AppendDecimal(dst, content, len(fraction)-power)
}

// inCopy is names in the order of a copy of a HashMap that got them one by one.
func inCopy(names []string) []string {
	return java.InTable(java.InHashMap(names, java.Itself), java.Itself, java.CopiedTable(len(names)))
}

// inJSONObject is names in the order of a JSONObject of org.json that was made of that HashMap.
func inJSONObject(names []string) []string {
	from := 1
	for from < len(names) {
		from *= 2
	}
	return java.InTable(java.InHashMap(names, java.Itself), java.Itself, java.GrownTable(from, len(names)))
}
