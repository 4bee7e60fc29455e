package avro

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// The number of cached schemas is limited, in both directions.
func TestCachedAvroSchemasAreBounded(t *testing.T) {
	const kept, schemas = 3, 10
	fake := srfake.New()
	t.Cleanup(fake.Close)
	b := &record.Batch{Registry: record.NewRegistry()}
	c, err := New(Settings().Values([]wit.Setting{{Name: "schema.registry.url", Value: fake.URL()},
		{Name: "schemas.cache.config", Value: strconv.Itoa(kept)}}), conversion.Options{Schemas: b.Registry,
		OpenRegistry: func(s registry.Settings) (*registry.Client, error) {
			return registry.Open(s, nil, slog.New(slog.DiscardHandler))
		}})
	require.NoError(t, err)
	programs := 0
	read := 0
	for i := range 2 * schemas {
		s, err := b.Registry.Intern([]wit.SchemaNode{{Kind: wit.Struct, Name: wit.Ptr(fmt.Sprintf("a.Person%d",
			i%schemas)),
			Fields: []wit.Field{{Name: "id", Node: 1}}}, {Kind: wit.Int32}})
		require.NoError(t, err)
		b.Data = connectdata.AppendNumber(b.Data[:0], 7)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "orders", b, wit.ValueSlice{Encoding: wit.WithSchema,
			Schema: s.ID, Size: uint32(len(b.Data))})
		require.NoError(t, err)
		_, err = c.Decode(t.Context(), "orders", out, b)
		require.NoError(t, err)
		made := c.(*Converter)
		programs = max(programs, len(made.encoders.Entries))
		read = max(read, len(made.DecoderCache.Cache.Entries))
	}
	if programs != kept || read != kept {
		t.Errorf("expected %d schemas at most in each direction, found %d and %d", kept, programs, read)
	}
}

// Numbers are narrowed as Java's intValue and longValue do it: integers lose their upper bits, other numbers become the
// nearest value of the type.
func TestNumbersAreNarrowedAsInJava(t *testing.T) {
	for _, c := range []struct {
		given  any
		bits   int
		number int64
	}{
		{int64(7), 32, 7}, {int64(-7), 64, -7}, {int64(3_000_000_000), 32, -1_294_967_296}, {int64(1<<32 + 3), 32, 3},
		{json.Number("18446744073709551619"), 64, 3}, {json.Number("-18446744073709551619"), 32, -3},
		{3_000_000_000.5, 32, math.MaxInt32}, {-3_000_000_000.5, 32, math.MinInt32}, {2147483647.5, 32, math.MaxInt32},
		{1.9, 32, 1}, {-1.9, 64, -1}, {1e30, 64, math.MaxInt64}, {-1e30, 64, math.MinInt64}, {math.Inf(1), 32,
			math.MaxInt32}, {json.Number("1e400"), 64, math.MaxInt64}, {float32(1e10), 32, math.MaxInt32},
	} {
		if n, ok := asNumber(c.given, c.bits); !ok || n != c.number {
			t.Errorf("%v in %d bits: expected %d, found %d, %v", c.given, c.bits, c.number, n, ok)
		}
	}
	for _, none := range []any{nil, "7", true, json.Number(""), json.Number("-"), json.Number("x")} {
		if n, ok := asNumber(none, 32); ok || n != 0 {
			t.Errorf("%v: expected no number, found %d", none, n)
		}
	}
}
