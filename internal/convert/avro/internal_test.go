package avro

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// The number of cached schemas is limited, in both directions.
func TestCachedAvroSchemasAreBounded(t *testing.T) {
	const cacheSize = 3
	const schemas = 10
	fake := srfake.New()
	t.Cleanup(fake.Close)
	b := &record.Batch{Registry: record.NewRegistry()}
	c, err := New(Settings().Values([]wit.Setting{{Name: "schema.registry.url", Value: fake.URL()},
		{Name: "schemas.cache.config", Value: strconv.Itoa(cacheSize)}}), conversion.Options{Schemas: b.Registry,
		OpenRegistry: func(s registry.Settings) (*registry.Client, error) {
			return registry.Open(s, nil, slog.New(slog.DiscardHandler))
		}})
	require.NoError(t, err)
	maxEncoders := 0
	maxDecoders := 0
	for i := range 2 * schemas {
		s, err := b.Registry.Intern([]wit.SchemaNode{
			{Kind: wit.Struct, Name: wit.Ptr(fmt.Sprintf("a.Person%d", i%schemas)),
				Fields: []wit.Field{{Name: "id", Node: 1}}},
			{Kind: wit.Int32},
		})
		require.NoError(t, err)
		b.Data = connectdata.AppendNumber(b.Data[:0], 7)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "orders", b, wit.ValueSlice{Encoding: wit.WithSchema,
			Schema: s.ID, Size: uint32(len(b.Data))})
		require.NoError(t, err)
		_, err = c.Decode(t.Context(), "orders", out, b)
		require.NoError(t, err)
		converter := c.(*Converter)
		maxEncoders = max(maxEncoders, len(converter.encoders.Entries))
		maxDecoders = max(maxDecoders, len(converter.DecoderCache.Cache.Entries))
	}
	assert.True(t, maxEncoders == cacheSize && maxDecoders == cacheSize,
		"expected the caches to fill up to %d schemas, found %d encoders and %d decoders", cacheSize, maxEncoders,
		maxDecoders)
}

// Numbers are narrowed as Java's intValue and longValue do it: integers lose their upper bits, other numbers are
// truncated toward zero and limited to the range of the type.
func TestNumbersAreNarrowedAsInJava(t *testing.T) {
	for _, c := range []struct {
		value any
		bits  int
		want  int64
	}{
		{value: int64(7), bits: 32, want: 7},
		{value: int64(-7), bits: 64, want: -7},
		{value: int64(3_000_000_000), bits: 32, want: -1_294_967_296},
		{value: int64(1<<32 + 3), bits: 32, want: 3},
		{value: json.Number("18446744073709551619"), bits: 64, want: 3},
		{value: json.Number("-18446744073709551619"), bits: 32, want: -3},
		{value: 3_000_000_000.5, bits: 32, want: math.MaxInt32},
		{value: -3_000_000_000.5, bits: 32, want: math.MinInt32},
		{value: 2147483647.5, bits: 32, want: math.MaxInt32},
		{value: 1.9, bits: 32, want: 1},
		{value: -1.9, bits: 64, want: -1},
		{value: 1e30, bits: 64, want: math.MaxInt64},
		{value: -1e30, bits: 64, want: math.MinInt64},
		{value: math.Inf(1), bits: 32, want: math.MaxInt32},
		{value: math.NaN(), bits: 64, want: 0},
		{value: json.Number("1e400"), bits: 64, want: math.MaxInt64},
		{value: float32(1e10), bits: 32, want: math.MaxInt32},
	} {
		n, ok := asNumber(c.value, c.bits)
		assert.True(t, ok && n == c.want, "%v in %d bits: expected %d, found %d, %v", c.value, c.bits, c.want, n, ok)
	}
	for _, value := range []any{nil, "7", true, json.Number(""), json.Number("-"), json.Number("x")} {
		n, ok := asNumber(value, 32)
		assert.True(t, !ok && n == 0, "%v: expected no number, found %d", value, n)
	}
}
