package sink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// rejectingChain is a chain that fails values that begin with "no" and filters keys that begin with "x".
type rejectingChain struct{}

func (rejectingChain) Apply(_ context.Context, b *record.Batch) (faults []wit.RowError, err error) {
	rows := b.Rows[:0]
	for _, r := range b.Rows {
		switch {
		case strings.HasPrefix(string(b.Bytes(r.Value)), "no"):
			faults = append(faults, wit.RowError{RowIndex: r.RowIndex, Error: wit.Error{Kind: wit.ErrorData,
				Message: "not to be transformed"}})
		case !strings.HasPrefix(string(b.Bytes(r.Key)), "x"):
			rows = append(rows, r)
		}
	}
	b.Rows = rows
	return faults, nil
}

// All records before one that cannot be written are written and committed before the task fails, in all partitions;
// from that record on nothing is written, so an offset that is set after it loses nothing.
func TestPoisonPill(t *testing.T) {
	for name, c := range map[string]struct {
		value, fault string
		each         int
	}{
		"conversion":              {"bad", "no document", 1},
		"conversion, batches":     {"bad", "no document", 3},
		"transforms":              {"no", "not to be transformed", 1},
		"transforms, batches":     {"no", "not to be transformed", 3},
		"encode":                  {"!no such plant", "no such plant", 1},
		"encode, batches":         {"!no such plant", "no such plant", 3},
		"encode traps":            {"#", "unreachable", 1},
		"encode traps, batches":   {"#", "unreachable", 3},
		"refused by the service":  {"refused", "answered 400", 1},
		"refused, many in flight": {"refused", "answered 400", 1},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			const many, bad = 30, 17
			x := newWorld(&writer{each: c.each, trap: &plugin.Trap{Function: "encode", Reason: errTrap}})
			x.o.InFlight, x.o.BatchRows, x.group.atMost = 1, 25, 7
			if strings.Contains(name, "many") {
				x.o.InFlight = 4
			}
			x.o.NewChain = func(context.Context) (Chain, error) { return rejectingChain{}, nil }
			x.service.slow = 10 * time.Millisecond
			written := map[string]int{}
			x.service.answer = func(_ int, body string) (uint16, error) {
				if strings.Contains(body, "=refused") {
					return 400, nil
				}
				for _, line := range strings.Split(body, ",") {
					written[line]++
				}
				return 201, nil
			}
			var want []string
			for i := range many {
				for p := range int32(2) {
					key, value := fmt.Sprintf("%c%d", "abcdexfgh"[i%9], p), fmt.Sprintf("v%d", i)
					if p == 1 && i == bad {
						value = c.value
					} else if key[0] != 'x' {
						want = append(want, key+"="+value)
					}
					x.group.put("t", p, key+"="+value)
				}
			}
			_, err := x.run(t)
			runtest.Fails(t, err, "topic t, partition 1, offset 17", c.fault,
				"; topic t, partition 1: everything before offset 17 is written and committed, nothing from there on")
			at := topicPartition{"t", 1}
			assert.Equal(t, bad, x.committed("t", 1), "committed")
			for i := range many { // the committed records of the other partition are written, too
				line := fmt.Sprintf("%c0=v%d", "abcdexfgh"[i%9], i)
				if int64(i) < x.committed("t", 0) && line[0] != 'x' && written[line] != 1 {
					t.Errorf("expected %s to be written once, found %d times", line, written[line])
				}
			}
			following := 0
			for i := bad + 1; i < many; i++ {
				following += written[fmt.Sprintf("%c1=v%d", "abcdexfgh"[i%9], i)]
			}
			if (following > 0) != strings.Contains(err.Error(), "a restart skips them") {
				t.Errorf("expected a message about whether later records are written, %d are: %v",
					following, err)
			}
			if x.o.InFlight == 1 && following > 0 {
				t.Errorf("expected no later record to be written, found %d", following)
			}
			// The record is fixed, or is skipped by hand if that writes nothing twice.
			if following == 0 {
				x.group.committed[at], x.group.metadata[at] = bad+1, ""
			} else {
				x.group.logs[at][bad].Value = []byte("mended")
				want = append(want, string(x.group.logs[at][bad].Key)+"=mended")
			}
			x.o.InDoubt, x.o.Revoked = nil, nil
			x.ok(t)
			var found []string
			for line, n := range written {
				for range n {
					found = append(found, line)
				}
			}
			slices.Sort(found)
			slices.Sort(want)
			assert.Equal(t, want, found, "written")
		})
	}
}
