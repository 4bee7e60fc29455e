package datum_test

import (
	"testing"

	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/datum/datumtest"
)

// FuzzInside makes schemas and values of them at random, each as its type has it, and takes them through all readers:
// what was written is read as it was, is skipped in its size, and what a changed byte makes of it ends in an error or a
// value, within the bounds.
func FuzzInside(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, change byte) {
		r := datumtest.New(seed)
		nodes := r.Schema()
		if _, err := datum.CheckSchema(nodes); err != nil {
			return // too large
		}
		b, err := datum.Append(nil, nodes, 0, r.Value(nodes, 0))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		v, size, err := datum.Read(nodes, 0, b)
		if err != nil || size != len(b) {
			t.Fatalf("seed %d: read %d of %d bytes, %v", seed, size, len(b), err)
		}
		if skipped, err := datum.Skip(nodes, 0, b); err != nil || skipped != len(b) {
			t.Fatalf("seed %d: skipped %d of %d bytes, %v", seed, skipped, len(b), err)
		}
		if again, err := datum.Append(nil, nodes, 0, v); err != nil || string(again) != string(b) {
			t.Fatalf("seed %d: written % x, then % x, %v", seed, b, again, err)
		}
		d, err := datum.AppendDynamic(nil, r.Dynamic(0))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if n, err := datum.SkipDynamic(d); err != nil || n != len(d) {
			t.Fatalf("seed %d: skipped %d of %d dynamic bytes, %v", seed, n, len(d), err)
		}
		if change == 0 {
			return
		}
		for _, changed := range [][]byte{b, d} {
			if len(changed) > 0 {
				changed[int(at)%len(changed)] ^= change
			}
		}
		_, readSize, readErr := datum.Read(nodes, 0, b)
		skipSize, skipErr := datum.Skip(nodes, 0, b)
		if readErr == nil && (skipErr != nil || skipSize != readSize) {
			t.Fatalf("seed %d: read %d bytes, skipped %d, %v", seed, readSize, skipSize, skipErr)
		}
		_ = datum.CheckDynamic(d)
	})
}

// FuzzSchema makes lists of nodes that are mostly no schemas: whatever they name, they are counted in time that grows
// with their number.
func FuzzSchema(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		nodes := datumtest.New(seed).Nodes()
		size, err := datum.CheckSchema(nodes)
		if err == nil && (size <= 0 || size > datum.MaxSchemaBytes) {
			t.Errorf("seed %d: %d bytes", seed, size)
		}
	})
}
