package connectjson

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/record"
)

// Large schemas are removed from the cache before the limit on their number, in both directions, and are cached again
// on their next use.
func TestCachedSchemaBytesAreBounded(t *testing.T) {
	const schemas, size = 20, 4_000_000
	b := &record.Batch{Registry: record.NewRegistry()}
	made, err := New(Settings().Values(nil), conversion.Options{Schemas: b.Registry})
	require.NoError(t, err)
	c := made.(*Converter)
	maxBytes := 0
	maxRead := 0
	for i := range 2 * schemas {
		document := fmt.Sprintf(`{"schema":{"type":"string","optional":false,"doc":"%02d%s"},"payload":"x"}`, i%schemas,
			strings.Repeat("d", size))
		b.Data = b.Data[:0]
		d, err := c.Decode(t.Context(), "t", []byte(document), b)
		require.NoError(t, err)
		out, _, err := c.Encode(t.Context(), nil, math.MaxInt32, "t", b, d)
		if err != nil || len(out) < size || !bytes.Contains(out, fmt.Appendf(nil, `"%02dddd`, i%schemas)) {
			t.Fatalf("schema %d: %d bytes, %v", i, len(out), err)
		}
		if c.programs.Bytes > conversion.MaxCachedBytes || c.readers.Bytes > conversion.MaxCachedBytes {
			t.Fatalf("schema %d: %d and %d bytes are cached", i, c.programs.Bytes, c.readers.Bytes)
		}
		maxBytes = max(maxBytes, len(c.programs.Entries))
		maxRead = max(maxRead, len(c.readers.Entries))
	}
	if maxBytes < 2 || maxBytes >= schemas || maxRead < 2 || maxRead >= schemas {
		t.Errorf("expected some of %d schemas to be cached, found %d and %d", schemas, maxBytes, maxRead)
	}
}
