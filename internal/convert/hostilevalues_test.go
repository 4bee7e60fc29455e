package convert

import (
	"bytes"
	"cmp"
	"context"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A hostileValue is a value that is expensive to write, and a part of the error. Without it the value is written.
type hostileValue struct {
	class string           // of the converter; "" means JSON
	nodes []wit.SchemaNode // nil means schemaless
	data  []byte
	want  string
}

// Values of some bytes to some megabytes that could expand to huge JSON, or take very long, are limited in size and
// time.
func TestHostileValuesAreWrittenInTime(t *testing.T) {
	for _, values := range []map[string]hostileValue{emptyStructures(), largeValues(), schemalessValues()} {
		for name, c := range values {
			t.Run(name, func(t *testing.T) {
				endsInTime(t, func(ctx context.Context) { checkWritten(ctx, t, c) })
			})
		}
	}
}

func checkWritten(ctx context.Context, t *testing.T, c hostileValue) {
	b := &record.Batch{Registry: record.NewRegistry(), Data: c.data}
	d := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(c.data))}
	if c.nodes != nil {
		s, err := b.Registry.Intern(c.nodes)
		if err != nil {
			t.Error(err)
			return
		}
		d.Encoding = wit.WithSchema
		d.Schema = s.ID
	}
	class := cmp.Or(c.class, ClassJSON)
	out, _, err := newConverter(t, class, b.Registry).Encode(ctx, []byte("before"), 1<<20, "t", b, d)
	assert.True(t, c.want != "" || err == nil, "expected no error, found %.300v", err)
	assert.True(t, c.want == "" || (err != nil && strings.Contains(err.Error(), c.want) && string(out) == "before"),
		"expected %q, found %.300v", c.want, err)
	assert.True(t, !strings.HasPrefix(c.want, "more than 1048576") || fault.Class(err) == fault.TooLargeException,
		"expected %s, found %s", fault.TooLargeException, fault.Class(err))
	assert.AtMost(t, 32<<20, cap(out), "bytes to be allocated")
}

func emptyStructures() map[string]hostileValue {
	blocks := func(n int, item []byte) []byte {
		return append(bytes.Repeat(append([]byte{2}, item...), n), 0)
	}
	return map[string]hostileValue{
		"empty structures": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Struct}},
			data: connectdata.AppendNumber(nil, 1<<40), want: "structures without bytes"},
		"arrays of empty structures": {
			nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Array, Element: 2}, {Kind: wit.Struct}},
			data:  blocks(2000, append(connectdata.AppendNumber(nil, 8000), 0)), want: "structures without bytes"},
		"maps of empty structures": {nodes: []wit.SchemaNode{{Kind: wit.Map, Key: 1, Element: 1}, {Kind: wit.Struct}},
			data: connectdata.AppendNumber(nil, 1<<40), want: "structures without bytes"},
		"empty structures as text": {class: ClassString,
			nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Array, Element: 2}, {Kind: wit.Struct}},
			data:  blocks(2000, append(connectdata.AppendNumber(nil, 8000), 0)), want: "structures without bytes"},
	}
}

func largeValues() map[string]hostileValue {
	optional := func(n wit.SchemaNode) wit.SchemaNode {
		n.Optional = true
		return n
	}
	texts := []byte(strings.Repeat("\x02x", 500_000))
	decimal := wit.SchemaNode{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal),
		Parameters: []wit.Setting{{Name: "scale", Value: "2"}}}
	return map[string]hostileValue{
		"nulls with a default": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1},
			optional(wit.SchemaNode{Kind: wit.Bytes,
				DefaultValue: wit.Ptr(append(connectdata.AppendNumber(nil, 1<<20), make([]byte, 1<<20)...))})},
			data: append(append(connectdata.AppendNumber(nil, 100_000), bytes.Repeat([]byte{2}, 100_000)...),
				0), want: "more than 1048576 bytes"},
		"control characters": {nodes: []wit.SchemaNode{{Kind: wit.String}},
			data: connectdata.AppendBytes(nil, make([]byte, 60<<20)),
			want: "more than 1048576 bytes"},
		"200,000 control characters": {nodes: []wit.SchemaNode{{Kind: wit.String}},
			data: connectdata.AppendBytes(nil, make([]byte, 200_000)),
			want: "more than 1048576 bytes"},
		"100,000 control characters": {nodes: []wit.SchemaNode{{Kind: wit.String}},
			data: connectdata.AppendBytes(nil, make([]byte, 100_000))},
		"text as text": {class: ClassString, nodes: []wit.SchemaNode{{Kind: wit.String}},
			data: connectdata.AppendBytes(nil, make([]byte, 2<<20)), want: "more than 1048576 bytes"},
		"bytes": {class: classByteArray, nodes: []wit.SchemaNode{{Kind: wit.Bytes}},
			data: connectdata.AppendBytes(nil, make([]byte, 2<<20)), want: "more than 1048576 bytes"},
		"many texts": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.String}},
			data: append(append(connectdata.AppendNumber(nil, 500_000), texts...), 0), want: "more than 1048576 bytes"},
		"a long decimal": {nodes: []wit.SchemaNode{decimal},
			data: connectdata.AppendBytes(nil, bytes.Repeat([]byte{0x55}, 1<<19)), want: "4096 bytes"},
		"a long decimal as text": {class: ClassString, nodes: []wit.SchemaNode{decimal},
			data: connectdata.AppendBytes(nil, bytes.Repeat([]byte{0x55}, 1<<19)), want: "4096 bytes"},
	}
}

func schemalessValues() map[string]hostileValue {
	maps := bytes.Repeat([]byte{connectdata.TagMap, 2, connectdata.TagString, 2, 'k'}, 900)
	maps = append(maps, connectdata.TagMap, 2, connectdata.TagInt8, 2, connectdata.TagNull)
	// Maps are nested in each other's last entry, which shows late that the map must be written as pairs.
	pairs := []byte{connectdata.TagNull}
	for range 200 {
		pairs = append([]byte{connectdata.TagMap, 4, connectdata.TagString, 2, 'k'}, pairs...)
		pairs = append(pairs, connectdata.TagInt8, 2, connectdata.TagNull)
	}
	return map[string]hostileValue{
		"schemaless maps":  {data: maps},
		"schemaless pairs": {data: pairs},
		"deep schemaless": {data: append(bytes.Repeat([]byte{connectdata.TagArray, 2}, 5000), connectdata.TagNull),
			want: "nested at most 1000 deep"},
		"schemaless decimal": {class: ClassString,
			data: connectdata.AppendBytes(connectdata.AppendNumber([]byte{connectdata.TagDecimal}, 2),
				bytes.Repeat([]byte{0x55}, 1<<19)),
			want: "4096 bytes"},
		"schemaless nulls": {class: ClassString,
			data: append(connectdata.AppendNumber([]byte{connectdata.TagArray}, 40<<20), make([]byte, 40<<20)...),
			want: "more than 1000000 values"},
	}
}
