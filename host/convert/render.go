package convert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// SchemaFormats are the forms in which [RenderSchemas] writes schemas: as Kafka Connect's JSON converter does, as Avro in Confluent's
// mapping, and as JSON Schema of what the JSON converter writes without its envelope.
var SchemaFormats = []string{"connect", "avro", "json-schema"}

// RenderSchemas writes schemas in one of [SchemaFormats]: one as it is, several as an array.
func RenderSchemas(ctx context.Context, schemas []wit.Schema, format string) ([]byte, error) {
	all := make([]any, len(schemas))
	for i := range schemas {
		nodes := schemas[i].Nodes
		if _, err := datum.CheckSchema(nodes); err != nil {
			return nil, fmt.Errorf("schema %d: %w", i+1, err)
		}
		var k budget
		k.start(ctx, nil, MaxEnvelopeBytes)
		w, err := newWriter(&k, nodes, 0, form{})
		if err != nil {
			return nil, fmt.Errorf("schema %d: %w", i+1, schemaFault(err))
		}
		r := renderer{budget: &k, nodes: nodes, names: map[string]int{}}
		switch format {
		case "connect":
			var text []byte
			k.start(ctx, nil, MaxEnvelopeBytes)
			text, err = appendSchema(&k, nil, nodes, 0, nil, w)
			all[i] = json.RawMessage(text)
		case "avro":
			all[i] = r.avro(0, w, "ConnectDefault")
		case "json-schema":
			s := r.jsonSchema(0, w)
			s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
			all[i] = s
		default:
			return nil, fmt.Errorf("expected one of %s, found %q", strings.Join(SchemaFormats, ", "), format)
		}
		if err = cmp.Or(err, r.failed); err != nil {
			return nil, fmt.Errorf("schema %d: %w", i+1, err)
		}
	}
	var document any = all
	if len(all) == 1 {
		document = all[0]
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(document)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

type renderer struct {
	*budget
	nodes []wit.Node
	// names are those of Avro's records, and how often each was given.
	names  map[string]int
	failed error
}

// defaultOf is the default of a node as the JSON converter writes it; false: it has none, or one that is no plain text there.
func (r *renderer) defaultOf(n *wit.Node, w *writer, withBytes bool) (json.RawMessage, bool) {
	if n.DefaultValue == nil || n.Kind == wit.Bytes && !withBytes {
		return nil, false
	}
	text, err := w.defaultText(r.budget, *n.DefaultValue)
	if err != nil && r.failed == nil {
		r.failed = err
	}
	return slices.Clone(text), err == nil
}

// described adds what both forms say of a node in the words of Kafka Connect.
func described(s map[string]any, n *wit.Node, doc string) {
	if n.Name != nil {
		s["connect.name"] = *n.Name
	}
	if n.Version != nil {
		s["connect.version"] = *n.Version
	}
	if n.Doc != nil {
		s[doc] = *n.Doc
	}
	if len(n.Parameters) > 0 {
		parameters := map[string]string{}
		for _, p := range n.Parameters {
			parameters[p.Name] = p.Value
		}
		s["connect.parameters"] = parameters
	}
}

var notAvro = regexp.MustCompile(`[^A-Za-z0-9_]`)

// avroName is a name as Avro takes it, each once: `_2` stands behind the second of it.
func (r *renderer) avroName(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if p = notAvro.ReplaceAllString(p, "_"); p == "" || p[0] >= '0' && p[0] <= '9' {
			p = "_" + p
		}
		parts[i] = p
	}
	name = strings.Join(parts, ".")
	if r.names[name]++; r.names[name] > 1 {
		return r.avroName(name + "_" + strconv.Itoa(r.names[name]))
	}
	return name
}

var avroNames = [...]string{"int", "int", "int", "long", "float", "double", "boolean", "string", "bytes", "array", "map", "record"}

// logicalTypes are the types that have names, in Avro's words.
var logicalTypes = map[string]string{wit.NameDecimal: "decimal", wit.NameDate: "date", wit.NameTime: "time-millis", wit.NameTimestamp: "timestamp-millis"}

// avro is a node's schema; a union where it is optional.
func (r *renderer) avro(node uint32, w *writer, unnamed string) any {
	n := &r.nodes[node]
	s := map[string]any{"type": avroNames[n.Kind]}
	described(s, n, "connect.doc")
	switch n.Kind {
	case wit.Int8, wit.Int16:
		s["connect.type"] = jsonNames[n.Kind]
	case wit.Array:
		s["items"] = r.avro(n.Element, w.element, unnamed+"_item")
	case wit.Mapping:
		if r.nodes[n.Key].Kind == wit.Text && !r.nodes[n.Key].Optional {
			s["values"] = r.avro(n.Element, w.element, unnamed+"_value")
			break
		}
		entry := map[string]any{"type": "record", "name": r.avroName(unnamed + "_entry")}
		entry["fields"] = []any{map[string]any{"name": "key", "type": r.avro(n.Key, w.key, unnamed+"_key")},
			map[string]any{"name": "value", "type": r.avro(n.Element, w.element, unnamed+"_value")}}
		s["type"], s["items"] = "array", entry
	case wit.Structure:
		name := unnamed
		if n.Name != nil {
			name = *n.Name
		}
		s["name"] = r.avroName(name)
		fields := []any{}
		for i, m := range n.Members {
			below := &r.nodes[m.Node]
			f := map[string]any{"name": notAvro.ReplaceAllString(m.Name, "_"), "type": r.avro(m.Node, &w.members[i], name+"_"+m.Name)}
			if value, some := r.defaultOf(below, &w.members[i], false); some {
				f["default"] = value
			} else if below.Optional && below.DefaultValue == nil {
				f["default"] = nil
			}
			fields = append(fields, f)
		}
		s["fields"] = fields
	}
	if n.Name != nil && logicalTypes[*n.Name] != "" {
		s["logicalType"] = logicalTypes[*n.Name]
		for _, p := range n.Parameters {
			if number, err := strconv.Atoi(p.Value); err == nil {
				switch p.Name {
				case wit.ParameterScale:
					s["scale"] = number
				case wit.ParameterPrecision:
					s["precision"] = number
				}
			}
		}
		if *n.Name == wit.NameDecimal && s["precision"] == nil {
			s["precision"] = 64 // Confluent's where nobody says
		}
	}
	var plain any = s
	if len(s) == 1 {
		plain = s["type"]
	}
	switch {
	case n.Optional && n.DefaultValue != nil:
		return []any{plain, "null"}
	case n.Optional:
		return []any{"null", plain}
	}
	return plain
}

var jsonTypes = [...]string{"integer", "integer", "integer", "integer", "number", "number", "boolean", "string", "string", "array", "object", "object"}

// jsonSchema is a node's schema.
func (r *renderer) jsonSchema(node uint32, w *writer) map[string]any {
	n := &r.nodes[node]
	s := map[string]any{"type": jsonTypes[n.Kind]}
	described(s, n, "description")
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32:
		bits := 8 << n.Kind
		s["minimum"], s["maximum"] = -math.Exp2(float64(bits-1)), math.Exp2(float64(bits-1))-1
	case wit.Bytes:
		s["contentEncoding"] = "base64"
	case wit.Array:
		s["items"] = r.jsonSchema(n.Element, w.element)
	case wit.Mapping:
		if r.nodes[n.Key].Kind == wit.Text {
			s["additionalProperties"] = r.jsonSchema(n.Element, w.element)
			break
		}
		s["type"] = "array"
		s["items"] = map[string]any{"type": "array", "items": false, "minItems": 2,
			"prefixItems": []any{r.jsonSchema(n.Key, w.key), r.jsonSchema(n.Element, w.element)}}
	case wit.Structure:
		properties, required := map[string]any{}, []string{}
		for i, m := range n.Members {
			properties[m.Name] = r.jsonSchema(m.Node, &w.members[i])
			if !r.nodes[m.Node].Optional {
				required = append(required, m.Name)
			}
		}
		s["properties"], s["required"] = properties, required
		if n.Name != nil {
			s["title"] = *n.Name
		}
	}
	if value, some := r.defaultOf(n, w, true); some {
		s["default"] = value
	}
	if n.Optional {
		s["type"] = []any{s["type"], "null"}
	}
	return s
}
