package sink

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

const (
	movedRows, movedFirst = 2000, 1005
	movedWarning          = "what stands with the group's offset is not about this log"
)

// Metadata that stand with another offset, or another topic, than those for which they were written count for nothing:
// the records that they may speak of are looked up, so that none is lost and none is written twice.
func TestSinkGoesOnAtACopyOfItsTopic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// skipped is how many of the first records the copy lacks; offset is where the group stands there.
		skipped int
		offset  int64
	}{
		{"translated", 0, 1001},
		{"without the first records", 500, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := NewMirrored(t, movedRows, movedFirst, "sap.odata.insert.uncertain=check")
			here, there := e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr()
			m.Fill(here, 0)
			had := m.Killed(here)
			m.Fill(there, c.skipped)
			m.Moves(there, c.offset, had)
			m.Once(there).Exits(0).SaysTimes(1, movedWarning)
			e2etest.CreatedOnce(t, m.Service.Ledger(), movedRows)
			m.Once(there).Exits(0).SaysTimes(0, movedWarning)
		})
	}
}
