package convert

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// SimpleHeaders is Kafka Connect's SimpleHeaderConverter for headers on their way to Kafka: a text as it is, and
// something like JSON of all else. It holds nothing between calls. Dates are in UTC, whatever the zone of the process;
// as in Kafka a time before 1970-01-02 is written without its date.
type SimpleHeaders struct{ Registry *record.Registry }

// Encode appends the bytes of a header to dst, at most `most` of them; null tells that it has none.
func (c SimpleHeaders) Encode(ctx context.Context, dst []byte, most int, _ string, _ *record.Batch, h *datum.Header) (
	[]byte, bool, error) {
	w := headerText{}
	w.start(ctx, dst, most)
	if err := w.room(dst, 0); err != nil {
		return dst, false, err
	}
	var v any
	var err error
	size := 0
	switch h.Form {
	case wit.Raw:
		return appendRaw(ctx, dst, most, h.Value)
	case wit.Structured:
		s := c.Registry.Get(h.Schema)
		if s == nil {
			return dst, false, dataError("SimpleHeaderConverter: schema %d is not registered", h.Schema)
		}
		w.nodes = s.Nodes
		v, size, err = datum.Read(s.Nodes, 0, h.Value)
	default:
		v, size, err = datum.ReadDynamic(h.Value)
	}
	if err == nil && size != len(h.Value) {
		err = broken(size, "bytes left over")
	}
	if err != nil {
		return dst, false, dataError("SimpleHeaderConverter: %v", err)
	}
	if v == nil {
		return dst, true, nil
	}
	out, err := w.append(dst, 0, v, false)
	if err != nil {
		return dst, false, err
	}
	return out, false, nil
}

// headerText writes what Kafka Connect's Values.convertToString makes of a value. nodes is nil for schemaless values.
type headerText struct {
	nodes []wit.Node
	budget
}

// append writes a value; inside others texts and bytes stand in quotation marks.
func (w *headerText) append(dst []byte, node uint32, v any, inside bool) ([]byte, error) {
	if out, ok := appendJavaScalar(dst, v); ok {
		return out, nil
	}
	switch x := v.(type) {
	case string:
		return w.text(dst, x, inside)
	case int32:
		return w.integer(dst, node, int64(x)), nil
	case int64:
		return w.integer(dst, node, x), nil
	case datum.Instant:
		return appendHeaderDate(dst, int64(x)), nil
	case []byte:
		if w.nodes != nil && w.nodes[node].Name != nil && *w.nodes[node].Name == wit.NameDecimal && len(x) > 0 {
			scale, err := scaleOf(&w.nodes[node])
			return appendDecimal(dst, x, scale), err
		}
		if err := w.room(dst, base64.StdEncoding.EncodedLen(len(x))); err != nil {
			return dst, err
		}
		if !inside {
			return base64.StdEncoding.AppendEncode(dst, x), nil
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), x), '"'), nil
	case datum.List, datum.Map, datum.Record:
		return w.items(dst, node, v)
	}
	return dst, dataError("SimpleHeaderConverter: structs inside values without schema have no text here")
}

func (w *headerText) text(dst []byte, s string, inside bool) ([]byte, error) {
	if err := w.room(dst, len(s)); err != nil {
		return dst, err
	}
	if !inside {
		return append(dst, s...), nil
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '\\' || s[i] == '"' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"'), nil
}

func (w *headerText) integer(dst []byte, node uint32, n int64) []byte {
	if w.nodes != nil && w.nodes[node].Name != nil {
		switch *w.nodes[node].Name {
		case wit.NameDate:
			return appendHeaderDate(dst, n*86_400_000)
		case wit.NameTime, wit.NameTimestamp:
			return appendHeaderDate(dst, n)
		}
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendHeaderDate writes a time of day, a day or both, by what there is of them.
func appendHeaderDate(dst []byte, ms int64) []byte {
	layout := "2006-01-02T15:04:05.000Z"
	switch {
	case ms < 86_400_000:
		layout = "15:04:05.000Z"
	case ms%86_400_000 == 0:
		layout = time.DateOnly
	}
	return time.UnixMilli(ms).UTC().AppendFormat(dst, layout)
}

// items writes an array, a map or a structure. Members of a structure that are null and have a default have that.
func (w *headerText) items(dst []byte, node uint32, v any) (_ []byte, err error) {
	child := func(of func(*wit.Node) uint32) uint32 {
		if w.nodes == nil {
			return 0
		}
		return of(&w.nodes[node])
	}
	// next is what stands in front of an item, and looks at the bounds.
	next := func(i int) error {
		if err := w.item(dst); err != nil {
			return endedBy(w.ctx, err)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		return nil
	}
	add := func(node uint32, v any) error {
		dst, err = w.append(dst, node, v, true)
		return err
	}
	switch x := v.(type) {
	case datum.List:
		dst = append(dst, '[')
		for i, item := range x {
			if err := next(i); err != nil {
				return dst, err
			}
			if err := add(child(func(n *wit.Node) uint32 { return n.Element }), item); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case datum.Map:
		dst = append(dst, '{')
		for i, e := range x {
			if err := next(i); err != nil {
				return dst, err
			}
			if err := add(child(func(n *wit.Node) uint32 { return n.Key }), e.Key); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
			if err := add(child(func(n *wit.Node) uint32 { return n.Element }), e.Value); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case datum.Record:
		dst = append(dst, '{')
		for i, m := range w.nodes[node].Members {
			if err := next(i); err != nil {
				return dst, err
			}
			if dst, err = w.text(dst, m.Name, true); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
			member := x[i]
			if member == nil && w.nodes[m.Node].DefaultValue != nil {
				member = defaultOf(w.nodes, m.Node)
			}
			if err := add(m.Node, member); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return dst, nil
}

// defaultOf reads the default of a node that has one.
func defaultOf(nodes []wit.Node, node uint32) any {
	bare := slices.Clone(nodes)
	text := *bare[node].DefaultValue
	bare[node].Optional, bare[node].DefaultValue = false, nil
	v, _, _ := datum.Read(bare, node, bytes.Clone(text))
	return v
}
