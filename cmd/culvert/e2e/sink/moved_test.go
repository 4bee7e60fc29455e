package sink

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

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
		{"translated far back", 0, 1},
		{"the same offset", 0, 1005},
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

// At a copy, upserts are sent again, except those that may end in an insert for which the service makes a key. These
// are looked up. If the lookup finds nothing, no insert is sent before an operator has decided. The other records are
// written once, also those that were not applied before.
func TestSinkUpsertsAtACopyOfItsTopic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// zero is the record with an initial key, offset where the group stands at the copy.
		zero     int
		offset   int64
		settings []string
	}{
		{"initial, killed before its answer", movedFirst, 1001, nil},
		{"initial, killed before its answer, after an insert", movedFirst, 1001, []string{"sap.odata.upsert.first=insert"}},
		{"initial, killed before its answer, with ETags and a filter", movedFirst, 1001, []string{"sap.odata.etag=use",
			"sap.odata.check.filter=ShipName"}},
		{"initial, as is known", 500, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := NewMirrored(t, movedRows, movedFirst, append(c.settings, "sap.odata.operation.mode=upsert")...)
			m.Zero = c.zero
			here, there := e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr()
			m.Fill(here, 0)
			had := m.Killed(here)
			if known := strings.Contains(had.Metadata, "known=f"); known != (c.zero < movedFirst) {
				t.Errorf("expected to know that the service fills keys: %t, found %q", !known, had.Metadata)
			}
			m.Fill(there, 0)
			m.Moves(there, c.offset, had)
			for range 2 {
				line := m.Once(there).Exits(1).LastLine()
				want := fmt.Sprintf("errors.uncertain.send=orders-0@%d ", c.zero)
				if !strings.Contains(line, want) || strings.Contains(line, "sap.odata.check.filter isn't set") {
					t.Errorf("expected %s, found %s", want, line)
				}
			}
			m.Decides(fmt.Sprintf("errors.uncertain.skip=orders-0@%d", c.zero))
			m.Once(there).Exits(0)
			e2etest.CreatedOnce(t, m.Service.Ledger(), movedRows)
		})
	}
}

// A service that numbers all by itself takes no upserts; what it was sent until it showed that is not sent again.
func TestUpsertsOfNumberedOrdersAtACopy(t *testing.T) {
	t.Parallel()
	m := NewMirrored(t, movedRows, movedFirst, "sap.odata.operation.mode=upsert", "sap.odata.max.in.flight=1")
	m.Numbers = true
	here, there := e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr()
	m.Fill(here, 0)
	m.Once(here).Exits(1)
	had := m.Stored(kadm.NewClient(e2etest.Client(t, here)))
	if !strings.Contains(had.Metadata, "known=n") || had.At == 0 {
		t.Fatalf("expected some records to be written and what they have shown, found %+v", had)
	}
	m.Fill(there, 0)
	m.Moves(there, 0, had)
	before := m.Posts.Load()
	for range 2 {
		r := m.Once(there).Exits(1)
		if line := r.LastLine(); !strings.Contains(line, "errors.uncertain.send=orders-0@0-1999 ") ||
			m.Posts.Load() != before {
			t.Errorf("expected no insert and all records, found %d inserts and %s", m.Posts.Load()-before, line)
		}
	}
	e2etest.CreatedOnce(t, m.Service.Ledger(), int(before))
}

// With insert.uncertain=fail nothing is sent before somebody has decided: neither what was written nor what was not.
func TestSinkStopsAtACopyOfItsTopic(t *testing.T) {
	t.Parallel()
	m := NewMirrored(t, movedRows, movedFirst)
	here, there := e2etest.Embedded(t).Addr(), e2etest.Embedded(t).Addr()
	m.Fill(here, 0)
	had := m.Killed(here)
	m.Fill(there, 0)
	m.Moves(there, 1001, had)
	before := m.Posts.Load()
	for range 2 {
		r := m.Once(there).Exits(1)
		if line := r.LastLine(); !strings.Contains(line, "errors.uncertain.send=orders-0@1001,orders-0@1002,") ||
			!strings.Contains(line, ",orders-0@1999 ") || m.Posts.Load() != before {
			t.Errorf("expected no insert and all records up to 1999, found %d inserts and %s", m.Posts.Load()-before,
				line)
		}
	}
	m.Decides("errors.uncertain.send=orders-0@1005-1006", "errors.uncertain.skip=orders-0@1001-1004,orders-0@1007-1999")
	m.Once(there).Exits(0)
	e2etest.CreatedOnce(t, m.Service.Ledger(), movedRows)
}

// A topic that was made again, or has become shorter, has records that no metadata speak of: they are written.
func TestSinkGoesOnAtATopicThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	m := NewMirrored(t, movedRows, movedFirst, "sap.odata.insert.uncertain=check")
	here := e2etest.Embedded(t).Addr()
	m.Fill(here, 0)
	had := m.Killed(here)
	deleted, err := kadm.NewClient(e2etest.Client(t, here)).DeleteTopics(t.Context(), "orders")
	e2etest.NoError(t, err)
	e2etest.NoError(t, deleted.Error())
	m.Rows = 1500
	m.Fill(here, 0)
	m.Moves(here, had.At, had) // the broker has forgotten it with the topic
	m.Once(here).Exits(0).SaysTimes(1, movedWarning)
	e2etest.CreatedOnce(t, m.Service.Ledger(), movedRows)
	m.Put(here, movedRows, movedRows+100)
	m.Once(here).Exits(0)
	e2etest.CreatedOnce(t, m.Service.Ledger(), movedRows+100)
}
