package plugintest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// object is a JSON object with a fixed order of members.
type object []pair

type pair struct {
	name  string
	value any
}

// MarshalJSON encodes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encode(p.name) + ":" + encode(p.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return strconv.Quote(err.Error())
	}
	return strings.TrimSpace(b.String())
}

// writeValue returns a value for encoding as JSON. nodes is nil for a schemaless value.
func writeValue(nodes []wit.SchemaNode, node uint32, v any) any {
	var n wit.SchemaNode
	if nodes != nil {
		n = nodes[node]
	}
	switch x := v.(type) {
	case []byte:
		if n.Name != nil && *n.Name == wit.NameDecimal {
			return decimalText(&n, x)
		}
		return base64.StdEncoding.EncodeToString(x)
	case float32:
		return float(float64(x))
	case float64:
		return float(x)
	case connectdata.List:
		out := []any{}
		for _, item := range x {
			out = append(out, writeValue(nodes, n.Element, item))
		}
		return out
	case connectdata.Map:
		out := object{}
		for _, e := range x {
			out = append(out, pair{name: fmt.Sprint(e.Key), value: writeValue(nodes, n.Element, e.Value)})
		}
		return out
	case connectdata.Struct:
		out := object{}
		for i, m := range n.Fields {
			out = append(out, pair{name: m.Name, value: writeValue(nodes, m.Node, x[i])})
		}
		return out
	case connectdata.Decimal:
		return fmt.Sprintf("%v (unscaled, scale %d)", x.Unscaled, x.Scale)
	case connectdata.Nested:
		return fmt.Sprintf("% x (schema %d)", x.Bytes, x.Schema)
	}
	return v
}

// decimalText returns a Decimal as a readable string.
func decimalText(n *wit.SchemaNode, b []byte) string {
	scale := 0
	for _, p := range n.Parameters {
		if p.Name == wit.ParameterScale {
			scale, _ = strconv.Atoi(p.Value)
		}
	}
	return new(big.Rat).SetFrac(connectdata.Unscaled(b), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)),
		nil)).FloatString(scale) + " (decimal)"
}

// float returns NaN and infinities as strings, since JSON has no numbers for them.
func float(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return f
}
