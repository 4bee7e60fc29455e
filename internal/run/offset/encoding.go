package offset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
)

// appendKey appends a record key, ["connector",{partition}], byte for byte as Kafka Connect's JsonConverter does.
func appendKey(dst []byte, connector string, partition []wit.OffsetEntry) []byte {
	dst = append(dst, '[')
	dst = java.AppendJSONString(dst, connector)
	dst = append(dst, ',')
	dst = AppendJSON(dst, partition)
	return append(dst, ']')
}

// sortLikeHashMap returns fields in the order of Java's HashMap. A Connect worker that shows or resets offsets by REST
// finds only such keys, because it parses and formats them with a HashMap (Apache Kafka 4.3.1; see TestRealTakeover).
func sortLikeHashMap(partition []wit.OffsetEntry) []wit.OffsetEntry {
	return java.HashMapOrder(partition, func(f wit.OffsetEntry) string { return f.Name })
}

// AppendJSON appends a JSON object as Kafka Connect's JsonConverter does without schemas.
func AppendJSON(dst []byte, fields []wit.OffsetEntry) []byte {
	dst = append(dst, '{')
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = java.AppendJSONString(dst, f.Name)
		dst = append(dst, ':')
		dst = appendScalar(dst, f.Value)
	}
	return append(dst, '}')
}

func appendScalar(dst []byte, s wit.Scalar) []byte {
	switch {
	case s.Boolean != nil:
		return strconv.AppendBool(dst, *s.Boolean)
	case s.Integer != nil:
		return strconv.AppendInt(dst, *s.Integer, 10)
	case s.Real != nil:
		return java.AppendJSONFloat(dst, *s.Real, 64)
	case s.String != nil:
		return java.AppendJSONString(dst, *s.String)
	}
	return append(dst, "null"...)
}

const maxFields = 10_000

// ParseKey parses the key of an offset record.
func ParseKey(key []byte) (connector string, partition []wit.OffsetEntry, err error) {
	d := newDecoder(key)
	if err = d.expect(json.Delim('[')); err != nil {
		return "", nil, fmt.Errorf("key of an offset: %w", err)
	}
	if connector, err = d.text(); err != nil {
		return "", nil, fmt.Errorf("key of an offset: connector: %w", err)
	}
	if partition, err = d.fields(); err != nil {
		return "", nil, fmt.Errorf("key of an offset: partition: %w", err)
	}
	if err = d.expect(json.Delim(']')); err == nil {
		err = d.end()
	}
	if err != nil {
		return "", nil, fmt.Errorf("key of an offset: %w", err)
	}
	return connector, partition, nil
}

// ParseJSON parses a JSON object of null, booleans, numbers and strings. Numbers without point and exponent are
// integers, as in Kafka Connect. Of duplicate names, the last value counts. It returns nil for null, but not for {}.
func ParseJSON(document []byte) ([]wit.OffsetEntry, error) {
	d := newDecoder(document)
	if bytes.Equal(bytes.TrimSpace(document), []byte("null")) {
		return nil, nil
	}
	fields, err := d.fields()
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, err
	}
	return fields, nil
}

type decoder struct{ *json.Decoder }

func newDecoder(document []byte) decoder {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	return decoder{d}
}

func (d decoder) expect(want json.Token) error {
	got, err := d.Token()
	if err != nil {
		return notJSON(err)
	}
	if got != want {
		return fmt.Errorf("expected %v, found %v", want, describe(got))
	}
	return nil
}

func (d decoder) text() (string, error) {
	got, err := d.Token()
	if err != nil {
		return "", notJSON(err)
	}
	s, ok := got.(string)
	if !ok {
		return "", fmt.Errorf("expected a text, found %s", describe(got))
	}
	return s, nil
}

func (d decoder) fields() ([]wit.OffsetEntry, error) {
	if err := d.expect(json.Delim('{')); err != nil {
		return nil, err
	}
	fields := []wit.OffsetEntry{}
	indexes := map[string]int{}
	for d.More() {
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		value, err := d.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		scalar, err := scalarOf(value)
		if err != nil {
			return nil, fmt.Errorf("%.100q: %w", name, err)
		}
		if i, ok := indexes[name]; ok {
			fields[i].Value = scalar
			continue
		}
		if len(fields) >= maxFields {
			return nil, fmt.Errorf("expected at most %d fields, found more", maxFields)
		}
		indexes[name] = len(fields)
		fields = append(fields, wit.OffsetEntry{Name: name, Value: scalar})
	}
	return fields, d.expect(json.Delim('}'))
}

func (d decoder) end() error {
	switch got, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("expected the end: %w", notJSON(err))
	default:
		return fmt.Errorf("expected the end, found %s", describe(got))
	}
}

func scalarOf(token json.Token) (wit.Scalar, error) {
	switch v := token.(type) {
	case nil:
		return wit.Scalar{Null: wit.Set}, nil
	case bool:
		return wit.Scalar{Boolean: &v}, nil
	case string:
		return wit.Scalar{String: &v}, nil
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			n, err := strconv.ParseInt(string(v), 10, 64)
			if err != nil {
				return wit.Scalar{}, fmt.Errorf("expected a number of 64 bits, found %.100s", v)
			}
			return wit.Scalar{Integer: &n}, nil
		}
		x, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return wit.Scalar{}, fmt.Errorf("expected a number of 64 bits, found %.100s", v)
		}
		return wit.Scalar{Real: &x}, nil
	}
	return wit.Scalar{}, fmt.Errorf("expected null, a boolean, a number or a text, found %s", describe(token))
}

func describe(token json.Token) string {
	switch v := token.(type) {
	case nil:
		return "null"
	case string:
		return "a text"
	case json.Delim:
		return v.String()
	}
	return fmt.Sprint(token)
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("not JSON: %w", err)
}

// identity returns equal strings for equal partitions, in any field order and with 1 equal to 1.0.
func identity(connector string, partition []wit.OffsetEntry) string {
	sorted := slices.Clone(partition)
	slices.SortFunc(sorted, func(a, b wit.OffsetEntry) int { return strings.Compare(a.Name, b.Name) })
	name := java.AppendJSONString(nil, connector)
	for _, f := range sorted {
		name = append(name, ' ')
		name = java.AppendJSONString(name, f.Name)
		name = append(name, ':')
		name = appendIdentity(name, f.Value)
	}
	return string(name)
}

func appendIdentity(name []byte, s wit.Scalar) []byte {
	if x := s.Real; x != nil && *x == math.Trunc(*x) && math.Abs(*x) < 1<<63 {
		return strconv.AppendInt(name, int64(*x), 10)
	}
	return appendScalar(name, s)
}

// Identity returns equal strings for partitions with equal fields and values, in any order.
func Identity(partition []wit.OffsetEntry) string { return identity("", partition) }
