package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// timeLimit is how long a conversion of some megabytes may take in these tests: many times what it needs, and far less
// than one that is not linear.
const timeLimit = 2 * time.Minute

// endsInTime runs f and fails the test if it has not returned after [timeLimit].
func endsInTime(t *testing.T, f func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); f(ctx) }()
	select {
	case <-ended:
		if ctx.Err() != nil {
			t.Fatal("the conversion took too long")
		}
	case <-ctx.Done():
		t.Fatal("the conversion takes too long, and does not end with its context")
	}
}

// nestedSchema returns structs nested in each other, each with the members a and b; nested specifies the position of
// the next struct.
func nestedSchema(depth int) string {
	schema := `{"type":"string"}`
	for range depth {
		schema = strings.TrimSuffix(schema, "}") + `,"field":"a"}`
		schema = `{"type":"struct","fields":[` + schema +
			`,{"type":"string","optional":true,"field":"b"},{"type":"string","optional":true,"field":"c"}]}`
	}
	return schema
}

// With members in another order at each level, nested values are read once, not twice per level.
func TestNestedMembersOutOfOrder(t *testing.T) {
	const depth = 90
	value := `"x"`
	for n := range depth {
		// A member out of order follows the nested one.
		value = fmt.Sprintf(`{"a":%s,"c":"%d","b":"y","unknown":[{}]}`, value, n)
	}
	endsInTime(t, func(ctx context.Context) {
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry)
		d, err := c.Decode(ctx, "t", []byte(`{"schema":`+nestedSchema(depth)+`,"payload":`+value+`}`), b)
		if err != nil {
			t.Error(err)
			return
		}
		v, _, err := connectdata.Read(b.Registry.Get(d.Schema).Nodes, 0, b.Bytes(d))
		for n := depth - 1; n >= 0 && err == nil; n-- {
			r := v.(connectdata.Struct)
			if r[1] != "y" || r[2] != fmt.Sprint(n) {
				t.Errorf("level %d: found %v", n, r[1:])
			}
			v = r[0]
		}
		if v != "x" || err != nil {
			t.Error(v, err)
		}
	})
}

// Documents of some hundred bytes to some megabytes are read in linear time.
func TestHostileRecordsAreReadInTime(t *testing.T) {
	enveloped := func(schema, payload string) string { return `{"schema":` + schema + `,"payload":` + payload + `}` }
	decimal := func(scale string) string {
		return `{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"` +
			scale + `"}}`
	}
	list := func(n int, item func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(item(i))
		}
		return b.String()
	}
	repeated := func(n int, item string) string { return list(n, func(int) string { return item }) }
	wide := `{"type":"struct","fields":[` + list(9_000,
		func(i int) string { return fmt.Sprintf(`{"type":"int8","optional":true,"field":"f%d"}`, i) }) + `]}`
	defaulted := `{"type":"struct","fields":[{"type":"string","field":"a","default":"` + strings.Repeat("x", 1<<20) +
		`"}]}`
	deep := `{"type":"int8"}`
	for range 400 {
		deep = `{"type":"array","items":` + deep + `}`
	}
	growing := `{"type":"string","default":"` + strings.Repeat("x", 1000) + `"}`
	for range 20 {
		growing = `{"type":"struct","fields":[` + strings.TrimSuffix(growing, "}") + `,"field":"a"}]}`
		growing = `{"type":"array","default":[` + repeated(20, "{}") + `],"items":` + growing + `}`
	}
	tuples := `{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}}`
	for range 90 {
		tuples = `{"type":"map","keys":{"type":"int8"},"values":` + tuples + `}`
	}
	longName := strings.Repeat("n", 30_000)
	named, wrong := `{"type":"int8"}`, `"x"`
	for range 90 {
		named = `{"type":"struct","fields":[` + strings.TrimSuffix(named, "}") + `,"field":"` + longName + `"}]}`
		wrong = `{"` + longName + `":` + wrong + `}`
	}
	for name, c := range map[string]struct{ document, want string }{
		"scale of 10^8":   {enveloped(decimal("100000000"), "1"), "expected a scale from -1000 to 1000"},
		"scale of 2^31-1": {enveloped(decimal("2147483647"), "0"), "expected a scale from -1000 to 1000"},
		"scale out of 64 bits": {enveloped(decimal("99999999999999999999"), "0"),
			"expected a scale from -1000 to 1000"},
		"scale below 0": {enveloped(decimal("-2147483648"), "1e30000"), "expected a scale from -1000 to 1000"},
		"exponent":      {enveloped(decimal("2"), "1e32000"), "more than 4096 bytes"},
		"exponent of 0": {enveloped(decimal("1000"), "0e32000"), ""},
		"places":        {enveloped(decimal("2"), "1e-32000"), "Decimal value has mismatching scale"},
		"zeros behind":  {enveloped(decimal("0"), "1"+strings.Repeat("0", 500)+"e-500"), ""},
		"digits":        {enveloped(decimal("2"), strings.Repeat("9", 4<<20)), "a number of at most 1000 digits"},
		"zeros before":  {enveloped(decimal("2"), strings.Repeat("0", 4<<20)+"1"), "a number of at most 1000 digits"},
		"base64": {enveloped(decimal("2"), `"`+strings.Repeat("MTIz", 1<<20)+`"`),
			"more than 4096 bytes"},
		"absent members": {enveloped(`{"type":"array","items":`+wide+`}`, "["+repeated(300_000, "{}")+"]"),
			"more than"},
		"unknown members": {enveloped(wide, "{"+list(100_000, func(i int) string {
			return fmt.Sprintf(`"u%d":1`, i)
		})+"}"), ""},
		"members out of turn": {enveloped(wide, "{"+list(100_000, func(i int) string {
			return fmt.Sprintf(`"f%d":1`, 8999-i*7%9000)
		})+"}"), ""},
		"defaults": {enveloped(`{"type":"array","items":`+defaulted+`}`, "["+repeated(300_000, "{}")+"]"),
			"more than"},
		"defaults in defaults": {enveloped(growing, "null"), "more than"},
		"deep schema":          {enveloped(deep, "[]"), "expected at most 100 nodes in each other"},
		"deep payload":         {enveloped(`{"type":"int8"}`, strings.Repeat("[", 900_000)), "nests deeper than 1000"},
		"schema of many fields": {enveloped(strings.Replace(wide, "]", strings.Repeat(`,{"type":"int8","field":"g"}`,
			1)+","+list(2000, func(i int) string { return fmt.Sprintf(`{"type":"int8","field":"h%d"}`, i) })+"]", 1),
			"{}"), "expected at most 10000 fields"},
		"schema of 5 MB":      {enveloped(`{"type":"int8","doc":"`+strings.Repeat("x", 5<<20)+`"}`, "1"), "bytes"},
		"error of long names": {enveloped(named, wrong), "expected a JSON value for the type INT8, found STRING"},
		"a fault among many members": {enveloped(wide, "{"+list(100_000, func(i int) string {
			return fmt.Sprintf(`"f%d":%d`, 8999-i*7%9000, i)
		})+"}"), "does not fit the type INT8"},
		"a fault in tuples of tuples": {enveloped(tuples, strings.Repeat("[[1,", 90)+"[["+
			strings.TrimSuffix(strings.Repeat("[],", 1<<20), ",")+"]]"+strings.Repeat("]]", 90)),
			"Found invalid map entry, expected length 2 but found :1048576"},
		"100,000 names": {"{" + list(100_000, func(i int) string { return fmt.Sprintf(`"n%d":1`, i) }) + "}",
			""},
		"100,000 names twice": {"{" + list(200_000, func(i int) string {
			return fmt.Sprintf(`"n%d":%d`, i%100_000, i)
		}) + "}", ""},
		"one name many times": {"{" + list(100_000, func(i int) string { return fmt.Sprintf(`"n%d":1`, i) }) + "," +
			list(100_000, func(i int) string { return `"n0":"` + strings.Repeat("x", i%3) + `"` }) + "}", ""},
		"a long integer": {strings.Repeat("9", 4<<20), "a number of at most 1000 digits"},
	} {
		t.Run(name, func(t *testing.T) {
			endsInTime(t, func(ctx context.Context) {
				b := &record.Batch{Registry: record.NewRegistry()}
				settings := []string{"schemas.enable", "false"}
				if strings.HasPrefix(c.document, `{"schema"`) {
					settings = nil
				}
				_, err := newConverter(t, ClassJSON, b.Registry, settings...).Decode(ctx, "t", []byte(c.document), b)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(),
					c.want) || fault.Class(err) == "") {
					t.Errorf("expected %q, found %.300v", c.want, err)
				}
				if err != nil && len(err.Error()) > 10_000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				if cap(b.Data) > 4*conversion.MaxDecodedBytes {
					t.Errorf("%d bytes were allocated", cap(b.Data))
				}
			})
		})
	}
}

// The last value of a duplicate name takes the position of the first, among many names as among few.
func TestDuplicateNames(t *testing.T) {
	for _, names := range []int{3, 1000} {
		var in, out strings.Builder
		in.WriteByte('{')
		out.WriteByte('{')
		for i := range names {
			fmt.Fprintf(&in, `"n%d":%d,`, i, i)
			fmt.Fprintf(&out, `"n%d":[%d,{"x":2}],`, i, i)
		}
		for i := names - 1; i >= 0; i-- {
			fmt.Fprintf(&in, `"n%d":"",`, i)
			fmt.Fprintf(&in, `"n%d":[%d,{"x":1,"x":2}],`, i, i)
		}
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false")
		d, err := c.Decode(t.Context(), "t", []byte(strings.TrimSuffix(in.String(), ",")+"}"), b)
		require.NoError(t, err)
		got, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if want := strings.TrimSuffix(out.String(), ",") + "}"; string(got) != want || err != nil {
			t.Errorf("%d names: expected %.200s, found %.200s, %v", names, want, got, err)
		}
	}
}

// Values of some bytes to some megabytes that could expand to huge JSON, or take very long, are limited in size and
// time.
func TestHostileValuesAreWrittenInTime(t *testing.T) {
	optional := func(n wit.SchemaNode) wit.SchemaNode { n.Optional = true; return n }
	long := []byte(strings.Repeat("\x02x", 500_000))
	decimal := wit.SchemaNode{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal), Parameters: []wit.Setting{{Name: "scale",
		Value: "2"}}}
	maps := bytes.Repeat([]byte{connectdata.TagMap, 2, connectdata.TagString, 2, 'k'}, 900)
	for _, odd := range [][]byte{{connectdata.TagNull}, {connectdata.TagMap, 2, connectdata.TagInt8, 2,
		connectdata.TagNull}} {
		maps = append(maps[:900*5:900*5], odd...)
	}
	// Maps are nested in each other's last entry, which shows late that the map must be written as pairs.
	pairs := []byte{connectdata.TagNull}
	for range 200 {
		pairs = append(append([]byte{connectdata.TagMap, 4, connectdata.TagString, 2, 'k'}, pairs...),
			connectdata.TagInt8, 2,
			connectdata.TagNull)
	}
	blocks := func(n int, item []byte) []byte {
		return append(bytes.Repeat(append([]byte{2}, item...), n), 0)
	}
	for name, c := range map[string]struct {
		class string
		nodes []wit.SchemaNode
		b     []byte
		most  int
		want  string
	}{
		"empty structures": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Struct}},
			b: connectdata.AppendNumber(nil, 1<<40), want: "structures without bytes"},
		"arrays of them": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Array, Element: 2},
			{Kind: wit.Struct}},
			b: blocks(2000, append(connectdata.AppendNumber(nil, 8000), 0)), want: "structures without bytes"},
		"maps of them": {nodes: []wit.SchemaNode{{Kind: wit.Map, Key: 1, Element: 1}, {Kind: wit.Struct}},
			b: connectdata.AppendNumber(nil, 1<<40), want: "structures without bytes"},
		"as text": {class: ClassString, nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1},
			{Kind: wit.Array, Element: 2},
			{Kind: wit.Struct}},
			b: blocks(2000, append(connectdata.AppendNumber(nil, 8000), 0)), want: "structures without bytes"},
		"nulls with a default": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1},
			optional(wit.SchemaNode{Kind: wit.Bytes,
				DefaultValue: wit.Ptr(append(connectdata.AppendNumber(nil, 1<<20), make([]byte, 1<<20)...))})},
			b: append(append(connectdata.AppendNumber(nil, 100_000), bytes.Repeat([]byte{2}, 100_000)...),
				0), want: "more than 1048576 bytes"},
		"control characters": {nodes: []wit.SchemaNode{{Kind: wit.String}},
			b:    connectdata.AppendBytes(nil, make([]byte, 60<<20)),
			want: "more than 1048576 bytes"},
		"some of them": {nodes: []wit.SchemaNode{{Kind: wit.String}},
			b:    connectdata.AppendBytes(nil, make([]byte, 200_000)),
			want: "more than 1048576 bytes"},
		"few of them": {nodes: []wit.SchemaNode{{Kind: wit.String}},
			b: connectdata.AppendBytes(nil, make([]byte, 100_000))},
		"text as text": {class: ClassString, nodes: []wit.SchemaNode{{Kind: wit.String}},
			b: connectdata.AppendBytes(nil,
				make([]byte, 2<<20)), want: "more than 1048576 bytes"},
		"bytes": {class: classByteArray, nodes: []wit.SchemaNode{{Kind: wit.Bytes}}, b: connectdata.AppendBytes(nil,
			make([]byte, 2<<20)), want: "more than 1048576 bytes"},
		"many floats": {nodes: []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.String}},
			b: append(append(connectdata.AppendNumber(nil, 500_000), long...), 0), want: "more than 1048576 bytes"},
		"a long decimal": {nodes: []wit.SchemaNode{decimal}, b: connectdata.AppendBytes(nil,
			bytes.Repeat([]byte{0x55}, 1<<19)),
			want: "4096 bytes"},
		"and as text": {class: ClassString, nodes: []wit.SchemaNode{decimal}, b: connectdata.AppendBytes(nil,
			bytes.Repeat([]byte{0x55}, 1<<19)), want: "4096 bytes"},
		"dynamic maps":  {b: maps},
		"dynamic pairs": {b: pairs},
		"deep dynamic": {b: append(bytes.Repeat([]byte{connectdata.TagArray, 2}, 5000), connectdata.TagNull),
			want: "nested at most 1000 deep"},
		"dynamic decimal": {class: ClassString,
			b: connectdata.AppendBytes(connectdata.AppendNumber([]byte{connectdata.TagDecimal}, 2),
				bytes.Repeat([]byte{0x55}, 1<<19)),
			want: "4096 bytes"},
		"dynamic nulls": {class: ClassString, b: append(connectdata.AppendNumber([]byte{connectdata.TagArray}, 40<<20),
			make([]byte,
				40<<20)...), want: "more than 1000000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			endsInTime(t, func(ctx context.Context) {
				b := &record.Batch{Registry: record.NewRegistry(), Data: c.b}
				d := wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(c.b))}
				if c.nodes != nil {
					s, err := b.Registry.Intern(c.nodes)
					if err != nil {
						t.Error(err)
						return
					}
					d.Encoding, d.Schema = wit.WithSchema, s.ID
				}
				class := c.class
				if class == "" {
					class = ClassJSON
				}
				out, _, err := newConverter(t, class, b.Registry).Encode(ctx, []byte("before"), 1<<20, "t", b, d)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(),
					c.want) || string(out) != "before") {
					t.Errorf("expected %q, found %.300v", c.want, err)
				}
				if strings.HasPrefix(c.want, "more than 1048576") && fault.Class(err) != fault.TooLargeException {
					t.Errorf("expected %s, found %s", fault.TooLargeException, fault.Class(err))
				}
				if cap(out) > 32<<20 {
					t.Errorf("%d bytes were allocated", cap(out))
				}
			})
		})
	}
}

// A conversion ends with its context and returns its error, not a fault of the value.
func TestConversionsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &record.Batch{Registry: record.NewRegistry()}
	c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false")
	many := "[" + strings.Repeat("[],", 100_000) + "[]]"
	if _, err := c.Decode(ctx, "t", []byte(many), b); !errors.Is(err, context.Canceled) || fault.Class(err) != "" {
		t.Errorf("decode: %v", err)
	}
	d, err := c.Decode(t.Context(), "t", []byte(many), b)
	require.NoError(t, err)
	if _, _, err := c.Encode(ctx, nil, math.MaxInt32, "t", b, d); !errors.Is(err, context.Canceled) ||
		fault.Class(err) != "" {
		t.Errorf("encode: %v", err)
	}
	s, _ := b.Registry.Intern([]wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Int8}})
	b.Data = append(append(connectdata.AppendNumber(nil, 100_000), make([]byte, 100_000)...), 0)
	d = wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))}
	if _, _, err := c.Encode(ctx, nil, math.MaxInt32, "t", b, d); !errors.Is(err, context.Canceled) ||
		fault.Class(err) != "" {
		t.Errorf("encode with a schema: %v", err)
	}
}

// Each record contains the JSON of its schema: a schema whose JSON is too long is the row's fault.
func TestLongEnvelopesAreRejected(t *testing.T) {
	for size, want := range map[int]string{3 << 20: "more than 16777216 bytes", 2 << 20: ""} {
		b := &record.Batch{Registry: record.NewRegistry(), Data: connectdata.AppendString(nil, "x")}
		s, err := b.Registry.Intern([]wit.SchemaNode{{Kind: wit.String, Doc: wit.Ptr(strings.Repeat("\x01", size))}})
		require.NoError(t, err)
		d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))}
		_, _, err = newConverter(t, ClassJSON, b.Registry).Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) ||
			fault.Class(err) == "") {
			t.Errorf("%d bytes: expected %q, found %.300v", size, want, err)
		}
	}
}
