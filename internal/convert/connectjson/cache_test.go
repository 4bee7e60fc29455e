package connectjson

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/record"
)

// Large schemas are removed from the cache before the limit on their number, in both directions, and are cached again
// on their next use.
func TestCachedSchemaBytesAreBounded(t *testing.T) {
	const schemaCount = 20
	const schemaBytes = 4_000_000
	b := &record.Batch{Registry: record.NewRegistry()}
	converter, err := New(Settings().Values(nil), conversion.Options{Schemas: b.Registry})
	require.NoError(t, err)
	c := converter.(*Converter)
	maxPrograms := 0
	maxReaders := 0
	for i := range 2 * schemaCount {
		document := fmt.Sprintf(`{"schema":{"type":"string","optional":false,"doc":"%02d%s"},"payload":"x"}`,
			i%schemaCount, strings.Repeat("d", schemaBytes))
		b.Data = b.Data[:0]
		d, err := c.Decode(t.Context(), "t", []byte(document), b)
		require.NoError(t, err)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if err != nil || len(out) < schemaBytes || !bytes.Contains(out, fmt.Appendf(nil, `"%02dddd`, i%schemaCount)) {
			t.Fatalf("schema %d: expected its text in the document, found %d bytes, %v", i, len(out), err)
		}
		require.True(t, c.programs.Bytes <= conversion.MaxCachedBytes && c.readers.Bytes <= conversion.MaxCachedBytes,
			"schema %d: expected at most %d cached bytes, found %d for writing and %d for reading", i,
			conversion.MaxCachedBytes, c.programs.Bytes, c.readers.Bytes)
		maxPrograms = max(maxPrograms, len(c.programs.Entries))
		maxReaders = max(maxReaders, len(c.readers.Entries))
	}
	isBounded := func(entries int) bool { return entries >= 2 && entries < schemaCount }
	assert.True(t, isBounded(maxPrograms) && isBounded(maxReaders),
		"expected some of %d schemas to be cached, found %d for writing and %d for reading", schemaCount, maxPrograms,
		maxReaders)
}
