package convert

import (
	"bytes"
	"encoding/json"
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
	nodes []wit.Node
	o     jsonSchemaOptions
	k     *budget
}

// jsonSchemaOf returns the text of the JSON Schema of nodes; w is the writer of their values.
func jsonSchemaOf(k *budget, nodes []wit.Node, w *writer, o jsonSchemaOptions) ([]byte, error) {
	return (&jsonSchemaWriter{nodes, o, k}).node(nil, 0, w, -1, false)
}

// Attributes of schemas that JSON Schema does not have.
const (
	connectType       = "connect.type"
	connectIndex      = "connect.index"
	connectVersion    = "connect.version"
	connectParameters = "connect.parameters"
)

// node appends the schema of a node. index is its place among the properties around it, below 0: it has none. bare: its
// optionality is seen to by the caller.
func (s *jsonSchemaWriter) node(dst []byte, id uint32, w *writer, index int, bare bool) ([]byte, error) {
	n := &s.nodes[id]
	if len(dst) > s.k.most {
		return dst, s.k.room(dst, 0)
	}
	if w.shape == unionShape {
		return s.union(dst, n, w, index)
	}
	if !n.Optional || bare {
		return s.value(dst, id, w, index)
	}
	dst = append(dst, '{')
	if index >= 0 {
		dst = append(strconv.AppendInt(append(dst, `"connect.index":`...), int64(index), 10), ',')
	}
	dst, err := s.value(append(dst, `"oneOf":[{"type":"null"},`...), id, w, -1)
	return append(dst, "]}"...), err
}

// union appends a structure that stands for several types.
func (s *jsonSchemaWriter) union(dst []byte, n *wit.Node, w *writer, index int) ([]byte, error) {
	dst = append(dst, '{')
	if index >= 0 {
		dst = append(strconv.AppendInt(append(dst, `"connect.index":`...), int64(index), 10), ',')
	}
	dst = append(dst, `"oneOf":[`...)
	if n.Optional {
		dst = append(dst, `{"type":"null"}`...)
	}
	var err error
	for i, m := range n.Members {
		if i > 0 || n.Optional {
			dst = append(dst, ',')
		}
		if dst, err = s.node(dst, m.Node, &w.members[i], i, true); err != nil {
			return dst, err
		}
	}
	return append(dst, "]}"...), nil
}

// value appends the schema of a node's values other than null.
func (s *jsonSchemaWriter) value(dst []byte, id uint32, w *writer, index int) ([]byte, error) {
	n := &s.nodes[id]
	own := map[string]string{}
	if index >= 0 {
		own[connectIndex] = strconv.Itoa(index)
	}
	if n.Version != nil {
		own[connectVersion] = strconv.Itoa(int(*n.Version))
	}
	if list := jsonSchemaParameters(n); list != nil {
		own[connectParameters] = string(list)
	}
	typ := func(name, connect string) {
		dst = append(append(append(dst, `{"type":"`...), name...), `",`...)
		if connect != "" {
			own[connectType] = `"` + connect + `"`
		}
	}
	boolean := false
	// last is what stands behind the attributes.
	last := func(dst []byte) ([]byte, error) { return dst, nil }
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		typ("integer", jsonNames[n.Kind])
	case wit.Float32, wit.Float64:
		typ("number", "float"+strconv.Itoa(32<<(n.Kind-wit.Float32)))
	case wit.Boolean:
		dst, boolean = append(dst, '{'), true
	case wit.Text:
		if dst = append(dst, '{'); isEnum(n) {
			dst = s.enum(dst, n)
			break
		}
		dst = append(dst, `"type":"string",`...)
	case wit.Bytes:
		name := "string"
		if w.shape == decimalNumber {
			name = "number"
		}
		typ(name, "bytes")
	case wit.Array:
		typ("array", "")
		last = func(dst []byte) ([]byte, error) {
			return s.node(append(dst, `"items":`...), n.Element, w.element, -1, false)
		}
	case wit.Mapping:
		if w.shape == objectShape {
			typ("object", "map")
			last = func(dst []byte) ([]byte, error) {
				return s.node(append(dst, `"additionalProperties":`...), n.Element, w.element, -1, false)
			}
			break
		}
		typ("array", "map")
		last = func(dst []byte) ([]byte, error) { // value and key: the order of a hash table
			dst, err := s.node(append(dst, `"items":{"type":"object","properties":{"value":`...), n.Element, w.element,
				1, false)
			if err == nil {
				dst, err = s.node(append(dst, `,"key":`...), n.Key, w.key, 0, false)
			}
			return append(dst, "}}"...), err
		}
	case wit.Structure:
		if typ("object", ""); !s.o.open {
			dst = append(dst, `"additionalProperties":false,`...)
		}
		last = func(dst []byte) ([]byte, error) { return s.properties(dst, n, w) }
	}
	dst, err := s.attributes(dst, n, w, own)
	if err != nil {
		return dst, err
	}
	if boolean {
		dst = append(dst, `"type":"boolean"`...)
	}
	if dst, err = last(dst); err != nil {
		return dst, err
	}
	return append(bytes.TrimSuffix(dst, []byte(",")), '}'), nil
}

// properties appends those of a structure.
func (s *jsonSchemaWriter) properties(dst []byte, n *wit.Node, w *writer) ([]byte, error) {
	names, at := make([]string, len(n.Members)), make(map[string]int, len(n.Members))
	for i, m := range n.Members {
		names[i], at[m.Name] = m.Name, i
	}
	if len(names) == 0 {
		return dst, nil
	}
	lead := `"properties":{`
	for _, name := range java.InHashMap(names, java.Itself) {
		i := at[name]
		dst = append(appendJSON(append(dst, lead...), name), ':')
		var err error
		if dst, err = s.node(dst, n.Members[i].Node, &w.members[i], i, false); err != nil {
			return dst, err
		}
		lead = ","
	}
	return append(dst, '}'), nil
}

// attributes appends what all schemas may have, each with a comma behind it; own are Kafka Connect's.
func (s *jsonSchemaWriter) attributes(dst []byte, n *wit.Node, w *writer, own map[string]string) ([]byte, error) {
	if n.Name != nil {
		dst = append(appendJSON(append(dst, `"title":`...), *n.Name), ',')
	}
	if n.Doc != nil {
		dst = append(appendJSON(append(dst, `"description":`...), *n.Doc), ',')
	}
	if n.DefaultValue != nil {
		text, err := w.defaultText(s.k, *n.DefaultValue)
		if err != nil {
			return dst, err
		}
		if text, err = asOrgJSON(text); err != nil {
			return dst, err
		}
		dst = append(append(append(dst, `"default":`...), text...), ',')
	}
	var names []string
	for _, name := range []string{connectVersion, connectIndex, connectType, connectParameters} {
		if _, given := own[name]; given {
			names = append(names, name)
		}
	}
	for _, name := range inCopy(names) {
		dst = append(append(append(append(dst, '"'), name...), `":`...), own[name]...)
		dst = append(dst, ',')
	}
	return dst, nil
}

// jsonSchemaParameters is the JSON of a node's parameters, nil: none.
func jsonSchemaParameters(n *wit.Node) (dst []byte) {
	var names []string
	for _, p := range n.Parameters {
		if !strings.HasPrefix(p.Name, jsonSchemaNamespace) && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	lead := byte('{')
	for _, name := range inJSONObject(names) {
		value, _ := parameter(n, name)
		dst = append(appendJSON(append(dst, lead), name), ':')
		dst = appendJSON(dst, value)
		lead = ','
	}
	if dst == nil {
		return nil
	}
	return append(dst, '}')
}

func isEnum(n *wit.Node) bool {
	_, sum := parameter(n, sumEnum)
	_, own := parameter(n, jsonSchemaEnum)
	return sum || own
}

// nullSymbol stands for null among the symbols of an enumeration; noSymbol stands for it in a hash table, where both
// have the first place.
const nullSymbol, noSymbol = "<NULL>", "\x00"

// enum appends the symbols of an enumeration, which is a text with parameters here.
func (s *jsonSchemaWriter) enum(dst []byte, n *wit.Node) []byte {
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
	dst = append(dst, `"enum":[`...)
	for _, symbol := range java.InHashMap(symbols, java.Itself) {
		if symbol == noSymbol {
			dst = append(dst, "null,"...)
			continue
		}
		dst = append(appendJSON(dst, symbol), ',')
	}
	return append(bytes.TrimSuffix(dst, []byte(",")), "],"...)
}

// asOrgJSON writes a default again as org.json and Jackson do one after the other: numbers with a point as decimals
// without zeros at their end, objects in the order of a hash table.
func asOrgJSON(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, dataError("the default of a schema: %v", err)
	}
	return appendOrgJSON(nil, v), nil
}

func appendOrgJSON(dst []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, x)
	case string:
		return appendJSON(dst, x)
	case json.Number:
		return appendOrgNumber(dst, string(x))
	case []any:
		dst = append(dst, '[')
		for i, item := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendOrgJSON(dst, item)
		}
		return append(dst, ']')
	case map[string]any:
		names := make([]string, 0, len(x))
		for name := range x {
			names = append(names, name)
		}
		slices.Sort(names)
		dst = append(dst, '{')
		for i, name := range java.InHashMap(names, java.Itself) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendOrgJSON(append(appendJSON(dst, name), ':'), x[name])
		}
		return append(dst, '}')
	}
	return dst
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
