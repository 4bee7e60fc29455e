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

// schemaWriter writes the JSON Schema of a Connect schema as JsonSchemaData does: keywords in the order of the library
// everit, properties and parameters in that of Java's hash tables.
type schemaWriter struct {
	conversion.SchemaText
	nodes   []wit.SchemaNode
	options options
}

// writeSchema returns the JSON Schema of nodes. w writes their values.
func writeSchema(k *conversion.Budget, nodes []wit.SchemaNode, w *connectjson.Writer, o options) ([]byte, error) {
	s := schemaWriter{conversion.SchemaText{Budget: k}, nodes, o}
	s.writeNode(0, w, noIndex)
	return s.Out, s.Err
}

// Attributes of schemas that JSON Schema does not have.
const (
	connectType       = "connect.type"
	connectIndex      = "connect.index"
	connectVersion    = "connect.version"
	connectParameters = "connect.parameters"
)

// noIndex is the index of a schema that is no property.
const noIndex = -1

// writeNode writes the schema of a node. index is its place among properties.
func (s *schemaWriter) writeNode(id uint32, w *connectjson.Writer, index int) {
	if !s.nodes[id].Optional || w.Shape == connectjson.UnionShape {
		s.writeNonNull(id, w, index)
		return
	}
	if s.Done() {
		return
	}
	s.beginChoice(index)
	s.Raw(`{"type":"null"},`)
	s.writeValue(id, w, noIndex)
	s.Raw("]}")
}

// writeNonNull writes the schema of a node, which its caller makes optional. The schema of a union includes null.
func (s *schemaWriter) writeNonNull(id uint32, w *connectjson.Writer, index int) {
	switch {
	case s.Done(): // nothing to do: after an error, or the text is too long
	case w.Shape == connectjson.UnionShape:
		n := &s.nodes[id]
		s.beginChoice(index)
		preceding := 0
		if n.Optional {
			s.Raw(`{"type":"null"}`)
			preceding = 1
		}
		for i, field := range n.Fields {
			s.Comma(preceding + i)
			s.writeNonNull(field.Node, &w.Members[i], i)
		}
		s.Raw("]}")
	default:
		s.writeValue(id, w, index)
	}
}

// beginChoice begins a schema with alternatives.
func (s *schemaWriter) beginChoice(index int) {
	s.Raw("{")
	if index >= 0 {
		s.Raw(`"connect.index":`)
		s.Number(int64(index))
		s.Raw(",")
	}
	s.Raw(`"oneOf":[`)
}

// writeValue writes the schema of a node's values other than null: type, attributes, and the schemas of the content.
func (s *schemaWriter) writeValue(id uint32, w *connectjson.Writer, index int) {
	// Collect Kafka Connect's attributes.
	n := &s.nodes[id]
	connect := map[string]string{}
	if index >= 0 {
		connect[connectIndex] = strconv.Itoa(index)
	}
	if n.Version != nil {
		connect[connectVersion] = strconv.Itoa(int(*n.Version))
	}
	parameters := conversion.SchemaText{}
	var list []wit.Setting
	var names []string
	for _, p := range n.Parameters {
		if !strings.HasPrefix(p.Name, connectjson.SchemaNamespace) && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	// Parameters without Confluent's, each once, have the order of an org.json JSONObject of their HashMap.
	tableSize := 1
	for tableSize < len(names) {
		tableSize *= 2
	}
	for _, name := range java.SortByBucket(java.HashMapOrder(names, java.Identity), java.Identity,
		java.GrownTableSize(tableSize, len(names))) {
		value, _ := conversion.Parameter(n, name)
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	parameters.Parameters("", list)
	if len(parameters.Out) > 0 {
		connect[connectParameters] = string(parameters.Out)
	}
	// Write the type or the symbols, then attributes and content.
	switch {
	case n.Kind == wit.String && isEnum(n):
		lead := enumName + "."
		if s.options.sumTypes {
			lead = sumEnumName + "."
		}
		var symbols []string
		for _, p := range n.Parameters {
			if symbol, ok := strings.CutPrefix(p.Name, lead); symbol == nullSymbol {
				symbols = append(symbols, noSymbol)
			} else if ok {
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
	case n.Kind == wit.Boolean: // everit writes the type of a boolean last, see writeContent
		s.Raw("{")
	default:
		name, connectName := typeNames(n, w)
		s.Raw(`{"type":"`, name, `",`)
		if connectName != "" {
			connect[connectType] = `"` + connectName + `"`
		}
	}
	if n.Kind == wit.Struct && !s.options.additionalProperties {
		s.Raw(`"additionalProperties":false,`)
	}
	s.writeAttributes(n, w, connect)
	s.writeContent(n, w)
	s.Out = append(bytes.TrimSuffix(s.Out, []byte(",")), '}')
}

// typeNames returns the JSON type of a node's values, and their connect.type, "" for none.
func typeNames(n *wit.SchemaNode, w *connectjson.Writer) (name, connectName string) {
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		return "integer", connectjson.TypeNames[n.Kind]
	case wit.Float32, wit.Float64:
		return "number", "float" + strconv.Itoa(32<<(n.Kind-wit.Float32)) // float32 or float64
	case wit.String:
		return "string", ""
	case wit.Bytes:
		if w.Shape == connectjson.DecimalNumber {
			return "number", "bytes"
		}
		return "string", "bytes"
	case wit.Array:
		return "array", ""
	case wit.Map:
		if w.Shape == connectjson.ObjectShape {
			return "object", "map"
		}
		return "array", "map"
	}
	return "object", ""
}

// writeContent writes what everit writes after the attributes: the type of a boolean, and the schemas of the content.
func (s *schemaWriter) writeContent(n *wit.SchemaNode, w *connectjson.Writer) {
	switch n.Kind {
	case wit.Boolean:
		s.Raw(`"type":"boolean"`)
	case wit.Array:
		s.Raw(`"items":`)
		s.writeNode(n.Element, w.Element, noIndex)
	case wit.Map:
		if w.Shape == connectjson.ObjectShape {
			s.Raw(`"additionalProperties":`)
			s.writeNode(n.Element, w.Element, noIndex)
			return
		}
		// Value before key is the order of Java's hash table.
		s.Raw(`"items":{"type":"object","properties":{"value":`)
		s.writeNode(n.Element, w.Element, 1)
		s.Raw(`,"key":`)
		s.writeNode(n.Key, w.Key, 0)
		s.Raw("}}")
	case wit.Struct:
		s.writeProperties(n, w)
	}
}

func (s *schemaWriter) writeProperties(n *wit.SchemaNode, w *connectjson.Writer) {
	names := make([]string, len(n.Fields))
	indexes := make(map[string]int, len(n.Fields))
	for i, field := range n.Fields {
		names[i] = field.Name
		indexes[field.Name] = i
	}
	if len(names) == 0 {
		return
	}
	lead := `"properties":{`
	for _, name := range java.HashMapOrder(names, java.Identity) {
		i := indexes[name]
		s.Text(lead, name)
		s.Raw(":")
		s.writeNode(n.Fields[i].Node, &w.Members[i], i)
		lead = ","
	}
	s.Raw("}")
}

// writeAttributes writes what all schemas may have, each with a comma. connect has Kafka Connect's attributes.
func (s *schemaWriter) writeAttributes(n *wit.SchemaNode, w *connectjson.Writer, connect map[string]string) {
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
		defaultJSON, err := w.DefaultText(s.Budget, *n.DefaultValue)
		s.Fail(err)
		// org.json and Jackson write it one after the other: numbers with a point as decimals without zeros at their
		// end, objects in the order of a hash table.
		d := json.NewDecoder(bytes.NewReader(defaultJSON))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			s.Fail(fault.Data("the default of a schema: %v", err))
		}
		s.writeOrgValue(v)
		s.Raw(",")
	}
	var names []string
	for _, name := range []string{connectVersion, connectIndex, connectType, connectParameters} {
		if _, ok := connect[name]; ok {
			names = append(names, name)
		}
	}
	for _, name := range inCopy(names) {
		s.Raw(`"`, name, `":`, connect[name], ",")
	}
}

func isEnum(n *wit.SchemaNode) bool {
	_, isSumEnum := conversion.Parameter(n, sumEnumName)
	_, isConfluentEnum := conversion.Parameter(n, enumName)
	return isSumEnum || isConfluentEnum
}

// nullSymbol represents null among the symbols of an enumeration; noSymbol represents it in a hash table, where null
// and it have the first place.
const nullSymbol, noSymbol = "<NULL>", "\x00"

func (s *schemaWriter) writeOrgValue(v any) {
	switch typed := v.(type) {
	case nil:
		s.Raw("null")
	case bool:
		s.Raw(strconv.FormatBool(typed))
	case string:
		s.Quote(typed)
	case json.Number:
		s.Out = appendOrgNumber(s.Out, string(typed))
	case []any:
		s.Raw("[")
		for i, item := range typed {
			s.Comma(i)
			s.writeOrgValue(item)
		}
		s.Raw("]")
	case map[string]any:
		s.Raw("{")
		for i, name := range java.HashMapOrder(slices.Sorted(maps.Keys(typed)), java.Identity) {
			s.Comma(i)
			s.Quote(name)
			s.Raw(":")
			s.writeOrgValue(typed[name])
		}
		s.Raw("}")
	}
}

// appendOrgNumber writes a number that org.json wrote and Jackson read as a decimal.
func appendOrgNumber(dst []byte, text string) []byte {
	mantissa, exponent, hasExponent := strings.Cut(text, "E")
	if strings.Contains(mantissa, ".") && !hasExponent {
		text = strings.TrimSuffix(strings.TrimRight(mantissa, "0"), ".")
		mantissa = text
	}
	integer, fraction, _ := strings.Cut(mantissa, ".")
	power, err := strconv.Atoi(exponent)
	unscaled, ok := new(big.Int).SetString(integer+fraction, 10)
	if (hasExponent && err != nil) || !ok || (!hasExponent && fraction == "") {
		return append(dst, text...)
	}
	content, _ := connectdata.LengthPrefixed(connectdata.AppendDecimal(nil, unscaled))
	return values.AppendDecimal(dst, content, len(fraction)-power)
}

// inCopy returns names in the order of a copy of a HashMap.
func inCopy(names []string) []string {
	return java.SortByBucket(java.HashMapOrder(names, java.Identity), java.Identity, java.CopiedTableSize(len(names)))
}
