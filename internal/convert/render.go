package convert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/avro"
	"github.com/culvert-project/culvert/internal/convert/connectjson"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// SchemaFormats are the formats of [RenderSchemas]: the schema as Kafka Connect's JsonConverter writes it, Avro as
// Confluent maps it with scrub.invalid.names, and a JSON Schema of JsonConverter's payload.
var SchemaFormats = []string{"connect", "avro", "json-schema"}

// RenderSchemas returns schemas as text in one of [SchemaFormats]: one as an object, several as an array.
func RenderSchemas(ctx context.Context, schemas []wit.Schema, format string) ([]byte, error) {
	rendered := make([]any, len(schemas))
	for i := range schemas {
		nodes := schemas[i].Nodes
		if _, err := connectdata.CheckSchema(nodes); err != nil {
			return nil, fmt.Errorf("schema %d: %w", i+1, err)
		}
		var k conversion.Budget
		k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
		w, err := connectjson.NewWriter(&k, nodes, 0, connectjson.Form{})
		if err != nil {
			return nil, fmt.Errorf("schema %d: %w", i+1, fault.SchemaError(err))
		}
		r := renderer{Budget: &k, nodes: nodes}
		switch format {
		case "connect":
			var text []byte
			k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
			text, err = connectjson.AppendSchema(&k, nil, nodes, w)
			rendered[i] = json.RawMessage(text)
		case "avro":
			var text []byte
			text, err = avro.SchemaText(ctx, nodes, avro.Options{Meta: true, Scrub: true})
			rendered[i] = json.RawMessage(text)
		case "json-schema":
			s := r.jsonSchema(0, w)
			s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
			rendered[i] = s
		default:
			return nil, fmt.Errorf("expected one of %s, found %q", strings.Join(SchemaFormats, ", "), format)
		}
		if err = cmp.Or(err, r.err); err != nil {
			return nil, fmt.Errorf("schema %d: %w", i+1, err)
		}
	}
	var document any = rendered
	if len(rendered) == 1 {
		document = rendered[0]
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(document)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

type renderer struct {
	*conversion.Budget
	nodes []wit.SchemaNode
	err   error // the first one
}

// defaultJSON returns the default of a node as JsonConverter writes it; !ok means no default. It records errors.
func (r *renderer) defaultJSON(n *wit.SchemaNode, w *connectjson.Writer) (_ json.RawMessage, ok bool) {
	if n.DefaultValue == nil {
		return nil, false
	}
	defaultText, err := w.DefaultText(r.Budget, *n.DefaultValue)
	if err != nil && r.err == nil {
		r.err = err
	}
	return slices.Clone(defaultText), err == nil
}

// jsonTypes are the types of JSON Schema by [wit.Kind].
var jsonTypes = [...]string{"integer", "integer", "integer", "integer", "number", "number", "boolean", "string",
	"string", "array", "object", "object"}

func (r *renderer) jsonSchema(node uint32, w *connectjson.Writer) map[string]any {
	n := &r.nodes[node]
	s := map[string]any{"type": jsonTypes[n.Kind]}
	// JSON Schema has no keyword for Kafka Connect's attributes.
	if n.Name != nil {
		s["connect.name"] = *n.Name
	}
	if n.Version != nil {
		s["connect.version"] = *n.Version
	}
	if n.Doc != nil {
		s["description"] = *n.Doc
	}
	if len(n.Parameters) > 0 {
		parameters := map[string]string{}
		for _, p := range n.Parameters {
			parameters[p.Name] = p.Value
		}
		s["connect.parameters"] = parameters
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32:
		bits := 8 << n.Kind
		s["minimum"] = -math.Exp2(float64(bits - 1))
		s["maximum"] = math.Exp2(float64(bits-1)) - 1
	case wit.Bytes:
		s["contentEncoding"] = "base64"
	case wit.Array:
		s["items"] = r.jsonSchema(n.Element, w.Element)
	case wit.Map:
		if r.nodes[n.Key].Kind == wit.String {
			s["additionalProperties"] = r.jsonSchema(n.Element, w.Element)
			break
		}
		s["type"] = "array"
		s["items"] = map[string]any{"type": "array", "items": false, "minItems": 2,
			"prefixItems": []any{r.jsonSchema(n.Key, w.Key), r.jsonSchema(n.Element, w.Element)}}
	case wit.Struct:
		properties := map[string]any{}
		required := []string{}
		for i, field := range n.Fields {
			properties[field.Name] = r.jsonSchema(field.Node, &w.Members[i])
			if !r.nodes[field.Node].Optional {
				required = append(required, field.Name)
			}
		}
		s["properties"] = properties
		s["required"] = required
		if n.Name != nil {
			s["title"] = *n.Name
		}
	}
	if value, ok := r.defaultJSON(n, w); ok {
		s["default"] = value
	}
	if n.Optional {
		s["type"] = []any{s["type"], "null"}
	}
	return s
}
