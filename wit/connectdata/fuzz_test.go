package connectdata_test

import (
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// FuzzInside creates random schemas and values of them, and passes them to all readers: values are read and skipped as
// they were written, and with a changed byte the result is an error or a value within the bounds.
func FuzzInside(f *testing.F) {
	// pos and change describe the changed byte. Change 0 changes nothing.
	for seed := range uint64(20) {
		f.Add(seed, uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, seed uint64, pos uint16, change byte) {
		r := connectdatatest.New(seed)
		nodes := r.Schema()
		if _, err := connectdata.CheckSchema(nodes); err != nil {
			return // too large
		}
		b, err := connectdata.Append(nil, nodes, 0, r.Value(nodes, 0))
		require.True(t, err == nil, "seed %d: %v", seed, err)
		v, size, err := connectdata.Read(nodes, 0, b)
		require.True(t, err == nil && size == len(b), "seed %d: read %d of %d bytes, %v", seed, size, len(b), err)
		if skipped, err := connectdata.Skip(nodes, 0, b); err != nil || skipped != len(b) {
			t.Fatalf("seed %d: skipped %d of %d bytes, %v", seed, skipped, len(b), err)
		}
		if again, err := connectdata.Append(nil, nodes, 0, v); err != nil || string(again) != string(b) {
			t.Fatalf("seed %d: written % x, then % x, %v", seed, b, again, err)
		}
		schemaless, err := connectdata.AppendSchemaless(nil, r.Dynamic(0))
		require.True(t, err == nil, "seed %d: %v", seed, err)
		if n, err := connectdata.SkipSchemaless(schemaless); err != nil || n != len(schemaless) {
			t.Fatalf("seed %d: skipped %d of %d dynamic bytes, %v", seed, n, len(schemaless), err)
		}
		if change == 0 {
			return
		}
		for _, changed := range [][]byte{b, schemaless} {
			if len(changed) > 0 {
				changed[int(pos)%len(changed)] ^= change
			}
		}
		_, readSize, readErr := connectdata.Read(nodes, 0, b)
		skipSize, skipErr := connectdata.Skip(nodes, 0, b)
		require.True(t, readErr != nil || (skipErr == nil && skipSize == readSize),
			"seed %d: read %d bytes, skipped %d, %v", seed, readSize, skipSize, skipErr)
		_ = connectdata.CheckSchemaless(schemaless)
	})
}

// Check, which creates no values, rejects what Read rejects, and remaining bytes.
func TestCheckIsAsStrictAsRead(t *testing.T) {
	validCount := 0
	invalidCount := 0
	for seed := range uint64(20_000) {
		r := connectdatatest.New(seed)
		nodes := r.Schema()
		original, err := connectdata.Append(nil, nodes, 0, r.Value(nodes, 0))
		require.True(t, err == nil, "seed %d: %v", seed, err)
		for range 10 {
			b := slices.Clone(original)
			switch pos := r.IntN(len(b) + 1); {
			case pos == len(b):
				// b stays as it is
			case r.IntN(3) > 0:
				b[pos] ^= 1 << r.IntN(8)
			case r.IntN(2) == 0:
				b = b[:pos]
			default:
				b = slices.Insert(b, pos, byte(r.Uint32()))
			}
			_, n, err := connectdata.Read(nodes, 0, b)
			want := err == nil && n == len(b)
			if got := connectdata.Check(nodes, b) == nil; got != want {
				t.Fatalf("seed %d, %x: expected %t, found %t: %v, %v", seed, b, want, got, err,
					connectdata.Check(nodes, b))
			}
			if want {
				validCount++
			} else {
				invalidCount++
			}
		}
	}
	assert.True(t, validCount >= 20_000 && invalidCount >= 20_000,
		"expected at least 20000 valid and invalid values each, found %d and %d", validCount, invalidCount)

	// Checking a struct allocates at most the state of the check.
	value := []byte{2, 'a', 0, 4}
	nodes := []wit.SchemaNode{
		{Kind: wit.Struct, Fields: []wit.Field{{Name: "a", Node: 1}, {Name: "b", Node: 2}, {Name: "c", Node: 3}}},
		{Kind: wit.String},
		{Kind: wit.String, Optional: true},
		{Kind: wit.Int8},
	}
	if n := testing.AllocsPerRun(10, func() {
		assert.NoError(t, connectdata.Check(nodes, value))
	}); n > 1 {
		t.Errorf("expected at most one allocation, found %v", n)
	}
}

// FuzzSchema creates lists of nodes that are mostly invalid schemas. Counting takes time in proportion to the nodes,
// whatever they refer to: a count that visits a node once for each reference would not end.
func FuzzSchema(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		nodes := connectdatatest.New(seed).Nodes()
		size, err := connectdata.CheckSchema(nodes)
		assert.True(t, err != nil || (size > 0 && size <= connectdata.MaxSchemaBytes),
			"seed %d: expected 1 to %d bytes, found %d", seed, connectdata.MaxSchemaBytes, size)
	})
}
