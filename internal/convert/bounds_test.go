package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// timeLimit bounds a conversion of some megabytes: it is many times the time that a linear conversion needs, and far
// below that of one that is not linear.
const timeLimit = 2 * time.Minute

// endsInTime runs f and fails the test if it has not returned after [timeLimit].
func endsInTime(t *testing.T, f func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	select {
	case <-done:
		require.True(t, ctx.Err() == nil, "expected the conversion to end in %s", timeLimit)
	case <-ctx.Done():
		t.Fatalf("expected the conversion to end in %s, or with its context", timeLimit)
	}
}

// nestedSchema returns the schema of structs in each other, each with the members a, b and c; a is the next struct.
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
			t.Errorf("expected the document to be read, found %v", err)
			return
		}
		v, _, err := connectdata.Read(b.Registry.Get(d.Schema).Nodes, 0, b.Bytes(d))
		for n := depth - 1; n >= 0 && err == nil; n-- {
			r := v.(connectdata.Struct)
			if r[1] != "y" || r[2] != fmt.Sprint(n) {
				t.Errorf("level %d: expected y and %[1]d, found %v", n, r[1:])
			}
			v = r[0]
		}
		assert.True(t, v == "x" && err == nil, "expected the innermost text x, found %v, %v", v, err)
	})
}

// The last value of a duplicate name takes the position of the first, among many names as among few.
func TestDuplicateNames(t *testing.T) {
	for _, count := range []int{3, 1000} {
		var in, out strings.Builder
		in.WriteByte('{')
		out.WriteByte('{')
		for i := range count {
			fmt.Fprintf(&in, `"n%d":%d,`, i, i)
			fmt.Fprintf(&out, `"n%d":[%d,{"x":2}],`, i, i)
		}
		for i := count - 1; i >= 0; i-- {
			fmt.Fprintf(&in, `"n%d":"",`, i)
			fmt.Fprintf(&in, `"n%d":[%d,{"x":1,"x":2}],`, i, i)
		}
		b := &record.Batch{Registry: record.NewRegistry()}
		c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false")
		d, err := c.Decode(t.Context(), "t", []byte(strings.TrimSuffix(in.String(), ",")+"}"), b)
		require.NoError(t, err)
		got, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if want := strings.TrimSuffix(out.String(), ",") + "}"; string(got) != want || err != nil {
			t.Errorf("%d names: expected %.200s, found %.200s, %v", count, want, got, err)
		}
	}
}

// A conversion ends with its context and returns its error, not a fault of the value.
func TestConversionsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &record.Batch{Registry: record.NewRegistry()}
	c := newConverter(t, ClassJSON, b.Registry, "schemas.enable", "false")
	document := "[" + strings.Repeat("[],", 100_000) + "[]]"
	if _, err := c.Decode(ctx, "t", []byte(document), b); !errors.Is(err, context.Canceled) || fault.Class(err) != "" {
		t.Errorf("decode: expected context.Canceled, found %v", err)
	}
	d, err := c.Decode(t.Context(), "t", []byte(document), b)
	require.NoError(t, err)
	_, _, err = c.Encode(ctx, nil, math.MaxInt32, "t", b, d)
	assert.True(t, errors.Is(err, context.Canceled) && fault.Class(err) == "",
		"encode: expected context.Canceled, found %v", err)
	s, _ := b.Registry.Intern([]wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Int8}})
	b.Data = append(append(connectdata.AppendNumber(nil, 100_000), make([]byte, 100_000)...), 0)
	d = wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))}
	_, _, err = c.Encode(ctx, nil, math.MaxInt32, "t", b, d)
	assert.True(t, errors.Is(err, context.Canceled) && fault.Class(err) == "",
		"encode with a schema: expected context.Canceled, found %v", err)
}

// Each record contains the JSON of its schema: a schema whose JSON is too long is the row's fault.
func TestLongEnvelopesAreRejected(t *testing.T) {
	for size, want := range map[int]string{3 << 20: "more than 16777216 bytes", 2 << 20: ""} {
		b := &record.Batch{Registry: record.NewRegistry(), Data: connectdata.AppendString(nil, "x")}
		s, err := b.Registry.Intern([]wit.SchemaNode{{Kind: wit.String, Doc: wit.Ptr(strings.Repeat("\x01", size))}})
		require.NoError(t, err)
		d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))}
		_, _, err = newConverter(t, ClassJSON, b.Registry).Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		isExpected := err != nil && strings.Contains(err.Error(), want) && fault.Class(err) != ""
		assert.True(t, (want != "" || err == nil) && (want == "" || isExpected),
			"%d bytes: expected %q, found %.300v", size, want, err)
	}
}
