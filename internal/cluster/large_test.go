package cluster

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
)

// newLargeGroup returns a group of members with 1,000 connectors of 4 tasks and names of 100 characters.
func newLargeGroup(members int) *group {
	g := newGroup()
	for i := range 1000 {
		c := connector(fmt.Sprintf("%0100d", i), int64(1_000_000+i*10), 4)
		c.Origin = fmt.Sprint("https://sap.example.com:44300/", i%300)
		c.Requests = 8
		g.in.Connectors = append(g.in.Connectors, c)
	}
	for i := range members {
		id := fmt.Sprintf("culvert-worker-%d-0bd2a4a5-7a4e-4a6e-8b6c-1f6a5f0e7c11", i)
		g.join(id)
		m := g.member(id)
		m.URL = fmt.Sprintf("https://worker-%d.culvert.example.com:8083", i)
		m.Name = fmt.Sprintf("worker-%d", i)
		m.Plugins = []plugin.Offer{{Name: "odata-source", Version: "1.2.0", Hash: "9f86d081"},
			{Name: "odata-sink", Version: "1.2.0", Hash: "60303ae2"},
			{Name: "smt", Version: "1.2.0", Hash: "fd61a03a"}}
		m.Digest = "e3b0c442"
		m.Offset = 2_000_000
	}
	return g
}

// bytes returns the total size of the metadata and assignments of all members.
func (g *group) bytes(t testing.TB) (total int) {
	t.Helper()
	for _, m := range g.in.Members {
		metadata, err := m.Encode()
		require.NoError(t, err)
		assignment, err := Assignment{Leader: m.ID, LeaderURL: m.URL, Offset: m.Offset, Target: g.out.Targets[m.ID],
			Origins: g.out.Origins[m.ID]}.Encode()
		require.NoError(t, err)
		total += len(metadata) + len(assignment)
	}
	return total
}

// Metadata and assignments of all members are one record of __consumer_offsets, of 1 MB at most. They take at most half
// of it.
func TestLargeGroupFitsRecord(t *testing.T) {
	t.Parallel()
	g := newLargeGroup(100)
	for range 2 {
		g.rebalance()
	}
	assert.AtMost(t, 500_000, g.bytes(t), "bytes of metadata and assignments")
}
