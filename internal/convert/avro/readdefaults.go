package avro

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// setDefault sets the default of a node that is otherwise complete. Like AvroData it ignores a default of another type.
func (r *schemaReader) setDefault(id uint32, n *avro.SchemaNode, place placement) {
	value := place.value
	connectDefault, hasConnectDefault := n.Props["connect.default"]
	switch {
	case !place.hasDefault:
		value = connectDefault
	case r.o.Meta && !hasConnectDefault: // the writer then omits connect.default again
		setParameter(&r.nodes[id], fieldDefault, "true")
	}
	if value == nil {
		return
	}
	v, ok := r.defaultValue(id, value)
	if !ok {
		return
	}
	if b, err := connectdata.AppendDefault(nil, r.nodes, id, v); err == nil {
		r.nodes[id].DefaultValue = &b
	}
}

// defaultValue converts a JSON value to the value of a node. Values of other types are converted as by Jackson, and so
// by AvroData: a text becomes the number 0, for example.
func (r *schemaReader) defaultValue(id uint32, value any) (any, bool) {
	n := &r.nodes[id]
	if value == nil {
		return nil, n.Optional
	}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 32
		if n.Kind == wit.Int64 {
			bits = 64
		}
		converted, _ := asNumber(value, bits)
		return [...]any{int8(converted), int16(converted), int32(converted), converted}[n.Kind], true // Int8 is 0
	case wit.Float32, wit.Float64:
		converted, _ := realNumber(value)
		if n.Kind == wit.Float32 {
			return float32(converted), true
		}
		return converted, true
	case wit.Boolean:
		converted, isBool := value.(bool)
		if number, ok := jsonInteger(value); ok && !isBool {
			converted = number != 0
		}
		return converted || value == "true", true
	case wit.String:
		// Like Jackson's asText: arrays and objects become "".
		switch number := value.(type) {
		case []any, map[string]any:
			return "", true
		case float32:
			return string(java.AppendFloat(nil, float64(number), 32)), true
		case float64:
			return string(java.AppendFloat(nil, number, 64)), true
		}
		return fmt.Sprint(value), true
	case wit.Bytes:
		return bytesDefault(n, value)
	case wit.Array:
		items, ok := value.([]any)
		if !ok {
			return nil, false
		}
		list := make(connectdata.List, len(items))
		for i := range items {
			if list[i], ok = r.defaultValue(n.Element, items[i]); !ok {
				return nil, false
			}
		}
		return list, true
	case wit.Map:
		return r.mapDefault(n, value)
	}
	if conversion.NameOf(n) == unionName {
		// The first member that accepts the value is set.
		record := make(connectdata.Struct, len(n.Fields))
		for i, m := range n.Fields {
			if !acceptsDefault(&r.nodes[m.Node], value) {
				continue
			}
			if member, ok := r.defaultValue(m.Node, value); ok {
				record[i] = member
				return record, true
			}
		}
		return nil, false
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, false
	}
	record := make(connectdata.Struct, len(n.Fields))
	for i, m := range n.Fields {
		if record[i], ok = r.defaultValue(m.Node, members[m.Name]); !ok {
			return nil, false
		}
	}
	return record, true
}

func (r *schemaReader) mapDefault(n *wit.SchemaNode, v any) (any, bool) {
	// For maps whose keys are no strings, AvroData writes a default that it cannot read unless it is empty.
	members, ok := v.(map[string]any)
	if items, isList := v.([]any); !ok && (!isList || len(items) > 0) {
		return nil, false
	}
	var entries connectdata.Map
	for _, name := range slices.Sorted(maps.Keys(members)) {
		key, isKey := r.defaultValue(n.Key, name)
		value, ok := r.defaultValue(n.Element, members[name])
		if !ok || !isKey {
			return nil, false
		}
		entries = append(entries, connectdata.Entry{Key: key, Value: value})
	}
	return entries, true
}

// bytesDefault accepts bytes, or text with one character for each byte.
func bytesDefault(n *wit.SchemaNode, v any) (any, bool) {
	b, ok := v.([]byte)
	if s, isText := v.(string); isText {
		ok = true
		for _, c := range s {
			if c > 0xff {
				return nil, false
			}
			b = append(b, byte(c))
		}
	}
	if !ok || conversion.NameOf(n) != wit.NameDecimal {
		return append([]byte{}, b...), ok
	}
	return connectdata.Unscaled(b), len(b) > 0 && len(b) <= connectdata.MaxDecimalBytes
}

// acceptsDefault reports whether a value has the type of a union's member.
func acceptsDefault(n *wit.SchemaNode, value any) (ok bool) {
	_, isFloat32 := value.(float32)
	_, isFloat64 := value.(float64)
	s, isText := value.(string)
	switch n.Kind {
	case wit.Boolean:
		_, ok = value.(bool)
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		bits := 32
		if n.Kind == wit.Int64 {
			bits = 64
		}
		integer, isInteger := jsonInteger(value)
		narrow, _ := asNumber(value, bits)
		ok = isInteger && integer == narrow && !isFloat32 && !isFloat64
	case wit.Float32, wit.Float64:
		_, ok = realNumber(value)
		ok = ok && !isText
	case wit.String:
		ok = isText
		if _, isEnum := conversion.Parameter(n, enumName); ok && isEnum {
			_, ok = conversion.Parameter(n, enumName+"."+s)
		}
	case wit.Bytes:
		var b any
		b, ok = bytesDefault(&wit.SchemaNode{}, value)
		if size, isFixed := conversion.Parameter(n, fixedSize); ok && isFixed {
			ok = size == strconv.Itoa(len(b.([]byte)))
		}
	case wit.Array:
		_, ok = value.([]any)
	case wit.Map:
		// The default of a map of entries is an array, which must be empty, see mapDefault.
		_, isArray := value.([]any)
		_, isObject := value.(map[string]any)
		ok = isArray || isObject
	case wit.Struct:
		_, ok = value.(map[string]any)
	}
	return ok
}

// jsonInteger converts a JSON number without a fraction.
func jsonInteger(value any) (int64, bool) {
	switch number := value.(type) {
	case int:
		return int64(number), true
	case int32:
		return int64(number), true
	case int64:
		return number, true
	case float32:
		return int64(number), float32(int64(number)) == number
	case float64:
		return int64(number), float64(int64(number)) == number
	case json.Number:
		n, err := number.Int64()
		return n, err == nil
	}
	return 0, false
}

// asNumber converts like Java's intValue (32 bits) or longValue (64): the lowest bits of a whole literal, the nearest
// number of one with a fraction, which is cut. The parser has converted literals with an exponent (3e9).
func asNumber(value any, bits int) (int64, bool) {
	n, ok := jsonInteger(value)
	switch number := value.(type) {
	case float32:
		return nearest(float64(number), bits), true
	case float64:
		return nearest(number, bits), true
	case json.Number:
		if strings.ContainsAny(string(number), ".eE") {
			f, err := number.Float64()
			if err != nil && !math.IsInf(f, 0) {
				return 0, false
			}
			return nearest(f, bits), true
		}
		digits, isNegative := strings.CutPrefix(string(number), "-")
		n = 0
		ok = digits != ""
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = n*10 + int64(c-'0') // overflow keeps the lowest bits
		}
		if isNegative {
			n = -n
		}
	}
	return n << (64 - bits) >> (64 - bits), ok // the lowest bits, with their sign
}

// nearest converts like (int) or (long) in Java.
func nearest(f float64, bits int) int64 {
	switch limit := math.Ldexp(1, bits-1); {
	case f >= limit:
		return 1<<(bits-1) - 1
	case f <= -limit:
		return -1 << (bits - 1)
	case math.IsNaN(f):
		return 0
	}
	return int64(f)
}

// realNumber converts a JSON number, or the name of a number that JSON does not have.
func realNumber(value any) (float64, bool) {
	switch number := value.(type) {
	case float64:
		return number, true
	case float32:
		return float64(number), true
	case string:
		switch number {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
		return 0, false
	case json.Number:
		f, err := number.Float64()
		return f, err == nil
	}
	n, ok := jsonInteger(value)
	return float64(n), ok
}
