package record

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// FuzzRegistry registers random schemas, valid ones and invalid lists of nodes: an accepted schema is found under its
// number as long as a batch uses it, equal ones have one number, and the memory in use stays within its limit.
func FuzzRegistry(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint8(seed))
	}
	shared := NewRegistry()
	f.Fuzz(func(t *testing.T, seed uint64, owner uint8) {
		reg := shared.ForConnector(string('a' + rune(owner%4)))
		r := connectdatatest.New(seed)
		for _, nodes := range [][]wit.SchemaNode{r.Schema(), r.Nodes()} {
			first, err := reg.Intern(nodes)
			if err != nil {
				continue
			}
			b := Batch{Registry: reg}
			b.Retain(first)
			second, err := reg.Intern(nodes)
			require.True(t, err == nil && second == first && reg.Get(first.ID) == first && first.Size > 0,
				"seed %d: expected one registered schema, found %v and %v, %v", seed, first, second, err)
			b.Reset()
		}
		reg.mu.RLock()
		defer reg.mu.RUnlock()
		require.True(t, reg.owner.bytes <= maxRegistryBytes && reg.owner.bytes >= 0,
			"expected at most %d bytes, found %d of %d schemas", maxRegistryBytes, reg.owner.bytes,
			len(reg.owner.entries))
	})
}
