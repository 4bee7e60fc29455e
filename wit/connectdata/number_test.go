package connectdata

import (
	"bytes"
	"math"
	"math/big"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// Each number is read as it was written. The short way to write a decimal has the same result as the general one.
func FuzzNumber(f *testing.F) {
	for _, n := range []int64{0, -1, 63, 64, -65, math.MaxInt64, math.MinInt64} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		b := AppendNumber(nil, n)
		got, size := Number(append(b, 0xff))
		require.True(t, got == n && size == len(b), "%d: % x is read as %d in %d bytes", n, b, got, size)
		d := AppendDecimal64(nil, n)
		want := AppendBytes(nil, twosComplement(big.NewInt(n)))
		require.True(t, bytes.Equal(d, want), "decimal %d: % x, expected % x", n, d, want)
		content, _ := LengthPrefixed(d)
		if Unscaled(content).Int64() != n {
			t.Fatalf("decimal %d: % x is read as %v", n, d, Unscaled(content))
		}
	})
}

// A number of more than 64 bits is invalid.
func TestNumberRejectsMoreThan64Bits(t *testing.T) {
	for _, b := range [][]byte{bytes.Repeat([]byte{0xff}, 11), append(bytes.Repeat([]byte{0xff}, 9), 2)} {
		n, size := Number(b)
		assert.True(t, size == -1, "% x: expected size -1, found %d for the number %d", b, size, n)
	}
}

// Avro allows arrays in several blocks, with or without their sizes.
func TestArraysInSeveralBlocksAreRead(t *testing.T) {
	nodes := []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Int32}}
	// one item, then a block with its size (-1, 1 byte), then the end
	b := []byte{2, 8, 1, 2, 10, 0}
	v, size, err := Read(nodes, 0, b)
	require.True(t, err == nil && size == len(b) && len(v.(List)) == 2 && v.(List)[1] == int32(5),
		"expected two items in %d bytes, found %v in %d, %v", len(b), v, size, err)
	if n, err := Skip(nodes, 0, b); n != len(b) || err != nil {
		t.Fatalf("expected to skip %d bytes, found %d, %v", len(b), n, err)
	}
}

// Hostile arrays end soon. A loop over items without bytes would not.
func TestItemsWithoutBytesAreRejected(t *testing.T) {
	nodes := []wit.SchemaNode{{Kind: wit.Array, Element: 1}, {Kind: wit.Struct}}
	b := append(AppendNumber(nil, math.MaxInt64), 0)
	if _, err := Skip(nodes, 0, b); err == nil {
		t.Error("expected skipping to fail")
	}
	if _, _, err := Read(nodes, 0, b); err == nil {
		t.Error("expected reading to fail")
	}
}

// FuzzDynamic reads schemaless values: a valid one has the same size when it is skipped, and can be written again.
func FuzzDynamic(f *testing.F) {
	for _, b := range [][]byte{{0}, {0x0b, 4, 6, 2, 9, 2, 'a'}, {0x0c, 2, 9, 2, 'k', 0}, {0x0d, 4, 4, 4, 0xe2}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size, err := SkipSchemaless(b)
		v, readSize, readErr := ReadSchemaless(b)
		require.True(t, readErr != nil || (err == nil && size == readSize), "read %d bytes, skipped %d: %v", readSize,
			size, err)
		if readErr != nil {
			return
		}
		again, err := AppendSchemaless(nil, v)
		require.NoError(t, err)
		if _, n, err := ReadSchemaless(again); err != nil || n != len(again) {
			t.Fatalf("% x written again as % x: %v", b[:readSize], again, err)
		}
	})
}
