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

func (rejectingChain) Apply(_ context.Context, b *record.Batch) (rejected []wit.RowError, err error) {
	rows := b.Rows[:0]
	for _, r := range b.Rows {
		switch {
		case strings.HasPrefix(string(b.Bytes(r.Value)), "no"):
			rejected = append(rejected, wit.RowError{RowIndex: r.RowIndex, Error: wit.Error{Kind: wit.ErrorData,
				Message: "not to be transformed"}})
		case !strings.HasPrefix(string(b.Bytes(r.Key)), "x"):
			rows = append(rows, r)
		}
	}
	b.Rows = rows
	return rejected, nil
}

// A poisonCase is the value of a record that cannot be written, and a part of its error.
type poisonCase struct {
	value          string
	problem        string
	rowsPerRequest int
	inFlight       int
}

var poisonCases = map[string]poisonCase{
	"conversion":              {value: "bad", problem: "no document", rowsPerRequest: 1, inFlight: 1},
	"conversion, batches":     {value: "bad", problem: "no document", rowsPerRequest: 3, inFlight: 1},
	"transforms":              {value: "no", problem: "not to be transformed", rowsPerRequest: 1, inFlight: 1},
	"transforms, batches":     {value: "no", problem: "not to be transformed", rowsPerRequest: 3, inFlight: 1},
	"encode":                  {value: "!no such plant", problem: "no such plant", rowsPerRequest: 1, inFlight: 1},
	"encode, batches":         {value: "!no such plant", problem: "no such plant", rowsPerRequest: 3, inFlight: 1},
	"encode traps":            {value: "#", problem: "unreachable", rowsPerRequest: 1, inFlight: 1},
	"encode traps, batches":   {value: "#", problem: "unreachable", rowsPerRequest: 3, inFlight: 1},
	"rejected by the service": {value: "refused", problem: "answered 400", rowsPerRequest: 1, inFlight: 1},
	"rejected, many in flight": {
		value: "refused", problem: "answered 400", rowsPerRequest: 1, inFlight: 4,
	},
}

const (
	poisonRecords = 30 // in each partition
	poisonOffset  = 17 // the record of partition 1 that cannot be written
)

func poisonKey(offset int, partition int32) string {
	return fmt.Sprintf("%c%d", "abcdexfgh"[offset%9], partition)
}

// All records before one that cannot be written are written and committed before the task fails, in all partitions;
// from that record on nothing is written, so an offset that is set after it loses nothing.
func TestPoisonPill(t *testing.T) {
	for name, c := range poisonCases {
		runtest.Bubble(t, name, func(t *testing.T) {
			trap := &plugin.Trap{Function: "encode", Reason: errTrap}
			x := newWorld(&writer{rowsPerRequest: c.rowsPerRequest, trap: trap})
			x.o.InFlight = c.inFlight
			x.o.BatchRows = 25
			x.group.maxPoll = 7
			x.o.NewChain = func(context.Context) (Chain, error) { return rejectingChain{}, nil }
			x.service.delay = 10 * time.Millisecond
			written := countWritten(x)
			want := putPoison(x, c.value)
			_, err := x.run(t)
			runtest.Fails(t, err, "topic t, partition 1, offset 17", c.problem,
				"; topic t, partition 1: everything before offset 17 is written and committed, nothing from there on")
			following := checkPoisoned(t, x, written)
			assert.True(t, (following > 0) == strings.Contains(err.Error(), "a restart skips them"),
				"expected a message about whether later records are written, %d are: %v", following, err)
			assert.True(t, x.o.InFlight != 1 || following <= 0,
				"expected no later record to be written, found %d", following)
			// The record is fixed, or is skipped by hand if that writes nothing twice.
			tp := topicPartition{"t", 1}
			if following == 0 {
				x.group.committed[tp] = poisonOffset + 1
				x.group.metadata[tp] = ""
			} else {
				x.group.logs[tp][poisonOffset].Value = []byte("mended")
				want = append(want, string(x.group.logs[tp][poisonOffset].Key)+"=mended")
			}
			x.o.InDoubt = nil
			x.o.Revoked = nil
			x.mustRun(t)
			checkWrittenOnce(t, want, written)
		})
	}
}

// countWritten makes the service reject the value "refused", and returns how often it writes each other row.
func countWritten(x *world) map[string]int {
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
	return written
}

// putPoison adds records to two partitions, one of them with the value, and returns the other rows that the sink
// writes.
func putPoison(x *world, poison string) (rows []string) {
	for i := range poisonRecords {
		for p := range int32(2) {
			key := poisonKey(i, p)
			value := fmt.Sprintf("v%d", i)
			if p == 1 && i == poisonOffset {
				value = poison
			} else if key[0] != 'x' {
				rows = append(rows, key+"="+value)
			}
			x.group.put("t", p, key+"="+value)
		}
	}
	return rows
}

// checkPoisoned checks that the committed records of both partitions are written, and returns how many records are
// written that follow the one that cannot be.
func checkPoisoned(t *testing.T, x *world, written map[string]int) (following int) {
	t.Helper()
	assert.Equal(t, poisonOffset, x.committed("t", 1), "committed")
	for i := range poisonRecords { // the committed records of the other partition are written, too
		line := poisonKey(i, 0) + fmt.Sprintf("=v%d", i)
		assert.True(t, int64(i) >= x.committed("t", 0) || line[0] == 'x' || written[line] == 1,
			"expected %s to be written once, found %d times", line, written[line])
	}
	for i := poisonOffset + 1; i < poisonRecords; i++ {
		following += written[poisonKey(i, 1)+fmt.Sprintf("=v%d", i)]
	}
	return following
}

// checkWrittenOnce checks that the wanted rows, and no others, were written once. It sorts want.
func checkWrittenOnce(t *testing.T, want []string, written map[string]int) {
	t.Helper()
	var rows []string
	for line, n := range written {
		for range n {
			rows = append(rows, line)
		}
	}
	slices.Sort(rows)
	slices.Sort(want)
	assert.Equal(t, want, rows, "written")
}
